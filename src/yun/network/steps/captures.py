"""Steps of recordings and counters: begin, end, look, forget; measure."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.drivers.host.port import CaptureFacts, CaptureSpec, PortCounters
from yun.hosts.model import Host
from yun.network import capture_filter
from yun.network.model import COMPLETE, FAILED, RECORDING, TRASHED, Capture, Port, PortSample
from yun.network.service.captures import HISTORY, KEPT, RATES, interval
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject

log = logger(__name__)
GRACE = timedelta(seconds=30)
"""How long a recording that no host knows may just be beginning."""


def _tell(session: Session, row: Capture, what: str) -> None:
    data = {"state": row.state, "port_id": row.port_id, "size": row.size, "packets": row.packets}
    subject = Subject("capture", row.id, row.port_name)
    emit(session, f"capture.{what}", subject=subject, project_id=row.project_id, data=data)


def _forget(op: Op, session: Session, output: Any, capture_id: str) -> None:
    row = session.get(Capture, capture_id)
    if row is not None:
        _tell(session, row, "gone")
        session.delete(row)


@tx_step(undo=_forget)
def keep_capture(op: Op, session: Session, capture_id: str) -> None:
    """The recording that came with the operation has its row for good."""
    _tell(session, session.get_one(Capture, capture_id), "created")


def _remove(op: Op, output: Any, capture_id: str) -> None:
    with op.read() as session:
        row = session.get(Capture, capture_id)
        host_id = row.host_id if row is not None else None
    if host_id is not None:
        op.drivers.on(host_id).machine.remove_capture(capture_id)


@step(undo=_remove)
def begin_capture(op: Op, capture_id: str) -> None:
    """The host records, or has recorded. Raises `DriverError` where the port has no card there."""
    with op.read() as session:
        row = session.get_one(Capture, capture_id)
        port = session.get_one(Port, row.port_id)
        spec = CaptureSpec(
            row.id, port.uuid, row.seconds, row.max_bytes, capture_filter.words_of(row.filter)
        )
    op.drivers.on(row.host_id).machine.start_capture(spec)


@step()
def end_capture(op: Op, capture_id: str) -> None:
    """The host records no more, and the row says what it has."""
    with op.read() as session:
        row = session.get(Capture, capture_id)
    if row is None or row.state != RECORDING:
        return
    machine = op.drivers.on(row.host_id).machine
    machine.stop_capture(capture_id)
    facts = machine.captures().get(capture_id)
    with op.write() as session:
        found = session.get(Capture, capture_id)
        if found is not None:
            _write(op, session, found, facts, "stopped")


@step()
def drop_capture(op: Op, capture_id: str) -> None:
    """Nothing of the recording is left: neither file nor row."""
    _remove(op, None, capture_id)
    with op.write() as session:
        _forget(op, session, None, capture_id)


@step(retries=0)
def look_at_captures(op: Op) -> None:
    """Rows say which recordings have ended and what they have; those that are old go, and files that nobody has."""
    # The files are looked at before the rows: whatever file is there then has a row, unless nobody wants it any more.
    with op.read() as session:
        hosts = set(session.scalars(sa.select(Host.id)))
    have = _look(op, hosts)
    with op.read() as session:
        rows = list(session.scalars(sa.select(Capture)))
    now = op.clock.now()
    for row in rows:
        facts = have.get(row.host_id, {}).get(row.id)
        if row.host_id not in have:
            continue
        if row.created_at < now - KEPT:
            drop_capture.call(op, row.id)
        elif row.state == RECORDING and (facts is not None or row.created_at < now - GRACE):
            _note(op, row.id, facts)
    known = {r.id for r in rows}
    for host_id, found in have.items():
        for identifier in sorted(set(found) - known):
            op.drivers.on(host_id).machine.remove_capture(identifier)


def _look(op: Op, hosts: set[str]) -> dict[str, dict[str, CaptureFacts]]:
    found = {}
    for host_id in hosts:
        try:
            found[host_id] = op.drivers.on(host_id).machine.captures()
        except DriverError as error:
            log.info("could not look at the recordings of %s: %s", host_id, error)
    return found


def _note(op: Op, capture_id: str, facts: CaptureFacts | None) -> None:
    with op.write() as session:
        row = session.get(Capture, capture_id)
        if row is None or row.state != RECORDING:
            return
        if facts is not None and facts.running:
            if facts.size != row.size:
                row.size = facts.size
                _tell(session, row, "changed")
            return
        late = op.clock.now() >= row.created_at + timedelta(seconds=row.seconds)
        _write(op, session, row, facts, "time" if late else "size")


def _write(op: Op, session: Session, row: Capture, facts: CaptureFacts | None, reason: str) -> None:
    if facts is None or facts.packets is None or not facts.size:
        row.state, row.reason = FAILED, "lost"
    else:
        row.state, row.reason, row.size, row.packets = COMPLETE, reason, facts.size, facts.packets
        row.path = facts.path
    row.ended_at = op.clock.now()
    session.flush()
    _tell(session, row, "changed")


@step(retries=0)
def count(op: Op) -> None:
    """One sample of every plugged port, in one write; samples older than the history are gone. With very many ports it
    measures less often; a host that does not answer has no sample."""
    now = op.clock.now()
    with op.read() as session:
        query = sa.select(Port).where(Port.plugged.is_(True), Port.state != TRASHED, Port.host_id.is_not(None))
        ports = [(p.id, p.uuid, str(p.host_id)) for p in session.scalars(query)]
        last = session.scalar(sa.select(sa.func.max(PortSample.at)))
    pause = interval(op.settings.metrics_seconds, len(ports))
    if last is not None and timedelta(0) <= now - last < timedelta(seconds=pause * 0.75):
        return
    counted = _counters(op, {host for _i, _u, host in ports})
    rows: list[dict[str, Any]] = []
    for identifier, uuid, host_id in ports:
        seen = counted[host_id].get(uuid)
        if seen is not None:
            rows.append({"port_id": identifier, "at": now, **{name: getattr(seen, name) for name in RATES}})
    if not rows and last is None:
        return
    with op.write() as session:
        if rows:
            session.execute(sa.insert(PortSample), rows)
        session.execute(sa.delete(PortSample).where(PortSample.at < now - HISTORY))


def _counters(op: Op, hosts: set[str]) -> dict[str, dict[str, PortCounters]]:
    found: dict[str, dict[str, PortCounters]] = defaultdict(dict)
    for host_id in hosts:
        try:
            found[host_id] = op.drivers.on(host_id).machine.port_counters()
        except DriverError as error:
            log.info("could not count what went through the ports of %s: %s", host_id, error)
    return found
