"""Finding things: one by name or id, many page by page; other projects' things do not exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.messages import _
from yun.base.paging import Page, every_id, paginate
from yun.network.checks import ID
from yun.network.model import (
    ACTIVE,
    ALLOWED,
    TRASHED,
    AddressSet,
    Capture,
    FloatingIp,
    LoadBalancer,
    Network,
    NetworkPeering,
    Port,
    PortAddress,
    PortForwarding,
    PortSecurityGroup,
    Router,
    RouterInterface,
    SecurityGroup,
    SecurityRule,
    ServiceChain,
    Subnet,
)
from yun.network.service import search, shares

T = TypeVar(
    "T", Network, Subnet, Router, Port, SecurityGroup, AddressSet, FloatingIp, PortForwarding, ServiceChain,
    LoadBalancer, Capture,
)
NOUNS: dict[type[Any], str] = {
    Network: "network",
    Subnet: "subnet",
    Router: "router",
    Port: "port",
    SecurityGroup: "security_group",
    AddressSet: "address_set",
    FloatingIp: "floating_ip",
    LoadBalancer: "load_balancer",
    Capture: "capture",
    PortForwarding: "port_forwarding",
    NetworkPeering: "network_peering",
    ServiceChain: "service_chain",
}
WORDS = {
    "security_group": _("security group").text, "address_set": _("address set").text,
    "floating_ip": _("floating IP").text,
    "load_balancer": _("load balancer").text, "capture": _("packet recording").text,
    "port_forwarding": _("port forwarding").text, "service_chain": _("service chain").text,
}  # fmt: skip
NAMED_BY: dict[type[Any], tuple[InstrumentedAttribute[Any], ...]] = {
    Network: (Network.name,),
    Subnet: (Subnet.name, Subnet.cidr),
    Router: (Router.name,),
    Port: (Port.address, Port.mac, Port.instance_id, Port.hostname, Port.name),
    SecurityGroup: (SecurityGroup.name,),
    AddressSet: (AddressSet.name,),
    LoadBalancer: (LoadBalancer.name, LoadBalancer.address),
    Capture: (Capture.port_name,),
    FloatingIp: (FloatingIp.address, FloatingIp.name),
    PortForwarding: (PortForwarding.id,),
    ServiceChain: (ServiceChain.name,),
}


def get(ctx: Context, model: type[T], reference: str) -> T:
    """One thing by id or by what people call it; in the trash too.

    A port is also found by its address, MAC, host name, or the id of its instance. Raises `NotFound` where it does
    not exist for the actor, `Conflict` where the reference fits several.
    """
    noun = NOUNS[model]
    if "\0" in reference:  # no name has it, and PostgreSQL refuses to compare with it
        raise not_found(WORDS.get(noun, noun), reference.replace("\0", "�"))
    listed: Iterable[T | None]
    if ID.fullmatch(reference) and reference.startswith(model.PREFIX + "_"):
        listed = [ctx.session.get(model, reference)]
    else:
        query: sa.Select[Any] = sa.select(model)
        query = query.where(sa.or_(*(column == reference for column in NAMED_BY[model]), *_further(model, reference)))
        if ctx.project_id is not None:
            query = query.where(_of_project(ctx, model, ctx.project_id))
        listed = ctx.session.scalars(query.limit(50))
    found: list[T] = [
        row for row in listed if row is not None and (ctx.sees(row.project_id) or shares.shown(ctx, row))
    ]
    if len(found) > 1:  # a living one is meant before one in the trash, one's own before the cloud's
        found = [r for r in found if r.state != TRASHED] or found
        found = [r for r in found if r.project_id is not None] or found
        found = [r for r in found if r.project_id == ctx.project_id] or found
    if not found:
        raise not_found(WORDS.get(noun, noun), reference)
    if len(found) > 1:
        raise Conflict(
            _("{reference} fits several things.", reference=reference), hint=_("Name its id, or choose a project.")
        )
    if ctx.sees(found[0].project_id):  # else a project of the actor's shares it
        ctx.may(f"{noun}.show", found[0].project_id)
    return found[0]


def _further(model: type[T], reference: str) -> list[sa.ColumnElement[bool]]:
    """The other addresses of a port name it too."""
    if model is not Port:
        return []
    return [Port.id.in_(sa.select(PortAddress.port_id).where(PortAddress.address == reference))]


def _open_to(ctx: Context, noun: str) -> list[str]:
    """The projects whose things of a kind the actor may list."""
    return [project for project in ctx.actor.roles if ctx.allowed(f"{noun}.list", project)]


def _of_project(ctx: Context, model: type[T], project_id: str) -> sa.ColumnElement[bool]:
    shared = shares.condition(ctx, model)
    mine = sa.or_(model.project_id == project_id, model.project_id.is_(None))
    return mine if shared is None else sa.or_(mine, shared)


def list_of(
    ctx: Context, model: type[T], *, filters: dict[str, str | None] | None = None, sort: str = "created_at",
    cursor: str | None = None, limit: int = 100, q: str = "",
) -> Page[T]:  # fmt: skip
    """A page of the things that the actor may see, of the context's project if it has one.

    ``filters`` are columns and the values they must have, ``q`` is in the query language (`search.FIELDS`, and free
    text); the trash is left out unless the state that is asked for is ``trashed``. Raises `Invalid` for a query that
    means nothing.
    """
    noun = NOUNS[model]
    query: sa.Select[Any] = sa.select(model)
    if ctx.project_id is not None:
        ctx.may(f"{noun}.list")
        query = query.where(_of_project(ctx, model, ctx.project_id))
    elif ctx.actor.role_in(None) is None:
        shared = shares.condition(ctx, model)
        mine = sa.or_(model.project_id.in_(_open_to(ctx, noun)), model.project_id.is_(None))
        query = query.where(mine if shared is None else sa.or_(mine, shared))
    else:
        ctx.may(f"{noun}.list")
    wanted = {k: v for k, v in (filters or {}).items() if v is not None}
    for column, value in wanted.items():
        query = query.where(getattr(model, column) == value)
    query = query.where(*search.conditions(ctx.session, model, q))
    if "state" not in wanted and not search.asks_for_trash(model, q):
        query = query.where(model.state != TRASHED)
    sorts: dict[str, Any] = {"created_at": model.created_at}
    for name in ("name", "cidr", "address"):
        if hasattr(model, name):
            sorts[name] = getattr(model, name)
    return paginate(ctx.session, query, sorts=sorts, key=model.id, sort=sort, cursor=cursor, limit=limit)


def ids_of(ctx: Context, model: type[T], q: str, most: int) -> list[str]:
    """The ids of all things that a query of their list finds, by name; at most ``most``."""
    return every_id(lambda cursor, limit: list_of(ctx, model, sort="name", cursor=cursor, limit=limit, q=q), most)


def get_network(ctx: Context, reference: str) -> Network:
    """A network by name or id."""
    return get(ctx, Network, reference)


def get_subnet(ctx: Context, reference: str) -> Subnet:
    """A subnet by name, range or id."""
    return get(ctx, Subnet, reference)


def get_router(ctx: Context, reference: str) -> Router:
    """A router by name or id."""
    return get(ctx, Router, reference)


def get_port(ctx: Context, reference: str) -> Port:
    """A port by id, address, MAC, host name or its instance's id."""
    return get(ctx, Port, reference)


