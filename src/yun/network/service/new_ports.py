"""The verb that creates ports: one with all that may be asked of it, or many alike at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.messages import Message, _
from yun.base.naming import numbered
from yun.network import addresses, checks
from yun.network.model import Network, Port, PortAddress, PortSecurityGroup, SecurityGroup, Subnet
from yun.network.service import families, look, port_verbs, ports
from yun.network.service.groups import GROUP_USE
from yun.network.service.networks import tenant
from yun.network.service.port_verbs import NewPort
from yun.operations.intent import USER, Intent, Key, Subject

MOST_PORTS = 100
SHOWN = 6
_JOIN = sa.insert(cast(sa.Table, PortSecurityGroup.__table__))


def create_port(ctx: Context, new: NewPort) -> Intent:
    """A port that is in no instance yet, or ``count`` of them alike, all or none; their addresses and MACs are reserved
    from now on. The subject of many is the first.

    Raises `Invalid` naming fields, `Conflict` for a taken address or MAC, `NoCapacity` where the pool is too small.
    """
    ctx.may("port.create")
    return _one(ctx, new) if new.count == 1 else _many(ctx, new)


def _one(ctx: Context, new: NewPort) -> Intent:
    listed = list(dict.fromkeys(a.strip() for a in new.addresses if a.strip()))
    if len(listed) > port_verbs.MOST_ADDRESSES:
        raise checks.refuse("addresses", _("Too many addresses."), _("at most {most}", most=port_verbs.MOST_ADDRESSES))
    plan = ports.plan_port(
        ctx, network=new.network, address=listed[0] if listed else None, groups=new.groups, mac=new.mac,
        hostname=checks.hostname(new.hostname),
    )  # fmt: skip
    asked = [port_verbs.choose(ctx.session, plan.network, a, plan.port.mac) for a in listed[1:]]
    chosen = {families.version_of(part.subnet) for part in asked}
    plan = replace(plan, more=(*(p for p in plan.more if families.version_of(p.subnet) not in chosen), *asked))
    values = port_verbs.checked(ctx, plan.port, plan.network, new.changes.given())
    values.pop("place", None)
    for name, value in values.items():
        setattr(plan.port, name, value)

    port = plan.port
    return Intent(
        kind="port.create",
        title=_("Create port {name} in {network}", name=port.name or port.address, network=plan.network.name),
        subject=port_verbs.subject(port),
        subjects=plan.subjects,
        project_id=plan.port.project_id,
        arguments={"port_id": plan.id},
        keys=(Key(f"port:{plan.id}"),),
        effects=(
            plan.effect,
            port_verbs.groups_said([g.name for g in plan.groups]),
            *port_verbs.said(plan.port, plan.network, values),
            _("It is in no instance yet: addresses and MAC {mac} are kept for it.", mac=port.mac),
        ),
        capacity=(plan.capacity,),
        write=plan.write,
        instant=True,
    )


@dataclass(frozen=True)
class _Many:
    """Ports alike that can be made, each with the addresses that it will have, the first one first."""

    network: Network
    ports: tuple[Port, ...]
    places: tuple[tuple[families.Part, ...], ...]
    groups: tuple[SecurityGroup, ...]

    def write(self, session: Session) -> None:
        """Add ports, reservations, groups and further addresses, each in one statement."""
        given: list[list[tuple[Subnet, str]]] = [[] for _port in self.ports]
        for parts in zip(*self.places, strict=True):
            wanted = [(part.address, ("port", port.id)) for part, port in zip(parts, self.ports, strict=True)]
            taken = addresses.take_many(session, parts[0].subnet, wanted, fixed=parts[0].fixed)
            for places, address in zip(given, taken, strict=True):
                places.append((parts[0].subnet, address))
        for port, places in zip(self.ports, given, strict=True):
            port.address = places[0][1]
        session.add_all(self.ports)
        session.flush()
        joined = [{"port_id": p.id, "group_id": g.id} for p in self.ports for g in self.groups]
        if joined:
            session.execute(_JOIN, joined)
        session.add_all(
            PortAddress(subnet_id=subnet.id, address=address, port_id=port.id)
            for port, places in zip(self.ports, given, strict=True) for subnet, address in places[1:]
        )  # fmt: skip
        session.flush()


def _many(ctx: Context, new: NewPort) -> Intent:
    plan = _plan(ctx, new)
    first, network, count = plan.ports[0], plan.network, len(plan.ports)
    given = {name: value for name, value in new.changes.given().items() if name != "name"}
    values = port_verbs.checked(ctx, first, network, given)
    for port in plan.ports:
        for name, value in values.items():
            setattr(port, name, value)
    named = _listed([p.name or p.hostname for p in plan.ports if p.name or p.hostname])
    made = (
        _("{count} ports are made in {network}: {names}.", count=count, network=network.name, names=named) if named else
        _("{count} ports are made in {network}.", count=count, network=network.name)
    )  # fmt: skip
    subnet = plan.places[0][0].subnet
    capacity = _(
        "{free} of {total} addresses of {network} are free.", free=addresses.free(ctx.session, subnet),
        total=addresses.total(subnet), network=network.name,
    )  # fmt: skip
    joined = (Subject(f"{GROUP_USE}{USER}", g.id) for g in plan.groups if not g.is_default)
    return Intent(
        kind="port.create",
        title=_("Create {count} ports in {network}", count=count, network=network.name),
        subject=port_verbs.subject(first),
        subjects=(*(port_verbs.subject(p) for p in plan.ports[1:]), tenant(network.id), *joined),
        project_id=first.project_id,
        arguments={"port_id": first.id, "port_ids": [p.id for p in plan.ports]},
        keys=tuple(Key(f"port:{p.id}") for p in plan.ports),
        effects=(
            made, _("Their addresses are {addresses}.", addresses=_listed([p.address for p in plan.ports])),
            *_of_each(plan, values),
        ),
        capacity=(capacity,),
        write=plan.write,
        instant=True,
    )  # fmt: skip


def _of_each(plan: _Many, values: dict[str, object]) -> tuple[Message, ...]:
    """What holds for each of them."""
    said = port_verbs.said(plan.ports[0], plan.network, values)
    names = ", ".join(g.name for g in plan.groups)
    groups = _("Each is in the security groups {names}.", names=names) if names else _("They are in no security group.")
    return (groups, *(_("Each: {said}", said=one) for one in said),
            _("They are in no instance yet: addresses and MACs are kept for them."))  # fmt: skip


def _plan(ctx: Context, new: NewPort) -> _Many:
    """Choose everything, in as many questions as for one. Raises as `create_port`."""
    project_id = look.project_of(ctx)
    for field, value in (("addresses", new.addresses), ("mac", new.mac)):
        if value:
            raise checks.refuse(field, _("Several ports cannot have the same."), _("none, so that they are chosen"))
    names = _names(new.changes.name or "", new.count, "name")
    hosts = _names(new.hostname, new.count, "hostname")
    network = ports.network_for(ctx, project_id, new.network)
    macs = addresses.new_macs(ctx.session, new.count)
    places = families.plan_many(ctx.session, network, macs)
    made = tuple(
        ports.blank(
            project_id, network, parts[0], mac, hostname=checks.hostname(host), name=checks.name(name, empty=True)
        )
        for name, host, mac, parts in zip(names, hosts, macs, places, strict=True)
    )
    groups = ports.groups_for(ctx, project_id, new.groups)
    return _Many(network, made, tuple(tuple(parts) for parts in places), tuple(groups))


def _names(pattern: str, count: int, field: str) -> list[str]:
    """The names by the pattern, or none for any of them."""
    found = numbered(pattern, count, most=MOST_PORTS, field=field)
    return found if pattern.strip() else [""] * count


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= SHOWN else ", ".join([*names[: SHOWN - 2], "…", names[-1]])
