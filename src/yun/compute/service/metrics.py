"""Reading what instances use: the last measurement of many, the short history of one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.compute.model import Instance, InstanceSample, State

HISTORY = timedelta(hours=1)
FRESH = timedelta(minutes=5)
ROWS = 200_000


def interval(settings_seconds: float, running: int) -> float:
    """Seconds between two measurements: as set, and longer with many machines, so that the history stays small."""
    return max(settings_seconds, HISTORY.total_seconds() * running / ROWS)


def metrics(ctx: Context, instance: Instance) -> dict[str, Any]:
    """The last hour of one instance, oldest first, and its sizes.

    Each point has ``at``, ``cpu`` (busy vCPUs), ``memory_used_kib`` (None without a guest that tells), and bytes per
    second ``disk_read``, ``disk_write``, ``net_rx``, ``net_tx``; rates are None in the first point after a start.
    """
    ctx.may("instance.metrics", instance.project_id)
    since = ctx.clock.now() - HISTORY
    query = (
        sa.select(InstanceSample)
        .where(InstanceSample.instance_id == instance.id, InstanceSample.at >= since)
        .order_by(InstanceSample.at)
    )
    points = [point(row) for row in ctx.session.scalars(query)]
    return {
        "instance_id": instance.id,
        "vcpus": instance.vcpus,
        "memory_mib": instance.memory_mib,
        "points": points,
        "now": points[-1] if points and instance.state in (State.RUNNING, State.PAUSED) else None,
    }


def point(row: InstanceSample) -> dict[str, Any]:
    """One measurement as JSON."""
    return {
        "at": row.at.isoformat(),
        "cpu": row.cpu,
        "memory_kib": row.memory_kib,
        "memory_used_kib": row.memory_used_kib,
        "disk_read": row.disk_read,
        "disk_write": row.disk_write,
        "net_rx": row.net_rx,
        "net_tx": row.net_tx,
    }


def latest(session: Session, instance_ids: Iterable[str], now: Any) -> dict[str, InstanceSample]:
    """The newest fresh measurement of each instance that has one, in one query."""
    newest = (
        sa.select(InstanceSample.instance_id, sa.func.max(InstanceSample.at).label("at"))
        .where(InstanceSample.instance_id.in_(list(instance_ids)))
        .group_by(InstanceSample.instance_id)
        .subquery()
    )
    same = sa.and_(InstanceSample.instance_id == newest.c.instance_id, InstanceSample.at == newest.c.at)
    rows = sa.select(InstanceSample).join(newest, same).where(InstanceSample.at >= now - FRESH)
    return {row.instance_id: row for row in session.scalars(rows)}


def histories(session: Session, instance_ids: Iterable[str], now: Any) -> dict[str, list[float]]:
    """Busy vCPUs over the last hour by instance, oldest first: for sparklines, in one query."""
    rows = sa.select(InstanceSample.instance_id, InstanceSample.cpu).where(
        InstanceSample.instance_id.in_(list(instance_ids)), InstanceSample.at >= now - HISTORY
    )
    found: dict[str, list[float]] = {}
    for instance_id, cpu in session.execute(rows.order_by(InstanceSample.at)):
        found.setdefault(instance_id, []).append(cpu or 0.0)
    return found
