"""The verbs of port forwardings: one outside address leads to several machines, port by port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, NotFound
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import checks
from yun.network.model import ACTIVE, FloatingIp, Network, Port, PortForwarding, Router, RouterInterface, Subnet
from yun.network.service import look, paths
from yun.network.service.floating import inner_of, must_reach, refuse_balanced, touched
from yun.operations.intent import Intent, Key, Subject

PROTOCOLS = ("tcp", "udp")
MOST_PORTS = 100


@dataclass(frozen=True)
class NewForwarding:
    """A forwarding to be made. ``floating_ip`` (address, name or id) is an outside address that leads nowhere as a
    whole; None is the own one of the router behind which the port is. ``outside_port_max`` ends a range of ports, which
    leads to as many from ``inner_port`` on (the same numbers where None). ``inner_address`` is one of the port's."""

    port: str
    outside_port: int
    outside_port_max: int | None = None
    inner_port: int | None = None
    protocol: str = "tcp"
    floating_ip: str | None = None
    inner_address: str | None = None
    description: str = ""


@dataclass(frozen=True)
class Way:
    """A forwarding's ends: the outside address, its floating IP if it is one's, and the router it goes through."""

    address: str
    floating: FloatingIp | None
    router: Router


def way_of(session: Session, row: PortForwarding) -> Way | None:
    """The ends of a forwarding as they are now; None where its port has no way out through its address."""
    port = session.get(Port, row.port_id)
    target = paths.target(session, port, row.inner_address) if port is not None else None
    router = look.router_of(session, target[0]) if target else None
    if router is None or row.router_id not in (None, router.id):
        return None
    floating = session.get(FloatingIp, row.floating_ip_id) if row.floating_ip_id else None
    outer = paths.outside(paths.legs(session, router.id))
    if outer is None or (floating is not None and floating.network_id != outer.row.network_id):
        return None
    return Way(floating.address if floating else outer.address, floating, router)


def create_forwarding(ctx: Context, new: NewForwarding) -> Intent:
    """The outside ports lead to the machine's port. Raises `Invalid` naming fields; `Conflict` where the floating IP
    leads to a port as a whole, outside ports are taken, or the port's network has no way out."""
    ctx.may("port_forwarding.create")
    project_id = look.project_of(ctx)
    session = ctx.session
    protocol = checks.one_of(new.protocol, PROTOCOLS, "protocol")
    low, high, inner = _ports(new)
    port = look.get_port(ctx, new.port)
    look.must_allow_state(port)
    if port.project_id != project_id:
        raise checks.refuse("port", _("The port belongs to another project."), _("a port of the project"))
    subnet_id, address = inner_of(session, port, new.inner_address, "inner_address")
    floating = _floating(ctx, project_id, new.floating_ip) if new.floating_ip else None
    router = look.router_of(session, subnet_id)
    outside = session.get_one(Network, floating.network_id) if floating else look.external_network(session)
    if router is None or outside is None:
        raise _no_way()
    outer = paths.outside(paths.legs(session, router.id))
    if outer is None:
        raise _no_way()
    if floating is not None:
        must_reach(session, subnet_id, outside)
    row = PortForwarding(
        id=new_id(PortForwarding.PREFIX), project_id=project_id, floating_ip_id=floating.id if floating else None,
        router_id=None if floating else router.id, port_id=port.id,
        inner_address=address if address != port.address else None, protocol=protocol, outside_port=low,
        outside_port_max=high, inner_port=inner, description=checks.description(new.description, most=200),
    )  # fmt: skip
    refuse_taken(session, row)

    def write(into: Session) -> None:
        refuse_taken(into, row)
        into.add(row)
        into.flush()

    way = Way(floating.address if floating else outer.address, floating, router)
    return Intent(
        kind="port_forwarding.create",
        title=_("Forward {outside} to {inner}", outside=said_outside(row, way.address), inner=said_inner(row, port)),
        subject=subject_of(row, way.address),
        subjects=touched(port),
        project_id=project_id,
        arguments={"forwarding_id": row.id, "targets": [["router", router.id]]},
        keys=_keys(row, router),
        effects=(
            _("What comes for {outside} goes to {inner}.", outside=said_outside(row, way.address),
              inner=said_inner(row, port)),
            *_let_in(session, port, row),
        ),
        write=write,
    )  # fmt: skip


def _no_way() -> Conflict:
    return Conflict(
        _("The port's network has no router with a way out."),
        hint=_("Use a network that a router connects to the outside."),
    )


