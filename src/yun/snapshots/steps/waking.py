"""Steps of a restore that switch: off, and on again from the snapshot's memory or by booting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from yun.base.config import Settings
from yun.base.errors import Conflict, DriverError, YunError
from yun.base.ids import as_uuid
from yun.base.log import logger
from yun.base.messages import _
from yun.compute.model import LIVE, Instance
from yun.compute.model import State as InstanceState
from yun.compute.spec import spec_of
from yun.compute.steps import define_now, start_now, write_seed
from yun.compute.steps.inside import set_clock
from yun.compute.steps.nics import unplug_card
from yun.compute.steps.power import UP, write_running
from yun.compute.steps.shared import load, place, set_state
from yun.drivers.hypervisor.port import DomainSpec, Hypervisor, NicSpec
from yun.operations.flow import Op, step
from yun.snapshots.model import Snapshot
from yun.snapshots.service.look import disks_of
from yun.storage.model import Attachment, Head, Layer, Volume
from yun.storage.service import Disk
from yun.storage.spec import disk_of

log = logger(__name__)
UNPLUG_SECONDS = 20.0


@step(retries=2)
def check_memory(op: Op, snapshot_id: str, instance_id: str) -> None:
    """Raises `Conflict` where the guest could not go on from the snapshot's memory; nothing is changed yet."""
    _row, hypervisor = place(op, instance_id)
    with op.read() as session:
        kept = session.get_one(Snapshot, snapshot_id)
        spec = _spec_of_then(session, kept, op.settings)
    _refuse_unfit(hypervisor, _cards_of_then(spec, kept)[0], kept)


def _refuse_unfit(hypervisor: Hypervisor, spec: DomainSpec, kept: Snapshot) -> None:
    if (why := hypervisor.unfit(spec, kept.memory_path)) is not None:
        raise Conflict(
            _("The memory of the snapshot {name} cannot be used: {reason}", name=kept.name, reason=why),
            hint=_("Restore the disks only; the guest boots then."),
        )


def _spec_of_then(session: Session, kept: Snapshot, settings: Settings) -> DomainSpec:
    """The machine as it was then, on the frozen files themselves."""
    row = _as_it_ran(session, load(session, kept.instance_id), kept)
    disks = []
    for node in disks_of(session, kept.id):
        layer = session.get_one(Layer, node.layer_id)
        volume, head = Volume(id=node.volume_id), Head(path=layer.path, format=layer.format)
        disks.append(disk_of(Disk(Attachment(**node.place), volume, head)))
    spec = spec_of(session, row, settings)
    kept_slots = {disk.slot for disk in disks}
    return replace(spec, disks=(*disks, *(d for d in spec.disks if d.slot not in kept_slots and d.device == "cdrom")))


def _as_it_ran(session: Session, row: Instance, kept: Snapshot) -> Instance:
    """The instance as it ran then, which is not always what it was defined as for its next start. No row any more."""
    session.expunge(row)
    for name, value in kept.definition.items():
        setattr(row, name, value)
    hardware = dict(kept.running.get("hardware") or {})
    if hardware:
        row.vcpus, row.memory_mib = kept.running["vcpus"], hardware.pop("memory_mib", kept.running["memory_mib"])
        row.firmware, row.boot_order = hardware.pop("firmware", row.firmware), hardware.pop("boot_order", [])
        row.hardware = hardware
    return row


# ── off ──


def _on_again(op: Op, output: Any, instance_id: str, keep_id: str | None, was: list[str]) -> None:
    """It is what it was before it was switched off: where its memory was kept its guest goes on, else it boots. The
    rows are by now, and seed and definition follow them."""
    row, hypervisor = place(op, instance_id)
    write_seed.call(op, instance_id)
    define_now(op, instance_id)
    if was[0] not in LIVE:
        with op.write() as session:
            set_state(op, session, load(session, instance_id), was[0], reason=was[1])
        return
    with op.read() as session:
        kept = session.get(Snapshot, keep_id) if keep_id else None
        memory = kept.memory_path if kept is not None else ""
    if memory and hypervisor.state(row.uuid).power not in UP:
        _wake(op, hypervisor, instance_id, str(keep_id), paused=was[0] == InstanceState.PAUSED)
    elif memory:  # an earlier try has woken it
        write_running(op, row, event="instance.started", once=False, state=InstanceState(was[0]))
    else:
        start_now(op, instance_id, once=False)


@step(undo=_on_again)
def switch_off(op: Op, instance_id: str, keep_id: str | None, was: list[str]) -> None:
    """It is off, at once: what it was is in the snapshot ``keep_id``, or is to be lost. Undo lets its guest go on from
    there, or starts it, where it ran (``was``)."""
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power in UP:
        hypervisor.destroy(row.uuid)
    with op.write() as session:
        set_state(op, session, load(session, instance_id), InstanceState.STOPPED, reason="user")


# ── on again ──


