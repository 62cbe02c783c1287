"""Rows of the networks as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.messages import Message
from yun.identity.model import Project
from yun.network import service
from yun.network.model import (
    AddressSet,
    Capture,
    FloatingIp,
    Listener,
    LoadBalancer,
    Network,
    NetworkPeering,
    Port,
    PortForwarding,
    Router,
    SecurityGroup,
    SecurityRule,
    ServiceChain,
    Subnet,
)
from yun.network.service import balancing
from yun.network.service.batch import remote_names
from yun.network.service.captures import KEPT
from yun.network.service.look import rules_by_group
from yun.network.service.sets import groups_naming
from yun.operations.answer import moment


def _row(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "project_id": row.project_id,
        "state": row.state,
        "trashed_at": moment(row.trashed_at),
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "revision": row.revision,
    }


def network(row: Network, subnets: list[Subnet], shared: Sequence[str] = ()) -> dict[str, Any]:
    """A network with its subnets, and with the projects that it is ``shared`` with (``*``: all)."""
    return {
        **_row(row),
        "name": row.name,
        "description": row.description,
        "tags": row.tags,
        "external": row.external,
        "mtu": row.mtu,
        "domain": row.domain,
        "physical": row.physical,
        "vlan": row.vlan,
        "shared_with": list(shared),
        "subnets": [{"id": s.id, "name": s.name, "cidr": s.cidr} for s in subnets],
    }


def subnet(row: Subnet, session: Session) -> dict[str, Any]:
    """A subnet with the numbers of its pool."""
    free, total = service.pool_use(session, row)
    return {
        **_row(row),
        "name": row.name,
        "network_id": row.network_id,
        "cidr": row.cidr,
        "gateway": row.gateway,
        "pool_start": row.pool_start,
        "pool_end": row.pool_end,
        "dns_servers": row.dns_servers,
        "domain": row.domain,
        "dhcp": row.dhcp,
        "lease_seconds": row.lease_seconds,
        "ntp_servers": row.ntp_servers,
        "routes": row.routes,
        "ipv6_mode": row.ipv6_mode or None,
        "addresses_free": free,
        "addresses_total": total,
        "addresses_taken": service.taken(session, row),
    }


def router(row: Router, session: Session) -> dict[str, Any]:
    """A router with its legs and static routes."""
    legs = service.legs_of(session, row.id)
    outside = next((leg.address.partition("/")[0] for leg in legs if leg.external), None)
    return {
        **_row(row),
        "name": row.name,
        "description": row.description,
        "snat": row.snat,
        "host_id": row.host_id,
        "external_address": outside,
        "interfaces": [
            {
                "id": leg.id, "network_id": leg.network_id, "subnet_id": leg.subnet_id, "address": leg.address,
                "mac": leg.mac, "external": leg.external,
            }
            for leg in legs
        ],
        "routes": [
            {"id": r.id, "destination": r.destination, "next_hop": r.next_hop}
            for r in service.routes_of(session, row.id)
        ],
    }  # fmt: skip


def port(
    row: Port, groups: list[SecurityGroup], floating: FloatingIp | None, more: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """A port with its groups and its floating address; ``more`` are its addresses beside the first."""
    return {
        **_row(row),
        "name": row.name,
        "uuid": row.uuid,
        "network_id": row.network_id,
        "subnet_id": row.subnet_id,
        "mac": row.mac, "model": row.model, "link_up": row.link_up,
        "address": row.address,
        "addresses": [
            {"subnet_id": subnet, "address": address} for subnet, address in ((row.subnet_id, row.address), *more)
        ],
        "floating_address": floating.address if floating else None,
        "instance_id": row.instance_id,
        "device_index": row.device_index,
        "hostname": row.hostname,
        "host_id": row.host_id,
        "port_security": row.port_security,
        "allowed_pairs": row.allowed_pairs,
        "ingress_kbps": row.ingress_kbps,
        "ingress_burst_kbit": row.ingress_burst_kbit,
        "egress_kbps": row.egress_kbps,
        "egress_burst_kbit": row.egress_burst_kbit,
        "dscp": row.dscp,
        "security_groups": [{"id": g.id, "name": g.name} for g in groups],
    }


def ports(session: Session, rows: list[Port]) -> list[dict[str, Any]]:
    """Many ports, in four queries."""
    ids = [r.id for r in rows]
    groups, floating = service.groups_by_port(session, ids), service.floating_of(session, ids)
    more = service.places_by_port(session, ids)
    return [port(r, groups.get(r.id, []), floating.get(r.id), more.get(r.id, ())) for r in rows]


def groups(session: Session, rows: Sequence[SecurityGroup], locale: str) -> list[dict[str, Any]]:
    """Many security groups with their rules, in a few queries."""
    rules = rules_by_group(session, [row.id for row in rows])
    names = remote_names(session, [rule for some in rules.values() for rule in some])
    return [_group(row, rules.get(row.id, []), names, locale) for row in rows]


def group(row: SecurityGroup, session: Session, locale: str) -> dict[str, Any]:
    """A security group with its rules."""
    return groups(session, [row], locale)[0]


def _group(row: SecurityGroup, rules: list[SecurityRule], names: dict[str, str], locale: str) -> dict[str, Any]:
    return {
        **_row(row),
        "name": row.name,
        "description": row.description,
        "is_default": row.is_default,
        "stateless": row.stateless,
        "log_until": moment(row.log_until),
        "rules": [rule(r, names, locale) for r in rules],
    }


def rule(row: SecurityRule, names: dict[str, str], locale: str) -> dict[str, Any]:
    """A rule, also in words."""
    return {
        "id": row.id,
        "direction": row.direction,
        "family": row.family,
        "protocol": row.protocol,
        "port_min": row.port_min,
        "port_max": row.port_max,
        "icmp_type": row.icmp_type,
        "icmp_code": row.icmp_code,
        "remote_cidr": row.remote_cidr,
        "remote_group_id": row.remote_group_id,
        "remote_group_name": names.get(row.remote_group_id or ""),
        "remote_set_id": row.remote_set_id,
        "remote_set_name": names.get(row.remote_set_id or ""),
        "description": row.description,
        "text": service.say(row, names).render(locale),
    }


def hits(noted: dict[str, Any], locale: str) -> dict[str, Any]:
    """What was noted of a security group."""
    rows = [
        {**h, "text": h["text"].render(locale), "last_at": moment(h["last_at"])} for h in noted["hits"]
    ]  # fmt: skip
    return {"until": moment(noted["until"]), "hits": rows}


def address_set(row: AddressSet, session: Session) -> dict[str, Any]:
    """An address set with the groups whose rules name it."""
    groups = groups_naming(session, row.id)
    return {
        **_row(row),
        "name": row.name,
        "description": row.description,
        "ranges": row.ranges,
        "security_groups": [{"id": g.id, "name": g.name} for g in groups],
    }


def floating_ip(row: FloatingIp, behind: Port | None, balancer: LoadBalancer | None) -> dict[str, Any]:
    """A floating IP and where it leads: to a port, to a load balancer, or nowhere."""
    inner = (row.inner_address or behind.address) if behind else balancer.address if balancer else None
    return {
        **_row(row),
        "address": row.address,
        "name": row.name,
        "network_id": row.network_id,
        "description": row.description,
        "port_id": row.port_id,
        "inner_address": inner,
        "port_address": behind.address if behind else None,
        "instance_id": behind.instance_id if behind else None,
        "hostname": behind.hostname if behind else None,
        "load_balancer_id": balancer.id if balancer else None,
        "load_balancer": balancer.name if balancer else None,
    }


def floating_ips(session: Session, rows: list[FloatingIp]) -> list[dict[str, Any]]:
    """Many floating IPs, in three queries."""
    behind = service.ports_by_id(session, [r.port_id for r in rows if r.port_id])
    balancers = balancing.by_floating_ip(session, [r.id for r in rows])
    return [floating_ip(r, behind.get(r.port_id or ""), balancers.get(r.id)) for r in rows]


def balancer(row: LoadBalancer, session: Session, locale: str) -> dict[str, Any]:
    """A load balancer with its listeners, its members, and how each listener last found the machines behind it."""
    listeners = service.listeners_of(session, row.id)
    health = service.health_of(session, row.id)
    floating = session.get(FloatingIp, row.floating_ip_id) if row.floating_ip_id else None
    backends = service.backends_of(session, row)
    return {
        **_row(row),
        "name": row.name,
        "description": row.description,
        "network_id": row.network_id,
        "subnet_id": row.subnet_id,
        "address": row.address,
        "floating_ip_id": row.floating_ip_id,
        "floating_address": floating.address if floating else None,
        "listeners": [listener(r, locale) for r in listeners],
        "members": [
            {
                "id": m.id, "kind": m.kind, "target": m.target,
                "text": _text(service.say_member(session, m), locale),
                "ports": [p.id for p in service.ports_of_member(session, row, m)],
            }
            for m in service.members_of(session, row.id)
        ],
        "backends": [
            {
                "port_id": p.id, "instance_id": p.instance_id, "hostname": p.hostname, "address": p.address,
                "health": [
                    {
                        "listener_id": r.id, "port": r.port, "protocol": r.protocol,
                        "state": found.state if (found := health.get((r.id, p.id))) else "unknown",
                        "since": moment(found.since) if found else None,
                    }
                    for r in listeners
                    if r.check_seconds
                ],
            }
            for p in backends
        ],
    }  # fmt: skip


def listener(row: Listener, locale: str) -> dict[str, Any]:
    """A listener, also in words."""
    return {
        "id": row.id, "protocol": row.protocol, "port": row.port, "member_port": row.member_port,
        "affinity_seconds": row.affinity_seconds, "check_seconds": row.check_seconds,
        "check_timeout": row.check_timeout, "check_failures": row.check_failures,
        "text": service.say_listener(row).render(locale),
    }  # fmt: skip


def _text(said: object, locale: str) -> str:
    return said.render(locale) if isinstance(said, Message) else str(said)


def capture(row: Capture) -> dict[str, Any]:
    """A recording of a port's packets."""
    return {
        "id": row.id,
        "project_id": row.project_id,
        "port_id": row.port_id,
        "port_name": row.port_name,
        "host_id": row.host_id,
        "filter": row.filter,
        "seconds": row.seconds,
        "max_bytes": row.max_bytes,
        "made_by": row.made_by,
        "state": row.state,
        "reason": row.reason,
        "size": row.size,
        "packets": row.packets,
        "created_at": moment(row.created_at),
        "ended_at": moment(row.ended_at),
        "expires_at": moment(row.created_at + KEPT),
        "revision": row.revision,
    }