def get_group(ctx: Context, reference: str) -> SecurityGroup:
    """A security group by name or id."""
    return get(ctx, SecurityGroup, reference)


def get_set(ctx: Context, reference: str) -> AddressSet:
    """An address set by name or id."""
    return get(ctx, AddressSet, reference)


def get_floating_ip(ctx: Context, reference: str) -> FloatingIp:
    """A floating IP by address, name or id."""
    return get(ctx, FloatingIp, reference)


def get_chain(ctx: Context, reference: str) -> ServiceChain:
    """A service chain by name or id."""
    return get(ctx, ServiceChain, reference)


def get_balancer(ctx: Context, reference: str) -> LoadBalancer:
    """A load balancer by name, inner address or id."""
    return get(ctx, LoadBalancer, reference)


def project_of(ctx: Context) -> str:
    """The project in which something is made. Raises `Invalid` where the context has none."""
    if ctx.project_id is None:
        raise Invalid(_("Choose a project first."), fields={"project": _("the name or id of a project")})
    return ctx.project_id


def must_allow(thing: Any, verb: str) -> None:
    """Raise `Conflict` where the verb makes no sense in the thing's state."""
    noun = NOUNS[type(thing)]
    if thing.state not in ALLOWED[noun][verb]:
        raise _in_state(thing, {"state": thing.state, "allowed": list(ALLOWED[noun][verb])})


