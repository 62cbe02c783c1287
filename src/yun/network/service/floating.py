"""The verbs of floating IPs."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Unavailable
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import addresses
from yun.network.model import FloatingIp, Network, Port, RouterInterface, Subnet
from yun.network.service import balancing, look
from yun.network.service.ports import PortPlan
from yun.operations.intent import Intent, Key, Subject


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


def allocate(ctx: Context, address: str | None = None) -> Intent:
    """An outside address belongs to the project. Raises like `plan_floating_ip`."""
    plan = plan_floating_ip(ctx, address=address)
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


def associate(ctx: Context, floating: FloatingIp, port: Port) -> Intent:
    """The address leads to the port. Raises `Conflict` where it leads elsewhere already, the port has another one,
    or the port's network has no way out."""
    ctx.may("floating_ip.associate", floating.project_id)
    look.must_allow(floating, "associate")
    look.must_allow_state(port)
    session = ctx.session
    if port.project_id != floating.project_id:
        raise Conflict(_("The port and the floating IP belong to different projects."))
    if floating.port_id == port.id:
        raise Conflict(_("{address} leads to this port already.", address=floating.address))
    if floating.port_id is not None:
        raise Conflict(
            _("{address} leads to another port.", address=floating.address), hint=_("Disassociate it there first.")
        )
    refuse_balanced(session, floating)
    other = look.floating_of(session, [port.id]).get(port.id)
    if other is not None:
        raise Conflict(_("The port has the floating IP {address} already.", address=other.address))
    must_reach(session, port.subnet_id, session.get_one(Network, floating.network_id))
    name = _port_name(port)
    return Intent(
        kind="floating_ip.associate",
        title=_("Associate floating IP {address} with {port}", address=floating.address, port=name),
        subject=Subject("floating_ip", floating.id, floating.address),
        subjects=touched(port),
        project_id=floating.project_id,
        arguments={"floating_ip_id": floating.id, "port_id": port.id, "targets": _targets(session, port)},
        keys=_keys(floating, port.id),
        effects=(_("{port} can be reached from outside at {address}.", port=name, address=floating.address),),
    )


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


def _keys(floating: FloatingIp, port_id: str) -> tuple[Key, ...]:
    return (Key(f"floating_ip:{floating.id}"), Key(f"port:{port_id}"))


def _targets(session: Session, port: Port) -> list[list[str]]:
    router = look.router_of(session, port.subnet_id)
    return [["router", router.id]] if router else []


def _port_name(port: Port) -> str:
    return port.hostname or port.address


def external_address(session: Session, router_id: str) -> str | None:
    """The router's own outside address, without prefix."""
    query = sa.select(RouterInterface.address).where(
        RouterInterface.router_id == router_id, RouterInterface.external.is_(True)
    )
    found = session.scalar(query)
    return found.partition("/")[0] if found else None