def forwardings(session: Session, rows: list[PortForwarding]) -> list[dict[str, Any]]:
    """Port forwardings, each with its outside address and the machine behind."""
    ports = service.ports_by_id(session, [r.port_id for r in rows])
    found = []
    for row in rows:
        port = ports.get(row.port_id)
        found.append({
            **_row(row),
            "address": service.outside_address(session, row),
            "floating_ip_id": row.floating_ip_id,
            "router_id": row.router_id,
            "protocol": row.protocol,
            "outside_port": row.outside_port,
            "outside_port_max": row.outside_port_max,
            "inner_port": row.inner_port,
            "inner_address": row.inner_address or (port.address if port else None),
            "port_id": row.port_id,
            "instance_id": port.instance_id if port else None,
            "hostname": port.hostname if port else None,
            "description": row.description,
        })  # fmt: skip
    return found


def peering(ctx: Context, row: NetworkPeering) -> dict[str, Any]:
    """A peering as the actor's side sees it; of the other side only what it offers or is asked for."""
    side = service.side_of(ctx, row)
    asker = side == row.project_id
    other = row.peer_project_id if asker else row.project_id
    # Who asks must be known to who is asked; the name of a project that has not agreed is not told.
    project = ctx.session.get(Project, other)
    told = not asker or row.peer_agreed or ctx.sees(other)
    return {
        **_row(row),
        "name": row.name,
        "description": row.description,
        "peer_project_id": row.peer_project_id,
        "side": side,
        "asker": asker,
        "other_project": project.name if project and told else other,
        "own_ranges": row.ranges if asker else row.peer_ranges,
        "other_ranges": row.peer_ranges if asker else row.ranges,
        "router_id": row.router_id if asker else row.peer_router_id,
    }


