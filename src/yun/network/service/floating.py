"""The verbs of floating IPs."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Unavailable
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import addresses, checks
from yun.network.model import ACTIVE, FloatingIp, Network, Port, PortForwarding, RouterInterface, Subnet
from yun.network.service import balancing, look, paths
from yun.network.service.ports import PortPlan
from yun.operations.intent import Intent, Key, Subject, unchanged


@dataclass(frozen=True)
class FloatingIpPlan:
    """A floating IP that can be made; ``write`` adds it after the port it leads to."""

    floating_ip: FloatingIp
    network: Network
    subnet: Subnet
    fixed: bool
    capacity: Message

    @property
    def id(self) -> str:
        """The floating IP's id."""
        return self.floating_ip.id

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What an operation touches that makes it."""
        return (Subject("floating_ip", self.floating_ip.id, self.floating_ip.address),)

    @property
    def effect(self) -> Message:
        """What a person wants to know of it."""
        return _("It can be reached from outside at {address}.", address=self.floating_ip.address)

    def write(self, session: Session) -> None:
        """Add the floating IP and its reservation to the transaction."""
        floating = self.floating_ip
        owner = ("floating_ip", floating.id)
        floating.address = addresses.take(session, self.subnet, floating.address, owner, fixed=self.fixed)
        session.add(floating)
        session.flush()


def plan_floating_ip(ctx: Context, *, port: PortPlan | None = None, address: str | None = None) -> FloatingIpPlan:
    """Choose an outside address for the context's project, leading to ``port`` (a plan of the same intent) or nowhere.

    Raises `Unavailable` while the cloud has no external network, `NoCapacity` where its pool is empty, `Conflict`
    where the address is taken or the port's network has no way out.
    """
    project_id = look.project_of(ctx)
    ctx.may("floating_ip.allocate")
    session = ctx.session
    outside = look.external_network(session)
    subnets = look.subnets_of(session, outside.id) if outside else []
    if outside is None or not subnets:
        raise Unavailable(
            _("The cloud has no external network yet."),
            hint=_("An administrator sets it up: yun network ensure-default."),
        )
    subnet = subnets[0]
    if port is not None:
        must_reach(session, port.subnet.id, outside)
    floating = FloatingIp(
        id=new_id(FloatingIp.PREFIX),
        project_id=project_id,
        network_id=outside.id,
        subnet_id=subnet.id,
        address=addresses.choose(session, subnet, address),
        port_id=port.id if port else None,
        state="active",
    )
    left, all_of_it = addresses.free(session, subnet), addresses.total(subnet)
    capacity = _("{free} of {total} addresses of {network} are free.", free=left, total=all_of_it, network=outside.name)
    return FloatingIpPlan(floating, outside, subnet, address is not None, capacity)


def must_reach(session: Session, subnet_id: str, outside: Network) -> None:
    """Raise `Conflict` where a subnet has no router to the external network."""
    router = look.router_of(session, subnet_id)
    legs = look.legs_of(session, router.id) if router else []
    if not any(leg.external and leg.network_id == outside.id for leg in legs):
        raise Conflict(
            _("The port's network has no router to {network}.", network=outside.name),
            hint=_("Use a network that a router connects to the outside."),
        )


def allocate(ctx: Context, address: str | None = None, *, name: str = "", description: str = "") -> Intent:
    """An outside address belongs to the project. Raises like `plan_floating_ip`, `Invalid` for its name."""
    plan = plan_floating_ip(ctx, address=address)
    plan.floating_ip.name = checks.name(name, empty=True)
    plan.floating_ip.description = checks.description(description, most=200)
    return Intent(
        kind="floating_ip.allocate",
        title=_("Allocate floating IP {address}", address=plan.floating_ip.address),
        subject=plan.subjects[0],
        project_id=plan.floating_ip.project_id,
        arguments={"floating_ip_id": plan.id},
        effects=(_("The address {address} belongs to the project.", address=plan.floating_ip.address),),
        capacity=(plan.capacity,),
        write=plan.write,
        instant=True,
    )


def update_floating_ip(
    ctx: Context, floating: FloatingIp, *, name: str | None = None, description: str | None = None
) -> Intent:
    """Another name or description; None leaves it. Raises `Invalid`, `Conflict` where nothing would change."""
    ctx.may("floating_ip.update", floating.project_id)
    look.must_allow(floating, "update")
    wanted: dict[str, str] = {}
    if name is not None:
        wanted["name"] = checks.name(name, empty=True)
    if description is not None:
        wanted["description"] = checks.description(description, most=200)
    values = {key: value for key, value in wanted.items() if getattr(floating, key) != value}
    if not values:
        raise Conflict(_("Nothing would change."))
    effects = {
        "name": _("Its name is {name}.", name=values.get("name") or "–"), "description": _("Its description changes."),
    }  # fmt: skip
    return Intent(
        kind="floating_ip.update",
        title=_("Change floating IP {address}", address=floating.address),
        subject=Subject("floating_ip", floating.id, floating.address),
        project_id=floating.project_id,
        arguments={"floating_ip_id": floating.id, "values": values},
        effects=tuple(effects[key] for key in values),
        still=unchanged(floating),
        instant=True,
    )


def associate(
    ctx: Context, floating: FloatingIp, port: Port, address: str | None = None, *, move: bool = False
) -> Intent:
    """The address leads to the port; with ``move`` also where it leads to another one now, in one go. ``address`` is
    the one of the port's addresses that it leads to, its first IPv4 one where None.

    Raises `Conflict` where it leads there already or, without ``move``, elsewhere, where the port has another floating
    IP, the port's network has no way out, or somebody else was faster; `Invalid` for
    an address that the port does not have.
    """
    ctx.may("floating_ip.associate", floating.project_id)
    look.must_allow(floating, "associate")
    look.must_allow_state(port)
    session = ctx.session
    if port.project_id != floating.project_id:
        raise Conflict(_("The port and the floating IP belong to different projects."))
    subnet_id, inner = inner_of(session, port, address)
    before = session.get(Port, floating.port_id) if floating.port_id else None
    if floating.port_id == port.id and paths.target(session, port, floating.inner_address) == (subnet_id, inner):
        raise Conflict(_("{address} leads to this port already.", address=floating.address))
    if before is not None and before.id != port.id and not move:
        raise Conflict(
            _("{address} leads to {port}.", address=floating.address, port=_port_name(before)),
            hint=_("Ask for it to be moved (--move), or disassociate it there first."),
        )
    refuse_balanced(session, floating)
    _refuse_second(session, floating, port)
    refuse_forwarded(session, floating)
    must_reach(session, subnet_id, session.get_one(Network, floating.network_id))
    name = _port_name(port)
    kept = inner if inner != port.address else None
    was = [floating.port_id, floating.inner_address]

    def write(into: Session) -> None:
        _refuse_second(into, floating, port)
        refuse_balanced(into, floating)
        refuse_forwarded(into, floating)
        _take(into, floating, (port.id, kept))

    effects = [_("{port} can be reached from outside at {address}.", port=name, address=floating.address)]
    if kept:
        effects.append(_("It leads to the port's address {address}.", address=kept))
    if before is not None and before.id != port.id:
        effects.append(
            _("{port} can no longer be reached at {address}.", port=_port_name(before), address=floating.address)
        )
    return Intent(
        kind="floating_ip.associate",
        title=_("Associate floating IP {address} with {port}", address=floating.address, port=name),
        subject=Subject("floating_ip", floating.id, floating.address),
        subjects=(*touched(port), *(touched(before) if before is not None else ())),
        project_id=floating.project_id,
        arguments={
            "floating_ip_id": floating.id, "port_id": port.id, "inner_address": kept, "before": was,
            "targets": _targets(session, port, *([before] if before is not None else [])),
        },
        keys=_keys(floating, port.id, *([before.id] if before is not None else [])),
        effects=tuple(effects),
        write=write,
    )  # fmt: skip


def inner_of(session: Session, port: Port, address: str | None, field: str = "address") -> tuple[str, str]:
    """Subnet and address of the port to which an outside address is to lead: the one that is asked for, else its first
    IPv4 one. Raises `Invalid` where it has none such."""
    places = [p for p in look.places_of(session, port) if ":" not in p[1]]
    if address is None and places:
        return places[0]
    found = next((p for p in places if p[1] == (address or "").strip()), None)
    if found is None:
        raise checks.refuse(
            field, _("{port} does not have the address {address}.", port=_port_name(port), address=address or "–"),
            _("one of {names}", names=", ".join(p[1] for p in places) or "–"),
        )  # fmt: skip
    return found


def _refuse_second(session: Session, floating: FloatingIp, port: Port) -> None:
    query = sa.select(FloatingIp.address).where(FloatingIp.port_id == port.id, FloatingIp.id != floating.id)
    other = session.scalar(query.limit(1))
    if other is not None:
        raise Conflict(_("The port has the floating IP {address} already.", address=other))


def refuse_forwarded(session: Session, floating: FloatingIp) -> None:
    """Raise `Conflict` where ports of the address are forwarded; says which."""
    query = sa.select(PortForwarding).where(
        PortForwarding.floating_ip_id == floating.id, PortForwarding.state == ACTIVE
    )
    found = list(session.scalars(query.order_by(PortForwarding.outside_port)))
    if found:
        listed = ", ".join(f"{f.protocol.upper()} {f.outside_port}" for f in found)
        raise Conflict(
            _("Ports of {address} are forwarded: {ports}.", address=floating.address, ports=listed),
            hint=_("End those forwardings first."),
            details={"port_forwardings": [f.id for f in found]},
        )


def _take(session: Session, floating: FloatingIp, target: tuple[str, str | None]) -> None:
    """The row leads to the target, unless it changed since it was read: of two who take it one is told no."""
    same = FloatingIp.port_id == floating.port_id if floating.port_id else FloatingIp.port_id.is_(None)
    change = sa.update(FloatingIp).where(FloatingIp.id == floating.id, FloatingIp.state == ACTIVE, same)
    values = {"port_id": target[0], "inner_address": target[1], "revision": FloatingIp.revision + 1}
    options = {"synchronize_session": False}
    if session.execute(change.values(**values).execution_options(**options)).rowcount == 0:  # type: ignore[attr-defined]
        raise Conflict(
            _("Somebody else has just taken {address}.", address=floating.address),
            hint=_("Look where it leads now, or use another one."),
        )
    session.get(FloatingIp, floating.id, populate_existing=True)


def disassociate(ctx: Context, floating: FloatingIp) -> Intent:
    """The address leads nowhere and stays the project's. Raises `Conflict` where it leads nowhere already."""
    ctx.may("floating_ip.disassociate", floating.project_id)
    look.must_allow(floating, "disassociate")
    port = ctx.session.get(Port, floating.port_id) if floating.port_id else None
    if port is None:
        raise Conflict(_("{address} leads nowhere.", address=floating.address))
    return Intent(
        kind="floating_ip.disassociate",
        title=_("Disassociate floating IP {address}", address=floating.address),
        subject=Subject("floating_ip", floating.id, floating.address),
        subjects=touched(port),
        project_id=floating.project_id,
        arguments={"floating_ip_id": floating.id, "targets": _targets(ctx.session, port)},
        keys=_keys(floating, port.id),
        effects=(_("{port} can no longer be reached at {address}.", port=_port_name(port), address=floating.address),),
    )


