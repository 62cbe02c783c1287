"""Ports: planned for an instance, kept in the trash with it, forgotten when it is purged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import addresses
from yun.network.model import (
    ACTIVE,
    FloatingIp,
    Member,
    MemberHealth,
    Network,
    Port,
    PortAddress,
    PortForwarding,
    PortSample,
    PortSecurityGroup,
    SecurityGroup,
    Subnet,
)
from yun.network.service import families, look, shares
from yun.network.service.groups import GROUP_USE
from yun.network.service.networks import tenant
from yun.operations.intent import USER, Subject

DEFAULT = "default"
MOST_GROUPS = 60


@dataclass(frozen=True)
class PortPlan:
    """A port that can be made: ids, MAC and address chosen. ``write`` adds the rows; the address may become the next
    free one there, where nobody asked for a certain one and somebody was faster."""

    port: Port
    network: Network
    subnet: Subnet
    groups: tuple[SecurityGroup, ...]
    fixed: bool
    capacity: Message
    more: tuple[families.Part, ...] = ()

    @property
    def id(self) -> str:
        """The port's id."""
        return self.port.id

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What an operation touches that makes this port."""
        joined = (Subject(f"{GROUP_USE}{USER}", g.id) for g in self.groups if not g.is_default)
        return (Subject("port", self.port.id, self.port.address), tenant(self.network.id), *joined)

    @property
    def effect(self) -> Message:
        """What a person wants to know of it."""
        listed = ", ".join(self.addresses)
        return _("It gets the address {address} in {network}.", address=listed, network=self.network.name)

    @property
    def addresses(self) -> list[str]:
        """All its addresses, the first one first."""
        return [self.port.address, *(part.address for part in self.more)]

    def write(self, session: Session) -> None:
        """Add the port, its reservation and its groups to the transaction."""
        port = self.port
        owner = ("port", port.id)
        port.address = addresses.take(session, self.subnet, port.address, owner, fixed=self.fixed)
        session.add(port)
        session.flush()
        if self.groups:
            session.execute(_JOIN, [{"port_id": port.id, "group_id": g.id} for g in self.groups])
        families.write(session, port.id, [part.to_json() for part in self.more])


_JOIN = sa.insert(cast(sa.Table, PortSecurityGroup.__table__))


def default_network(ctx: Context) -> Network:
    """The network that an instance gets when nobody says: the project's ``default``, else its only one.

    Raises `Conflict` where the project has none, or several and none is called so.
    """
    project_id = look.project_of(ctx)
    query = sa.select(Network).where(
        Network.project_id == project_id, Network.state == ACTIVE, Network.external.is_(False)
    )
    found = list(ctx.session.scalars(query.order_by(Network.created_at, Network.id).limit(2)))
    named = ctx.session.scalar(query.where(Network.name == DEFAULT))
    if named is not None:
        return named
    if not found:
        hint = _("Create one first: yun network create NAME --cidr RANGE.")
        raise Conflict(_("The project has no network."), hint=hint)
    if len(found) > 1:
        raise Invalid(_("The project has several networks."), fields={"network": _("the name or id of one of them")})
    return found[0]


def default_group(session: Session, project_id: str) -> SecurityGroup | None:
    """The security group that ports of a project get when nobody says."""
    return session.scalar(_DEFAULT_GROUP, {"project": project_id})


_DEFAULT_GROUP = (
    sa.select(SecurityGroup)
    .where(
        SecurityGroup.project_id == sa.bindparam("project"), SecurityGroup.is_default.is_(True),
        SecurityGroup.state == ACTIVE,
    )
    .limit(1)
)  # fmt: skip


def plan_port(
    ctx: Context,
    *,
    network: str | Network | None = None,
    address: str | None = None,
    groups: Sequence[str] | None = None,
    instance_id: str | None = None,
    hostname: str = "",
    model: str = "virtio",
    mac: str | None = None,
) -> PortPlan:
    """Choose everything for a port of the context's project; nothing is written before `PortPlan.write`.

    A network of both families gives one address of each, IPv4 first; ``address`` asks for one of them.
    ``network`` defaults to the project's own, ``groups`` (names or ids) to its default one; ``groups=[]`` means none.
    ``mac`` asks for a certain one; ``model`` is the card as its guest sees it. Raises `Invalid`,
    `Conflict` for a taken address or MAC, `NoCapacity` for a full pool.
    """
    project_id = look.project_of(ctx)
    network = network_for(ctx, project_id, network)
    mac = addresses.check_mac(ctx.session, mac) if mac else addresses.new_mac(ctx.session)
    first, *more = families.plan(ctx.session, network, address, mac)
    chosen = groups_for(ctx, project_id, groups)
    last = sa.select(sa.func.max(Port.device_index)).where(Port.instance_id == instance_id)
    index = ctx.session.scalar(last) if instance_id else None
    port = blank(project_id, network, first, mac, hostname=hostname, name="")
    port.instance_id, port.model, port.device_index = instance_id, model, 0 if index is None else index + 1
    left = addresses.free(ctx.session, first.subnet)
    all_of_it = addresses.total(first.subnet)
    capacity = _("{free} of {total} addresses of {network} are free.", free=left, total=all_of_it, network=network.name)
    return PortPlan(port, network, first.subnet, tuple(chosen), first.fixed, capacity, tuple(more))


def blank(project_id: str, network: Network, first: families.Part, mac: str, *, hostname: str, name: str) -> Port:
    """A port in no instance, with its first address, and nothing else said of it."""
    return Port(
        id=new_id(Port.PREFIX),
        project_id=project_id,
        network_id=network.id,
        subnet_id=first.subnet.id,
        name=name,
        mac=mac,
        address=first.address,
        device_index=0,
        hostname=hostname,
        labels=[],
        model="virtio",
        state="down",
        link_up=True,
        plugged=False,
        port_security=True,
    )


def network_for(ctx: Context, project_id: str, network: str | Network | None) -> Network:
    """The network, or the project's own. Raises `Invalid` where ports of the project cannot be on it."""
    if network is None:
        network = default_network(ctx)
    elif isinstance(network, str):
        network = look.get_network(ctx, network)
    look.must_allow_state(network)
    if not shares.usable(ctx.session, network, project_id):  # seeing another project's network is not using it
        raise Invalid(
            _("The network {name} belongs to another project.", name=network.name),
            fields={"network": _("a network of the project")},
        )
    if network.external:
        raise Invalid(
            _("Instances are not put on {network} directly.", network=network.name),
            hint=_("Give the instance a floating IP instead."),
            fields={"network": _("a network of the project")},
        )
    return network