def must_allow_state(thing: Any) -> None:
    """Raise `Conflict` where the thing lies in the trash: nothing is built on it then."""
    if thing.state == TRASHED:
        raise _in_state(thing, {"state": thing.state})


def _in_state(thing: Any, details: dict[str, Any]) -> Conflict:
    hint = _("Undo its deletion first: the history lists it.") if thing.state == TRASHED else None
    return Conflict(
        _("{name} is {state}.", name=title_of(thing), state=_(thing.state)), hint=hint, details=details
    )


def refuse_taken(
    session: Session, model: type[Any], name: str, *, field: str = "name", **scope: str | None
) -> None:
    """Raise `Conflict` naming ``field`` where another thing of the same scope has the name, in the trash too."""
    query = sa.select(model.state).where(model.name == name)
    for column, value in scope.items():
        query = query.where(getattr(model, column) == value)
    state = session.scalar(query)
    if state is None:
        return
    hint = _("It lies in the trash and keeps its name: undo its deletion, or choose another name.")
    raise Conflict(
        _("The name {name} is taken.", name=name),
        hint=hint if state == TRASHED else None,
        fields={field: _("a name that is not taken")},
    )


def title_of(thing: Any) -> str:
    """What a person calls the thing; a floating IP by its address."""
    if isinstance(thing, FloatingIp):
        return thing.address
    return str(getattr(thing, "name", "") or getattr(thing, "address", "") or thing.id)


# ── what belongs together ──


def subnets_of(session: Session, network_id: str, *, trashed: bool = False) -> list[Subnet]:
    """The subnets of a network, oldest first."""
    return list(session.scalars(_SUBNETS if trashed else _LIVING_SUBNETS, {"network": network_id}))


_SUBNETS = (
    sa.select(Subnet).where(Subnet.network_id == sa.bindparam("network")).order_by(Subnet.created_at, Subnet.id)
)
_LIVING_SUBNETS = _SUBNETS.where(Subnet.state == ACTIVE)
"""Statements that most changes of a network ask are built once: that takes longer than asking them."""


def legs_of(session: Session, router_id: str, *, trashed: bool = False) -> list[RouterInterface]:
    """The legs of a router, the outside one last."""
    query = sa.select(RouterInterface).where(RouterInterface.router_id == router_id)
    if not trashed:
        query = query.where(RouterInterface.state == ACTIVE)
    return list(session.scalars(query.order_by(RouterInterface.external, RouterInterface.id)))


def rules_of(session: Session, group_id: str) -> list[SecurityRule]:
    """The rules of a group, oldest first."""
    return rules_by_group(session, [group_id]).get(group_id, [])


def rules_by_group(session: Session, group_ids: Sequence[str]) -> dict[str, list[SecurityRule]]:
    """Group id → its rules, oldest first, for those that have some: for lists, in one query."""
    found: dict[str, list[SecurityRule]] = {}
    for rule in session.scalars(_RULES, {"groups": list(group_ids)}):
        found.setdefault(rule.group_id, []).append(rule)
    return found


_RULES = (
    sa.select(SecurityRule)
    .where(SecurityRule.group_id.in_(sa.bindparam("groups", expanding=True)))
    .order_by(SecurityRule.id)
)


PLAIN = (
    "model", "link_up", "mac", "name", "port_security", "allowed_pairs", "ingress_kbps", "egress_kbps",
    "ingress_burst_kbit", "egress_burst_kbit", "dscp",
)  # fmt: skip
"""What can be changed of a port by writing its column."""


def card_now(session: Session, port: Port) -> dict[str, Any]:
    """What can be changed of a port or card, as it is: ``place`` is its address."""
    groups = sorted(g.id for g in groups_of(session, port.id))
    return {**{name: getattr(port, name) for name in PLAIN}, "groups": groups, "place": port.address}


