"""Steps of host devices: who has them, and what a running machine really has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute.devices.model import HostDevice
from yun.compute.model import Instance
from yun.compute.service.given import devices_of, names_of
from yun.compute.service.host_devices import devices_on, group_of, why_never
from yun.compute.service.room import room_for
from yun.compute.spec import host_device_of
from yun.compute.steps.definition import define_now
from yun.compute.steps.disks import UNDO_SECONDS, UP
from yun.compute.steps.removal import LOOK_EVERY
from yun.compute.steps.room import kept, note_places
from yun.compute.steps.seeing import notice_key
from yun.compute.steps.shared import load, place
from yun.drivers.hypervisor.host_device import HostDeviceSpec
from yun.drivers.hypervisor.port import Hypervisor, Power
from yun.hosts.model import Host
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject

# ── who has it ──


def _take_back(op: Op, session: Session, output: Any, instance_id: str, device_ids: Sequence[str]) -> None:
    _have(op, session, instance_id, device_ids, None)


@tx_step(undo=_take_back)
def give_devices(op: Op, session: Session, instance_id: str, device_ids: Sequence[str]) -> None:
    """The rows say that the instance has the devices. Raises `Conflict` where one went, the host has come to need it,
    or somebody else has it or another one of its IOMMU group."""
    for device_id in device_ids:
        row = session.get(HostDevice, device_id, with_for_update=True, populate_existing=True)
        if row is None or not row.present:
            raise Conflict(_("The host no longer has the device."), hint=_("Ask for it again."))
        why = why_never(row)
        if why is not None:
            host = session.get_one(Host, row.host_id)
            raise Conflict(
                _("{host} cannot give {device} away: {reason}.", host=host.name, device=row.name, reason=why)
            )
        _refuse_taken(session, row, instance_id)
    _have(op, session, instance_id, device_ids, instance_id)


def _give_again(op: Op, session: Session, output: Any, instance_id: str, *rest: Any) -> None:
    for device_id in output or ():
        row = session.get(HostDevice, device_id, with_for_update=True, populate_existing=True)
        if row is not None:  # one that the host has not had for weeks is gone from the machine too
            _refuse_taken(session, row, instance_id)
    _have(op, session, instance_id, output or (), instance_id)


@tx_step(undo=_give_again)
def take_devices(op: Op, session: Session, instance_id: str, device_ids: Sequence[str]) -> list[str]:
    """The rows say that the host has the devices to itself; those that the instance had are the output."""
    had = [row.id for row in devices_of(session, instance_id) if row.id in device_ids]
    _have(op, session, instance_id, had, None)
    return had


def _give_what_is_free(op: Op, session: Session, output: Any, instance_id: str) -> None:
    """A machine that comes back does not wait for devices that others have by now: it has its disks and goes without,
    and operators are told."""
    free = []
    for device_id in output or ():
        row = session.get(HostDevice, device_id, with_for_update=True, populate_existing=True)
        if row is None:
            continue
        try:
            _refuse_taken(session, row, instance_id)
        except Conflict as taken:
            instance = load(session, instance_id)
            raise_notice(
                session, f"host_device_left:{instance_id}:{device_id}",
                subject=Subject("instance", instance.id, instance.name),
                message=_("The instance {name} came back without {device}: {reason}", name=instance.name,
                          device=row.name, reason=taken.message),
                hint=_("Take it from that one and give it again, or dismiss this."),
            )  # fmt: skip
        else:
            free.append(device_id)
    _have(op, session, instance_id, free, instance_id)


@tx_step(undo=_give_what_is_free)
def release_devices(op: Op, session: Session, instance_id: str) -> list[str]:
    """All that the instance had of its host's devices belongs to the host again. Undo gives back what is free."""
    return list(take_devices.call(op, session, instance_id, [row.id for row in devices_of(session, instance_id)]))


def _refuse_taken(session: Session, row: HostDevice, instance_id: str) -> None:
    if row.instance_id not in (None, instance_id):
        other = load(session, str(row.instance_id))
        raise Conflict(
            _("{device} was given to the instance {name}.", device=row.name, name=other.name),
            hint=_("Take it from that one first."),
        )
    # Two who ask at once each see a group that nobody has; the host's row lets one of them write after the other.
    session.get_one(Host, row.host_id, with_for_update=True)
    group = group_of(devices_on(session, row.host_id), row)
    taken = [other for other in group if other.instance_id not in (None, instance_id)]
    if taken:
        raise Conflict(
            _("{device} shares its IOMMU group {group} with {others}, which another instance has.",
              device=row.name, group=row.iommu_group, others=names_of(taken))
        )  # fmt: skip


