"""The verbs network.update and subnet.update: what can change of what is there, while machines go on."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.crossing import readable
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.network import addresses, checks
from yun.network.model import ACTIVE, Network, Port, PortAddress, RouterInterface, Subnet
from yun.network.service import look, physical
from yun.network.service.networks import reach, subject_of, tenancy
from yun.network.service.rights import may_change
from yun.network.service.subnets import resolvers
from yun.operations.intent import Intent, Subject

NO_GATEWAY = "none"
NETWORK_TITLES: dict[str, Message] = {
    "name": _("Name"), "description": _("Description"), "mtu": Message("MTU"), "domain": _("Domain"),
}  # fmt: skip
SUBNET_TITLES: dict[str, Message] = {
    "name": _("Name"), "gateway": _("Gateway"), "pool_start": _("First address given out"),
    "pool_end": _("Last address given out"), "dns_servers": _("DNS servers"), "domain": _("Domain"),
    "dhcp": Message("DHCP"), "lease_seconds": _("Lease"), "ntp_servers": _("NTP servers"), "routes": _("Routes"),
}  # fmt: skip


class _Given:
    def given(self) -> dict[str, Any]:
        """What was given at all."""
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}  # type: ignore[arg-type]


@dataclass(frozen=True)
class NetworkChanges(_Given):
    """What `update_network` may change; None leaves a field as it is. ``mtu`` in bytes."""

    name: str | None = None
    description: str | None = None
    mtu: int | None = None
    domain: str | None = None


@dataclass(frozen=True)
class SubnetChanges(_Given):
    """What `update_subnet` may change; None leaves a field as it is. ``gateway`` ``none`` takes it away; empty
    ``dns_servers`` mean the cloud's own."""

    name: str | None = None
    gateway: str | None = None
    pool_start: str | None = None
    pool_end: str | None = None
    dns_servers: list[str] | None = None
    domain: str | None = None
    dhcp: bool | None = None
    lease_seconds: int | None = None
    ntp_servers: list[str] | None = None
    routes: list[dict[str, str]] | None = None


def told_network(network: Network) -> dict[str, Any]:
    """What can be changed of a network, as it is."""
    return {name: getattr(network, name) for name in NETWORK_TITLES}


def told_subnet(subnet: Subnet) -> dict[str, Any]:
    """What can be changed of a subnet, as it is; no gateway is ``none``."""
    now = {name: getattr(subnet, name) for name in SUBNET_TITLES}
    return {**now, "gateway": subnet.gateway or NO_GATEWAY}


def update_network(ctx: Context, network: Network, changes: NetworkChanges) -> Intent:
    """Other name, description, MTU or domain; ports go on. Raises `Invalid` naming fields, `Conflict` where the name
    is taken or nothing would change."""
    may_change(ctx, "network.update", network)
    look.must_allow(network, "update")
    given = changes.given()
    wanted: dict[str, Any] = {}
    if "name" in given:
        wanted["name"] = given["name"] if given["name"] == network.name else checks.name(given["name"])
        if wanted["name"] != network.name:
            look.refuse_taken(ctx.session, Network, wanted["name"], project_id=network.project_id)
    if "description" in given:
        wanted["description"] = checks.description(given["description"])
    if "mtu" in given:
        most = physical.MOST_MTU if network.physical else checks.carried(ctx.settings.underlay_mtu)
        six = any(s.ipv6_mode for s in look.subnets_of(ctx.session, network.id, trashed=True))
        wanted["mtu"] = checks.mtu(given["mtu"], most=most, least=checks.LEAST_MTU_V6 if six else checks.LEAST_MTU)
    if "domain" in given:
        wanted["domain"] = checks.domain(given["domain"])
    was, wanted = _differing(told_network(network), wanted)
    keys, targets = reach(network.id, *_routers(ctx.session, network.id, always="mtu" in wanted))
    return Intent(
        kind="network.update",
        title=_("Change network {name}", name=network.name),
        subject=subject_of(network),
        project_id=network.project_id,
        arguments={"network_id": network.id, "values": wanted, "was": was, "targets": targets},
        keys=keys,
        effects=(*_effects(was, wanted, NETWORK_TITLES), *_network_effects(ctx.session, network, wanted)),
    )


def _network_effects(session: Session, network: Network, wanted: dict[str, Any]) -> list[Message]:
    count = session.scalar(sa.select(sa.func.count()).where(Port.network_id == network.id)) or 0
    said = []
    if "mtu" in wanted and count:
        said.append(
            _("Guests hear of the MTU when they renew their lease; their cards carry it from the next start on.")
        )
    if "domain" in wanted and count:
        said.append(_("The {count:name|names} of {count} {count:port ends|ports end} in it at once.", count=count))
    return said


def update_subnet(ctx: Context, subnet: Subnet, changes: SubnetChanges) -> Intent:
    """Other name, gateway, pool, or other things that guests are told. Raises `Invalid` naming fields, `Conflict`
    where something stands on what would change, or nothing would change."""
    may_change(ctx, "subnet.update", subnet)
    look.must_allow(subnet, "update")
    network = ctx.session.get_one(Network, subnet.network_id)
    was, wanted = _differing(told_subnet(subnet), _checked(ctx, subnet, changes.given()))
    if set(wanted) & {"gateway", "dhcp"}:
        physical.refuse_way_out(ctx.session, network, deleting=False)
    if "gateway" in wanted:
        _refuse_gateway(ctx.session, subnet, wanted["gateway"])
    keys, targets = reach(network.id, *_routers(ctx.session, network.id, always=True))
    return Intent(
        kind="subnet.update",
        title=_("Change subnet {name}", name=subnet.name),
        subject=Subject("subnet", subnet.id, subnet.name),
        subjects=(tenancy(network.id),),
        project_id=subnet.project_id,
        arguments={"subnet_id": subnet.id, "values": wanted, "was": was, "targets": targets},
        keys=keys,
        effects=(*_effects(was, wanted, SUBNET_TITLES), *_subnet_effects(ctx.session, subnet, wanted)),
    )


