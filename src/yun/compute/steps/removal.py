"""Taking a disk from a running guest, as a machine of states: asked, waiting, then removed, refused or timed out.

The hypervisor's answer proves nothing: a guest that is paused, boots or is unwilling keeps the disk, and may let go of
it long after. So the disk is looked for; what became of a try is written down beside it; and one that a guest lets go
of after the try was given up is plugged in again, since an operation that failed leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from yun.base.errors import Conflict, DriverError
from yun.base.log import logger
from yun.base.messages import _
from yun.compute import hardware as parts
from yun.compute.model import Instance
from yun.compute.service.room import need_of_disk
from yun.compute.steps.room import note_places, takes
from yun.compute.steps.shared import place
from yun.drivers.hypervisor.port import DiskSpec, Hypervisor, Power
from yun.operations.events import emit
from yun.operations.flow import Op, step
from yun.operations.intent import Subject
from yun.storage import service as storage
from yun.storage.model import Attachment, Removal, Volume
from yun.storage.spec import disk_of

log = logger(__name__)
LOOK_EVERY = 0.1
UP = (Power.RUNNING, Power.PAUSED)


def unplug_now(
    op: Op, hypervisor: Hypervisor, row: Instance, disk: DiskSpec, seconds: float, *, mark: Callable[[str], None]
) -> None:
    """Ask the guest for a disk and wait until it has really let go of it. ``mark`` writes down where that stands.

    Raises `Conflict` where the guest says no, and where it has not let go after ``seconds``; it may still do so then.
    """
    end = op.clock.monotonic() + seconds
    asked = False
    while (now := hypervisor.disks(row.uuid).get(disk.slot)) is not None and now.path == disk.path:
        if not asked:
            _say(op, 0.3, "asked", disk.slot, 0, seconds)
            if not hypervisor.detach_disk(row.uuid, disk.slot):
                mark(Removal.REFUSED)
                raise Conflict(
                    _("The guest refused to let go of {slot}.", slot=disk.slot),
                    hint=_("Unmount it in the guest, or stop the instance."), details={"removal": Removal.REFUSED},
                )  # fmt: skip
            asked = True
            if _there(hypervisor, row, disk):
                mark(Removal.WAITING)
            continue
        left = end - op.clock.monotonic()
        if left <= 0:
            mark(Removal.TIMED_OUT)
            paused = hypervisor.state(row.uuid).power == Power.PAUSED
            raise Conflict(
                _("The guest did not let go of {slot} within {seconds:.0f} s.", slot=disk.slot, seconds=seconds),
                hint=_("It is paused; resume it.") if paused else _("Unmount it in the guest, or stop the instance."),
                details={"removal": Removal.TIMED_OUT},
            )
        _say(op, 0.5, "waiting", disk.slot, seconds - left, seconds)
        op.sleep(LOOK_EVERY)
    if asked:
        _say(op, 0.9, "removed", disk.slot, 0, seconds)


def _there(hypervisor: Hypervisor, row: Instance, disk: DiskSpec) -> bool:
    now = hypervisor.disks(row.uuid).get(disk.slot)
    return now is not None and now.path == disk.path


def _say(op: Op, fraction: float, state: str, slot: str, passed: float, seconds: float) -> None:
    if op.undoing is not None:
        return
    texts = {
        "asked": _("Asking the guest for {slot}", slot=slot),
        "waiting": _("Waiting for the guest to let go of {slot} ({passed} of {seconds} s)", slot=slot,
                     passed=int(passed), seconds=int(seconds)),
        "removed": _("The guest has let go of {slot}", slot=slot),
    }  # fmt: skip
    op.progress(fraction, texts[state])


def mark_removal(op: Op, instance_id: str, volume_id: str, state: str) -> None:
    """The place of the volume says where its removal stands, and it is told."""
    with op.write() as session:
        place = storage.attachment_of(session, volume_id)
        if place is None or place.instance_id != instance_id or place.removal == state:
            return
        # A statement, so that the revision (the ETag) of the place stays.
        session.execute(
            sa.update(Attachment)
            .where(Attachment.id == place.id)
            .values(removal=state, updated_at=Attachment.updated_at),
            execution_options={"synchronize_session": False},
        )
        volume = session.get_one(Volume, volume_id)
        emit(
            session, "volume.detaching", subject=Subject("volume", volume.id, volume.name),
            project_id=volume.project_id, operation_id=op.id,
            data={"state": state or "over", "slot": place.slot, "subject": {"kind": "instance", "id": instance_id}},
        )  # fmt: skip


@step(retries=0)
def settle_removals(op: Op, instance_id: str) -> list[str] | None:
    """What became of disks that a guest was asked for and kept: one that it has let go of since, after that was given
    up, is plugged in again; of a machine that is off nothing is waited for any more. The slots plugged in."""
    with op.read() as session:
        row = session.get(Instance, instance_id)
        open_ = [d for d in storage.attachments_of(session, instance_id) if d.attachment.removal]
    if row is None or not open_:
        return None
    row, hypervisor = place(op, instance_id)
    back = []
    try:
        up = hypervisor.state(row.uuid).power in UP
        there = hypervisor.disks(row.uuid) if up else {}
        for disk in open_:
            if up and disk.attachment.slot in there:
                continue
            if up and takes(hypervisor, row, need_of_disk(disk.attachment.bus), disk.attachment.slot):
                policy = parts.of(row.hardware).disk_full
                hypervisor.attach_disk(row.uuid, replace(disk_of(disk), error_policy=policy))
                back.append(disk.attachment.slot)
            mark_removal(op, instance_id, disk.volume_id, "")
        note_places(op, instance_id)
    except DriverError as error:
        log.info("the disks of %s are not settled yet: %s", instance_id, error)
    return back or None


def unsettled(op: Op, host_id: str) -> list[str]:
    """The ids of the host's instances that have a disk whose removal was given up: they are looked at each round."""
    query = (
        sa.select(Instance.id)
        .join(Attachment, Attachment.instance_id == Instance.id)
        .where(Instance.host_id == host_id, Attachment.removal != "")
        .distinct()
    )
    with op.read() as session:
        return list(session.scalars(query))
