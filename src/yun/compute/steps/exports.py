"""The steps by which an instance becomes an OVA."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute.model import LIVE
from yun.compute.steps.shared import load
from yun.images.appliance.writing import Card, DiskFile, Machine, describe, manifest
from yun.images.model import Export
from yun.images.places import pool_of, share
from yun.images.space import check_copy, watched
from yun.network.model import Network
from yun.network.service import ports_of
from yun.operations.flow import Op, step, tx_step
from yun.storage.model import Pool
from yun.storage.service import Disk, attachments_of


def _unexport(op: Op, session: Session, output: Any, export_id: str, instance_id: str) -> None:
    row = session.get(Export, export_id)
    if row is not None:
        session.delete(row)


@tx_step(undo=_unexport)
def begin_export(op: Op, session: Session, export_id: str, instance_id: str) -> str:
    """The export's row is there; taken back, it is gone."""
    return session.get_one(Export, export_id).path


def _unmake(op: Op, output: Any, export_id: str, instance_id: str, path: str) -> None:
    with op.read() as session:
        row = session.get(Export, export_id)
        pool = session.get(Pool, row.pool_id) if row is not None else None
    if pool is None:
        return
    store = op.drivers.on(pool.host_id).volume
    for each in store.list_files(pool.path, ("incoming",)):
        if each.rpartition("/")[2].startswith(export_id + "."):
            store.delete(each)


@step(undo=_unmake)
def make_appliance(op: Op, export_id: str, instance_id: str, path: str) -> dict[str, Any]:
    """The OVA is ready for its download: each disk is copied to a compressed VMDK, then all go into one tar, each
    thrown away as it is in. Repeating it begins anew. Raises `Conflict` where the instance was started meanwhile,
    `NoCapacity` before or while a pool's reserve is touched.
    """
    with op.read() as session:
        export = session.get_one(Export, export_id)
        disks = attachments_of(session, instance_id)
        machine = load(session, instance_id)
    if machine.state in LIVE:
        raise Conflict(
            _("{name} runs: a copy of its disks would not be consistent.", name=machine.name),
            hint=_("Stop it, or clone it and export the clone."),
        )
    name = machine.hostname
    pool = pool_of(op, export.pool_id)
    store = op.drivers.on(pool.host_id).volume
    files = []
    for number, disk in enumerate(disks):
        done = (0.8 * number / len(disks), 0.8 * (number + 1) / len(disks))
        where = f"{pool.path}/incoming/{export_id}.{number}"
        files.append((_copy(op, pool, disk, (f"{name}-disk{number + 1}.vmdk", where), done), where))
    text = describe(_machine(op, instance_id, [file for file, _path in files]))
    sums = manifest([(f"{name}.ovf", _digest(text)), *((file.file, file.sha256) for file, _path in files)])
    members: list[tuple[str, bytes | str]] = [(f"{name}.ovf", text), (f"{name}.mf", sums)]
    members += [(file.file, where) for file, where in files]
    length = store.bundle(path, members, watched(op, pool, share(op, "copy", 0.8, 0.9)))
    sha256 = store.digest(path, share(op, "check", 0.9, 1.0))
    with op.write() as session:
        row = session.get_one(Export, export_id)
        row.state, row.size_bytes, row.checksum = "ready", length, sha256
    return {"export_id": export_id, "format": "ova", "size_bytes": length, "sha256": sha256}


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _copy(op: Op, pool: Pool, disk: Disk, name_and_path: tuple[str, str], done: tuple[float, float]) -> DiskFile:
    """One disk is a VMDK in the pool; what the description says of it."""
    name, path = name_and_path
    store = op.drivers.on(pool.host_id).volume
    middle = done[0] + 0.8 * (done[1] - done[0])
    check_copy(op, pool, disk.head.path)
    store.convert(
        disk.head.path, path, format="vmdk", progress=watched(op, pool, share(op, "convert", done[0], middle))
    )
    sha256 = store.digest(path, share(op, "check", middle, done[1]))
    length = store.inspect(path).length
    return DiskFile(name, length, disk.volume.size_bytes, sha256, disk.attachment.bus)


def _machine(op: Op, instance_id: str, disks: list[DiskFile]) -> Machine:
    with op.read() as session:
        row = load(session, instance_id)
        cards = [Card(p.model, session.get_one(Network, p.network_id).name) for p in ports_of(session, instance_id)]
        return Machine(
            name=row.name, description=row.description, system=row.image_name, vcpus=row.vcpus,
            memory_mib=row.memory_mib, firmware=row.firmware, disks=disks, cards=cards,
        )  # fmt: skip
