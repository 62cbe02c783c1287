"""Steps that take a node: freeze disks and memory at one moment, keep what the firmware keeps, write it all down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.ids import as_uuid
from yun.compute import places as compute_places
from yun.compute.media.model import CdDrive
from yun.compute.model import LIVE
from yun.compute.service.copies import OWN_DRIVE, OWN_PLACE, taken_over
from yun.compute.spec import FIRMWARE
from yun.compute.steps import begin_copies
from yun.compute.steps import clone as freezes
from yun.compute.steps.rows import unbuild
from yun.compute.steps.shared import load, place
from yun.network.service import ports_of
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.snapshots import places
from yun.snapshots.model import Present, Snapshot, SnapshotDisk, State
from yun.snapshots.service.create import subject_of
from yun.snapshots.service.look import DEFINITION
from yun.storage import service as storage
from yun.storage.model import Attachment, Layer, LayerHold
from yun.storage.spec import pool_path_of

MEMORY = "memory"
"""The consistency of a node that has its guest's memory."""


def holder(snapshot_id: str) -> str:
    """The name under which a snapshot needs its frozen files."""
    return f"snapshot:{snapshot_id}"


def _unbegin(op: Op, session: Session, output: Any, snapshot_id: str) -> None:
    row = session.get(Snapshot, snapshot_id)
    if row is not None:
        session.delete(row)
        session.flush()


def _unbegin_fork(op: Op, session: Session, output: Any, snapshot_id: str, instance_ids: list[str]) -> None:
    for instance_id in reversed(instance_ids):
        unbuild(op, session, (output or {}).get(instance_id), instance_id)
    _unbegin(op, session, None, snapshot_id)


@tx_step(undo=_unbegin_fork)
def begin_fork(op: Op, session: Session, snapshot_id: str, instance_ids: list[str]) -> dict[str, Any]:
    """What each fork is to be built of, by id. Undo removes their rows and the moment's."""
    return dict(begin_copies.call(op, session, instance_ids))


@tx_step(undo=_unbegin)
def begin(op: Op, session: Session, snapshot_id: str) -> dict[str, Any]:
    """The row that came with the operation, and what the instance is at this moment: ``power`` (``running``,
    ``paused``, ``stopped``). Undo removes the row."""
    row = session.get_one(Snapshot, snapshot_id)
    instance = load(session, row.instance_id)
    return {"power": str(instance.state) if instance.state in LIVE else "stopped"}


def _uncapture(
    op: Op, output: Any, snapshot_id: str, instance_id: str, given: list[dict[str, Any]], apart: Sequence[str],
    memory: bool, quiesce: bool,
) -> None:  # fmt: skip
    """The instance goes on with all it has written, on the files that it has by now; the image of its memory is
    gone."""
    freezes.settle_freeze(op, instance_id, given)
    if memory:
        _row, hypervisor = place(op, instance_id)
        hypervisor.discard_memory(_memory_path(op, snapshot_id))


@step(undo=_uncapture)
def capture(
    op: Op, snapshot_id: str, instance_id: str, given: list[dict[str, Any]], apart: Sequence[str], memory: bool,
    quiesce: bool,
) -> dict[str, Any]:  # fmt: skip
    """The ``given`` disks of the instance are frozen files, and with ``memory`` what its guest has in memory is in one,
    of the same moment; it goes on. ``layers`` by volume, ``consistency``, ``pause_ms`` where it is known.

    An earlier try that froze the disks and whose memory image did not survive is a `Conflict`: then nothing is kept.
    """
    path = _memory_path(op, snapshot_id) if memory else ""
    taken = freezes.freeze(op, instance_id, given, freezes.Manner(apart=tuple(apart), quiesce=quiesce, memory=path))
    facts = None
    if memory:
        _row, hypervisor = place(op, instance_id)
        facts = hypervisor.memory_facts(path)
    return {
        "layers": taken.layers, "consistency": MEMORY if memory else taken.consistency, "pause_ms": taken.pause_ms,
        "memory_bytes": facts.file_bytes if facts is not None else 0,
    }  # fmt: skip


def _memory_path(op: Op, snapshot_id: str) -> str:
    with op.read() as session:
        return session.get_one(Snapshot, snapshot_id).memory_path


# ── what the firmware keeps ──


def _forget_firmware(op: Op, output: Any, snapshot_id: str, instance_id: str) -> None:
    with op.read() as session:
        host_id, pool = load(session, instance_id).host_id, session.get_one(Snapshot, snapshot_id).pool_path
    discard_firmware(op, snapshot_id, pool, host_id)


def discard_firmware(op: Op, snapshot_id: str, pool: str, host_id: str) -> None:
    """What a node keeps of firmware and TPM is gone."""
    drivers = op.drivers.on(host_id)
    drivers.volume.delete(places.nvram(pool, snapshot_id))
    drivers.hypervisor.discard_tpm(as_uuid(snapshot_id))