def _have(
    op: Op, session: Session, instance_id: str, device_ids: Sequence[str], owner: str | None
) -> None:
    event = "instance.host_device_added" if owner else "instance.host_device_removed"
    for device_id in device_ids:
        row = session.get(HostDevice, device_id)
        if row is None or row.instance_id == owner:
            continue
        row.instance_id = owner
        session.flush()
        if owner is None:
            resolve_notice(session, notice_key(row.id))
        instance = load(session, instance_id)
        emit(
            session, event, subject=Subject("instance", instance.id, instance.name), project_id=instance.project_id,
            data={"device_id": row.id, "device": row.name, "address": row.address}, operation_id=op.id,
        )  # fmt: skip


# ── what a running machine has ──


def _unplug(op: Op, output: Any, instance_id: str, device_ids: Sequence[str]) -> None:
    row, hypervisor = place(op, instance_id)
    for spec in _specs(op, instance_id, device_ids):
        unplug_device(op, hypervisor, row, spec, UNDO_SECONDS)
    note_places(op, instance_id)


@step(undo=_unplug)
def plug_devices(op: Op, instance_id: str, device_ids: Sequence[str]) -> str:
    """The definition has the devices, and so has the machine if it runs and has places for all: ``live`` or ``next``.
    """
    define_now(op, instance_id)
    live = _plug_now(op, instance_id, device_ids)
    note_places(op, instance_id)
    return "live" if live else "next"


def _plug_now(op: Op, instance_id: str, device_ids: Sequence[str]) -> bool:
    """What runs has the devices, if it has places for all that it lacks; whether it has them."""
    row, hypervisor = place(op, instance_id)
    places, there = hypervisor.places(row.uuid), hypervisor.plugged_host_devices(row.uuid)
    specs = _specs(op, instance_id, device_ids)
    lacking = sum(spec.kind == "pci" and spec.key not in there for spec in specs)
    if places is None or not room_for(kept(places), "own", lacking):
        return False
    for spec in specs:
        hypervisor.attach_host_device(row.uuid, spec)
    return True


def _plug_back(op: Op, output: Any, instance_id: str, device_ids: Sequence[str], seconds: float) -> None:
    _plug_now(op, instance_id, device_ids)
    note_places(op, instance_id)


@step(undo=_plug_back, retries=2)
def pull_devices(op: Op, instance_id: str, device_ids: Sequence[str], seconds: float) -> str:
    """A running guest has let go of the devices: ``live``; ``next`` where the machine does not run.

    Raises `Conflict` where the guest keeps one for ``seconds``; those before it are given back then.
    """
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power not in UP:
        return "next"
    for spec in _specs(op, instance_id, device_ids, missing=True):
        unplug_device(op, hypervisor, row, spec, seconds)
    note_places(op, instance_id)
    return "live"


def unplug_device(op: Op, hypervisor: Hypervisor, row: Instance, spec: HostDeviceSpec, seconds: float) -> None:
    """Ask the guest for a device until it has let go of it. Raises `Conflict` after ``seconds``: the hypervisor's
    answer proves nothing, so the device is looked for."""
    end = op.clock.monotonic() + seconds
    asked = False
    while spec.key in hypervisor.plugged_host_devices(row.uuid):
        if op.clock.monotonic() >= end:
            paused = hypervisor.state(row.uuid).power == Power.PAUSED
            raise Conflict(
                _("The guest did not let go of the device within {seconds:.0f} s.", seconds=seconds),
                hint=_("It is paused; resume it.") if paused else _("Wait until it has booted, or stop the instance."),
            )
        if not asked:
            hypervisor.detach_host_device(row.uuid, spec.key)
            asked = True
        if op.undoing is None:
            op.progress(0.5, _("Waiting for the guest to let go of the device"))
        op.sleep(LOOK_EVERY)


def _specs(
    op: Op, instance_id: str, device_ids: Sequence[str], *, missing: bool = False
) -> list[HostDeviceSpec]:
    """How the hypervisor is told of those of the devices that the instance has by its rows and that are there."""
    with op.read() as session:
        rows = [row for row in devices_of(session, instance_id) if row.id in device_ids]
        return [host_device_of(session, row) for row in rows if row.present or missing]
