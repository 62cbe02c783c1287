"""The verbs of service chains: what a subnet's machines send by a router, and what comes to them, goes through machines
in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import _
from yun.network import checks
from yun.network.model import ACTIVE, BLOCK, BYPASS, Port, Router, ServiceChain, ServiceChainHop, Subnet
from yun.network.service import chain_words, chaining, look, paths
from yun.network.service.chain_words import Plan
from yun.network.service.chaining import Arm
from yun.network.service.floating import touched
from yun.network.service.paths import Leg
from yun.network.service.routers import subject_of as router_subject
from yun.operations.intent import Intent, Key, Subject

PROTOCOLS = ("any", "tcp", "udp")
ON_FAILURE = (BLOCK, BYPASS)
MOST_HOPS = 8
COLUMNS = ("name", "description", "protocol", "port_min", "port_max", "on_failure")


@dataclass(frozen=True)
class NewHop:
    """A machine in a chain by its ports (id, address, MAC or name): what leaves the subnet comes to ``inner`` and goes
    on from ``outer``; None: the same port."""

    inner: str
    outer: str | None = None


@dataclass(frozen=True)
class NewChain:
    """A chain to be made for ``subnet`` at ``router`` (None: the router that is its gateway), through ``hops``, the one
    beside the subnet first. ``protocol`` (``any``, ``tcp``, ``udp``) and ``port_min`` to ``port_max`` restrict it to
    connections to these ports, whoever begins them. ``on_failure``: ``block`` or ``bypass``."""

    name: str
    subnet: str
    hops: Sequence[NewHop] = field(default_factory=list)
    router: str | None = None
    description: str = ""
    protocol: str = "any"
    port_min: int | None = None
    port_max: int | None = None
    on_failure: str = BLOCK


@dataclass(frozen=True)
class ChainChanges:
    """What is to be another of a chain; None leaves it. A ``protocol`` comes with its ports, or is for all of them."""

    name: str | None = None
    description: str | None = None
    hops: Sequence[NewHop] | None = None
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    on_failure: str | None = None


def subject_of(chain: ServiceChain) -> Subject:
    """The chain as an operation's subject."""
    return Subject("service_chain", chain.id, chain.name)


def create_chain(ctx: Context, new: NewChain) -> Intent:
    """What goes between the subnet and the rest of the world by the router passes the hops; their ports let through
    what others send. Raises `Invalid` naming fields; `Conflict` where the name is taken, the subnet has a chain, or
    stands between the hops of another one."""
    project_id = look.project_of(ctx)
    ctx.may("service_chain.create")
    session = ctx.session
    name = checks.name(new.name)
    look.refuse_taken(session, ServiceChain, name, project_id=project_id)
    leg, router = _place(ctx, project_id, new)
    arms = _hops(ctx, router, leg, new.hops)
    low, high = _ports(new.protocol, new.port_min, new.port_max)
    chain = ServiceChain(
        id=new_id(ServiceChain.PREFIX), project_id=project_id, router_id=router.id, subnet_id=leg.subnet.id, name=name,
        description=checks.description(new.description), protocol=new.protocol, port_min=low, port_max=high,
        on_failure=checks.one_of(new.on_failure, ON_FAILURE, "on_failure"), state=ACTIVE,
    )  # fmt: skip
    refuse_second(session, chain)
    refuse_within(session, chain, arms)

    def write(into: Session) -> None:
        look.refuse_taken(into, ServiceChain, name, project_id=project_id)
        refuse_second(into, chain)
        refuse_within(into, chain, arms)
        into.add(chain)
        into.flush()
        into.add_all(hop_rows_of(chain.id, _pairs(arms)))
        into.flush()

    ports = _every(arms)
    return Intent(
        kind="service_chain.create",
        title=_("Create service chain {name}", name=name),
        subject=subject_of(chain),
        subjects=(router_subject(router), Subject("subnet", leg.subnet.id, leg.subnet.name), *_touched(ports)),
        project_id=project_id,
        arguments={"chain_id": chain.id, "targets": _targets(router.id, ports)},
        keys=_keys(chain, ports),
        effects=chain_words.made(session, Plan(chain, router, leg, arms)),
        write=write,
    )


