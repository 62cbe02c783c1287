"""REST of what can reach an instance."""

from __future__ import annotations

from typing import Any

from yun.base.context import Context
from yun.compute import service
from yun.compute.api.shared import instances
from yun.compute.model import Instance
from yun.network import service as network
from yun.network.model import TRASHED
from yun.network.service.reach import Summary, of_ports
from yun.web.api import Ctx


@instances.get("/{ref}/reach", summary="Say what can reach an instance")
def reach(ctx: Ctx, ref: str) -> dict[str, Any]:
    """Card by card: what gets in and out by its security groups, and how it is reached from outside, in words."""
    row = service.get(ctx, ref)
    ctx.may("network.reach", row.project_id)
    return {"id": row.id, "name": row.name, "ports": cards(ctx, row)}


def cards(ctx: Context, row: Instance) -> list[dict[str, Any]]:
    """The instance's cards, each with what can reach it."""
    ports = [p for p in network.ports_of(ctx.session, row.id) if p.state != TRASHED]
    found = of_ports(ctx.session, ports)
    return [{"id": p.id, "address": p.address, **words(found[p.id], ctx.locale)} for p in ports]


def words(found: Summary, locale: str) -> dict[str, list[str]]:
    """What can reach a card, and what it can reach, as sentences."""
    parts = {"in": found.inward, "out": found.outward, "outside": found.outside, "notes": found.notes}
    return {name: [m.render(locale) for m in messages] for name, messages in parts.items()}
