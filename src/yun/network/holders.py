"""Who has an address: its owner in words and with a place to look, whatever table he is in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.messages import Message, _
from yun.network.model import (
    TRASHED,
    FloatingIp,
    LoadBalancer,
    Port,
    Reservation,
    Router,
    RouterInterface,
    Subnet,
)

CHUNK = 500


@dataclass(frozen=True)
class Holder:
    """Who has an address: ``kind`` (``port``, ``router``, ``floating_ip``, ``gateway``…) and ``id`` of the thing, its
    name for a person, its project, its state, and since when."""

    kind: str
    id: str
    name: str
    project_id: str | None
    state: str
    since: datetime | None

    @property
    def said(self) -> Message:
        """In a sentence, such as *port of web1 (in the trash)*."""
        words = {
            "port": _("the port of {name}", name=self.name),
            "router": _("the router {name}", name=self.name),
            "floating_ip": _("a floating IP"),
            "gateway": _("the gateway"),
            "load_balancer": _("the load balancer {name}", name=self.name),
            "probe": _("the health checks of load balancers"),
        }
        found = words.get(self.kind, Message("{kind} {name}", {"kind": _(self.kind), "name": self.name}))
        return _("{holder}, in the trash", holder=found) if self.state == TRASHED else found


def holders(session: Session, reserved: Iterable[Reservation]) -> dict[int, Holder]:
    """Place → who has it, in a few queries for all."""
    listed = list(reserved)
    things = {
        "port": _rows(session, Port, listed, "port"),
        "floating_ip": _rows(session, FloatingIp, listed, "floating_ip"),
        "gateway": _rows(session, Subnet, listed, "gateway"),
        "load_balancer": _rows(session, LoadBalancer, listed, "load_balancer"),
        "router": _routers(session, listed),
    }
    return {r.place: _holder(r, things.get(r.owner_kind, {}).get(r.owner_id)) for r in listed}


def _holder(reservation: Reservation, thing: Any) -> Holder:
    kind, identifier = reservation.owner_kind, reservation.owner_id
    if thing is None:
        return Holder(kind, identifier, identifier, None, "", reservation.since)
    name = getattr(thing, "hostname", "") or getattr(thing, "name", "") or getattr(thing, "address", "") or thing.id
    since = reservation.since or thing.created_at
    return Holder(kind, thing.id, name, thing.project_id, thing.state, since)


def _rows(session: Session, model: Any, reserved: list[Reservation], kind: str) -> dict[str, Any]:
    ids = sorted({r.owner_id for r in reserved if r.owner_kind == kind})
    found: dict[str, Any] = {}
    for start in range(0, len(ids), CHUNK):
        query = sa.select(model).where(model.id.in_(ids[start : start + CHUNK]))
        found |= {row.id: row for row in session.scalars(query)}
    return found


def _routers(session: Session, reserved: list[Reservation]) -> dict[str, Router]:
    """Leg id → router."""
    ids = [r.owner_id for r in reserved if r.owner_kind == "router"]
    found: dict[str, Router] = {}
    for start in range(0, len(ids), CHUNK):
        query = sa.select(RouterInterface.id, Router).join(Router, Router.id == RouterInterface.router_id)
        part = session.execute(query.where(RouterInterface.id.in_(ids[start : start + CHUNK])))
        found |= {leg: router for leg, router in part}  # noqa: C416
    return found