@step(undo=_forget_firmware)
def keep_firmware(op: Op, snapshot_id: str, instance_id: str) -> dict[str, bool]:
    """The node has a copy of what the instance's UEFI and TPM keep; of which of them there was something to copy."""
    with op.read() as session:
        row, kept = load(session, instance_id), session.get_one(Snapshot, snapshot_id)
        source = compute_places.nvram(pool_path_of(session, instance_id), instance_id)
        target = places.nvram(kept.pool_path, snapshot_id)
    drivers, found = op.drivers.on(row.host_id), {"nvram": False, "tpm": False}
    if row.firmware in FIRMWARE and drivers.volume.glance(source, "raw").exists:
        # Its guest writes to it, so what it is must not be found by looking.
        drivers.volume.convert(
            source, target, format="raw", progress=lambda _part: op.check_cancel(), source_format="raw"
        )
        found["nvram"] = True
    if row.hardware.get("tpm"):
        found["tpm"] = drivers.hypervisor.copy_tpm(row.uuid, as_uuid(snapshot_id))
    return found


# ── writing it down ──


def _unfinish(op: Op, session: Session, output: Any, snapshot_id: str, *_rest: Any) -> None:
    row = session.get(Snapshot, snapshot_id)
    if row is None or row.state != State.AVAILABLE:
        return
    let_go(session, snapshot_id)
    session.execute(sa.delete(SnapshotDisk).where(SnapshotDisk.snapshot_id == snapshot_id))
    grow_from(session, row.instance_id, (output or {}).get("parent"))
    row.state = State.BUILDING
    session.flush()


@tx_step(undo=_unfinish)
def finish(
    op: Op, session: Session, snapshot_id: str, taken: dict[str, Any], firmware: dict[str, bool], power: str
) -> dict[str, Any]:
    """The node is good: its row tells what it has, it needs its frozen files, and the instance's present grows from it.
    Its parent is the output."""
    row = session.get_one(Snapshot, snapshot_id)
    instance = load(session, row.instance_id)
    present = session.get(Present, instance.id)
    row.parent_id = present.snapshot_id if present is not None else None
    row.taken_at, row.power = op.clock.now(), power
    row.consistency, row.pause_ms = taken["consistency"], taken["pause_ms"]
    row.nvram, row.tpm = firmware["nvram"], firmware["tpm"]
    row.memory_bytes = int(taken["memory_bytes"])
    row.definition = {name: getattr(instance, name) for name in DEFINITION}
    if power in LIVE:
        row.running = {
            "vcpus": instance.running_vcpus or instance.vcpus,
            "memory_mib": instance.running_memory_mib or instance.memory_mib,
            "hardware": instance.running_hardware,
        }
    row.cards = [{"id": port.id, "mac": port.mac} for port in ports_of(session, instance.id)]
    row.drives = drives_of(session, instance.id)
    for disk in storage.attachments_of(session, instance.id):
        layer_id = taken["layers"].get(disk.volume_id)
        if layer_id is None:
            continue
        session.add(SnapshotDisk(
            snapshot_id=snapshot_id, volume_id=disk.volume_id, volume_name=disk.volume.name, layer_id=layer_id,
            size_bytes=disk.volume.size_bytes, place=place_of(session, disk.attachment.id),
        ))  # fmt: skip
        storage.hold(session, layer_id, holder(snapshot_id))
    for drive in row.drives:
        if drive["layer_id"] and session.get(Layer, drive["layer_id"]) is not None:
            storage.hold(session, drive["layer_id"], holder(snapshot_id))
    row.state = State.AVAILABLE
    grow_from(session, instance.id, snapshot_id)
    emit(
        session, "snapshot.created", subject=subject_of(row), project_id=row.project_id, operation_id=op.id,
        data={"instance_id": instance.id, "kind": row.kind, "memory": bool(row.memory_path),
              "consistency": row.consistency, "pause_ms": row.pause_ms},
    )  # fmt: skip
    return {"parent": row.parent_id}


def place_of(session: Session, attachment_id: str) -> dict[str, Any]:
    """The columns of a disk's place that a node remembers."""
    return taken_over(session, Attachment, attachment_id, OWN_PLACE)


def drives_of(session: Session, instance_id: str) -> list[dict[str, Any]]:
    """The CD drives of an instance as a node remembers them."""
    ids = session.scalars(sa.select(CdDrive.id).where(CdDrive.instance_id == instance_id).order_by(CdDrive.slot))
    return [taken_over(session, CdDrive, each, OWN_DRIVE) for each in ids]


def grow_from(session: Session, instance_id: str, snapshot_id: str | None) -> None:
    """The instance's present grows from this node."""
    row = session.get(Present, instance_id)
    if row is None:
        session.add(Present(instance_id=instance_id, snapshot_id=snapshot_id))
    else:
        row.snapshot_id = snapshot_id
    session.flush()


def let_go(session: Session, snapshot_id: str) -> list[str]:
    """The snapshot needs its frozen files no longer; which they were."""
    mine = LayerHold.holder == holder(snapshot_id)
    ids = list(session.scalars(sa.select(LayerHold.layer_id).where(mine)))
    session.execute(sa.delete(LayerHold).where(mine))
    return ids
