"""Steps of a restore: new files on what the snapshot kept, rows that say so, firmware, and the guest's memory.

Until the rows have turned nothing of the instance has changed but that it is off, and undoing each step in its turn
leads back to where it was, with what the present's own node has kept.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.ids import as_uuid, new_id
from yun.base.messages import _
from yun.compute import places as compute_places
from yun.compute.media.model import CdDrive
from yun.compute.model import Instance
from yun.compute.spec import FIRMWARE
from yun.compute.steps.shared import load
from yun.hosts import service as hosts
from yun.operations.events import emit, resolve_notice
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject
from yun.snapshots import places
from yun.snapshots.model import Snapshot, State
from yun.snapshots.service.create import subject_of
from yun.snapshots.service.look import DEFINITION, disks_of, present_of
from yun.snapshots.steps.capture import drives_of, grow_from, place_of
from yun.storage import service as storage
from yun.storage.model import Attachment, Head, Layer, Pool, Volume, VolumeState
from yun.storage.service.volumes import head_of
from yun.storage.spec import pool_path_of
from yun.storage.steps.layers import collect
from yun.storage.steps.shared import refuse_base, store_of


def _unbegin(
    op: Op, session: Session, output: Any, instance_id: str, keep_id: str | None, volumes: list[str]
) -> None:
    kept = session.get(Snapshot, keep_id) if keep_id else None
    if kept is not None and kept.state == State.BUILDING:
        session.delete(kept)
    for volume_id in volumes:  # those whose file was made are gone by now, with it
        session.execute(sa.delete(Head).where(Head.volume_id == volume_id))
        session.execute(sa.delete(Volume).where(Volume.id == volume_id))
    session.flush()


@tx_step(undo=_unbegin)
def begin_restore(op: Op, session: Session, instance_id: str, keep_id: str | None, volumes: list[str]) -> list[str]:
    """State and reason of the instance before anything is done. Undo removes the rows that came with the operation."""
    row = load(session, instance_id)
    return [str(row.state), row.reason]


# ── disks ──


def _take_heads(op: Op, output: Any, snapshot_id: str, heads: list[dict[str, Any]]) -> None:
    for head in heads:
        with op.read() as session:
            volume = session.get(Volume, head["volume_id"])
            if volume is None or head_of(session, volume.id).path == head["path"]:
                continue
            refuse_base(session, head["path"])
            pool = session.get_one(Pool, volume.pool_id)
        store_of(op, pool).delete(head["path"])


@step(undo=_take_heads)
def lay_heads(op: Op, snapshot_id: str, heads: list[dict[str, Any]]) -> None:
    """A new file for each of these disks stands on what the snapshot kept of it; nothing uses it yet."""
    with op.read() as session:
        nodes = {disk.volume_id: disk for disk in disks_of(session, snapshot_id)}
    for head in heads:
        node = nodes[head["volume_id"]]
        with op.read() as session:
            layer = storage.get_layer(session, node.layer_id)
            pool = session.get_one(Pool, layer.pool_id)
            if head_of(session, node.volume_id).path == head["path"]:
                continue
        store_of(op, pool).create_head(
            head["path"], size=max(node.size_bytes, layer.virtual_bytes), backing=layer.path,
            backing_format=layer.format,
        )  # fmt: skip


# ── the rows ──


def _turn_back(
    op: Op, session: Session, output: Any, snapshot_id: str, instance_id: str, disks: dict[str, Any]
) -> None:
    for new in disks["again"]:
        session.execute(sa.delete(Attachment).where(Attachment.volume_id == new["volume_id"]))
    session.flush()
    for volume_id, was in output["heads"].items():
        _head_is(session, volume_id, was)
        _placed(session, volume_id, was["place"])
    for volume_id, kept in output["extra"].items():
        session.add(Attachment(**{**kept, "volume_id": volume_id, "instance_id": instance_id}))
    _have_definition(op, session, instance_id, output["definition"])
    _have_drives(session, instance_id, output["drives"], [new_id(CdDrive.PREFIX) for _drive in output["drives"]])
    grow_from(session, instance_id, output["present"])
    session.flush()


@tx_step(undo=_turn_back)
def turn(op: Op, session: Session, snapshot_id: str, instance_id: str, disks: dict[str, Any]) -> dict[str, Any]:
    """The rows say what the snapshot kept: files, places, size of disks; the definition; the CD drives; and that the
    present grows from it. Of ``disks``, ``again`` are volumes for those that are no longer there, ``extra`` those that
    are let go. What they said before is the output."""
    heads, again, extra = disks["heads"], disks["again"], disks["extra"]
    row, instance = session.get_one(Snapshot, snapshot_id), load(session, instance_id)
    nodes = {disk.volume_id: disk for disk in disks_of(session, snapshot_id)}
    now = {disk.volume_id: disk for disk in storage.attachments_of(session, instance_id)}
    if {h["volume_id"] for h in heads} | {e["volume_id"] for e in extra} | set(row.left) & set(now) != set(now):
        raise Conflict(_("The disks of the instance have changed meanwhile."), hint=_("Ask for it again."))
    was: dict[str, Any] = {
        "heads": {}, "extra": {}, "present": present_of(session, instance_id),
        "definition": {name: getattr(instance, name) for name in DEFINITION},
        "drives": drives_of(session, instance_id),
    }
    for gone in extra:
        disk = now[gone["volume_id"]]
        was["extra"][disk.volume_id] = {
            **place_of(session, disk.attachment.id), "instance_name": disk.attachment.instance_name,
            "kept": disk.attachment.kept,
        }  # fmt: skip
        session.delete(disk.attachment)
        emit(session, "volume.detached", subject=Subject("volume", disk.volume_id, disk.volume.name),
             project_id=disk.volume.project_id, operation_id=op.id, data={"instance_id": instance_id})  # fmt: skip
    session.flush()
    for head in heads:
        disk, node = now[head["volume_id"]], nodes[head["volume_id"]]
        was["heads"][disk.volume_id] = {
            "path": disk.head.path, "layer_id": disk.head.layer_id, "format": disk.head.format,
            "size_bytes": disk.volume.size_bytes, "pool_id": disk.volume.pool_id, "state": disk.volume.state,
            "place": place_of(session, disk.attachment.id),
        }  # fmt: skip
        _head_is(session, disk.volume_id, {
            "path": head["path"], "layer_id": node.layer_id, "format": "qcow2", "size_bytes": node.size_bytes,
            "pool_id": session.get_one(Layer, node.layer_id).pool_id, "state": VolumeState.AVAILABLE,
        })  # fmt: skip
        _placed(session, disk.volume_id, node.place)
    for new in again:
        session.add(Attachment(
            id=new["attachment_id"], volume_id=new["volume_id"], instance_id=instance_id, instance_name=instance.name,
            kept=False, **nodes[new["of"]].place,
        ))  # fmt: skip
    _have_definition(op, session, instance_id, _renamed(row.definition, {n["of"]: n["volume_id"] for n in again}))
    _have_drives(session, instance_id, row.drives, disks["drives"])
    grow_from(session, instance_id, snapshot_id)
    emit(
        session, "snapshot.restored", subject=subject_of(row), project_id=row.project_id, operation_id=op.id,
        data={"instance_id": instance_id},
    )  # fmt: skip
    session.flush()
    return was


def _renamed(definition: dict[str, Any], volumes: dict[str, str]) -> dict[str, Any]:
    """The definition with the volumes that stand for those that are gone."""
    order = [volumes.get(key, key) for key in definition.get("boot_order", [])]
    return {**definition, **({"boot_order": order} if "boot_order" in definition else {})}


def _head_is(session: Session, volume_id: str, values: dict[str, Any]) -> None:
    head, volume = head_of(session, volume_id), session.get_one(Volume, volume_id)
    head.path, head.layer_id, head.format = values["path"], values["layer_id"], values["format"]
    volume.size_bytes, volume.pool_id, volume.state = values["size_bytes"], values["pool_id"], str(values["state"])
    if volume.state == VolumeState.AVAILABLE:
        resolve_notice(session, f"volume:{volume_id}")
    session.flush()


def _placed(session: Session, volume_id: str, values: dict[str, Any]) -> None:
    attachment = storage.attachment_of(session, volume_id)
    assert attachment is not None
    for name, value in values.items():
        setattr(attachment, name, value)
    session.flush()


def _have_definition(op: Op, session: Session, instance_id: str, values: dict[str, Any]) -> None:
    row = load(session, instance_id)
    for name in DEFINITION:
        if name in values:
            setattr(row, name, values[name])
    hosts.allocate(
        session, host_id=row.host_id, owner=row.id, vcpus=row.vcpus, memory_mib=row.memory_mib, returning=True
    )
    emit(
        session, "instance.updated", subject=Subject("instance", row.id, row.name), project_id=row.project_id,
        data={"fields": sorted(values)}, operation_id=op.id,
    )  # fmt: skip


def _have_drives(session: Session, instance_id: str, drives: list[dict[str, Any]], ids: list[str]) -> None:
    """The CD drives are these; a CD whose file is gone is out of its drive."""
    if drives == drives_of(session, instance_id):
        return
    session.execute(sa.delete(CdDrive).where(CdDrive.instance_id == instance_id))
    for identifier, drive in zip(ids, drives, strict=True):
        gone = drive["layer_id"] and session.get(Layer, drive["layer_id"]) is None
        empty = {"layer_id": None, "image_id": None, "image_name": ""} if gone else {}
        session.add(CdDrive(id=identifier, instance_id=instance_id, **{**drive, **empty}))
    session.flush()


# ── firmware ──


def _firmware_back(op: Op, output: Any, snapshot_id: str, instance_id: str, keep_id: str | None) -> None:
    if keep_id is not None:
        _bring_firmware(op, keep_id, instance_id)


@step(undo=_firmware_back)
def bring_firmware(op: Op, snapshot_id: str, instance_id: str, keep_id: str | None) -> None:
    """The instance's UEFI and TPM keep what they kept then. Undo brings back what ``keep_id`` has. Precondition: off;
    it is to be defined again."""
    _bring_firmware(op, snapshot_id, instance_id)


def _bring_firmware(op: Op, snapshot_id: str, instance_id: str) -> None:
    with op.read() as session:
        row, kept = load(session, instance_id), session.get_one(Snapshot, snapshot_id)
        mine = compute_places.nvram(pool_path_of(session, instance_id), instance_id)
        theirs = places.nvram(kept.pool_path, snapshot_id)
    copy_firmware(op, row, kept, mine, theirs)


def copy_firmware(op: Op, row: Instance, kept: Snapshot, mine: str, theirs: str) -> None:
    """What the node keeps of firmware and TPM is the instance's own; what it had before is gone."""
    drivers = op.drivers.on(row.host_id)
    if row.firmware in FIRMWARE:
        drivers.volume.delete(mine)
        if kept.nvram:
            drivers.volume.convert(theirs, mine, format="raw", progress=lambda _part: None, source_format="raw")
    if kept.tpm or row.hardware.get("tpm"):
        drivers.hypervisor.undefine(row.uuid)
        drivers.hypervisor.discard_tpm(row.uuid)
        if kept.tpm:
            drivers.hypervisor.copy_tpm(as_uuid(kept.id), row.uuid)


# ── away with the old ──


@step(retries=20)
def clear_old(op: Op, was: dict[str, Any]) -> None:
    """The files that the disks had before are gone: nothing is in them that no snapshot has, or it was to be lost."""
    for volume_id, old in was["heads"].items():
        with op.read() as session:
            volume = session.get(Volume, volume_id)
            used = session.scalar(sa.select(Head.id).where(Head.path == old["path"]))
            frozen = session.scalar(sa.select(Layer.id).where(Layer.path == old["path"]))
            if volume is None or used is not None or frozen is not None:
                continue
            pool = session.get_one(Pool, old["pool_id"])
        store_of(op, pool).delete(old["path"])
        if old["layer_id"]:
            collect(op, old["layer_id"])