def release(ctx: Context, floating: FloatingIp) -> Intent:
    """The address goes to the trash and then back to the pool. Raises `Conflict` while it leads to a port."""
    ctx.may("floating_ip.release", floating.project_id)
    look.must_allow(floating, "release")
    if floating.port_id is not None:
        raise Conflict(
            _("{address} leads to a port.", address=floating.address), hint=_("Disassociate it first.")
        )
    refuse_balanced(ctx.session, floating)
    refuse_forwarded(ctx.session, floating)
    return Intent(
        kind="floating_ip.release",
        title=_("Release floating IP {address}", address=floating.address),
        subject=Subject("floating_ip", floating.id, floating.address),
        project_id=floating.project_id,
        arguments={"floating_ip_id": floating.id},
        effects=(_("The project gives {address} back.", address=floating.address),),
        instant=True,
    )


def refuse_balanced(session: Session, floating: FloatingIp) -> None:
    """Raise `Conflict` where the address leads to a load balancer, one in the trash too."""
    balancer = balancing.behind_floating_ip(session, floating.id)
    if balancer is not None:
        raise Conflict(
            _("{address} leads to the load balancer {name}.", address=floating.address, name=balancer.name),
            hint=_("Take it off the load balancer first."),
        )


def touched(port: Port) -> tuple[Subject, ...]:
    """What a change to a port's reachability touches."""
    mine = (Subject("port", port.id, port.address),)
    return (*mine, Subject("instance", port.instance_id, port.hostname)) if port.instance_id else mine


def _keys(floating: FloatingIp, *port_ids: str) -> tuple[Key, ...]:
    return (Key(f"floating_ip:{floating.id}"), *(Key(f"port:{p}") for p in sorted(set(port_ids))))


def _targets(session: Session, *ports: Port) -> list[list[str]]:
    """The routers that are the ways out of the ports."""
    subnets = {subnet for port in ports for subnet, _address in look.places_of(session, port)}
    found = (look.router_of(session, s) for s in subnets)
    return [["router", i] for i in sorted({r.id for r in found if r is not None})]


def _port_name(port: Port) -> str:
    return port.hostname or port.address


def external_address(session: Session, router_id: str) -> str | None:
    """The router's own outside address, without prefix."""
    query = sa.select(RouterInterface.address).where(
        RouterInterface.router_id == router_id, RouterInterface.external.is_(True), RouterInterface.state == ACTIVE
    )
    found = session.scalar(query)
    return found.partition("/")[0] if found else None