def _checked(ctx: Context, subnet: Subnet, given: dict[str, Any]) -> dict[str, Any]:
    """The values, clean. Raises `Invalid`."""
    net = ipaddress.ip_network(subnet.cidr)
    wanted: dict[str, Any] = {}
    if "name" in given:
        wanted["name"] = given["name"] if given["name"] == subnet.name else checks.name(given["name"])
        if wanted["name"] != subnet.name:
            look.refuse_taken(ctx.session, Subnet, wanted["name"], network_id=subnet.network_id)
    if "gateway" in given:
        none = given["gateway"] in ("", NO_GATEWAY)
        wanted["gateway"] = NO_GATEWAY if none else str(checks.address(given["gateway"], "gateway", within=net))
    if "pool_start" in given or "pool_end" in given:
        start, end = given.get("pool_start", subnet.pool_start), given.get("pool_end", subnet.pool_end)
        way_out = wanted.get("gateway", subnet.gateway)
        gateway = checks.address(way_out) if way_out and way_out != NO_GATEWAY else None
        low, high = checks.pool(net, gateway, start, end)
        wanted |= {"pool_start": str(low), "pool_end": str(high)}
    if "dns_servers" in given:
        listed = checks.resolvers(given["dns_servers"], family=net.version)
        wanted["dns_servers"] = listed or resolvers(ctx, net)
    if "domain" in given:
        wanted["domain"] = checks.domain(given["domain"])
    if "dhcp" in given:
        wanted["dhcp"] = bool(given["dhcp"])
    if "lease_seconds" in given:
        wanted["lease_seconds"] = checks.lease(given["lease_seconds"])
    if "ntp_servers" in given:
        wanted["ntp_servers"] = checks.ntp(given["ntp_servers"], net)
    if "routes" in given:
        wanted["routes"] = checks.routes(given["routes"], net)
    return wanted


def _differing(now: dict[str, Any], wanted: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was and what becomes of each field that changes."""
    new = {name: value for name, value in wanted.items() if value != now[name]}
    if not wanted:
        raise Invalid(_("Nothing to change was given."))
    if not new:
        raise Conflict(_("Nothing would change: it is so already."))
    return {name: now[name] for name in new}, new


def _effects(was: dict[str, Any], wanted: dict[str, Any], titles: dict[str, Message]) -> list[Message]:
    return [
        _("{field}: {value} instead of {old}.", field=titles[n], value=said(v), old=said(was[n]))
        for n, v in wanted.items()
    ]


def said(value: Any) -> Message:
    """A value in words; routes as range and next hop."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = [f"{r['destination']} → {r['nexthop']}" for r in value]
    return readable(value)


def _subnet_effects(session: Session, subnet: Subnet, wanted: dict[str, Any]) -> list[Message]:
    found: list[Message] = []
    more = sa.select(PortAddress.port_id).where(PortAddress.subnet_id == subnet.id)
    ports = sa.select(sa.func.count()).where(sa.or_(Port.subnet_id == subnet.id, Port.id.in_(more)))
    count = session.scalar(ports) or 0
    if count and set(wanted) & {"dns_servers", "domain", "ntp_servers", "routes", "gateway", "lease_seconds"}:
        minutes = max(1, subnet.lease_seconds // 120)
        found.append(
            _("{count} {count:guest hears|guests hear} of it when the lease is renewed: within {minutes} minutes.",
              count=count,
              minutes=minutes)
        )  # fmt: skip
    if count and wanted.get("dhcp") is False:
        found.append(_("Guests that renew their lease get no answer: {count} {count:port is|ports are} on it.",
                       count=count))
    if "pool_start" in wanted or "pool_end" in wanted:
        found.append(_("Addresses that are given out already stay as they are."))
    return found


def _refuse_gateway(session: Session, subnet: Subnet, gateway: str) -> None:
    """Raise `Conflict` where a router's leg has the present one, or somebody the new one."""
    if subnet.gateway:
        router = look.router_of(session, subnet.id)
        stands = sa.select(RouterInterface.id).where(
            RouterInterface.subnet_id == subnet.id, RouterInterface.address.startswith(f"{subnet.gateway}/"),
            RouterInterface.state == ACTIVE,
        )
        if session.scalar(stands.limit(1)) is not None:
            raise Conflict(
                _("The router {name} stands on the gateway {address}.", name=router.name if router else "–",
                  address=subnet.gateway),
                hint=_("Take the router's interface in this subnet away first."),
            )  # fmt: skip
    if gateway != NO_GATEWAY:
        addresses.refuse_taken(session, subnet, gateway, "gateway")


def _routers(session: Session, network_id: str, *, always: bool) -> list[Any]:
    if not always:
        return []
    subnets = look.subnets_of(session, network_id)
    found = (look.router_of(session, s.id) for s in subnets)
    return list({r.id: r for r in found if r is not None}.values())