def _ports(new: NewForwarding) -> tuple[int, int, int]:
    """First and last outside port, first inner port."""
    low = checks.number(new.outside_port, 1, 65535, "outside_port") or 1
    high = checks.number(new.outside_port_max, 1, 65535, "outside_port_max") or low
    if high < low:
        raise checks.refuse(
            "outside_port_max", _("The range of ports ends before it begins."),
            _("{low} to {high}", low=low, high=65535),
        )  # fmt: skip
    if high - low >= MOST_PORTS:
        raise checks.refuse(
            "outside_port_max", _("A forwarding has at most {most} ports.", most=MOST_PORTS),
            _("{low} to {high}", low=low, high=low + MOST_PORTS - 1),
        )  # fmt: skip
    inner = checks.number(new.inner_port, 1, 65535 - (high - low), "inner_port")
    return low, high, inner if inner is not None else low


def _floating(ctx: Context, project_id: str, reference: str) -> FloatingIp:
    found = look.get_floating_ip(ctx, reference)
    look.must_allow_state(found)
    if found.project_id != project_id:
        raise checks.refuse(
            "floating_ip", _("The floating IP belongs to another project."), _("a floating IP of the project")
        )
    refuse_balanced(ctx.session, found)
    return found


def refuse_taken(session: Session, row: PortForwarding) -> None:
    """Raise `Conflict` where the outside address leads to a port as a whole, or one of the outside ports elsewhere."""
    if row.floating_ip_id is not None:
        whole = sa.select(FloatingIp.port_id, FloatingIp.address).where(FloatingIp.id == row.floating_ip_id)
        port_id, address = session.execute(whole).one()
        if port_id is not None:
            raise Conflict(
                _("{address} leads to a port as a whole.", address=address),
                hint=_("Disassociate it first, or forward ports of another address."),
                fields={"floating_ip": _("a floating IP that leads nowhere")},
            )
    same = (
        PortForwarding.floating_ip_id == row.floating_ip_id if row.floating_ip_id is not None
        else PortForwarding.router_id == row.router_id
    )  # fmt: skip
    query = sa.select(PortForwarding).where(
        same, PortForwarding.state == ACTIVE, PortForwarding.protocol == row.protocol, PortForwarding.id != row.id,
        PortForwarding.outside_port <= row.outside_port_max, PortForwarding.outside_port_max >= row.outside_port,
    )  # fmt: skip
    other = session.scalar(query.limit(1))
    if other is not None:
        port = session.get(Port, other.port_id)
        raise Conflict(
            _("{ports} leads to {inner} already.", ports=said_ports(other),
              inner=said_inner(other, port) if port else other.port_id),
            fields={"outside_port": _("a port that is free at this address")},
            details={"port_forwarding": other.id},
        )  # fmt: skip


def said_ports(row: PortForwarding) -> str:
    """The outside ports in words: ``TCP 80`` or ``TCP 8000-8010``."""
    last = f"-{row.outside_port_max}" if row.outside_port_max != row.outside_port else ""
    return f"{row.protocol.upper()} {row.outside_port}{last}"


def said_outside(row: PortForwarding, address: str) -> str:
    """Outside address and ports in words."""
    return f"{address} {said_ports(row)}"


def said_inner(row: PortForwarding, port: Port) -> str:
    """The machine and its ports in words."""
    last = row.inner_port + row.outside_port_max - row.outside_port
    ports = str(row.inner_port) if last == row.inner_port else f"{row.inner_port}-{last}"
    name = port.hostname or port.name
    where = f"{row.inner_address or port.address}:{ports}"
    return f"{name} ({where})" if name else where


def _let_in(session: Session, port: Port, row: PortForwarding) -> tuple[Message, ...]:
    """A word where no group of the port lets the traffic in."""
    if not port.port_security and not look.groups_of(session, port.id):
        return ()
    last = row.inner_port + row.outside_port_max - row.outside_port
    for group in look.groups_of(session, port.id):
        for rule in look.rules_of(session, group.id):
            near = rule.port_min is None or (rule.port_min <= row.inner_port and (rule.port_max or 0) >= last)
            fits = rule.direction == "ingress" and rule.protocol in ("any", row.protocol) and rule.family == "ipv4"
            if fits and near and rule.remote_group_id is None:
                return ()
    name = port.hostname or port.name or port.address
    return (
        _("No security group of {port} lets that in from outside yet: add a rule, or nothing arrives.", port=name),
    )


def subject_of(row: PortForwarding, address: str) -> Subject:
    """The forwarding as an operation's subject."""
    return Subject("port_forwarding", row.id, said_outside(row, address))