def groups_of(session: Session, port_id: str) -> list[SecurityGroup]:
    """The groups of a port, by name."""
    mine = sa.select(PortSecurityGroup.group_id).where(PortSecurityGroup.port_id == port_id)
    query = sa.select(SecurityGroup).where(SecurityGroup.id.in_(mine))
    return list(session.scalars(query.order_by(SecurityGroup.name)))


def ports_of(session: Session, instance_id: str) -> list[Port]:
    """The ports of an instance in the order of its cards, those in the trash too."""
    query = sa.select(Port).where(Port.instance_id == instance_id)
    return list(session.scalars(query.order_by(Port.device_index, Port.id)))


def places_of(session: Session, port: Port, *, living: bool = False) -> list[tuple[str, str]]:
    """All addresses of a port as (subnet id, address): its first one, then the others as their subnets were made;
    ``living`` leaves those out whose subnet lies in the trash."""
    query = (
        sa.select(PortAddress.subnet_id, PortAddress.address)
        .join(Subnet, Subnet.id == PortAddress.subnet_id)
        .where(PortAddress.port_id == port.id)
        .order_by(Subnet.created_at, Subnet.id, PortAddress.address)
    )
    if living:
        query = query.where(Subnet.state == ACTIVE)
    return [(port.subnet_id, port.address), *((subnet, address) for subnet, address in session.execute(query))]


def floating_of(session: Session, port_ids: list[str]) -> dict[str, FloatingIp]:
    """Port id → floating IP, for those that have one."""
    rows = session.scalars(_FLOATING, {"ports": port_ids})
    return {row.port_id: row for row in rows if row.port_id is not None}


_FLOATING = sa.select(FloatingIp).where(FloatingIp.port_id.in_(sa.bindparam("ports", expanding=True)))


def addresses_of(session: Session, instance_ids: list[str]) -> dict[str, list[tuple[Port, str | None]]]:
    """Instance id → its ports in order, each with its floating address: for lists, in two queries."""
    query = sa.select(Port).where(Port.instance_id.in_(instance_ids)).order_by(Port.device_index, Port.id)
    ports = list(session.scalars(query))
    outside = floating_of(session, [p.id for p in ports])
    found: dict[str, list[tuple[Port, str | None]]] = {}
    for port in ports:
        floating = outside.get(port.id)
        found.setdefault(str(port.instance_id), []).append((port, floating.address if floating else None))
    return found


def router_of(session: Session, subnet_id: str) -> Router | None:
    """The living router that is the way out of a subnet: the one with the subnet's gateway address, where one has."""
    found = routers_of(session, [subnet_id]).get(subnet_id)
    return session.get_one(Router, found) if found is not None else None


def routers_of(session: Session, subnet_ids: Sequence[str]) -> dict[str, str]:
    """Subnet id → the id of the router that is its way out, as `router_of` says, for those that have one."""
    found: dict[str, str] = {}
    for subnet_id, router_id in session.execute(_WAYS_OUT, {"subnets": list(subnet_ids)}):
        found.setdefault(subnet_id, router_id)
    return found


_WAYS_OUT = (
    sa.select(RouterInterface.subnet_id, Router.id)
    .join(RouterInterface, RouterInterface.router_id == Router.id)
    .join(Subnet, Subnet.id == RouterInterface.subnet_id)
    .where(
        RouterInterface.subnet_id.in_(sa.bindparam("subnets", expanding=True)), RouterInterface.external.is_(False),
        RouterInterface.state == ACTIVE, Router.state == ACTIVE,
    )
    .order_by(
        sa.case((RouterInterface.address.startswith(Subnet.gateway.concat("/")), 0), else_=1),
        RouterInterface.created_at, RouterInterface.id,
    )
)  # fmt: skip


def project_router(session: Session, project_id: str) -> Router | None:
    """The project's first router, to which new subnets are connected."""
    query = sa.select(Router).where(Router.project_id == project_id, Router.state == ACTIVE)
    return session.scalar(query.order_by(Router.created_at, Router.id).limit(1))


def external_network(session: Session) -> Network | None:
    """The cloud's way to the outside."""
    query = sa.select(Network).where(Network.external.is_(True), Network.state == ACTIVE)
    return session.scalar(query.order_by(Network.created_at, Network.id).limit(1))
