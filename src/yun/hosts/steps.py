"""The hosts' journaled steps: look at a host and write what was seen, start a daemon, change limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.ids import new_id
from yun.base.log import logger
from yun.base.messages import _
from yun.drivers.host.port import HostFacts, HostMachine, ServiceFacts
from yun.hosts.model import SERVICE_TITLES, Host, HostService, state_of
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject

log = logger(__name__)
LOCAL = "local"


@step(retries=0)
def observe(op: Op) -> list[str] | None:
    """Inventory, use and health of the local host are in its rows; what changed is told as events and notices.

    Returns the names of what changed (``host`` for the host itself), None for nothing. What a reboot took from the
    gateway is put back on the way.
    """
    machine = op.drivers.on(LOCAL).machine
    facts, services, qemu = machine.facts(), machine.services(), machine.qemu_version()
    _keep_gateway(machine, services)
    models = _models(op, facts, services, qemu)
    with op.write() as session:
        host, fresh = _row(session, facts)
        changed = ["host"] if fresh else []
        changed += _write_services(session, host, services)
        if _write_host(session, host, facts, services, qemu) or fresh:
            changed = [*dict.fromkeys(["host", *changed])]
        _write_readings(session, host, facts, models)
        if changed:
            data = {"state": host.state, "services": {s.name: s.state for s in services}}
            emit(session, "host.added" if fresh else "host.changed", subject=_subject(host), data=data)
    return changed or None


def _keep_gateway(machine: HostMachine, services: list[ServiceFacts]) -> None:
    if {s.name: s.state for s in services}.get("openvswitch") != "running":
        return
    try:
        if machine.keep_gateway():
            log.info("the gateway was put back in place")
    except DriverError as error:
        log.warning("the gateway could not be put back: %s", error)


def _models(op: Op, facts: HostFacts, services: list[ServiceFacts], qemu: str) -> dict[str, Any]:
    """The processor models that machines of the host can have (``usable``: True where it gives all of one), and of what
    they were read: they are asked for anew after a boot and for other programs. What is known stays where nobody
    answers."""
    libvirt = next(s for s in services if s.name == "libvirt")
    of = f"{facts.boot_id} {facts.accel} {qemu} {libvirt.version}"
    with op.read() as session:
        rows = session.scalars(sa.select(Host.facts).order_by(Host.created_at, Host.id).limit(1)).first() or {}
    known: dict[str, Any] = rows.get("cpu_models") or {}
    if libvirt.state != "running" or known.get("of") == of:
        return known
    try:
        return {"of": of, "usable": op.drivers.on(LOCAL).hypervisor.cpu_models(facts.accel)}
    except DriverError as error:
        log.warning("the processor models cannot be told: %s", error)
        return known


def _row(session: Session, facts: HostFacts) -> tuple[Host, bool]:
    """The local host's row; the first look makes it. The name is the one it was first seen under."""
    found = session.scalar(sa.select(Host).order_by(Host.created_at, Host.id).limit(1))
    if found is not None:
        return found, False
    host = Host(id=new_id("hst"), name=facts.name, state="down", cpus=facts.cpus, memory_mib=facts.memory_mib)
    host.reserved_mib = min(1024, facts.memory_mib // 8)
    session.add(host)
    session.flush()
    return host, True


def _write_host(session: Session, host: Host, facts: HostFacts, services: list[ServiceFacts], qemu: str) -> bool:
    """Write what rarely changes; true where it did."""
    by_name = {s.name: s for s in services}
    values: dict[str, Any] = {
        "state": state_of({s.name: s.state for s in services}),
        "accel": facts.accel, "accel_reason": facts.accel_reason, "datapath": facts.datapath, "cpus": facts.cpus,
        "memory_mib": facts.memory_mib, "boot_id": facts.boot_id, "qemu_version": qemu,
    }  # fmt: skip
    if version := by_name["libvirt"].version:
        values["libvirt_version"] = version
    changed = {k: v for k, v in values.items() if getattr(host, k) != v}
    for name, value in changed.items():
        setattr(host, name, value)
    session.flush()
    return bool(changed)


def _write_readings(session: Session, host: Host, facts: HostFacts, models: dict[str, Any]) -> None:
    """Readings of the moment; they do not count as a revision of the host."""
    readings = {
        "kernel": facts.kernel, "architecture": facts.architecture, "cpu_model": facts.cpu_model,
        "load": round(facts.load, 2), "cpu_used": round(facts.cpu_used, 4),
        "memory_free_mib": facts.memory_free_mib, "uptime_seconds": round(facts.uptime_seconds),
        "disk_bytes": facts.disk_bytes, "disk_free_bytes": facts.disk_free_bytes,
        "tpm": facts.tpm, "huge_pages_mib": facts.huge_pages_mib,
        "io_uring": not facts.io_uring_fault, "io_uring_fault": facts.io_uring_fault, "cpu_models": models,
    }  # fmt: skip
    now = datetime.now(UTC)
    # A statement, so that the revision (the ETag) does not move every few seconds.
    session.execute(
        sa.update(Host).where(Host.id == host.id).values(facts=readings, seen_at=now, updated_at=Host.updated_at),
        execution_options={"synchronize_session": False},
    )


def _write_services(session: Session, host: Host, services: list[ServiceFacts]) -> list[str]:
    """The services' rows are as seen; the names of those whose state changed."""
    known = {s.name: s for s in session.scalars(sa.select(HostService).where(HostService.host_id == host.id))}
    changed = []
    for position, seen in enumerate(services):
        row = known.get(seen.name)
        if row is None:
            row = HostService(host_id=host.id, name=seen.name, state="", position=position)
            session.add(row)
        if row.state != seen.state:
            changed.append(seen.name)
            row.state, row.since = seen.state, datetime.now(UTC)
        row.position, row.pid, row.detail = position, seen.pid, seen.detail[:500]
        row.version = seen.version or row.version or ""
        _note(session, host, seen)
    return changed


def _note(session: Session, host: Host, seen: ServiceFacts) -> None:
    key = f"host.{host.id}.{seen.name}"
    if seen.state == "running":
        resolve_notice(session, key)
        return
    title = SERVICE_TITLES[seen.name]
    if seen.state == "missing":
        message = _("{service} is not installed on {host}.", service=title, host=host.name)
        hint = _("Run ./up on the host, which installs what is missing.")
    else:
        words = {"stopped": _("is stopped"), "unresponsive": _("does not answer")}
        message = _("{service} on {host} {state}.", service=title, host=host.name, state=words[seen.state])
        command = f"yun host start-service {host.name} {seen.name}"
        hint = _("Start it on the host's page, or: {command}", command=command)
    level = "error" if seen.name == "libvirt" else "warning"
    raise_notice(session, key, subject=_subject(host), message=message, hint=hint, level=level)


def _subject(host: Host) -> Subject:
    return Subject("host", host.id, host.name)


@step(retries=1)
def start_daemon(op: Op, host_id: str, name: str) -> None:
    """The daemon runs and answers. Without an undo: a running daemon does no harm."""
    op.drivers.on(host_id).machine.start_service(name)


def unchange_limits(op: Op, session: Session, output: Any, host_id: str, changes: dict[str, Any]) -> None:
    """The fields say again what they said before."""
    host = session.get(Host, host_id)
    if host is not None and output:
        _set(session, host, output)


@tx_step(undo=unchange_limits)
def change_limits(op: Op, session: Session, host_id: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The host's fields say what ``changes`` says; returns what they said before."""
    host = session.scalars(sa.select(Host).where(Host.id == host_id)).one()
    before = {k: getattr(host, k) for k in changes}
    _set(session, host, changes)
    return before


def _set(session: Session, host: Host, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(host, name, value)
    emit(session, "host.changed", subject=_subject(host), data={"state": host.state, **values})
