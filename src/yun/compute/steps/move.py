"""Steps of a move: copy the disk to its new place, let everybody use the copy, take the old file away.

Until the copy is in use, the old file is the truth, and going back is removing the copy. From then on the copy is the
truth, and the way only leads forward: whatever an earlier try reached is found out by looking at the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict, DriverError, NoCapacity, YunError
from yun.base.messages import _
from yun.base.units import MIB
from yun.compute import places
from yun.compute.model import Instance
from yun.compute.spec import FIRMWARE
from yun.compute.steps.definition import define_now, write_seed
from yun.drivers.hypervisor.port import BlockCopy, Hypervisor, Power
from yun.drivers.volume.port import HeadFormat
from yun.images.space import MAKE_ROOM, check_copy, left, watched
from yun.operations.events import emit
from yun.operations.flow import Op, step
from yun.operations.intent import Subject
from yun.storage import capacity
from yun.storage import service as storage
from yun.storage.model import Head, Pool, Volume
from yun.storage.service.volumes import head_of
from yun.storage.steps.layers import collect
from yun.storage.steps.shared import refuse_base, store_of, told_format

SCARCE = 16 * MIB
"""What is left of a disk on which a hypervisor's write found no room: it writes a megabyte at a time, several at
once, and libvirt does not tell what they died of."""
LOOK_FIRST, LOOK_LATER, LOOK_SHARE = 0.02, 1.0, 0.01
"""Seconds between two looks at a copy under way: half of what is left by its pace, so that its end is seen soon, and no
less than a share of what it has taken: one that goes on for long, or whose guest writes on and on, is not asked about
all the time."""
UP = (Power.RUNNING, Power.PAUSED)
LIVE, FILE = "live", "file"
"""How it was copied: under a machine that writes to both files until it goes on with the copy, or file to file."""
COPYING = _("Copying the disk")


@dataclass(frozen=True)
class Way:
    """What was chosen at submit: pools, files, the machine that has the volume, and whether it is its first disk,
    beside which its seed and its firmware's variables lie."""

    from_pool: str
    to_pool: str
    source: str
    target: str
    instance_id: str | None
    first: bool


@dataclass(frozen=True)
class _Scene:
    """The rows as they are now."""

    volume: Volume
    head: Head
    old: Pool
    new: Pool
    instance: Instance | None
    slot: str


def _scene(op: Op, volume_id: str, way: Way) -> _Scene:
    with op.read() as session:
        return _read(session, volume_id, way)


def _read(session: Session, volume_id: str, way: Way) -> _Scene:
    place = storage.attachment_of(session, volume_id)
    instance = session.get(Instance, place.instance_id) if place is not None else None
    return _Scene(
        session.get_one(Volume, volume_id), head_of(session, volume_id), session.get_one(Pool, way.from_pool),
        session.get_one(Pool, way.to_pool), instance, place.slot if place is not None else "",
    )  # fmt: skip


def _machine(op: Op, scene: _Scene) -> Hypervisor | None:
    """The hypervisor, where a machine that is up really has the volume's file, old or new, in its slot."""
    if scene.instance is None:
        return None
    hypervisor = op.drivers.on(scene.instance.host_id).hypervisor
    return hypervisor if hypervisor.state(scene.instance.uuid).power in UP else None


def _plugged(hypervisor: Hypervisor | None, scene: _Scene, path: str) -> bool:
    if hypervisor is None or scene.instance is None:
        return False
    now = hypervisor.disks(scene.instance.uuid).get(scene.slot)
    return now is not None and now.path == path


# ── the copy ──


def _leave(op: Op, output: Any, volume_id: str, way: dict[str, Any]) -> None:
    """The old file is in use as ever, and the copy is gone."""
    road = Way(**way)
    scene = _scene(op, volume_id, road)
    if scene.head.path == road.target:
        return
    hypervisor = _machine(op, scene)
    if hypervisor is not None and scene.instance is not None:
        if _plugged(hypervisor, scene, road.source):
            hypervisor.abandon_copy(scene.instance.uuid, scene.slot)
        if any(disk.path == road.target for disk in hypervisor.disks(scene.instance.uuid).values()):
            raise Conflict(_("The machine uses the copy already."))
    store_of(op, scene.new).delete(road.target)


