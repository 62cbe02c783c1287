"""Steps of merging: a frozen file and those below it that nobody else needs become one, while machines run or are off.

Always downwards: what the upper file (the child) has is written into the lowest of them, which shows through the child
what it showed, however far that has come. So until the rows follow, everything that stands on the child can be left on
it or put back on it, and whoever takes over from a process that died looks at the files' headers and at what the
hypervisor says. Where no machine has the files open, the merged one takes the child's name in one moment, and nothing
above it notices. Where one has, the hypervisor merges and lets what stood on the child stand on the merged file; then
the rows of the two exchange their files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import SYSTEM, Context
from yun.base.errors import Conflict, DriverError, NoCapacity, Unavailable
from yun.base.log import logger
from yun.base.messages import _
from yun.compute.model import Instance
from yun.compute.service.merge import forget_waiting, merge_intent, merges_due, notice_key, tell_waiting
from yun.compute.steps.flatten import UP, somebody_waits
from yun.drivers.hypervisor.port import Hypervisor
from yun.drivers.volume.port import FileFacts, VolumeStore
from yun.images.space import watched
from yun.operations.events import emit, resolve_notice
from yun.operations.flow import Op, step
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Head, Layer, LayerState, Pool
from yun.storage.steps.layers import subject_of
from yun.storage.steps.shared import store_of, told_format

Keys = Sequence[str]
LOOK_EVERY = 0.05
log = logger(__name__)


class _GiveWay(Exception):
    """Somebody else waits for one of the instances or volumes."""


@dataclass(frozen=True)
class _Machine:
    """A running or paused machine that has the files open, and the file on the child through which it does."""

    uuid: str
    slot: str
    hypervisor: Hypervisor
    through: Layer | Head


@dataclass(frozen=True)
class _Work:
    """The child, the superfluous layers below it (the nearest first), what those stand on (empty: nothing), and what
    stands on the child."""

    child: Layer
    run: tuple[Layer, ...]
    floor: str
    above: tuple[Layer | Head, ...]
    pool: Pool
    store: VolumeStore

    @property
    def into(self) -> Layer:
        """The one whose file becomes the merged one."""
        return self.run[-1]

    @property
    def renamed(self) -> bool:
        """Whether the merged file has the child's name already."""
        return self.store.glance(self.child.path).backing == self.floor and not self.store.glance(self.into.path).exists

    def backing(self, file: Layer | Head) -> str:
        """What a file stands on by its header."""
        return self.store.glance(file.path, told_format(file)).backing

    @property
    def repointed(self) -> list[Layer | Head]:
        """What stands on the merged file instead of the child, by its header."""
        return [file for file in self.above if self.backing(file) == self.into.path]


def _work(op: Op, child_id: str, layer_ids: Sequence[str]) -> _Work | None:
    """None where the rows have followed already, or the layers are gone."""
    with op.read() as session:
        child = session.get(Layer, child_id)
        run = [session.get(Layer, each) for each in layer_ids]
        if child is None or child.parent_id != layer_ids[0]:
            return None
        sound = tuple(layer for layer in run if layer is not None)
        floor = session.get(Layer, sound[-1].parent_id) if sound[-1].parent_id else None
        pool = session.get_one(Pool, child.pool_id)
        above = tuple(storage.standing_on(session, child_id))
    return _Work(child, sound, floor.path if floor else "", above, pool, store_of(op, pool))


def _machines(op: Op, work: _Work) -> list[_Machine]:
    """Who has the files open now."""
    with op.read() as session:
        places = [
            (session.get(Instance, each.place.instance_id), each.place.slot, each.head, _through(session, work, each))
            for each in storage.volumes_upon(session, work.child.id)
            if each.place is not None
        ]
    found = []
    for instance, slot, head, through in places:
        if instance is None:
            continue
        hypervisor = op.drivers.on(instance.host_id).hypervisor
        if hypervisor.state(instance.uuid).power not in UP:
            continue
        plugged = hypervisor.disks(instance.uuid).get(slot)
        if plugged is not None and plugged.path == head.path:
            found.append(_Machine(instance.uuid, slot, hypervisor, through))
    return found


def _through(session: Session, work: _Work, upon: storage.Upon) -> Layer | Head:
    file: Layer | Head = upon.head
    below = upon.head.layer_id
    while below != work.child.id:
        file = session.get_one(Layer, below)
        below = file.parent_id
    return file


# ── the step ──


def _leave_off(op: Op, output: object, child_id: str, layer_ids: list[str], keys: list[str]) -> None:
    """No job is left. Where all has been merged and is on the disk, the rows follow; else everything stands on what it
    stood on, and shows what it showed."""
    work = _work(op, child_id, layer_ids)
    if work is None:
        return
    for machine in _machines(op, work):
        machine.hypervisor.abandon_pull(machine.uuid, machine.slot)
    if not _finish(op, work):
        _back_to_rest(op, work)


