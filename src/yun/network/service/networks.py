"""The verbs of networks and subnets."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import addresses, checks
from yun.network.model import Network, Port, Router, RouterInterface, Subnet
from yun.network.service import look
from yun.operations.intent import Intent, Key, Subject

AUTO = "auto"


@dataclass(frozen=True)
class NewSubnet:
    """A subnet to be made. ``gateway`` is ``auto`` (the first address), None (none), or an address; the pool is the
    whole range unless it is given; ``routed`` connects it to the project's router."""

    cidr: str
    name: str = ""
    gateway: str | None = AUTO
    pool_start: str | None = None
    pool_end: str | None = None
    dns_servers: list[str] = field(default_factory=list)
    domain: str = ""
    dhcp: bool = True
    lease_seconds: int = 3600
    routed: bool = True


@dataclass(frozen=True)
class NewNetwork:
    """A network to be made, with its first subnet if it has one. ``mtu`` in bytes."""

    name: str
    description: str = ""
    mtu: int = 1442
    subnet: NewSubnet | None = None


def subject_of(network: Network) -> Subject:
    """The network as an operation's subject."""
    return Subject("network", network.id, network.name)


def tenancy(network_id: str) -> Subject:
    """What stands on a network: who makes or uses it touches this, so undoing the making asks the users first."""
    return Subject("network_use", network_id)


def create_network(ctx: Context, new: NewNetwork) -> Intent:
    """A network of the context's project, with its first subnet. Raises `Invalid` naming fields, `Conflict` where
    the name is taken."""
    project_id = look.project_of(ctx)
    ctx.may("network.create")
    name = checks.name(new.name)
    look.refuse_taken(ctx.session, Network, name, project_id=project_id)
    network = Network(
        id=new_id(Network.PREFIX),
        project_id=project_id,
        name=name,
        description=checks.description(new.description),
        mtu=checks.mtu(new.mtu),
    )
    planned = plan_subnet(ctx, network, new.subnet) if new.subnet else None

    def write(session: Session) -> None:
        session.add(network)
        session.flush()
        if planned:
            planned.write(session)

    keys, targets = _reach(network.id, planned.router if planned else None)
    return Intent(
        kind="network.create",
        title=_("Create network {name}", name=name),
        subject=subject_of(network),
        subjects=(tenancy(network.id),),
        project_id=project_id,
        arguments={"network_id": network.id, "targets": targets},
        keys=keys,
        effects=(_("A network {name} is made.", name=name), *(planned.effects if planned else ())),
        write=write,
    )


def delete_network(ctx: Context, network: Network) -> Intent:
    """The network and its subnets go to the trash. Raises `Conflict` where ports are on it, or it is the cloud's."""
    ctx.may("network.delete", network.project_id)
    look.must_allow(network, "delete")
    if network.external:
        raise Conflict(_("{name} is the cloud's way to the outside and stays.", name=network.name))
    _refuse_ports(ctx.session, Port.network_id == network.id, network.name)
    subnets = look.subnets_of(ctx.session, network.id)
    routers = {r.id: r for s in subnets if (r := look.router_of(ctx.session, s.id))}
    keys, targets = _reach(network.id, *routers.values())
    return Intent(
        kind="network.delete",
        title=_("Delete network {name}", name=network.name),
        subject=subject_of(network),
        subjects=(tenancy(network.id), *(Subject("subnet", s.id, s.name) for s in subnets)),
        project_id=network.project_id,
        arguments={"network_id": network.id, "targets": targets},
        keys=keys,
        effects=(
            _("The network {name} goes to the trash.", name=network.name),
            *(_("Its subnet {cidr} goes with it.", cidr=s.cidr) for s in subnets),
        ),
    )


def create_subnet(ctx: Context, network: Network, new: NewSubnet) -> Intent:
    """A subnet in the network. Raises `Invalid` naming fields, `Conflict` where the name is taken."""
    ctx.may("subnet.create", network.project_id)
    look.must_allow_state(network)
    if network.external:
        raise Conflict(_("{name} is the cloud's way to the outside; its ranges are settings.", name=network.name))
    planned = plan_subnet(ctx, network, new)
    keys, targets = _reach(network.id, planned.router)
    subnet = planned.subnet
    return Intent(
        kind="subnet.create",
        title=_("Create subnet {cidr} in {network}", cidr=subnet.cidr, network=network.name),
        subject=Subject("subnet", subnet.id, subnet.name),
        subjects=(tenancy(network.id),),
        project_id=network.project_id,
        arguments={"subnet_id": subnet.id, "targets": targets},
        keys=keys,
        effects=planned.effects,
        write=planned.write,
    )


def delete_subnet(ctx: Context, subnet: Subnet) -> Intent:
    """The subnet goes to the trash. Raises `Conflict` where ports have addresses of it."""
    ctx.may("subnet.delete", subnet.project_id)
    look.must_allow(subnet, "delete")
    network = ctx.session.get_one(Network, subnet.network_id)
    if network.external:
        raise Conflict(_("{name} is the cloud's way to the outside; its ranges are settings.", name=network.name))
    _refuse_ports(ctx.session, Port.subnet_id == subnet.id, subnet.name)
    router = look.router_of(ctx.session, subnet.id)
    keys, targets = _reach(network.id, router)
    return Intent(
        kind="subnet.delete",
        title=_("Delete subnet {name}", name=subnet.name),
        subject=Subject("subnet", subnet.id, subnet.name),
        subjects=(tenancy(network.id),),
        project_id=subnet.project_id,
        arguments={"subnet_id": subnet.id, "targets": targets},
        keys=keys,
        effects=(_("The subnet {cidr} goes to the trash.", cidr=subnet.cidr),),
    )