def _keys(row: PortForwarding, router: Router | None) -> tuple[Key, ...]:
    outside = (Key(f"floating_ip:{row.floating_ip_id}"),) if row.floating_ip_id else ()
    through = (Key(f"router:{router.id}"),) if router else ()
    return (Key(f"port_forwarding:{row.id}"), *outside, *through, Key(f"port:{row.port_id}"))


def delete_forwarding(ctx: Context, row: PortForwarding) -> Intent:
    """The outside ports lead nowhere and are free; the forwarding lies in the trash."""
    ctx.may("port_forwarding.delete", row.project_id)
    look.must_allow(row, "delete")
    session = ctx.session
    way = way_of(session, row)
    port = session.get_one(Port, row.port_id)
    address = way.address if way else outside_address(session, row)
    routers = [way.router] if way else []
    if not routers and row.router_id and (mine := session.get(Router, row.router_id)) is not None:
        routers = [mine]
    return Intent(
        kind="port_forwarding.delete",
        title=_("End the forwarding of {outside}", outside=said_outside(row, address)),
        subject=subject_of(row, address),
        subjects=touched(port),
        project_id=row.project_id,
        arguments={"forwarding_id": row.id, "targets": [["router", r.id] for r in routers]},
        keys=_keys(row, routers[0] if routers else None),
        effects=(
            _("{inner} can no longer be reached at {outside}.", outside=said_outside(row, address),
              inner=said_inner(row, port)),
        ),
    )  # fmt: skip


def outside_address(session: Session, row: PortForwarding) -> str:
    """The outside address of a forwarding, as a person knows it."""
    if row.floating_ip_id:
        return session.get_one(FloatingIp, row.floating_ip_id).address
    outer = paths.outside(paths.legs(session, str(row.router_id)))
    return outer.address if outer else "–"


def get_forwarding(ctx: Context, reference: str) -> PortForwarding:
    """A forwarding by id, or by its outside address and ports such as ``203.0.113.9:2222`` (TCP) or
    ``203.0.113.9:53/udp``. Raises `NotFound`."""
    address, _colon, rest = reference.partition(":")
    ports, _slash, protocol = rest.partition("/")
    if not ports.isdigit() or len(ports) > 5:
        return look.get(ctx, PortForwarding, reference)
    query = sa.select(PortForwarding).where(
        PortForwarding.state == ACTIVE, PortForwarding.protocol == (protocol or "tcp"),
        PortForwarding.outside_port == int(ports),
    )  # fmt: skip
    if ctx.project_id is not None:
        query = query.where(PortForwarding.project_id == ctx.project_id)
    for row in ctx.session.scalars(query.order_by(PortForwarding.id)):
        if ctx.sees(row.project_id) and outside_address(ctx.session, row) == address:
            ctx.may("port_forwarding.show", row.project_id)
            return row
    raise NotFound(_("There is no {noun} {reference}.", noun=_("port forwarding"), reference=reference[:60]))


def forwardings_through(
    session: Session, router: Router, subnet_ids: Sequence[str] | None = None
) -> list[tuple[PortForwarding, str]]:
    """The living forwardings that go through a router, to some of its subnets if asked: each with its address."""
    networks = (
        sa.select(RouterInterface.network_id)
        .join(Subnet, Subnet.id == RouterInterface.subnet_id)
        .where(
            RouterInterface.router_id == router.id, RouterInterface.external.is_(False),
            RouterInterface.state == ACTIVE, Subnet.state == ACTIVE,
        )
    )  # fmt: skip
    query = (
        sa.select(PortForwarding)
        .join(Port, Port.id == PortForwarding.port_id)
        .where(Port.network_id.in_(networks), PortForwarding.state == ACTIVE)
        .order_by(PortForwarding.outside_port, PortForwarding.id)
    )
    found = []
    for row in session.scalars(query):
        way = way_of(session, row)
        if way is None or way.router.id != router.id:
            continue
        target = paths.target(session, session.get_one(Port, row.port_id), row.inner_address)
        if subnet_ids is None or (target is not None and target[0] in subnet_ids):
            found.append((row, way.address))
    return found


def forwardings_of(session: Session, floating_ip_id: str) -> list[PortForwarding]:
    """The living forwardings of a floating IP."""
    query = sa.select(PortForwarding).where(
        PortForwarding.floating_ip_id == floating_ip_id, PortForwarding.state == ACTIVE
    )
    return list(session.scalars(query.order_by(PortForwarding.outside_port, PortForwarding.id)))
