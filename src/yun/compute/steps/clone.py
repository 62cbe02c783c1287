"""Steps of copies: freeze the source's disks, whatever it is doing, and give a copy what is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute import places
from yun.compute.model import LIVE, Instance
from yun.compute.spec import FIRMWARE
from yun.compute.steps.definition import define_now, remove_files
from yun.compute.steps.rows import begin_building, unbuild
from yun.compute.steps.shared import load, place
from yun.drivers.hypervisor.port import Hypervisor, Power
from yun.images.filling import fill_volume
from yun.operations.flow import Op, step, tx_step
from yun.storage import service as storage
from yun.storage.model import Head, Layer, Volume, VolumeState
from yun.storage.spec import pool_path_of
from yun.storage.steps import freezing
from yun.storage.steps.freezing import Freeze
from yun.storage.steps.layers import collect
from yun.storage.steps.shared import told_format
from yun.storage.steps.volumes import unmake_volume

UP = (Power.RUNNING, Power.PAUSED)
COPYING = _("Copying the disks")
NVRAM, TPM = "nvram", "tpm"
STOPPED, RESTED, TORN = "stopped", "quiesced", "crash"
"""In what condition disks were frozen: off, brought to rest by the guest's agent, or like after a power failure."""


def _unbegin(op: Op, session: Session, output: Any, instance_ids: list[str]) -> None:
    for instance_id in reversed(instance_ids):
        unbuild(op, session, (output or {}).get(instance_id), instance_id)


@tx_step(undo=_unbegin)
def begin_copies(op: Op, session: Session, instance_ids: list[str]) -> dict[str, Any]:
    """What each copy is to be built of, by id, and what of the source's firmware and TPM it gets a copy of (``own``).
    Undo removes their rows, after all that follows was taken back."""
    return {i: {**begin_building.call(op, session, i), "own": _own(load(session, i))} for i in instance_ids}


def _own(row: Instance) -> list[str]:
    return [NVRAM] * (row.firmware in FIRMWARE) + [TPM] * bool(row.hardware.get("tpm"))


# ── freezing ──


@dataclass(frozen=True)
class Manner:
    """How disks are frozen. ``whole``: with those of the ``still`` volumes, which stay as they are, they are all that
    the machine has; ``apart`` are disks that are left out of it. ``quiesce``: its agent is asked to bring the file
    systems to rest. ``memory``: where the image of what a machine that is up has in memory goes, of the same moment;
    empty for none."""

    whole: bool = True
    still: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    quiesce: bool = True
    memory: str = ""


@dataclass(frozen=True)
class Frozen:
    """What disks became: the layers by volume, in what condition they are, how long the guest stood still for it."""

    layers: dict[str, str]
    consistency: str
    pause_ms: float | None = None


def settle_freeze(op: Op, source_id: str, given: list[dict[str, Any]]) -> None:
    """The source is never put back: what was begun is completed where the machine writes to the new files already,
    and they are removed where it does not. Either way it goes on with all it has written."""
    freezes = freezing.as_freezes(given)
    row, hypervisor = place(op, source_id)
    if hypervisor.state(row.uuid).power in UP:
        # Asked twice: a call whose answer was lost may still be at work, and the first question waits for its end.
        hypervisor.disks(row.uuid)
        moved = _moved(op, hypervisor, row.uuid, source_id, freezes)
    else:
        there = freezing.needless(op, freezes)
        freezes = [each for each in freezes if each.volume_id not in there]
        moved = all(freezing.laid(op, each) for each in freezes)
    if moved:
        freezing.finish(op, freezes)
        define_now(op, source_id)
        return
    for each in freezes:
        freezing.take_away(op, each)


def _settle_freeze(
    op: Op, output: Any, source_id: str, given: list[dict[str, Any]], whole: bool, still: Sequence[str] = ()
) -> None:
    settle_freeze(op, source_id, given)


@step(undo=_settle_freeze)
def freeze_source(
    op: Op, source_id: str, given: list[dict[str, Any]], whole: bool, still: Sequence[str] = ()
) -> dict[str, Any]:
    """`freeze` with the guest's help where it gives it: ``layers`` and ``consistency``."""
    done = freeze(op, source_id, given, Manner(whole, tuple(still)))
    return {"layers": done.layers, "consistency": done.consistency}


