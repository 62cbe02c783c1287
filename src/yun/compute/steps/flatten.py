"""Steps of flattening: a head comes to stand lower in its chain, by the hypervisor while it runs, else by the store.

The file's own header changes in one moment, once all data are there. But a machine that has pulled them keeps in its
memory where they lie until it is told to flush, so the row follows only after that, and only then may files that the
head stood on go. A head whose machine went down before is put back on what it stood on: all of it is still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import SYSTEM, Context
from yun.base.errors import Conflict, DriverError, NoCapacity, Unavailable
from yun.base.log import logger
from yun.base.messages import _
from yun.compute.model import Instance
from yun.compute.service.flatten import due, flatten_intent
from yun.drivers.hypervisor.port import Hypervisor, Power
from yun.drivers.volume.port import VolumeStore
from yun.images.space import watched
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.model import OPEN, Operation, OperationKey
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Head, Layer, Pool, Volume
from yun.storage.steps.layers import collect
from yun.storage.steps.shared import store_of, told_format

LOOK_EVERY = 0.2
UP = (Power.RUNNING, Power.PAUSED)
log = logger(__name__)


class _GiveWay(Exception):
    """Somebody else waits for the instance."""


@dataclass(frozen=True)
class _Work:
    """A head, what it should stand on (empty: nothing), and where it is open, if it is."""

    volume: Volume
    head: Head
    floor: str
    floor_format: str
    below: Layer | None
    pool: Pool
    store: VolumeStore
    instance: Instance | None
    hypervisor: Hypervisor | None
    slot: str

    @property
    def stands(self) -> bool:
        """Whether its header says so already."""
        return self.store.glance(self.head.path, told_format(self.head)).backing == self.floor

    @property
    def live(self) -> bool:
        """Whether a machine has it open now."""
        if self.instance is None or self.hypervisor is None:
            return False
        if self.hypervisor.state(self.instance.uuid).power not in UP:
            return False
        plugged = self.hypervisor.disks(self.instance.uuid).get(self.slot)
        return plugged is not None and plugged.path == self.head.path


def _work(op: Op, volume_id: str, floor_id: str | None) -> _Work:
    with op.read() as session:
        volume = session.get_one(Volume, volume_id)
        head = session.scalars(sa.select(Head).where(Head.volume_id == volume_id)).one()
        layer = session.get_one(Layer, floor_id) if floor_id else None
        floor, form = (layer.path, layer.format) if layer is not None else ("", "qcow2")
        below = session.get(Layer, head.layer_id) if head.layer_id else None
        pool = session.get_one(Pool, volume.pool_id)
        place = storage.attachment_of(session, volume_id)
        instance = session.get(Instance, place.instance_id) if place is not None else None
    hypervisor = op.drivers.on(instance.host_id).hypervisor if instance is not None else None
    return _Work(
        volume, head, floor, form, below, pool, store_of(op, pool), instance, hypervisor, place.slot if place else ""
    )


def _leave_off(op: Op, output: object, volume_id: str, floor_id: str | None, gives_way: bool) -> None:
    """No job is left. Where all has been pulled already and is on the disk, the row follows; else nothing has
    happened."""
    work = _work(op, volume_id, floor_id)
    if work.hypervisor is not None and work.instance is not None and work.live:
        work.hypervisor.abandon_pull(work.instance.uuid, work.slot)
    if work.head.layer_id == floor_id or not work.stands:
        return
    if work.hypervisor is not None and work.instance is not None and work.live:
        work.hypervisor.flush_disk(work.instance.uuid, work.slot)
        _follow(op, work, floor_id)
    else:
        _put_back(work)


@step(undo=_leave_off)
def flatten_disk(op: Op, volume_id: str, floor_id: str | None, gives_way: bool) -> bool:
    """The volume's head stands on ``floor_id`` (nothing, if None), in its header and in its row; whether it does:
    False where it gave way to somebody who waits for the instance. What was copied until then is not lost.

    Raises `NoCapacity`, and `Conflict` where the hypervisor gave up. A machine that stops or is killed meanwhile is
    gone on with where it lies.
    """
    work = _work(op, volume_id, floor_id)
    on_disk = work.head.layer_id == floor_id
    try:
        while not on_disk:
            if gives_way:
                _look_around(op, work)
            if not work.stands and work.live:
                _pull(op, work, gives_way)
            elif not work.stands:
                report = watched(op, work.pool, _reporter(op, work, gives_way))
                work.store.flatten(work.head.path, work.floor, report, base_format=work.floor_format)
                on_disk = True
            elif work.live and work.hypervisor is not None and work.instance is not None:
                work.hypervisor.flush_disk(work.instance.uuid, work.slot)
                on_disk = True
            else:
                _put_back(work)
    except _GiveWay:
        _leave_off(op, None, volume_id, floor_id, gives_way)
        return False
    _follow(op, work, floor_id)
    return True


def _put_back(work: _Work) -> None:
    """The head stands on what its row says again: of what it was given since, some may have been in the memory of a
    machine that is gone. All that its guest has been told to be safe is in the file itself."""
    if work.below is not None:
        work.store.stand_again(work.head.path, work.below.path, work.below.format)


def _pull(op: Op, work: _Work, gives_way: bool) -> None:
    assert work.instance is not None
    assert work.hypervisor is not None
    uuid, report = work.instance.uuid, watched(op, work.pool, _reporter(op, work, gives_way))
    work.hypervisor.begin_pull(uuid, work.slot, work.floor)
    while (part := work.hypervisor.pull_state(uuid, work.slot)) is not None:
        report(part)
        op.sleep(LOOK_EVERY)
    if not work.stands and work.live:
        raise Conflict(
            _("The hypervisor gave up flattening {slot}.", slot=work.slot),
            hint=_("Perhaps the disk of the pool is full; the instance goes on as before."),
        )


def _reporter(op: Op, work: _Work, gives_way: bool):  # type: ignore[no-untyped-def]
    def report(part: float) -> None:
        if gives_way:
            _look_around(op, work)
        op.progress(part, _("Flattening the disk"))

    return report


def _look_around(op: Op, work: _Work) -> None:
    """Raise `_GiveWay` where an operation waits for the instance."""
    if work.instance is not None and somebody_waits(op, [f"instance:{work.instance.id}"]):
        raise _GiveWay


def somebody_waits(op: Op, keys: Sequence[str]) -> bool:
    """Whether a younger open operation names one of these keys, which this one holds."""
    mine = sa.select(Operation.seq).where(Operation.id == op.id).scalar_subquery()
    waiting = (
        sa.select(OperationKey.seq)
        .join(Operation, Operation.seq == OperationKey.seq)
        .where(OperationKey.key.in_(keys), OperationKey.seq > mine, Operation.state.in_(OPEN))
    )
    with op.read() as session:
        return session.scalar(waiting.limit(1)) is not None


def _follow(op: Op, work: _Work, floor_id: str | None) -> None:
    """The row says what the header says."""
    with op.write() as session:
        head = session.get_one(Head, work.head.id)
        if head.layer_id != floor_id:
            head.layer_id = floor_id
            emit(
                session, "volume.flattened", subject=storage.subject_of(work.volume),
                project_id=work.volume.project_id, operation_id=op.id,
            )  # fmt: skip


@tx_step()
def layers_below(op: Op, session: Session, volume_id: str) -> list[str]:
    """The layers that a volume's head stands on before it is flattened, the nearest first."""
    return [layer.id for layer in storage.chain_of(session, volume_id)]


@step()
def collect_below(op: Op, layer_ids: list[str]) -> None:
    """Of these layers those that nothing needs any more are gone."""
    for layer_id in layer_ids:
        collect(op, layer_id)


@step(retries=0)
def flatten_due(op: Op) -> int:
    """Order the flattening of every volume whose chain has grown too long; how many. Where there is no room for it
    now, it waits."""
    with op.read() as session:
        deep = [volume.id for volume in due(session, op.clock)]
    ordered = 0
    for volume_id in deep:
        try:
            with op.write() as session:
                ctx = Context(SYSTEM, session, op.settings, clock=op.clock)
                submit(ctx, flatten_intent(session, session.get_one(Volume, volume_id), gives_way=True))
        except (Conflict, NoCapacity, Unavailable, DriverError) as error:
            log.info("%s is not flattened now: %s", volume_id, error)
            continue
        ordered += 1
    return ordered
