"""Scenes of copies: linked and full, of machines that run and that are off, one and several at once."""

from __future__ import annotations

from tests.house.scenes_media import insert
from tests.house.story import Scene, instance, on
from yun.compute import service as compute
from yun.images.service import NewImage
from yun.storage import service as storage


def wish(**values: object) -> compute.CloneWish:
    """What is asked for in these scenes."""
    return compute.CloneWish(**{"name": "c{n}", **values})  # type: ignore[arg-type]


SCENES: dict[str, Scene] = {
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