def freeze(op: Op, source_id: str, given: list[dict[str, Any]], manner: Manner) -> Frozen:
    """The ``given`` disks of the instance are frozen layers, and it writes to new heads on them, at this moment if it
    runs. What a machine that is off has not written to since it was frozen last stays as it is: the layer below has it
    all, so that a template which is cloned again and again grows no chain.

    The consistency is `STOPPED`, `RESTED` or `TORN`. All disks are frozen at one moment. Whatever an earlier try of
    this reached is found out and gone on from. Raises `Conflict` where the disks have changed since it was asked for,
    and where memory is to be kept of a machine that is off by now or whose earlier try lost it.
    """
    freezes = freezing.as_freezes(given)
    _same_disks(op, source_id, freezes, manner)
    row, hypervisor = place(op, source_id)
    seen = hypervisor.state(row.uuid)
    if manner.memory and seen.power not in UP:
        raise Conflict(_("The instance {name} is off: there is nothing in its memory.", name=row.name))
    there = freezing.needless(op, freezes) if seen.power not in UP else {}
    freezes = [each for each in freezes if each.volume_id not in there]
    for each in freezes:
        freezing.lay(op, each)
    how, pause = STOPPED, None
    if seen.power in UP:
        how = TORN  # the least that is true where an earlier try did it and its answer was lost
        if not _moved(op, hypervisor, row.uuid, source_id, freezes):
            heads = _heads(op, hypervisor, row.uuid, source_id, freezes)
            rest = seen.agent and seen.power == Power.RUNNING and manner.quiesce
            if manner.memory:
                hypervisor.discard_memory(manner.memory)  # what an earlier try has left is of another moment
                pause = hypervisor.freeze_with_memory(row.uuid, heads, manner.memory)
            elif heads and hypervisor.freeze_disks(row.uuid, heads, quiesce=rest):
                how = RESTED
        elif manner.memory and hypervisor.memory_facts(manner.memory) is None:
            raise Conflict(_("The memory of the instance {name} was not kept whole.", name=row.name),
                           hint=_("Ask for it again."))  # fmt: skip
    if freezes:  # what an earlier try has begun is among them
        freezing.finish(op, freezes)
        if any(freezing.laid(op, each) for each in freezes):
            define_now(op, source_id)
    return Frozen(there | {each.volume_id: each.layer_id for each in freezes}, how, pause)


def _same_disks(op: Op, source_id: str, freezes: list[Freeze], manner: Manner) -> None:
    with op.read() as session:
        live = load(session, source_id).state in LIVE
        disks = storage.attachments_of(session, source_id)
    now = {disk.volume_id for disk in disks}
    read = {disk.volume_id for disk in disks if disk.attachment.readonly}
    wanted = {each.volume_id for each in freezes}
    other = manner.whole and wanted | {*manner.still, *manner.apart} != now
    changed = not wanted <= now or other or not read.issuperset(manner.still)
    if changed or (live and wanted & read):
        raise Conflict(_("The disks of the instance have changed meanwhile."), hint=_("Ask for it again."))


def _heads(
    op: Op, hypervisor: Hypervisor, uuid: str, source_id: str, freezes: list[Freeze]
) -> dict[str, str]:
    """The new files by slot, for the disks that the running machine really has: one that waits for its next start is
    frozen like a stopped machine's."""
    plugged = hypervisor.disks(uuid)
    wanted = {each.volume_id: each.path for each in freezes}
    with op.read() as session:
        places = {disk.attachment.slot: disk for disk in storage.attachments_of(session, source_id)}
        return {
            slot: wanted[disk.volume_id] for slot, disk in places.items()
            if disk.volume_id in wanted and slot in plugged and plugged[slot].path == disk.head.path
        }  # fmt: skip


def _moved(op: Op, hypervisor: Hypervisor, uuid: str, source_id: str, freezes: list[Freeze]) -> bool:
    """Whether the running machine writes to the new files: what the hypervisor really has counts."""
    files = {disk.path for disk in hypervisor.disks(uuid).values()}
    return any(each.path in files for each in freezes)


