"""Steps of disks: a volume's place in the rows, in the definition and in the running machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict, DriverError
from yun.base.messages import _
from yun.compute import hardware as parts
from yun.compute import limits as io_limits
from yun.compute.model import HOT_BUSES, Instance
from yun.compute.service.room import need_of_disk
from yun.compute.steps.definition import define_back, define_now
from yun.compute.steps.removal import mark_removal, unplug_now
from yun.compute.steps.room import note_places, takes
from yun.compute.steps.shared import load, place
from yun.drivers.hypervisor.port import DiskSpec, Hypervisor, Power
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject
from yun.storage import service as storage
from yun.storage.model import Attachment, Volume
from yun.storage.spec import disk_of
from yun.storage.steps import grow_file

UNDO_SECONDS = 30.0
"""How long a guest may take to let go of a disk whose attaching is undone."""
UP = (Power.RUNNING, Power.PAUSED)
PLACE = (
    "id", "slot", "bus", "boot_order", "readonly", "serial", "cache", "kept", "io", "discard", "limits", "running",
)  # fmt: skip


def _define_from_rows(op: Op, output: Any, instance_id: str) -> None:
    define_back(op, instance_id)
    note_places(op, instance_id)


@step(undo=_define_from_rows)
def before_definition(op: Op, instance_id: str) -> None:
    """Nothing yet. Stands before steps that change the rows, so that undo defines the machine after those were
    taken back."""


def _displace(op: Op, session: Session, output: Any, volume_id: str, instance_id: str, wanted: dict[str, Any]) -> None:
    storage.detach(session, volume_id)
    _tell(op, session, "volume.detached", volume_id, instance_id)


@tx_step(undo=_displace)
def put_in_place(op: Op, session: Session, volume_id: str, instance_id: str, wanted: dict[str, Any]) -> None:
    """The rows say that the instance has the volume; where it shares a budget, with the limits that this has by now.
    Raises `Conflict` where either changed meanwhile."""
    volume = session.get_one(Volume, volume_id)
    storage.must_allow(volume, "attach")
    name = load(session, instance_id).name
    storage.refuse_attached(session, volume)
    _refuse_filled(session, instance_id, wanted["slot"])
    group = io_limits.group_of(wanted.get("limits", {}))
    shared = [d.attachment.limits for d in storage.attachments_of(session, instance_id) if group]
    now = next((limits for limits in shared if io_limits.group_of(limits) == group), wanted.get("limits", {}))
    session.add(
        Attachment(
            volume_id=volume_id, instance_id=instance_id, instance_name=name, kept=True,
            **{**wanted, "limits": dict(now)},
        )
    )  # fmt: skip
    session.flush()
    _tell(op, session, "volume.attached", volume_id, instance_id)


def _refuse_filled(session: Session, instance_id: str, slot: str) -> None:
    instance = load(session, instance_id)
    if slot in {disk.attachment.slot for disk in storage.attachments_of(session, instance_id)}:
        raise Conflict(_("The instance {name} has a disk {slot} already.", name=instance.name, slot=slot))


def _place_again(op: Op, session: Session, output: Any, volume_id: str, instance_id: str) -> None:
    if output is None or storage.attachment_of(session, volume_id) is not None:
        return
    name = load(session, instance_id).name
    _refuse_filled(session, instance_id, output["slot"])
    session.add(
        Attachment(volume_id=volume_id, instance_id=instance_id, instance_name=name, **_put_back(output))
    )
    session.flush()
    _tell(op, session, "volume.attached", volume_id, instance_id)


def _put_back(was: dict[str, Any]) -> dict[str, Any]:
    """A disk that is plugged in anew has what its row says."""
    return {**was, "running": {}} if was["bus"] in HOT_BUSES else was


@tx_step(undo=_place_again)
def take_from_place(op: Op, session: Session, volume_id: str, instance_id: str) -> dict[str, Any] | None:
    """The rows say that the volume is nowhere; what its place was is the output."""
    found = storage.attachment_of(session, volume_id)
    if found is None or found.instance_id != instance_id:
        return None
    was = {name: getattr(found, name) for name in PLACE}
    storage.detach(session, volume_id)
    _tell(op, session, "volume.detached", volume_id, instance_id)
    return was


def _release_back(op: Op, session: Session, output: Any, instance_id: str) -> None:
    for volume_id, was in (output or {}).items():
        taken = storage.attachment_of(session, volume_id)
        if taken is not None:
            name = session.get_one(Volume, volume_id).name
            raise Conflict(_("The volume {name} has been attached to another instance since.", name=name))
        if session.get(Volume, volume_id) is not None:
            instance_name = load(session, instance_id).name
            session.add(Attachment(volume_id=volume_id, instance_id=instance_id, instance_name=instance_name, **was))
    session.flush()


@tx_step(undo=_release_back)
def release_kept(op: Op, session: Session, instance_id: str) -> dict[str, dict[str, Any]]:
    """Volumes that outlive the instance are let go of; their places are the output."""
    kept = [disk for disk in storage.attachments_of(session, instance_id) if disk.attachment.kept]
    was = {disk.volume_id: {name: getattr(disk.attachment, name) for name in PLACE} for disk in kept}
    for disk in kept:
        storage.detach(session, disk.volume_id)
        _tell(op, session, "volume.detached", disk.volume_id, instance_id)
    return was


def _pull(op: Op, output: Any, instance_id: str, volume_id: str) -> None:
    """Undo of plugging in: what the guest got a moment ago, or long ago, is asked for."""
    row, hypervisor, disk = _disk(op, instance_id, volume_id)
    if disk is not None:
        unplug_now(op, hypervisor, row, disk, UNDO_SECONDS, mark=_marker(op, instance_id, volume_id))


@step(undo=_pull)
def plug_in(op: Op, instance_id: str, volume_id: str) -> str:
    """The machine has the disk if it runs and takes it now, and so has the definition: ``live`` or ``next``.

    The machine first: its guest waits for it, and the definition is for the next start.
    """
    row, hypervisor, disk = _disk(op, instance_id, volume_id)
    live = disk is not None and takes(hypervisor, row, need_of_disk(disk.bus), disk.slot)
    if live and disk is not None:
        hypervisor.attach_disk(row.uuid, disk)
    define_now(op, instance_id)
    note_places(op, instance_id)
    return "live" if live else "next"


def _plug_back(
    op: Op, output: Any, instance_id: str, volume_id: str, seconds: float, even_if_mounted: bool = True
) -> None:
    row, hypervisor, disk = _disk(op, instance_id, volume_id)
    if disk is None or output == "next":
        return
    if takes(hypervisor, row, need_of_disk(disk.bus), disk.slot):
        hypervisor.attach_disk(row.uuid, disk)


@step(undo=_plug_back, retries=2)
def pull_out(
    op: Op, instance_id: str, volume_id: str, seconds: float, even_if_mounted: bool = True
) -> str:
    """A running guest has let go of the disk: ``live``; ``next`` where it has to wait for the machine's next start.

    Raises `Conflict` where the guest's agent says that it is mounted, unless ``even_if_mounted``, and then the guest is
    not even asked; and where the guest keeps it for ``seconds``: it is plugged in as before then.
    """
    row, hypervisor, disk = _disk(op, instance_id, volume_id)
    if disk is None or disk.bus not in HOT_BUSES or hypervisor.state(row.uuid).power not in UP:
        return "next"
    if _waits(op, volume_id):
        return "next"
    if not even_if_mounted:
        _refuse_mounted(hypervisor, row, disk)
    unplug_now(op, hypervisor, row, disk, seconds, mark=_marker(op, instance_id, volume_id))
    note_places(op, instance_id, leaving=True)
    return "live"


def _waits(op: Op, volume_id: str) -> bool:
    """Whether what runs never got the disk."""
    with op.read() as session:
        found = storage.attachment_of(session, volume_id)
        return found is not None and found.waits


def _marker(op: Op, instance_id: str, volume_id: str) -> Callable[[str], None]:
    """What writes down where the removal of one disk stands."""
    return lambda state: mark_removal(op, instance_id, volume_id, state)


@step(retries=2)
def refuse_mounted(op: Op, instance_id: str, volume_ids: list[str]) -> None:
    """Raises `Conflict` where the guest's agent says that any of the disks is mounted, naming each with its mount
    points: before the first of several is asked for."""
    found: dict[str, list[str]] = {}
    for volume_id in volume_ids:
        row, hypervisor, disk = _disk(op, instance_id, volume_id)
        if disk is not None and disk.bus in HOT_BUSES and hypervisor.state(row.uuid).power in UP:
            found[disk.slot] = mounts_of(hypervisor, row, disk)
    mounted = {slot: mounts for slot, mounts in found.items() if mounts}
    if mounted:
        listed = "; ".join(f"{slot}: {', '.join(mounts)}" for slot, mounts in sorted(mounted.items()))
        raise Conflict(
            _("The guest has disks mounted: {listed}.", listed=listed),
            hint=_("Unmount it in the guest first, or say that you mean it: --even-if-mounted."),
            details={"mounts": mounted},
        )


def _refuse_mounted(hypervisor: Hypervisor, row: Instance, disk: DiskSpec) -> None:
    """QEMU and most guests give a mounted disk away without a word, and what was not written yet is lost. A guest
    without an agent cannot be asked; the person was told so beforehand."""
    mounts = mounts_of(hypervisor, row, disk)
    if mounts:
        raise Conflict(
            _("The guest has {slot} mounted at {mounts}.", slot=disk.slot, mounts=", ".join(mounts)),
            hint=_("Unmount it in the guest first, or say that you mean it: --even-if-mounted."),
            details={"mounts": mounts},
        )


def mounts_of(hypervisor: Hypervisor, row: Instance, disk: DiskSpec) -> list[str]:
    """Where a running guest has the disk mounted, as its agent says now; nothing where none answers."""
    if not hypervisor.state(row.uuid).agent:
        return []
    try:
        told = hypervisor.guest(row.uuid).file_systems
    except DriverError:
        return []
    return sorted(
        system.mount for system in told if disk.slot in system.slots or (disk.serial and disk.serial in system.serials)
    )


@step()
def grow_volume(op: Op, volume_id: str, size_bytes: int) -> str:
    """The volume has ``size_bytes``, in its file and for a guest that runs (``live``, else ``file``). Precondition: its
    row says so already."""
    with op.read() as session:
        found = storage.attachment_of(session, volume_id)
        instance = session.get(Instance, found.instance_id) if found is not None else None
        slot = found.slot if found is not None else ""
    hypervisor = op.drivers.on(instance.host_id).hypervisor if instance is not None else None
    live = hypervisor is not None and instance is not None and slot in hypervisor.disks(instance.uuid)
    if live:
        assert hypervisor is not None
        assert instance is not None
        hypervisor.resize_disk(instance.uuid, slot, size_bytes)
    else:
        grow_file(op, volume_id, size_bytes)
    with op.write() as session:
        volume = session.get_one(Volume, volume_id)
        emit(
            session, "volume.grown", subject=Subject("volume", volume.id, volume.name), project_id=volume.project_id,
            data={"size_bytes": size_bytes}, operation_id=op.id,
        )  # fmt: skip
    return "live" if live else "file"


def _disk(op: Op, instance_id: str, volume_id: str) -> tuple[Instance, Hypervisor, DiskSpec | None]:
    row, hypervisor = place(op, instance_id)
    with op.read() as session:
        found = {disk.volume_id: disk_of(disk) for disk in storage.attachments_of(session, instance_id)}
    disk = found.get(volume_id)
    return row, hypervisor, disk and replace(disk, error_policy=parts.of(row.hardware).disk_full)


def _tell(op: Op, session: Session, event: str, volume_id: str, instance_id: str) -> None:
    volume = session.get_one(Volume, volume_id)
    emit(
        session, event, subject=Subject("volume", volume.id, volume.name), project_id=volume.project_id,
        data={"instance_id": instance_id}, operation_id=op.id,
    )  # fmt: skip
