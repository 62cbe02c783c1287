"""Ports → what the network engine is told."""

from __future__ import annotations

from sqlalchemy.orm import Session

from yun.drivers.network.port import PortSpec, RateSpec
from yun.hosts.model import Host
from yun.network import rates
from yun.network.model import ACTIVE, TRASHED, Port
from yun.network.service import chaining, look


def port_spec(session: Session, port_id: str) -> PortSpec | None:
    """What the engine should have of a port; None: nothing (not plugged, in the trash, gone)."""
    port = session.get(Port, port_id)
    if port is None or not port.plugged or port.state == TRASHED:
        return None
    places = look.places_of(session, port, living=True)
    host = session.get(Host, port.host_id) if port.host_id else None
    return PortSpec(
        id=port.id,
        uuid=port.uuid,
        network_id=port.network_id,
        mac=port.mac,
        addresses=tuple(address for _subnet, address in places),
        subnet_ids=tuple(dict.fromkeys(subnet for subnet, _address in places)),
        groups=tuple(g.id for g in look.groups_of(session, port.id) if g.state == ACTIVE),
        port_security=port.port_security,
        host=host.name if host else None,
        hostname=port.hostname,
        pairs=tuple((str(p["mac"] or ""), str(p["cidr"])) for p in port.allowed_pairs),
        ingress=_rate(port.ingress_kbps, port.ingress_burst_kbit),
        egress=_rate(port.egress_kbps, port.egress_burst_kbit),
        dscp=port.dscp,
        passes_on=bool(chaining.passing(session, [port_id])),
    )


def _rate(kbps: int | None, burst: int | None) -> RateSpec | None:
    return RateSpec(kbps, burst or rates.burst_for(kbps)) if kbps else None
