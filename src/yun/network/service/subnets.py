"""Subnets as they are planned: checked, and what was left open chosen."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import addresses, checks
from yun.network.model import Network, Router, RouterInterface, Subnet
from yun.network.service import look, paths
from yun.network.service.ranges import refuse_overlap

AUTO = "auto"


@dataclass(frozen=True)
class NewSubnet:
    """A subnet to be made. ``gateway`` is ``auto`` (the first address), None (none), or an address; the pool is the
    whole range unless it is given; ``routes`` are ``{"destination", "nexthop"}``; ``routed`` connects it to the
    project's router; ``ipv6_mode`` is one of `checks.IPV6_MODES`, SLAAC where an IPv6 range says none."""

    cidr: str
    name: str = ""
    gateway: str | None = AUTO
    pool_start: str | None = None
    pool_end: str | None = None
    dns_servers: list[str] = field(default_factory=list)
    domain: str = ""
    dhcp: bool = True
    lease_seconds: int = 3600
    ntp_servers: list[str] = field(default_factory=list)
    routes: list[dict[str, str]] = field(default_factory=list)
    routed: bool = True
    ipv6_mode: str | None = None


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
    mode = checks.ipv6_mode(new.ipv6_mode, net)
    if net.version == 6 and network.mtu < checks.LEAST_MTU_V6:
        raise checks.refuse(
            "cidr",
            _("IPv6 needs packets of {least} bytes; the MTU of {network} is {mtu}.", least=checks.LEAST_MTU_V6,
              network=network.name, mtu=network.mtu),
            _("a larger MTU first"),
        )  # fmt: skip
    old = network in session  # one that is made with it has no other subnets
    if old:
        refuse_overlap(session, net, look.subnets_of(session, network.id, trashed=True))
    if new.gateway == AUTO:
        gateway: checks.Address | None = net[1]
    else:
        gateway = checks.address(new.gateway, "gateway", within=net) if new.gateway else None
    low, high = checks.pool(net, gateway, new.pool_start, new.pool_end)
    name = checks.name(new.name) if new.name else str(net).replace("/", "-")
    if old:
        look.refuse_taken(session, Subnet, name, network_id=network.id)
    subnet = Subnet(
        id=new_id(Subnet.PREFIX),
        network_id=network.id,
        project_id=network.project_id,
        name=name,
        cidr=str(net),
        gateway=str(gateway) if gateway else None,
        pool_start=str(low),
        pool_end=str(high),
        dns_servers=checks.resolvers(new.dns_servers, family=net.version) or resolvers(ctx, net),
        domain=checks.domain(new.domain),
        dhcp=new.dhcp,
        lease_seconds=checks.lease(new.lease_seconds),
        ntp_servers=checks.ntp(new.ntp_servers, net),
        routes=checks.routes(new.routes, net),
        ipv6_mode=mode,
    )
    router = None
    if new.routed and gateway and not network.physical:  # beyond a card the gateway is somebody else's
        router = look.project_router(session, network.project_id or "")
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
    refuse_overlap(session, net, paths.subnets_on(session, router.id))
    checks.no_overlap(net, paths.ranges_beyond(session, router))


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