def hop_rows_of(chain_id: str, pairs: Sequence[Sequence[str]]) -> list[ServiceChainHop]:
    """Rows of hops by pairs of ports, the one beside the subnet first."""
    return [
        ServiceChainHop(chain_id=chain_id, position=nth, inner_port_id=inner, outer_port_id=outer)
        for nth, (inner, outer) in enumerate(pairs)
    ]


def _place(ctx: Context, project_id: str, new: NewChain) -> tuple[Leg, Router]:
    """The leg beside the subnet, and its router. Raises `Invalid`."""
    session = ctx.session
    subnet = look.get_subnet(ctx, new.subnet)
    look.must_allow_state(subnet)
    router = look.get_router(ctx, new.router) if new.router else look.router_of(session, subnet.id)
    if router is None:
        raise checks.refuse(
            "subnet", _("The subnet {name} is on no router.", name=subnet.name), _("a subnet that a router connects")
        )
    look.must_allow_state(router)
    for thing, where in ((subnet, "subnet"), (router, "router")):
        if thing.project_id != project_id:
            raise checks.refuse(
                where, _("{name} belongs to another project.", name=thing.name), _("one of the project")
            )
    leg = next((g for g in _inner(session, router) if g.subnet.id == subnet.id), None)
    if leg is None:
        have = ", ".join(g.subnet.name for g in _inner(session, router)) or "–"
        raise checks.refuse(
            "subnet", _("The router {router} has no leg in {subnet}.", router=router.name, subnet=subnet.name),
            _("one of {names}", names=have),
        )  # fmt: skip
    return leg, router


def _inner(session: Session, router: Router) -> list[Leg]:
    return [leg for leg in paths.legs(session, router.id) if not leg.row.external]


def _hops(ctx: Context, router: Router, place: Leg, wanted: Sequence[NewHop]) -> list[tuple[Arm, Arm]]:
    """The arms of the hops. Raises `Invalid` naming ``hops``."""
    if not 1 <= len(wanted) <= MOST_HOPS:
        raise checks.refuse(
            "hops", _("A chain has 1 to {most} hops.", most=MOST_HOPS), _("a machine's inner and outer port")
        )
    legs = [leg for leg in _inner(ctx.session, router) if leg.net.version == place.net.version]
    found: list[tuple[Arm, Arm]] = []
    taken: dict[str, str] = {}
    for hop in wanted:
        inner = _arm(ctx, router, place, legs, hop.inner)
        outer = _arm(ctx, router, place, legs, hop.outer) if hop.outer else inner
        outer = inner if outer.port.id == inner.port.id else outer
        if inner.port.instance_id != outer.port.instance_id:
            raise checks.refuse(
                "hops",
                _("{inner} and {outer} are ports of two machines.", inner=inner.address, outer=outer.address),
                _("two ports of one machine for each hop"),
            )
        for arm in {inner.leg.subnet.id: inner, outer.leg.subnet.id: outer}.values():
            if (other := taken.get(arm.leg.subnet.id)) is not None:
                raise checks.refuse(
                    "hops",
                    _("{address} and {other} are both in the subnet {subnet}: the router could not tell whom traffic "
                      "from there has passed.", address=arm.address, other=other, subnet=arm.leg.subnet.name),
                    _("each hop in subnets of its own"),
                )  # fmt: skip
        if inner is not outer and inner.leg.subnet.id == outer.leg.subnet.id:
            raise checks.refuse(
                "hops", _("Both ports are in the subnet {subnet}.", subnet=inner.leg.subnet.name),
                _("one port for both sides, or ports in two subnets"),
            )  # fmt: skip
        taken |= {inner.leg.subnet.id: inner.address, outer.leg.subnet.id: outer.address}
        found.append((inner, outer))
    return found