def groups_for(ctx: Context, project_id: str, references: Sequence[str] | None) -> list[SecurityGroup]:
    """The groups by name or id, of this project; None: its default one. Raises `Invalid` for another project's."""
    if references is None:
        group = default_group(ctx.session, project_id)
        return [group] if group else []
    found = [look.get_group(ctx, r) for r in dict.fromkeys(references)]
    for group in found:
        look.must_allow_state(group)
        if group.project_id != project_id:
            raise Invalid(
                _("The security group {name} belongs to another project.", name=group.name),
                fields={"groups": _("groups of the project")},
            )
    if len(found) > MOST_GROUPS:
        raise Invalid(
            _("A card is in at most {most} security groups.", most=MOST_GROUPS),
            fields={"groups": _("at most {most} groups", most=MOST_GROUPS)},
        )
    if len({g.stateless for g in found}) > 1:
        raise Invalid(
            _("A card cannot be in stateful and stateless groups at once."),
            hint=_("What a stateless group lets through is unknown to the others: answers would be dropped."),
            fields={"groups": _("groups of one sort")},
        )
    return found


def forget_ports(session: Session, instance_id: str) -> list[str]:
    """The instance's ports have no rows any more; addresses and MACs are free, floating IPs are loose again.

    For the transaction that purges an instance, or that takes back a creation; the ports must be unplugged. Returns
    the ids of floating IPs that were loosened.
    """
    session.execute(sa.delete(Member).where(Member.kind == "instance", Member.target == instance_id))
    return forget_these(session, look.ports_of(session, instance_id))


def forget_these(session: Session, ports: Sequence[Port]) -> list[str]:
    """The ports have no rows any more, as `forget_ports` says."""
    loosened: list[str] = []
    for port in ports:
        for floating in session.scalars(sa.select(FloatingIp).where(FloatingIp.port_id == port.id)):
            floating.port_id, floating.inner_address = None, None
            loosened.append(floating.id)
    session.flush()
    for port in ports:
        session.execute(sa.delete(PortSecurityGroup).where(PortSecurityGroup.port_id == port.id))
        session.execute(sa.delete(MemberHealth).where(MemberHealth.port_id == port.id))
        session.execute(sa.delete(Member).where(Member.kind == "port", Member.target == port.id))
        session.execute(sa.delete(PortAddress).where(PortAddress.port_id == port.id))
        session.execute(sa.delete(PortSample).where(PortSample.port_id == port.id))
        session.execute(sa.delete(PortForwarding).where(PortForwarding.port_id == port.id))
        addresses.give_back(session, port.id)
        session.delete(port)
    session.flush()
    return loosened
