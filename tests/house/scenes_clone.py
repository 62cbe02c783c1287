"""Scenes of copies: linked and full, of machines that run and that are off, one and several at once."""

from __future__ import annotations

from tests.house.scenes_media import insert
from tests.house.story import Ask, Scene, instance, on
from yun.base.context import Context
from yun.compute import service as compute
from yun.compute.service.merge import merge_intent
from yun.images.service import NewImage
from yun.operations.intent import Intent
from yun.storage import service as storage


def wish(**values: object) -> compute.CloneWish:
    """What is asked for in these scenes."""
    return compute.CloneWish(**{"name": "c{n}", **values})  # type: ignore[arg-type]


def frozen(number: int) -> tuple[Ask, ...]:
    """The disk of m1 is frozen once more, as a snapshot does; nobody holds the layer."""
    name = f"x{number}{{n}}"
    shown = name.replace("{n}", "1")
    return (
        on(compute.clone, wish=wish(name=name, start=False)), on(compute.delete, shown), on(compute.purge, shown),
    )  # fmt: skip


def held(ask: Ask) -> Ask:
    """Before that is asked for, a snapshot holds the layer below the disk of m1."""

    def asked(ctx: Context) -> Intent:
        nearest = storage.chain_of(ctx.session, storage.get_volume(ctx, "m1").id)[0]
        storage.hold(ctx.session, nearest.id, "snapshot:s1")
        return ask(ctx)

    return asked


def merge(ctx: Context) -> Intent:
    """Merge what is superfluous."""
    return merge_intent(ctx.session, storage.superfluous(ctx.session)[0])


SCENES: dict[str, Scene] = {
    "layer.merge": Scene(
        held(merge), (instance(), *frozen(1), *frozen(2)), undoable=False,
    ),
    "instance.clone": Scene(
        on(compute.clone, wish=wish(count=2)), (instance(), on(compute.add_disk, size_bytes=1 << 30))
    ),
    "volume.flatten": Scene(
        lambda ctx: compute.flatten(ctx, storage.get_volume(ctx, "m1")),
        (instance(), on(compute.clone, wish=wish(start=False))), undoable=False,
    ),
    "instance.make_image": Scene(on(compute.make_image, new=NewImage("golden")), (instance(),)),
}
MORE: dict[str, Scene] = {
    "layer.merge of a stopped one": Scene(
        held(merge), (instance(), *frozen(1), *frozen(2), *frozen(3), on(compute.stop, force=True)), undoable=False,
    ),
    "layer.merge below another frozen file": Scene(
        merge, (instance(), *frozen(1), *frozen(2), held(frozen(3)[0]), *frozen(3)[1:], held(on(compute.pause))),
        undoable=False,
    ),
    "instance.export of a running one": Scene(on(compute.export), (instance(),), undoable=False),
    "instance.clone of a stopped one": Scene(on(compute.clone, wish=wish(start=False)), (instance(start=False),)),
    "volume.flatten of a stopped one": Scene(
        lambda ctx: compute.flatten(ctx, storage.get_volume(ctx, "m1"), whole=True),
        (instance(start=False), on(compute.make_image, new=NewImage("golden"))), undoable=False,
    ),
    "instance.clone with a TPM, a CD and a disk that is only read": Scene(
        on(compute.clone, wish=wish()),
        (
            instance(start=False, memory_mib=256), on(compute.configure, tpm=True, firmware="uefi"), insert(),
            on(compute.add_disk, size_bytes=1 << 30, place=compute.Place(readonly=True)), on(compute.start),
        ),
    ),
    "instance.clone in full": Scene(on(compute.clone, wish=wish(full=True)), (instance(),)),
}
"""Further scenes of the same kinds, walked by the same tests."""