@step(undo=_leave)
def bring_over(op: Op, volume_id: str, way: dict[str, Any]) -> str:
    """The new file holds what the old one does: `LIVE` where a running machine keeps both the same from now on, else
    `FILE`. Raises `NoCapacity` before or while the pool's reserve would be touched, and `Conflict` where the machine
    goes down meanwhile. Undo removes the new file; the old one was never touched."""
    road = Way(**way)
    scene = _scene(op, volume_id, road)
    if scene.head.path != road.source or (scene.instance.id if scene.instance else None) != road.instance_id:
        raise Conflict(_("The volume has changed meanwhile."), hint=_("Ask for it again."))
    hypervisor = _machine(op, scene)
    live = _plugged(hypervisor, scene, road.source)
    if not (live and hypervisor is not None and _under_way(hypervisor, scene)):
        with op.read() as session:  # others may have been promised the space while it waited
            capacity.check(session, session.get_one(Pool, road.to_pool), scene.volume.size_bytes)
        check_copy(op, scene.new, road.source, source_format=told_format(scene.head))
    if live and hypervisor is not None:
        _mirror(op, hypervisor, scene, road)
        return LIVE
    _convert(op, scene, road)
    return FILE


def _under_way(hypervisor: Hypervisor, scene: _Scene) -> bool:
    assert scene.instance is not None
    return hypervisor.copy_state(scene.instance.uuid, scene.slot) is not None


def _convert(op: Op, scene: _Scene, road: Way) -> None:
    store = store_of(op, scene.new)
    report = watched(op, scene.new, lambda part: op.progress(part, COPYING))
    form, told = _format(scene), told_format(scene.head)
    store.convert(road.source, road.target, format=form, progress=report, source_format=told)
    size = store.inspect(road.target, told).virtual_bytes
    store.grow(road.target, max(scene.volume.size_bytes, size), format=told)


def _format(scene: _Scene) -> HeadFormat:
    """A raw disk stays one, wherever it lies."""
    return "raw" if scene.head.format == "raw" else "qcow2"


def _mirror(op: Op, hypervisor: Hypervisor, scene: _Scene, road: Way) -> None:
    """The running machine writes to both files, which are the same. A copy that an earlier try began is gone on with;
    what one left that is no longer under way is begun anew."""
    assert scene.instance is not None
    uuid, store = scene.instance.uuid, store_of(op, scene.new)
    if not _under_way(hypervisor, scene):
        store.delete(road.target)
        size = hypervisor.disks(uuid)[scene.slot].size or scene.volume.size_bytes
        store.create_head(road.target, size=size, backing=None, format=_format(scene))
        hypervisor.begin_copy(uuid, scene.slot, road.target, format=_format(scene))
    report = watched(op, scene.new, lambda part: op.progress(part, COPYING))
    begun = op.clock.monotonic()
    while True:
        now = hypervisor.copy_state(uuid, scene.slot)
        if now is None:
            raise _given_up(op, hypervisor, scene)
        if now.ready:
            return
        report(now.done / now.total if now.total else 0.0)
        op.sleep(_until_next_look(now, op.clock.monotonic() - begun))


def _until_next_look(now: BlockCopy, passed: float) -> float:
    left = passed * (now.total - now.done) / now.done if now.done else 0.0
    return min(max(left / 2, LOOK_SHARE * passed, LOOK_FIRST), LOOK_LATER)


def _given_up(op: Op, hypervisor: Hypervisor, scene: _Scene) -> YunError:
    assert scene.instance is not None
    if hypervisor.state(scene.instance.uuid).power not in UP:
        return Conflict(
            _("The instance {name} went down while its disk was copied.", name=scene.instance.name),
            hint=_("Its disk is as it was. Ask for the move again, also while the instance is off."),
        )
    if left(op, scene.new) < SCARCE:
        return NoCapacity(
            _("The hypervisor gave up copying the disk: the pool {pool} is full.", pool=scene.new.name), hint=MAKE_ROOM
        )
    return Conflict(
        _("The hypervisor gave up copying the disk and does not say why."),
        hint=_("The disk is as it was; see the host's log of the machine."),
    )


# ── over to it ──