def _arm(ctx: Context, router: Router, place: Leg, legs: Sequence[Leg], reference: str) -> Arm:
    port = look.get_port(ctx, reference)
    look.must_allow_state(port)
    name = port.hostname or port.name or port.address
    if port.project_id != router.project_id:
        raise checks.refuse("hops", _("The port belongs to another project."), _("a port of the project"))
    if port.instance_id is None:
        raise checks.refuse("hops", _("The port {name} is in no machine.", name=name), _("a port of a machine"))
    if port.network_id == place.subnet.network_id:
        raise checks.refuse(
            "hops",
            _("{name} ({address}) is in the network of the subnet itself.", name=name, address=port.address),
            _("machines in other networks on the router {router}", router=router.name),
        )  # fmt: skip
    arm = chaining.arm_of(ctx.session, port, legs)
    if arm is None:
        ranges = ", ".join(leg.subnet.cidr for leg in legs if leg.subnet.id != place.subnet.id) or "–"
        raise checks.refuse(
            "hops",
            _("{name} ({address}) is on no leg of the router {router}.", name=name, address=port.address,
              router=router.name),
            _("a port with an address in {ranges}", ranges=ranges),
        )  # fmt: skip
    return arm


def _ports(protocol: str, low: int | None, high: int | None) -> tuple[int | None, int | None]:
    checks.one_of(protocol, PROTOCOLS, "protocol")
    low, high = checks.number(low, 1, 65535, "port_min"), checks.number(high, 1, 65535, "port_max")
    if protocol == "any" and (low is not None or high is not None):
        raise checks.refuse("protocol", _("Only TCP and UDP have ports."), _("one of {names}", names="tcp, udp"))
    if low is None and high is not None:
        right = _("{low} to {high}", low=1, high=high)
        raise checks.refuse("port_min", _("The range of ports has no beginning."), right)
    if low is not None and high is not None and high < low:
        raise checks.refuse(
            "port_max", _("The range of ports ends before it begins."), _("{low} to {high}", low=low, high=65535)
        )
    return low, high if high is not None else low


def refuse_second(session: Session, chain: ServiceChain) -> None:
    """Raise `Conflict` where the subnet has another living chain at the router."""
    query = sa.select(ServiceChain.name).where(
        ServiceChain.router_id == chain.router_id, ServiceChain.subnet_id == chain.subnet_id,
        ServiceChain.state == ACTIVE, ServiceChain.id != chain.id,
    )  # fmt: skip
    if (other := session.scalar(query.limit(1))) is not None:
        raise Conflict(
            _("The subnet has the service chain {name} already.", name=other),
            hint=_("Change that one: yun service-chain update."),
            fields={"subnet": _("a subnet that no chain protects")},
        )


def refuse_within(session: Session, chain: ServiceChain, arms: Sequence[tuple[Arm, Arm]]) -> None:
    """Raise `Conflict` where a hop stands in a subnet that a chain protects, or a chain's hop in the chain's own: what
    passes one would have to pass itself."""
    mine = {arm.leg.subnet.id for pair in arms for arm in pair}
    for other in chaining.chains_of_router(session, chain.router_id):
        if other.id == chain.id:
            continue
        if other.subnet_id in mine:
            name = session.get_one(Subnet, other.subnet_id).name
            raise Conflict(
                _("The subnet {subnet} is protected by the service chain {name}: no hop can stand in it.",
                  subnet=name, name=other.name),
                fields={"hops": _("machines in subnets that no chain protects")},
            )  # fmt: skip
        if chain.subnet_id in chaining.subnets_of_hops(session, other):
            raise Conflict(
                _("Hops of the service chain {name} stand in this subnet.", name=other.name),
                fields={"subnet": _("a subnet without hops")},
            )


# ── change and end ──