@step(undo=_leave_off)
def merge_files(op: Op, child_id: str, layer_ids: list[str], keys: list[str]) -> bool:
    """A frozen file has all that it had from ``layer_ids`` below it (the nearest first), and stands on what they stood
    on, in its header and in its row; whether it has: False where it gave way to somebody who waits, or where they are
    not superfluous any more. ``keys`` are those of the volumes, instances and holders above, held meanwhile.

    False, too, where a file was changed behind our back, the disk is full, several machines have the files open, or the
    hypervisor gave up: a notice says so, and it is tried again later. A machine that stops or is killed meanwhile is
    gone on with where it lies.
    """
    work = _work(op, child_id, layer_ids)
    if work is None:
        return _is_done(op, child_id)
    try:
        if not _begin(op, work, keys):
            return False
        while not _finish(op, work):
            _look_around(op, keys)
            _go_on(op, work, keys)
    except _GiveWay:
        _leave_off(op, None, child_id, layer_ids, keys)
        return False
    except (Conflict, NoCapacity, DriverError) as error:
        if isinstance(error, DriverError) and error.retryable:
            raise
        _leave_off(op, None, child_id, layer_ids, keys)
        with op.write() as session:
            tell_waiting(session, work.child, error.message, again=True)
        return False
    return True


def _is_done(op: Op, child_id: str) -> bool:
    with op.read() as session:
        return session.get(Layer, child_id) is not None


def _begin(op: Op, work: _Work, keys: Keys) -> bool:
    """Rows say that the files are being merged: they are not compared meanwhile. False where something is otherwise
    than it was when this was ordered."""
    again = work.child.state == LayerState.MERGING
    if not again:
        _refuse_changed(work)
    with op.write() as session:
        upon = storage.volumes_upon(session, work.child.id)
        needed = {f"volume:{each.volume.id}" for each in upon}
        needed |= {f"instance:{each.place.instance_id}" for each in upon if each.place is not None}
        needed |= set(storage.holders_upon(session, work.child.id))
        wanted = [layer.id for layer in work.run]
        same = any(
            each.child.id == work.child.id and [layer.id for layer in each.layers] == wanted
            for each in storage.superfluous(session)
        )
        if same and needed <= set(keys):
            ids = [work.child.id, *wanted, *(file.id for file in work.above if isinstance(file, Layer))]
            session.execute(
                sa.update(Layer)
                .where(Layer.id.in_(ids), Layer.state == LayerState.ACTIVE)
                .values(state=LayerState.MERGING)
            )
            return True
    if again:
        _leave_off(op, None, work.child.id, wanted, list(keys))
    return False


def _refuse_changed(work: _Work) -> None:
    """Raise `Conflict` for a file that is not as it was frozen: merging would make that last."""
    for layer in (work.child, *work.run):
        facts = work.store.glance(layer.path)
        if not facts.exists or (facts.length, facts.mtime_ns) != (layer.length, layer.mtime_ns):
            raise Conflict(
                _("The base file {digest} is not as it was frozen: it is not merged.", digest=layer.digest[:12]),
                hint=_("It is compared with its row every few minutes, and operators are told what is wrong with it."),
            )


def _go_on(op: Op, work: _Work, keys: Keys) -> None:
    """Merge, by the hypervisor of the machine that has the files open, else by the store."""
    machines = _machines(op, work)
    report = watched(op, work.pool, _reporter(op, keys))
    if not machines:
        work.store.merge(work.child.path, work.into.path, report)
        return
    if len(machines) > 1:
        raise Conflict(
            _("Several running machines have the base file {digest} open.", digest=work.child.digest[:12]),
            hint=_("It is merged once only one of them runs."),
        )
    machine = machines[0]
    for file in (work.into, machine.through):
        if isinstance(file, Layer):
            work.store.thaw(file.path)
    machine.hypervisor.begin_commit(machine.uuid, machine.slot, work.child.path, work.into.path)
    while (part := machine.hypervisor.pull_state(machine.uuid, machine.slot)) is not None:
        report(part)
        op.sleep(LOOK_EVERY)
    if not work.repointed and _machines(op, work):
        raise Conflict(
            _("The hypervisor gave up merging frozen files of {slot}.", slot=machine.slot),
            hint=_("Perhaps the disk of the pool is full; the instance goes on as before."),
        )