def _off_again(op: Op, output: Any, snapshot_id: str, instance_id: str, *_rest: Any) -> None:
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power in UP:
        hypervisor.destroy(row.uuid)
    with op.write() as session:
        set_state(op, session, load(session, instance_id), InstanceState.STOPPED, reason="user")


@step()
def describe(op: Op, instance_id: str) -> None:
    """Seed and definition are as the rows say. What takes the rows back brings these after them (`switch_off`)."""
    write_seed.call(op, instance_id)
    define_now(op, instance_id)


@step(undo=_off_again)
def go_on_from(op: Op, snapshot_id: str, instance_id: str, memory: bool, start: bool) -> str:
    """The instance runs: its guest goes on from the snapshot's ``memory``, or boots where ``start`` says so. What it is
    now, as one word. Undo switches it off."""
    _row, hypervisor = place(op, instance_id)
    if not memory:
        if start:
            start_now(op, instance_id)
        return str(InstanceState.RUNNING if start else InstanceState.STOPPED)
    with op.read() as session:
        paused = session.get_one(Snapshot, snapshot_id).power == InstanceState.PAUSED
    _wake(op, hypervisor, instance_id, snapshot_id, paused=paused)
    return str(InstanceState.PAUSED if paused else InstanceState.RUNNING)


def _wake(op: Op, hypervisor: Hypervisor, instance_id: str, snapshot_id: str, *, paused: bool) -> None:
    """The guest goes on from the node's memory. It finds the cards that it had then; those that were taken out since
    are taken out again, and those that came since are plugged in."""
    with op.read() as session:
        row, kept = load(session, instance_id), session.get_one(Snapshot, snapshot_id)
        now = spec_of(session, row, op.settings)
        ran = spec_of(session, _as_it_ran(session, row, kept), op.settings)
    then, gone, new = _cards_of_then(ran, kept)
    _refuse_unfit(hypervisor, then, kept)
    hypervisor.wake(then, kept.memory_path, paused=paused)
    hypervisor.define(now)
    for nic in new:
        hypervisor.attach_nic(now.uuid, nic)
    if not paused:
        for nic in gone:
            _unplug(op, hypervisor, row, nic)
    row, _same = place(op, instance_id)
    state = InstanceState.PAUSED if paused else InstanceState.RUNNING
    write_running(op, row, event="instance.started", once=False, state=state, running=kept.running)


@step(undo=_off_again)
def wake_fork(op: Op, snapshot_id: str, instance_id: str) -> None:
    """The fork goes on from the moment's memory: as the guest knows them, the source's cards are in it first, with
    their cables pulled; they are taken out, and its own are plugged in. Undo switches it off."""
    _row, hypervisor = place(op, instance_id)
    with op.read() as session:
        row, kept = load(session, instance_id), session.get_one(Snapshot, snapshot_id)
        now = spec_of(session, row, op.settings)
        ran = spec_of(session, _as_it_ran(session, row, kept), op.settings)
    if hypervisor.state(now.uuid).power not in UP:
        then, _gone, _new = _cards_of_then(replace(ran, nics=(), genid=now.uuid), kept)
        _refuse_unfit(hypervisor, then, kept)
        hypervisor.wake(then, kept.memory_path)
    hypervisor.define(now)
    for card in kept.cards:
        _unplug(op, hypervisor, row, NicSpec(mac=card["mac"], port_uuid="", link_up=False))
    for nic in now.nics:
        hypervisor.attach_nic(now.uuid, nic)
    row, _same = place(op, instance_id)
    write_running(op, row, event="instance.started", running=kept.running)


def _cards_of_then(spec: DomainSpec, kept: Snapshot) -> tuple[DomainSpec, list[NicSpec], list[NicSpec]]:
    """The machine with the cards that the node knows, the ones of them that it has no longer, and its new ones."""
    now = {nic.mac.lower(): nic for nic in spec.nics}
    then, gone = [], []
    for card in kept.cards:
        nic = now.get(card["mac"].lower())
        if nic is None:
            nic = NicSpec(mac=card["mac"], port_uuid=as_uuid(card["id"]), link_up=False)
            gone.append(nic)
        then.append(nic)
    known = {nic.mac.lower() for nic in then}
    return replace(spec, nics=tuple(then)), gone, [nic for mac, nic in now.items() if mac not in known]


def _unplug(op: Op, hypervisor: Hypervisor, row: Instance, nic: NicSpec) -> None:
    try:
        unplug_card(op, hypervisor, row, nic, UNPLUG_SECONDS)
    except YunError as error:  # a dead card stays until its next start: no reason to give the restore up
        log.warning("the card %s of %s stays until its next start: %s", nic.mac, row.id, error)


@step(retries=0)
def tell_time(op: Op, instance_id: str) -> bool:
    """A guest that goes on from another moment is told what time it is; whether its agent took it."""
    row, hypervisor = place(op, instance_id)
    if not hypervisor.state(row.uuid).agent:
        return False
    try:
        set_clock.call(op, instance_id)
    except DriverError as error:
        log.info("the clock of %s was not set: %s", instance_id, error)
        return False
    return True