@step(retries=20)
def move_over(op: Op, volume_id: str, way: dict[str, Any], how: str) -> str:
    """Machine, rows and definition use the new file, and nothing uses the old one: `LIVE` where the machine ran on.

    After the point of no return, so it finds out what is true and goes forward: a machine that has gone down since is
    copied file to file, unless it was using the copy by then.
    """
    road = Way(**way)
    scene = _scene(op, volume_id, road)
    if scene.head.path != road.target:
        how = _over(op, scene, road, how)
        with op.write() as session:
            now = _read(session, volume_id, road)
            now.head.path, now.head.layer_id = road.target, None
            now.volume.pool_id = road.to_pool
            emit(
                session, "volume.moved", subject=Subject("volume", now.volume.id, now.volume.name),
                project_id=now.volume.project_id, operation_id=op.id,
                data={"from_pool_id": road.from_pool, "pool_id": road.to_pool},
            )  # fmt: skip
    if scene.instance is not None:
        if road.first:
            _bring_beside(op, scene)
        define_now(op, scene.instance.id)
    return how


def _over(op: Op, scene: _Scene, road: Way, how: str) -> str:
    hypervisor = _machine(op, scene)
    if hypervisor is not None and scene.instance is not None:
        if _plugged(hypervisor, scene, road.source):
            _mirror(op, hypervisor, scene, road)
            hypervisor.finish_copy(scene.instance.uuid, scene.slot)
        if _plugged(hypervisor, scene, road.target):
            return LIVE
        if _plugged(hypervisor, scene, road.source):
            raise DriverError(_("The machine still uses the old file."), retryable=True)
    if how == LIVE and not _went_down_with_it(op, scene, road):
        _copy_off(op, scene, road)
    return FILE


def _copy_off(op: Op, scene: _Scene, road: Way) -> None:
    """The copy of a machine that went down before it used it is made from the file. Where there is no room for it by
    now the move waits for some, many times: the old file has everything, and nothing is given up for a full disk."""
    try:
        _convert(op, scene, road)
    except NoCapacity as error:
        told = _("The instance {name} went down before it used the copy, and there is no room for that now: {reason} "
                 "Its disk is whole in the pool {pool}.", name=scene.instance.name if scene.instance else "",
                 reason=error.message, pool=scene.old.name)  # fmt: skip
        way = _("Make room in the pool {pool}: the move goes on by itself within minutes. One that waited too long "
                "goes on with: {command}", pool=scene.new.name, command=f"yun operation retry {op.id}")  # fmt: skip
        raise DriverError(told, retryable=True, hint=way) from error


def _went_down_with_it(op: Op, scene: _Scene, road: Way) -> bool:
    """Whether the machine had gone over to the copy before it went down: its definition names the copy then."""
    if scene.instance is None:
        return False
    defined = op.drivers.on(scene.instance.host_id).hypervisor.defined_disks(scene.instance.uuid)
    return defined.get(scene.slot) == road.target


def _beside(scene: _Scene, pool: Pool) -> tuple[str, str]:
    assert scene.instance is not None
    return places.seed(pool.path, scene.instance.id), places.nvram(pool.path, scene.instance.id)


def _bring_beside(op: Op, scene: _Scene) -> None:
    """What lies beside a machine's first disk comes along: its seed, written anew, and its firmware's variables."""
    assert scene.instance is not None
    write_seed.call(op, scene.instance.id)
    store = store_of(op, scene.new)
    (_seed, old), (_new_seed, new) = _beside(scene, scene.old), _beside(scene, scene.new)
    if scene.instance.firmware in FIRMWARE and store.glance(old, "raw").exists and not store.glance(new, "raw").exists:
        store.convert(old, new, format="raw", progress=lambda _part: None, source_format="raw")


# ── away with the old ──


@step(retries=20)
def clear_old(op: Op, volume_id: str, way: dict[str, Any], layer_id: str | None) -> None:
    """The old file is gone, and base files that only it needed. A seed that a running machine has open stays until
    the machine is purged."""
    road = Way(**way)
    scene = _scene(op, volume_id, road)
    if scene.head.path != road.target:
        raise Conflict(_("The volume has changed meanwhile."))
    with op.read() as session:
        refuse_base(session, road.source)
    store = store_of(op, scene.old)
    store.delete(road.source)
    if road.first and _machine(op, scene) is None:
        for path in _beside(scene, scene.old):
            store.delete(path)
    if layer_id:
        collect(op, layer_id)


@step()
def base_of(op: Op, volume_id: str) -> str | None:
    """The layer that the volume's file stands on before it moves."""
    with op.read() as session:
        return head_of(session, volume_id).layer_id