@dataclass(frozen=True)
class SubnetPlan:
    """A subnet that can be made: the row, the router it will be connected to, and what it would do."""

    subnet: Subnet
    router: Router | None
    effects: tuple[Message, ...]

    def write(self, session: Session) -> None:
        """Add the subnet, its gateway's reservation and the router's leg."""
        session.add(self.subnet)
        session.flush()
        if self.subnet.gateway:
            addresses.take(session, self.subnet, self.subnet.gateway, ("gateway", self.subnet.id))
            if self.router:
                session.add(_leg(session, self.router, self.subnet, self.subnet.gateway))
                session.flush()


def plan_subnet(ctx: Context, network: Network, new: NewSubnet) -> SubnetPlan:
    """Check a subnet and choose what was left open. Raises `Invalid` naming every kind of mistake by its field."""
    session = ctx.session
    net = checks.cidr(new.cidr)
    if net.version == 6:
        raise checks.refuse("cidr", _("Networks carry IPv4 addresses only."), _("a range such as 10.1.0.0/24"))
    siblings = look.subnets_of(session, network.id, trashed=True)
    checks.no_overlap(net, [(s.name, s.cidr) for s in siblings])
    if new.gateway == AUTO:
        gateway: checks.Address | None = net[1]
    else:
        gateway = checks.address(new.gateway, "gateway", within=net) if new.gateway else None
    low, high = checks.pool(net, gateway, new.pool_start, new.pool_end)
    name = checks.name(new.name) if new.name else str(net).replace("/", "-")
    look.refuse_taken(session, Subnet, name, network_id=network.id)
    lease = checks.number(new.lease_seconds, 60, 31_536_000, "lease_seconds") or 3600
    subnet = Subnet(
        id=new_id(Subnet.PREFIX),
        network_id=network.id,
        project_id=network.project_id,
        name=name,
        cidr=str(net),
        gateway=str(gateway) if gateway else None,
        pool_start=str(low),
        pool_end=str(high),
        dns_servers=checks.resolvers(new.dns_servers) or resolvers(ctx, net),
        domain=checks.domain(new.domain),
        dhcp=new.dhcp,
        lease_seconds=lease,
    )
    router = look.project_router(session, network.project_id or "") if new.routed and gateway else None
    made = _("A subnet {cidr} is made; its pool is {first} to {last}.", cidr=str(net), first=str(low), last=str(high))
    effects = [made]
    if router:
        _check_router(session, router, net)
        effects.append(_("The router {router} connects it to the outside.", router=router.name))
    return SubnetPlan(subnet, router, tuple(effects))


def resolvers(ctx: Context, net: checks.Net) -> list[str]:
    """The name servers that guests get when nobody says: those of the settings, of the right family."""
    listed = [t.strip() for t in ctx.settings.dns_upstream.split(",") if t.strip()]
    return [s for s in listed if ipaddress.ip_address(s).version == net.version] or inherited(ctx.session, net)


def inherited(session: Session, net: checks.Net) -> list[str]:
    """The name servers of the cloud's external subnet, where set-up noted those of the host."""
    outside = look.external_network(session)
    for subnet in look.subnets_of(session, outside.id) if outside else []:
        return [s for s in subnet.dns_servers if ipaddress.ip_address(s).version == net.version]
    return []


def _check_router(session: Session, router: Router, net: checks.Net) -> None:
    legs = sa.select(RouterInterface.subnet_id).where(RouterInterface.router_id == router.id)
    near = session.scalars(sa.select(Subnet).where(Subnet.id.in_(legs)))
    checks.no_overlap(net, [(s.name, s.cidr) for s in near])


def _leg(session: Session, router: Router, subnet: Subnet, address: str) -> RouterInterface:
    prefix = ipaddress.ip_network(subnet.cidr).prefixlen
    return RouterInterface(
        id=new_id(RouterInterface.PREFIX),
        router_id=router.id,
        network_id=subnet.network_id,
        subnet_id=subnet.id,
        address=f"{address}/{prefix}",
        mac=addresses.new_mac(session),
    )


def _reach(network_id: str, *routers: Router | None) -> tuple[tuple[Key, ...], list[list[str]]]:
    """The keys of a change to a network and its routers, and what the engine must be brought up to date about."""
    found = sorted(r.id for r in routers if r is not None)
    keys = (Key(f"network:{network_id}"), *(Key(f"router:{r}") for r in found))
    return keys, [["network", network_id], *(["router", r] for r in found)]


def _refuse_ports(session: Session, where: sa.ColumnElement[bool], name: str) -> None:
    by_state = sa.select(Port.state, sa.func.count()).where(where).group_by(Port.state)
    found = {state: int(number) for state, number in session.execute(by_state)}
    count = sum(found.values())
    if not count:
        return
    trashed = found.get("trashed", 0)
    raise Conflict(
        _("{name} is in use by {count} ports ({trashed} in the trash).", name=name, count=count, trashed=trashed),
        hint=_("Delete the instances on it first, and purge those in the trash."),
        details={"ports": count, "trashed": trashed},
    )
