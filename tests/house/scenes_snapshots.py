"""Scenes of snapshots: taken of what runs and what is off, with memory and without, and all the ways back."""

from __future__ import annotations

from typing import Any

from tests.house.scenes_media import insert
from tests.house.story import Ask, Scene, instance, on
from yun.compute import service as compute
from yun.snapshots import service
from yun.snapshots.service import ForkWish, NewFromSnapshot, RestoreWish, SnapshotWish
from yun.storage import service as storage


def take(name: str = "s1", **wish: Any) -> Ask:
    """A snapshot of m1."""
    return lambda ctx: service.create(ctx, compute.get(ctx, "m1"), SnapshotWish(name, **wish))


def of(verb: Any, *words: Any, name: str = "s1", **more: Any) -> Ask:
    """Ask a verb of a snapshot."""
    return lambda ctx: verb(ctx, service.get(ctx, name), *words, **more)


def back(**wish: Any) -> Ask:
    """Restore s1."""
    return of(service.restore, RestoreWish(**wish))


DISK: Ask = on(compute.add_disk, size_bytes=1 << 30)
RICH: tuple[Ask, ...] = (
    instance(start=False, memory_mib=256), on(compute.configure, tpm=True, firmware="uefi"), insert(),
    on(compute.start),
)  # fmt: skip
SCENES: dict[str, Scene] = {
    "snapshot.create": Scene(take(memory=True), (instance(), DISK)),
    "snapshot.update": Scene(of(service.update, name="s1", note="n"), (instance(), take())),
    "snapshot.restore": Scene(back(), (instance(), take(memory=True), DISK), grows=True),
    "snapshot.restore_as": Scene(
        of(service.restore_as, NewFromSnapshot("m2")), (instance(), DISK, take())
    ),
    "snapshot.delete": Scene(of(service.delete), (instance(), take(memory=True))),
    "snapshot.purge": Scene(
        of(service.purge), (instance(), take(memory=True), take("s2"), of(service.delete)), undoable=False
    ),
}
SCENES["snapshot.fork"] = Scene(
    lambda ctx: service.fork(ctx, compute.get(ctx, "m1"), ForkWish("f{n}", count=2)), (instance(), DISK), grows=True
)
MORE: dict[str, Scene] = {
    "snapshot.create of one that is off": Scene(take(), (instance(start=False),)),
    "snapshot.create with UEFI, TPM and a CD": Scene(take(memory=True), RICH),
    "snapshot.restore of disks alone": Scene(back(start=False), (instance(), take()), grows=True),
    "snapshot.restore without keeping the present": Scene(
        back(keep=False), (instance(), take(memory=True)), undoable=False
    ),
    "snapshot.restore with UEFI, TPM and a CD": Scene(back(), (*RICH, take(memory=True)), grows=True),
    "snapshot.restore with disks that came and went": Scene(
        back(added="remove"),
        (instance(), DISK, take(), lambda ctx: compute.detach(ctx, storage.get_volume(ctx, "m1-vdb")), DISK),
        grows=True,
    ),
    "snapshot.restore_as in full": Scene(
        of(service.restore_as, NewFromSnapshot("m2", full=True, start=False)), (instance(), take())
    ),
}
"""Further scenes of the same kinds, walked by the same tests."""
