"""Steps that change disks where they are: rows, definition, and the limits of what runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.crossing import refuse
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute import limits as io_limits
from yun.compute.model import LIVE
from yun.compute.service.change_disk import TITLES, told
from yun.compute.steps.definition import define_now
from yun.compute.steps.shared import load
from yun.compute.steps.shared import place as on_host
from yun.drivers.hypervisor.port import IoLimits, Power
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject
from yun.storage import service as storage

UP = (Power.RUNNING, Power.PAUSED)
AT_START = ("cache", "io", "discard", "serial")
"""What a running machine keeps until its next start."""


def _as_rows(op: Op, output: Any, instance_id: str) -> None:
    settle_now(op, instance_id)


@step(undo=_as_rows)
def before_disks(op: Op, instance_id: str) -> None:
    """Nothing yet. Stands before steps that change how disks are, so that undo settles the machine after the rows were
    taken back."""


def _back(
    op: Op, session: Session, output: Any, instance_id: str, changes: dict[str, dict[str, Any]],
    was: dict[str, dict[str, Any]] | None = None,
) -> None:  # fmt: skip
    there = {disk.volume_id for disk in storage.attachments_of(session, instance_id)}
    have_disks.call(op, session, instance_id, {v: values for v, values in (output or {}).items() if v in there})


@tx_step(undo=_back)
def have_disks(
    op: Op, session: Session, instance_id: str, changes: dict[str, dict[str, Any]],
    was: dict[str, dict[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """The rows of these volumes' places have these values; the old ones are the output. Whoever shares a group's budget
    has its limits, also a disk that joined meanwhile. Raises `Conflict` where a disk is gone, and where somebody has
    changed one of the fields since they ``was``."""
    row = load(session, instance_id)
    disks = {disk.volume_id: disk for disk in storage.attachments_of(session, instance_id)}
    wanted = {volume_id: dict(values) for volume_id, values in changes.items()}
    if not wanted.keys() <= disks.keys():
        raise Conflict(_("The disks of the instance have changed meanwhile."), hint=_("Ask for it again."))
    for volume_id, seen in (was or {}).items():
        place = disks[volume_id].attachment
        refuse(told(seen), told(wanted[volume_id]), told({name: getattr(place, name) for name in seen}), TITLES)
    for values in changes.values():
        group = io_limits.group_of(values.get("limits", {}))
        for volume_id, disk in disks.items():
            if group and volume_id not in changes and io_limits.group_of(disk.attachment.limits) == group:
                wanted[volume_id] = {"limits": values["limits"]}
    old: dict[str, dict[str, Any]] = {}
    for volume_id, values in wanted.items():
        disk = disks[volume_id]
        old[volume_id] = {name: getattr(disk.attachment, name) for name in values}
        running = dict(disk.attachment.running)
        for name, value in values.items():
            if row.state in LIVE and name in AT_START and not disk.attachment.waits:
                running.setdefault(name, getattr(disk.attachment, name))
            setattr(disk.attachment, name, value)
        disk.attachment.running = {n: v for n, v in running.items() if v != getattr(disk.attachment, n)}
        if old[volume_id] != values:
            emit(
                session, "volume.updated", subject=Subject("volume", volume_id, disk.volume.name),
                project_id=disk.volume.project_id, data={"fields": sorted(values), "instance_id": instance_id},
                operation_id=op.id,
            )  # fmt: skip
    session.flush()
    return old


@step()
def settle_disks(op: Op, instance_id: str) -> str:
    """The definition has the disks as the rows say, and what runs is held to their limits: ``live``, or ``next`` where
    it is off."""
    return settle_now(op, instance_id)


def settle_now(op: Op, instance_id: str) -> str:
    """The same, as a function."""
    define_now(op, instance_id)
    row, hypervisor = on_host(op, instance_id)
    if hypervisor.state(row.uuid).power not in UP:
        return "next"
    with op.read() as session:
        wanted = {
            disk.attachment.slot: IoLimits(**disk.attachment.limits)
            for disk in storage.attachments_of(session, instance_id)
        }
    for slot, limits in wanted.items():
        if hypervisor.disk_limits(row.uuid).get(slot, limits) != limits:
            hypervisor.limit_disk(row.uuid, slot, limits)
    return "live"
