"""Service chains as their rows and their machines are now: which hops run, by which legs of the router they are
reached, and which ports they use."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.network.model import ACTIVE, BYPASS, TRASHED, UP, Port, Router, ServiceChain, ServiceChainHop, Subnet
from yun.network.service import look, paths
from yun.network.service.paths import Leg

RUNNING, STOPPED, MISSING = "running", "stopped", "missing"


@dataclass(frozen=True)
class Arm:
    """One side of a hop: its port, its address there, and the router's leg beside it."""

    port: Port
    address: str
    leg: Leg


@dataclass(frozen=True)
class Hop:
    """A hop as it is: its row, its arms (None where a port is gone, or on no leg of the router any more), and whether
    it is ``running``, ``stopped`` or ``missing``."""

    row: ServiceChainHop
    inner: Arm | None
    outer: Arm | None
    state: str

    @property
    def name(self) -> str:
        """What people call the machine."""
        arm = self.inner or self.outer
        return arm.port.hostname or arm.port.name or arm.address if arm else self.row.inner_port_id

    @property
    def ready(self) -> bool:
        """Whether the engine can send anything to it."""
        return all(arm is not None and arm.port.plugged for arm in (self.inner, self.outer))


def hop_rows(session: Session, chain_id: str) -> list[ServiceChainHop]:
    """The rows of a chain's hops, the one beside the subnet first."""
    query = sa.select(ServiceChainHop).where(ServiceChainHop.chain_id == chain_id)
    return list(session.scalars(query.order_by(ServiceChainHop.position)))


def hops_of(session: Session, chain: ServiceChain) -> list[Hop]:
    """The hops of a chain as they are now."""
    rows = hop_rows(session, chain.id)
    subnet = session.get(Subnet, chain.subnet_id)
    version = ipaddress.ip_network(subnet.cidr).version if subnet else 4
    legs = [leg for leg in paths.legs(session, chain.router_id) if not leg.row.external and leg.net.version == version]
    ids = {i for row in rows for i in (row.inner_port_id, row.outer_port_id)}
    ports = {p.id: p for p in session.scalars(sa.select(Port).where(Port.id.in_(ids), Port.state != TRASHED))}
    found = []
    for row in rows:
        inner, outer = (arm_of(session, ports.get(i), legs) for i in (row.inner_port_id, row.outer_port_id))
        state = MISSING
        if inner is not None and outer is not None:
            state = RUNNING if inner.port.state == outer.port.state == UP else STOPPED
        found.append(Hop(row, inner, outer, state))
    return found


def arm_of(session: Session, port: Port | None, legs: Sequence[Leg]) -> Arm | None:
    """Where a port stands beside one of the legs: by its first address that is in the subnet of one."""
    for subnet_id, address in look.places_of(session, port, living=True) if port is not None else ():
        for leg in legs:
            if leg.subnet.id == subnet_id and port is not None:
                return Arm(port, address, leg)
    return None


def leg_of(session: Session, chain: ServiceChain) -> Leg | None:
    """The router's leg in the chain's subnet."""
    return next((g for g in paths.legs(session, chain.router_id) if g.subnet.id == chain.subnet_id), None)


def passed(chain: ServiceChain, hops: Sequence[Hop]) -> list[Hop]:
    """The hops that traffic passes now: with ``bypass`` those that run."""
    return [h for h in hops if h.state == RUNNING] if chain.on_failure == BYPASS else list(hops)


def status_of(chain: ServiceChain, hops: Sequence[Hop]) -> str:
    """How the chain works now: ``working``, ``blocking`` (a hop does not run), ``bypassing`` (some are left out)."""
    if all(h.state == RUNNING for h in hops):
        return "working"
    return "bypassing" if chain.on_failure == BYPASS else "blocking"


# ── by what they use ──


def chains_of_router(session: Session, router_id: str, *, subnet_ids: Collection[str] | None = None) -> list[
    ServiceChain
]:  # fmt: skip
    """The living chains of a router, by name; if asked those that protect one of these subnets, or whose hops are
    reached there."""
    query = sa.select(ServiceChain).where(ServiceChain.router_id == router_id, ServiceChain.state == ACTIVE)
    found = list(session.scalars(query.order_by(ServiceChain.name, ServiceChain.id)))
    if subnet_ids is None:
        return found
    return [c for c in found if c.subnet_id in subnet_ids or set(subnet_ids) & subnets_of_hops(session, c)]


def subnets_of_hops(session: Session, chain: ServiceChain) -> set[str]:
    """The subnets in which a chain reaches its hops."""
    arms = (arm for hop in hops_of(session, chain) for arm in (hop.inner, hop.outer))
    return {arm.leg.subnet.id for arm in arms if arm is not None}


def chains_of_ports(session: Session, port_ids: Iterable[str]) -> list[ServiceChain]:
    """The living chains with one of these ports in a hop, by name."""
    ids = list(port_ids)
    if not ids:
        return []
    mine = sa.select(ServiceChainHop.chain_id).where(
        sa.or_(ServiceChainHop.inner_port_id.in_(ids), ServiceChainHop.outer_port_id.in_(ids))
    )
    query = sa.select(ServiceChain).where(ServiceChain.id.in_(mine), ServiceChain.state == ACTIVE)
    return list(session.scalars(query.order_by(ServiceChain.name, ServiceChain.id)))


def passing(session: Session, port_ids: Collection[str]) -> set[str]:
    """Those of the ports that pass on what others send, because a living chain uses them."""
    pairs = sa.select(ServiceChainHop.inner_port_id, ServiceChainHop.outer_port_id).join(
        ServiceChain, ServiceChain.id == ServiceChainHop.chain_id
    )
    query = pairs.where(
        ServiceChain.state == ACTIVE,
        sa.or_(ServiceChainHop.inner_port_id.in_(port_ids), ServiceChainHop.outer_port_id.in_(port_ids)),
    )
    return {i for pair in session.execute(query) for i in pair} & set(port_ids)


def refuse_chained(session: Session, router: Router, subnet_ids: Sequence[str] | None = None) -> None:
    """Raise `Conflict` where a service chain is at the router, with one of its subnets if asked; says which."""
    found = chains_of_router(session, router.id, subnet_ids=subnet_ids)
    if found:
        raise Conflict(
            _("Service chains go through the router {router}: {names}.", router=router.name,
              names=", ".join(c.name for c in found)),
            hint=_("Delete them first: yun service-chain delete."),
            details={"service_chains": [c.id for c in found]},
        )  # fmt: skip
