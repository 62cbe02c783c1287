"""The step that measures what running machines use and forgets what is older than the history."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.compute.model import LIVE, Instance, InstanceSample
from yun.compute.service.metrics import HISTORY, interval
from yun.drivers.hypervisor.port import DomainStats
from yun.operations.flow import Op, step

log = logger(__name__)
COUNTERS = ("cpu_ns", "disk_read_bytes", "disk_write_bytes", "net_rx_bytes", "net_tx_bytes")
RATES = {name: f"{name}_bytes" for name in ("disk_read", "disk_write", "net_rx", "net_tx")}


@step(retries=0)
def measure(op: Op) -> None:
    """One sample of every running machine, in one write; samples older than the history are gone.

    With very many machines it measures less often (`interval`). A host that does not answer has no sample.
    """
    now = op.clock.now()
    with op.read() as session:
        count = sa.select(sa.func.count()).select_from(Instance).where(Instance.state.in_(LIVE))
        last = session.scalar(sa.select(sa.func.max(InstanceSample.at)))
        pause = interval(op.settings.metrics_seconds, session.scalar(count) or 0)
        if last is not None and timedelta(0) <= now - last < timedelta(seconds=pause * 0.75):
            return
        query = sa.select(Instance.id, Instance.uuid, Instance.host_id).where(Instance.state.in_(LIVE))
        running = [(str(i), str(u), str(h)) for i, u, h in session.execute(query)]
        before = _before(session, last, pause)
    stats = _stats(op, {host for _i, _u, host in running})
    rows = [sample(i, now, stats[u], before.get(i)) for i, u, _h in running if u in stats]
    if not rows and last is None:
        return
    with op.write() as session:
        if rows:
            session.execute(sa.insert(InstanceSample), rows)
        session.execute(sa.delete(InstanceSample).where(InstanceSample.at < now - HISTORY))


def _before(session: Session, last: datetime | None, pause: float) -> dict[str, InstanceSample]:
    if last is None:
        return {}
    query = sa.select(InstanceSample).where(InstanceSample.at >= last - timedelta(seconds=pause))
    return {row.instance_id: row for row in session.scalars(query.order_by(InstanceSample.at))}


def _stats(op: Op, hosts: set[str]) -> dict[str, DomainStats]:
    found: dict[str, DomainStats] = {}
    for host_id in hosts:
        try:
            found.update(op.drivers.on(host_id).hypervisor.stats())
        except DriverError as error:
            log.info("could not measure the machines of %s: %s", host_id, error)
    return found


def sample(instance_id: str, at: datetime, now: DomainStats, before: InstanceSample | None) -> dict[str, Any]:
    """One measurement as a row: counters, and rates against the one before, unless the counters began anew."""
    row: dict[str, Any] = {"instance_id": instance_id, "at": at, **{c: getattr(now, c) for c in COUNTERS}}
    row |= {"memory_kib": now.memory_kib, "memory_used_kib": now.memory_used_kib}
    seconds = (at - before.at).total_seconds() if before is not None else 0.0
    anew = before is None or any(getattr(now, c) < getattr(before, c) for c in COUNTERS)
    if before is None or anew or seconds <= 0:
        return row | {"cpu": None, **dict.fromkeys(RATES)}
    row["cpu"] = (now.cpu_ns - before.cpu_ns) / 1e9 / seconds
    for rate, counter in RATES.items():
        row[rate] = (getattr(now, counter) - getattr(before, counter)) / seconds
    return row