def chain(row: ServiceChain, session: Session) -> dict[str, Any]:
    """A service chain with its hops as they are now."""
    hops = service.hops_of(session, row)
    subnet, router = session.get(Subnet, row.subnet_id), session.get(Router, row.router_id)
    return {
        **_row(row),
        "name": row.name,
        "description": row.description,
        "router_id": row.router_id,
        "router": router.name if router else "",
        "subnet_id": row.subnet_id,
        "subnet": subnet.name if subnet else "",
        "cidr": subnet.cidr if subnet else "",
        "network_id": subnet.network_id if subnet else None,
        "protocol": row.protocol,
        "port_min": row.port_min,
        "port_max": row.port_max,
        "on_failure": row.on_failure,
        "status": service.status_of(row, hops) if row.state != "trashed" else "",
        "hops": [_hop(hop) for hop in hops],
    }


def _hop(hop: Any) -> dict[str, Any]:
    arm = hop.inner or hop.outer
    return {
        "name": hop.name,
        "state": hop.state,
        "instance_id": arm.port.instance_id if arm else None,
        "inner_port_id": hop.row.inner_port_id,
        "inner_address": hop.inner.address if hop.inner else "",
        "outer_port_id": hop.row.outer_port_id,
        "outer_address": hop.outer.address if hop.outer else "",
    }
