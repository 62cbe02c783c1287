"""Looking for domains that nobody here made: what was seen is written down, so that no face asks a driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from yun.base.errors import DriverError, Invalid
from yun.base.log import logger
from yun.base.messages import Message
from yun.compute.model import FoundMachine, Instance
from yun.drivers.hypervisor.definition import Definition, read_definition
from yun.drivers.hypervisor.libvirt.domain_xml import NAMESPACE
from yun.drivers.hypervisor.port import Stranger
from yun.drivers.volume.port import FileFacts, VolumeStore
from yun.hosts.model import Host
from yun.operations.events import emit
from yun.operations.flow import Op, step
from yun.operations.intent import Subject

log = logger(__name__)


@step(retries=0)
def find_all(op: Op) -> int | None:
    """The rows of found machines are what each host's hypervisor has now; how many changed."""
    with op.read() as session:
        hosts = list(session.scalars(sa.select(Host.id)))
    changed = 0
    for host_id in hosts:
        try:
            changed += find_now(op, host_id)
        except DriverError as error:
            if not error.retryable:
                raise
            log.warning("%s cannot be searched now: %s", host_id, error)
    return changed or None


@step()
def find(op: Op, host_id: str) -> int:
    """The same for one host."""
    return find_now(op, host_id)


def find_now(op: Op, host_id: str) -> int:
    """Look, and write what is news; how many rows changed."""
    drivers = op.drivers.on(host_id)
    with op.read() as session:
        ours = set(session.scalars(sa.select(Instance.uuid).where(Instance.host_id == host_id)))
    seen = {s.uuid: _values(drivers.volume, s) for s in drivers.hypervisor.strangers(ours)}
    with op.write() as session:
        # Asked again: one may have been taken over meanwhile.
        ours = set(session.scalars(sa.select(Instance.uuid).where(Instance.host_id == host_id)))
        rows = {r.uuid: r for r in session.scalars(sa.select(FoundMachine).where(FoundMachine.host_id == host_id))}
        changed = 0
        for uuid, row in rows.items():
            if uuid not in seen or uuid in ours:
                session.delete(row)
                changed += 1
        for uuid, values in seen.items():
            if uuid not in ours:
                changed += _write(op, session, host_id, rows.get(uuid), uuid, values)
        if changed:
            emit(session, "host.found", subject=Subject("found_machine", host_id), operation_id=op.id)
    return changed


def _write(op: Op, session: Any, host_id: str, row: FoundMachine | None, uuid: str, values: dict[str, Any]) -> bool:
    if row is None:
        session.add(FoundMachine(uuid=uuid, host_id=host_id, seen_at=op.clock.now(), **values))
        return True
    news = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in news.items():
        setattr(row, name, value)
    if news:
        row.seen_at = op.clock.now()
    return bool(news)


def _values(store: VolumeStore, stranger: Stranger) -> dict[str, Any]:
    definition = read_definition(stranger.xml, namespace=NAMESPACE)
    chains, faults = trace_all(store, ((d.slot, d.path, d.format) for d in definition.disks if not d.kept))
    return {
        "name": stranger.name, "state": str(stranger.power), "vcpus": definition.vcpus,
        "memory_mib": definition.memory_mib, "autostart": stranger.autostart, "xml": stranger.xml,
        "facts": _facts(stranger, definition, chains, faults),
    }  # fmt: skip


def _facts(
    stranger: Stranger, definition: Definition, chains: Mapping[str, Sequence[FileFacts]], faults: Mapping[str, Message]
) -> dict[str, Any]:
    """What `compute.found` tells of, as JSON."""
    live = read_definition(stranger.live_xml, namespace=NAMESPACE) if stranger.live_xml else definition
    disks = []
    for disk in definition.disks:
        chain = [
            {"path": f.path, "exists": f.exists, "format": f.format, "virtual_bytes": f.virtual_bytes,
             "file_bytes": f.file_bytes, "length": f.length, "mtime_ns": f.mtime_ns}
            for f in chains.get(disk.slot, ())
        ]  # fmt: skip
        for file in chain[:1]:
            # The top is written to all the time: what it takes now says nothing.
            file.update(file_bytes=0, length=0, mtime_ns=0)
        fault = faults.get(disk.slot)
        disks.append({**asdict(disk), "chain": chain, "fault": fault.to_json() if fault else None})
    runs, next_start = ({(d.slot, d.path) for d in d_.disks if not d.kept} for d_ in (live, definition))
    return {
        "disks": disks, "cards": [asdict(card) for card in definition.cards], "others": list(definition.others),
        "snapshots": [list(s) for s in stranger.snapshots], "machine": definition.machine,
        "firmware": definition.firmware, "nvram": definition.nvram, "serial": definition.serial,
        "agent": definition.agent, "screen": live.screen, "persistent": stranger.persistent, "saved": stranger.saved,
        "title": definition.title, "drifted": runs != next_start,
    }  # fmt: skip


def trace_all(
    store: VolumeStore, disks: Iterable[tuple[str, str, str]]
) -> tuple[dict[str, list[FileFacts]], dict[str, Message]]:
    """The files of disks (slot, path, format) by slot, and why those of the others cannot be told."""
    chains: dict[str, list[FileFacts]] = {}
    faults: dict[str, Message] = {}
    for slot, path, form in disks:
        try:
            chains[slot] = store.trace(path, form)
        except (Invalid, DriverError) as error:
            if isinstance(error, DriverError) and error.retryable:
                raise
            faults[slot] = error.message
    return chains, faults
