"""What a change of a service chain means, in words for a preview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.messages import Message, _
from yun.network.model import BYPASS, TRASHED, UP, Port, Router, ServiceChain, Subnet
from yun.network.service import chaining, look, paths
from yun.network.service.chaining import Arm, Hop
from yun.network.service.paths import Leg


@dataclass(frozen=True)
class Plan:
    """A chain with the router, its leg beside the subnet, and the arms of its hops."""

    chain: ServiceChain
    router: Router
    leg: Leg
    arms: Sequence[tuple[Arm, Arm]]


def made(session: Session, plan: Plan) -> tuple[Message, ...]:
    """What a new chain does, to whom, and what it needs."""
    chain, leg = plan.chain, plan.leg
    ports = paths.behind(session, [leg.subnet.id])
    told = [
        _("What the machines of {subnet} ({cidr}) send through {router}, and what comes to them through it, goes "
          "through {hops}.", subnet=leg.subnet.name, cidr=leg.subnet.cidr, router=plan.router.name,
          hops=_route(plan.arms)),
    ]  # fmt: skip
    if chain.protocol != "any":
        told.append(_("Only this traffic goes through it, whoever begins it: {traffic}.", traffic=said_kind(chain)))
    if ports:
        told.append(_("Behind it are: {names}.", names=paths.named(ports)))
    told += [*_around(session, plan), *_opened(plan.arms), *_needs(plan), *_failing(chain, _down(plan.arms))]
    if ports:
        told.append(_("Connections that are open now break off where {name} does not take over what it has not seen "
                      "begin.", name=_names(plan.arms)))  # fmt: skip
    return tuple(told)


def said_kind(chain: ServiceChain) -> str | Message:
    """What of the traffic a chain is for, by itself."""
    if chain.protocol == "any":
        return _("everything")
    if chain.port_min is None:
        return chain.protocol.upper()
    last = f"-{chain.port_max}" if chain.port_max != chain.port_min else ""
    return f"{chain.protocol.upper()} {chain.port_min}{last}"


def _name(port: Port) -> str:
    return port.hostname or port.name or port.address


def _names(arms: Sequence[tuple[Arm, Arm]]) -> str:
    return ", ".join(dict.fromkeys(_name(inner.port) for inner, _outer in arms))


def _route(arms: Sequence[tuple[Arm, Arm]]) -> str:
    return " → ".join(
        f"{_name(inner.port)} ({inner.address}{f' / {outer.address}' if outer is not inner else ''})"
        for inner, outer in arms
    )


def _down(arms: Sequence[tuple[Arm, Arm]]) -> list[str]:
    return list(dict.fromkeys(_name(i.port) for i, o in arms if not i.port.state == o.port.state == UP))


def _opened(arms: Sequence[tuple[Arm, Arm]]) -> list[Message]:
    ports = {arm.port.id: arm for pair in arms for arm in pair}.values()
    listed = ", ".join(f"{_name(a.port)} ({a.address})" for a in ports)
    return [
        _("Only on {ports}, and only while the chain uses them, port security lets any sender's address through, and "
          "security groups filter nothing.", ports=listed),
    ]  # fmt: skip


def _needs(plan: Plan) -> list[Message]:
    first, last = plan.arms[0][0], plan.arms[-1][1]
    return [
        _("Each of them must forward packets: what is for {cidr} inwards, to {inner} from {first}; everything else "
          "outwards, to {outer} from {last}.", cidr=plan.leg.subnet.cidr, inner=first.leg.address,
          first=_name(first.port), outer=last.leg.address, last=_name(last.port)),
    ]  # fmt: skip


def _around(session: Session, plan: Plan) -> list[Message]:
    """Who or what does not go through the chain."""
    told = []
    leg = plan.leg
    if not leg.at_gateway:
        told.append(_("{router} is not the gateway of {subnet}: what its machines send to their gateway takes another "
                      "way.", router=plan.router.name, subnet=leg.subnet.name))  # fmt: skip
    others = [
        g.subnet for g in paths.legs(session, plan.router.id)
        if g.subnet.network_id == leg.subnet.network_id and g.subnet.id != leg.subnet.id
    ]  # fmt: skip
    if others:
        told.append(_("Other subnets of the same network do not go through it: {ranges}.",
                      ranges=", ".join(s.cidr for s in others)))  # fmt: skip
    inner = plan.arms[0][0]
    own = {arm.port.id for pair in plan.arms for arm in pair}
    near = [p for p in paths.behind(session, [inner.leg.subnet.id]) if p.id not in own]
    if near:
        told.append(_("Machines in {subnet} stand inside of the chain and are reached without it: {names}.",
                      subnet=inner.leg.subnet.name, names=paths.named(near)))  # fmt: skip
    return told


def _failing(chain: ServiceChain, down: Sequence[str]) -> list[Message]:
    if chain.on_failure == BYPASS:
        told = [_("While one of them does not run, traffic goes on without it.")]
        if down:
            told.append(_("Not running now, so left out until it runs: {names}.", names=", ".join(down)))
        return told
    told = [_("While one of them does not run, nothing passes.")]
    if down:
        told.append(_("Not running now, so that the machines behind the chain are cut off: {names}.",
                      names=", ".join(down)))  # fmt: skip
    return told


def changed(session: Session, chain: ServiceChain, values: dict[str, Any], plan: Plan) -> tuple[Message, ...]:
    """What another name, other hops, other traffic or another behaviour mean."""
    told: list[Message] = []
    new = ServiceChain(
        protocol=values.get("protocol", chain.protocol), port_min=values.get("port_min", chain.port_min),
        port_max=values.get("port_max", chain.port_max), on_failure=values.get("on_failure", chain.on_failure),
    )  # fmt: skip
    if "name" in values:
        told.append(_("Its name is {name} instead of {before}.", name=values["name"], before=chain.name))
    if "description" in values:
        told.append(_("Its description changes."))
    if {"protocol", "port_min", "port_max"} & set(values):
        told.append(_("Traffic that goes through it: {traffic}.", traffic=said_kind(new)))
    hops = chaining.hops_of(session, chain)
    down = _down(plan.arms) if plan.arms else [h.name for h in hops if h.state != chaining.RUNNING]
    if "hops" in values:
        told.append(_("Traffic goes through {hops} instead of {before}.", hops=_route(plan.arms),
                      before=" → ".join(h.name for h in hops)))  # fmt: skip
        told += [*_around(session, plan), *_opened(plan.arms), *_needs(plan)]
    if "hops" in values or "on_failure" in values:
        told += _failing(new, down)
    return tuple(told)


def ended(session: Session, chain: ServiceChain, hops: Sequence[Hop]) -> tuple[Message, ...]:
    """What it means that a chain goes."""
    subnet = session.get_one(Subnet, chain.subnet_id)
    ports = paths.behind(session, [subnet.id])
    names = ", ".join(dict.fromkeys(h.name for h in hops)) or "–"
    told = [_("What goes to and from {subnet} ({cidr}) takes the direct way, no longer through {hops}.",
              subnet=subnet.name, cidr=subnet.cidr, hops=names)]  # fmt: skip
    if ports:
        told.append(_("Behind it are: {names}.", names=paths.named(ports)))
    others = {c.id for c in _others(session, chain, hops)}
    if not others:
        told.append(_("Port security and security groups of {hops} are again as they are set.", hops=names))
    return tuple(told)


def _others(session: Session, chain: ServiceChain, hops: Sequence[Hop]) -> list[ServiceChain]:
    ids = [i for h in hops for i in (h.row.inner_port_id, h.row.outer_port_id)]
    return [c for c in chaining.chains_of_ports(session, ids) if c.id != chain.id]


def losing(session: Session, instance_id: str) -> tuple[Message, ...]:
    """What it means for service chains that a machine of their hops does not run any more, or loses its ports."""
    query = sa.select(Port.id).where(Port.instance_id == instance_id, Port.state != TRASHED)
    return losing_ports(session, list(session.scalars(query)))


def losing_ports(session: Session, port_ids: Sequence[str]) -> tuple[Message, ...]:
    """What it means for service chains that these ports go or are down."""
    told = []
    for chain in chaining.chains_of_ports(session, port_ids):
        ports = paths.behind(session, [chain.subnet_id])
        names = paths.named(ports) if ports else look.title_of(session.get_one(Subnet, chain.subnet_id))
        if chain.on_failure == BYPASS:
            told.append(_("The service chain {chain} goes on without it, for: {names}.",
                          chain=chain.name, names=names))  # fmt: skip
        else:
            told.append(_("The service chain {chain} lets nothing through without it; cut off are: {names}.",
                          chain=chain.name, names=names))  # fmt: skip
    return tuple(told)
