"""What leads through a router and so stands in the way of taking it, or a leg of it, away."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.network.model import ACTIVE, REQUESTED, Router
from yun.network.service import balancing, forwarding, paths


def refuse_through(session: Session, router: Router, subnet_ids: Sequence[str] | None = None) -> None:
    """Raise `Conflict` where floating IPs, of load balancers too, or forwarded ports lead through the router, to some
    of its subnets if asked; says which."""
    if found := paths.floating_through(session, router.id, subnet_ids):
        raise Conflict(
            _(
                "Floating IPs lead through the router {router}: {addresses}.",
                router=router.name, addresses=", ".join(f.address for f in found),
            ),
            hint=_("Disassociate them first."),
            details={"floating_ips": [f.id for f in found]},
        )  # fmt: skip
    found_legs = paths.legs(session, router.id)
    gated = [s for s in paths.gated(session, router.id, found_legs) if subnet_ids is None or s in subnet_ids]
    balanced = [b for s in gated for b in balancing.in_subnet(session, s) if b.state == ACTIVE and b.floating_ip_id]
    if balanced:
        raise Conflict(
            _(
                "Floating IPs of load balancers lead through the router {router}: {names}.", router=router.name,
                names=", ".join(b.name for b in balanced),
            ),
            hint=_("Take their floating IPs off first."),
            details={"load_balancers": [b.id for b in balanced]},
        )  # fmt: skip
    if rows := forwarding.forwardings_through(session, router, subnet_ids):
        raise Conflict(
            _(
                "Forwarded ports lead through the router {router}: {ports}.", router=router.name,
                ports=", ".join(forwarding.said_outside(row, address) for row, address in rows),
            ),
            hint=_("End those forwardings first."),
            details={"port_forwardings": [row.id for row, _address in rows]},
        )  # fmt: skip


def refuse_peered(session: Session, router: Router, subnet_cidr: str | None = None) -> None:
    """Raise `Conflict` where the router, or one of its subnets if asked, is in a peering; says which."""
    for peering in paths.peerings_of(session, router.id, ACTIVE, REQUESTED):
        ours = peering.ranges if peering.router_id == router.id else peering.peer_ranges
        subnet = ipaddress.ip_network(subnet_cidr) if subnet_cidr else None
        if subnet is None or any(paths.inside(ipaddress.ip_network(text), subnet) for text in ours):
            raise Conflict(
                _("The peering {name} goes through the router {router}.", name=peering.name, router=router.name),
                hint=_("End it first: yun network-peering delete."),
                details={"network_peering": peering.id},
            )