# ── what a copy stands on ──


@tx_step()
def layer_file(op: Op, session: Session, layer_id: str) -> dict[str, str]:
    """Where a frozen file lies, and what it must be taken for."""
    layer = storage.get_layer(session, layer_id)
    return {"path": layer.path, "told": told_format(layer)}


@tx_step()
def stand_on(op: Op, session: Session, layers: dict[str, str]) -> None:
    """The rows say on which layer each copied volume stands; their files are made next."""
    for volume_id, layer_id in layers.items():
        storage.get_layer(session, layer_id, lock=True)
        session.execute(sa.update(Head).where(Head.volume_id == volume_id).values(layer_id=layer_id))


def _uncopy(op: Op, output: Any, volume_id: str, source_id: str, share: list[float]) -> None:
    unmake_volume(op, output, volume_id)


@step(undo=_uncopy)
def copy_disk(op: Op, volume_id: str, layer_id: str, share: list[float]) -> str:
    """The volume's file is an independent copy of a frozen one and all below it, and the volume is available.

    Raises `NoCapacity` before or while it would touch the pool's reserve; nothing is left of it then. Undo removes
    file and rows.
    """
    with op.read() as session:
        layer = session.get_one(Layer, layer_id)
    return _copy(op, volume_id, layer, share)


@step(undo=_uncopy)
def copy_still(op: Op, volume_id: str, of: str, share: list[float]) -> str:
    """The same of the file that the volume ``of`` has. Precondition: nothing writes to it, and the operation holds the
    machine that reads it."""
    with op.read() as session:
        still = session.scalars(sa.select(Head).where(Head.volume_id == of)).one()
    return _copy(op, volume_id, still, share)


def _copy(op: Op, volume_id: str, file: Layer | Head, share: list[float]) -> str:
    with op.read() as session:
        volume = session.get_one(Volume, volume_id)
        head = session.scalars(sa.select(Head).where(Head.volume_id == volume_id)).one()
    if volume.state == VolumeState.BUILDING:
        start, end = share
        fill_volume(
            op, volume_id, file.path, lambda part: op.progress(start + (end - start) * part, COPYING),
            source_format=told_format(file),
        )  # fmt: skip
    return head.path


def _unbase(op: Op, output: Any, volume_id: str, layer_id: str) -> None:
    unmake_volume(op, output, volume_id)


@step(undo=_unbase)
def copy_base(op: Op, volume_id: str, layer_id: str) -> str:
    """The same of the layer that the rows of the volume stand on so far: afterwards it stands on nothing, and the layer
    goes where nothing else needs it by now."""
    with op.read() as session:
        layer = session.get(Layer, layer_id)
    path = _copy(op, volume_id, layer, [0.0, 1.0]) if layer is not None else ""
    collect(op, layer_id)
    return path


def _unkeep(op: Op, output: Any, source_id: str, instance_id: str) -> None:
    remove_files.call(op, instance_id)


@step(undo=_unkeep)
def copy_nvram(op: Op, source_id: str, instance_id: str) -> bool:
    """A UEFI copy has variables of its own, as the source's firmware left them; whether there were any to copy."""
    with op.read() as session:
        row = load(session, instance_id)
        source = places.nvram(pool_path_of(session, source_id), source_id)
        target = places.nvram(pool_path_of(session, instance_id), instance_id)
    store = op.drivers.on(row.host_id).volume
    if row.firmware not in FIRMWARE or not store.glance(source, "raw").exists:
        return False
    # Its guest writes to it, so what it is must not be found by looking.
    store.convert(source, target, format="raw", progress=lambda _part: op.check_cancel(), source_format="raw")
    return True


@step(undo=_unkeep)
def copy_tpm(op: Op, source_id: str, instance_id: str) -> bool:
    """A copy with a TPM has one that keeps what the source's keeps; whether there was anything to copy. A machine that
    was never on has none yet, and its copy gets its own at its first start."""
    row, hypervisor = place(op, instance_id)
    if not row.hardware.get("tpm"):
        return False
    source, _same = place(op, source_id)
    return hypervisor.copy_tpm(source.uuid, row.uuid)