def update_chain(ctx: Context, chain: ServiceChain, changes: ChainChanges) -> Intent:
    """Another name, description, hops, traffic or behaviour on failure. Raises `Invalid` naming fields, `Conflict` for
    a name that is taken and where nothing would change."""
    ctx.may("service_chain.update", chain.project_id)
    look.must_allow(chain, "update")
    session = ctx.session
    router, leg = session.get_one(Router, chain.router_id), chaining.leg_of(session, chain)
    if leg is None:
        raise Conflict(_("The router {router} has no leg in the chain's subnet any more.", router=router.name))
    now: dict[str, Any] = {name: getattr(chain, name) for name in COLUMNS}
    wanted = _wanted(ctx, chain, changes)
    before = [[row.inner_port_id, row.outer_port_id] for row in chaining.hop_rows(session, chain.id)]
    arms = None
    if changes.hops is not None:
        arms = _hops(ctx, router, leg, changes.hops)
        refuse_within(session, chain, arms)
        now["hops"], wanted["hops"] = before, _pairs(arms)
    values = {name: value for name, value in wanted.items() if value != now[name]}
    if not values:
        raise Conflict(_("Nothing would change: it is so already."))
    had = session.scalars(sa.select(Port).where(Port.id.in_({i for pair in before for i in pair})))
    ports = list({p.id: p for p in (*had, *(_every(arms) if arms else ()))}.values())
    return Intent(
        kind="service_chain.update",
        title=_("Change service chain {name}", name=chain.name),
        subject=subject_of(chain),
        subjects=(router_subject(router), *_touched(ports)),
        project_id=chain.project_id,
        arguments={"chain_id": chain.id, "values": values, "targets": _targets(router.id, ports)},
        keys=_keys(chain, ports),
        effects=chain_words.changed(session, chain, values, Plan(chain, router, leg, arms or [])),
    )


def _wanted(ctx: Context, chain: ServiceChain, changes: ChainChanges) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if changes.name is not None and (name := checks.name(changes.name)) != chain.name:
        look.refuse_taken(ctx.session, ServiceChain, name, project_id=chain.project_id)
        wanted["name"] = name
    if changes.description is not None:
        wanted["description"] = checks.description(changes.description)
    if changes.on_failure is not None:
        wanted["on_failure"] = checks.one_of(changes.on_failure, ON_FAILURE, "on_failure")
    if changes.protocol is not None or changes.port_min is not None or changes.port_max is not None:
        protocol = changes.protocol or chain.protocol
        low, high = _ports(protocol, changes.port_min, changes.port_max)
        wanted |= {"protocol": protocol, "port_min": low, "port_max": high}
    return wanted


def delete_chain(ctx: Context, chain: ServiceChain) -> Intent:
    """The chain goes to the trash: traffic takes the direct way, the hops' ports are as strict as they were."""
    ctx.may("service_chain.delete", chain.project_id)
    look.must_allow(chain, "delete")
    session = ctx.session
    hops = chaining.hops_of(session, chain)
    ports = list({arm.port.id: arm.port for h in hops for arm in (h.inner, h.outer) if arm is not None}.values())
    router = session.get_one(Router, chain.router_id)
    return Intent(
        kind="service_chain.delete",
        title=_("Delete service chain {name}", name=chain.name),
        subject=subject_of(chain),
        subjects=(router_subject(router), *_touched(ports)),
        project_id=chain.project_id,
        arguments={"chain_id": chain.id, "targets": _targets(router.id, ports)},
        keys=_keys(chain, ports),
        effects=chain_words.ended(session, chain, hops),
    )


def _every(arms: Sequence[tuple[Arm, Arm]]) -> list[Port]:
    return list({arm.port.id: arm.port for pair in arms for arm in pair}.values())


def _pairs(arms: Sequence[tuple[Arm, Arm]]) -> list[list[str]]:
    return [[inner.port.id, outer.port.id] for inner, outer in arms]


def _touched(ports: Sequence[Port]) -> tuple[Subject, ...]:
    return tuple(subject for port in ports for subject in touched(port))


def _targets(router_id: str, ports: Sequence[Port]) -> list[list[str]]:
    return [["router", router_id], *(["port", p] for p in sorted(p.id for p in ports))]


def _keys(chain: ServiceChain, ports: Sequence[Port]) -> tuple[Key, ...]:
    return (
        Key(f"service_chain:{chain.id}"), Key(f"router:{chain.router_id}"),
        *(Key(f"port:{p}") for p in sorted(p.id for p in ports)),
    )  # fmt: skip