def _finish(op: Op, work: _Work) -> bool:
    """Where the files are merged, everything stands on the merged one and the rows say so; whether they are. What a
    machine has merged and was killed before it is known to be on the disk is put back: all of it is still there."""
    if work.renamed:
        _protect(work, (work.child, *work.above))
        _follow(op, work)
        return True
    moved = work.repointed
    if not moved:
        return False
    machines = _machines(op, work)
    if not any(machine.through.id == file.id for machine in machines for file in moved):
        for file in moved:
            work.store.stand_again(file.path, work.child.path, frozen=isinstance(file, Layer))
        return False
    for machine in machines:
        while machine.hypervisor.pull_state(machine.uuid, machine.slot) is not None:
            op.sleep(LOOK_EVERY)
        machine.hypervisor.flush_disk(machine.uuid, machine.slot)
    here = {file.id for file in moved}
    for file in work.above:
        if file.id not in here:
            work.store.stand_again(file.path, work.into.path, frozen=isinstance(file, Layer))
    _protect(work, (work.into, *work.above))
    _follow(op, work, exchanged=True)
    _catch_up(op, work)
    return True


def _catch_up(op: Op, work: _Work) -> None:
    """A head that came to stand on the child meanwhile stands on its new file."""
    with op.read() as session:
        heads = [file for file in storage.standing_on(session, work.child.id) if isinstance(file, Head)]
    for head in heads:
        if work.store.glance(head.path, told_format(head)).backing == work.child.path:
            work.store.stand_again(head.path, work.into.path)


def _protect(work: _Work, files: Sequence[Layer | Head]) -> None:
    for file in files:
        if isinstance(file, Layer):
            work.store.protect(file.path)


def _follow(op: Op, work: _Work, *, exchanged: bool = False) -> None:
    """The rows say what the files say. ``exchanged``: the child has the file of the lowest now, and its old one goes
    with that."""
    ids = [work.child.id, *(file.id for file in work.above if isinstance(file, Layer))]
    facts = _facts(work, ids, at={work.child.id: work.into.path} if exchanged else {})
    with op.write() as session:
        child = session.get_one(Layer, work.child.id)
        lowest = session.get_one(Layer, work.into.id)
        child.parent_id = lowest.parent_id
        if exchanged:
            child.path, lowest.path = work.into.path, work.child.path
        for layer in work.run:
            session.get_one(Layer, layer.id).state = LayerState.REMOVING
        _at_rest(session, facts)
        resolve_notice(session, notice_key(child.id))
        emit(
            session, "layer.merged", subject=subject_of(child), operation_id=op.id,
            data={"merged": [layer.id for layer in work.run]},
        )  # fmt: skip


def _back_to_rest(op: Op, work: _Work) -> None:
    """Nothing is merged: the files are read-only, and the rows say what they are like now."""
    layers = [work.child, *work.run, *(file for file in work.above if isinstance(file, Layer))]
    layers = [layer for layer in layers if work.store.glance(layer.path).exists]
    _protect(work, layers)
    facts = _facts(work, [layer.id for layer in layers])
    with op.write() as session:
        _at_rest(session, facts)


def _facts(work: _Work, layer_ids: Sequence[str], at: Mapping[str, str] | None = None) -> dict[str, FileFacts]:
    """What the files of layers are like now; ``at`` says where those lie that have changed their place."""
    paths = {file.id: file.path for file in (work.child, *work.run, *work.above)} | dict(at or {})
    return {each: work.store.glance(paths[each]) for each in layer_ids}


def _at_rest(session: Session, facts: Mapping[str, FileFacts]) -> None:
    for identifier, seen in facts.items():
        row = session.get_one(Layer, identifier)
        if row.state == LayerState.MERGING:
            row.state, row.length, row.file_bytes, row.mtime_ns = (
                LayerState.ACTIVE, seen.length, seen.file_bytes, seen.mtime_ns,
            )  # fmt: skip


def _reporter(op: Op, keys: Keys) -> Callable[[float], None]:
    def report(part: float) -> None:
        _look_around(op, keys)
        op.progress(part, _("Merging frozen files"))

    return report


def _look_around(op: Op, keys: Keys) -> None:
    """Raise `_GiveWay` where an operation waits for an instance, a volume or a holder above."""
    if somebody_waits(op, keys):
        raise _GiveWay


@step(retries=0)
def merge_due(op: Op) -> int:
    """Order the merging of frozen files that nobody needs any more, one merge of each pool at a time; how many. What
    cannot be merged now waits."""
    with op.write() as session:
        forget_waiting(session)
        found: list[Any] = merges_due(session, op.clock)
    ordered: set[str] = set()
    for each in found:
        if each.layers[0].pool_id in ordered:
            continue
        try:
            with op.write() as session:
                ctx = Context(SYSTEM, session, op.settings, clock=op.clock)
                submit(ctx, merge_intent(session, each))
        except (Conflict, NoCapacity, Unavailable, DriverError) as error:
            log.info("%s is not merged now: %s", each.layers[0].id, error)
            with op.write() as session:
                tell_waiting(session, each.child, error.message)
            continue
        ordered.add(each.layers[0].pool_id)
    return len(ordered)
