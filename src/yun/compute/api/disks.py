"""REST of disks: a volume's way into an instance, out of it, and to a larger size."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, Word, instances, row_of, volumes
from yun.operations.answer import answer
from yun.storage.service import get_volume
from yun.web.api import Ctx, Match

LIMITS = "Such as `read_iops_sec`, with `_max` for a burst and `_max_length` for its seconds; total, read, write."
FORMAT = "qcow2, or raw: a file that is sparse, independent and a little faster."
FIRST_BUS = "virtio, scsi, sata, or ide (machine type pc then); empty: what the image has a driver for."
LIMIT_GROUP = "Disks of the instance with the same name share one budget."


class DiskWays(Body):
    """How a disk is read and written."""

    cache: str = Field("none", max_length=20, description="none, writeback, writethrough, directsync or unsafe")
    io: str = Field("", max_length=20, description="threads, native or io_uring; empty: as the hypervisor likes.")
    discard: bool = Field(True, description="What the guest gives up is given back to the pool.")
    serial: str = Field("", max_length=40, description="By what the guest finds it; the volume's id by default.")
    limits: dict[str, int] = Field({}, max_length=40, description=LIMITS)
    limit_group: str = Field("", max_length=40, description=LIMIT_GROUP)


class FirstDisk(DiskWays):
    """How the first disk of a new instance is made, read and written."""

    bus: str = Field("", max_length=20, description=FIRST_BUS)
    format: str = Field("qcow2", max_length=10, description=FORMAT + " The image is copied into it.")


class NewPlace(DiskWays):
    """How a disk is put into an instance."""

    bus: str = Field("virtio", max_length=20, description="virtio, scsi, sata, or ide (machine type pc)")
    slot: str = Field("", max_length=10, description="The disk's name, such as vdb; the first free one by default.")
    readonly: bool = False

    def place(self) -> service.Place:
        """As the verb wants it."""
        return service.Place(
            bus=self.bus, slot=self.slot, readonly=self.readonly, cache=self.cache, io=self.io, discard=self.discard,
            serial=self.serial, limits=self.limits, limit_group=self.limit_group,
        )  # fmt: skip


class NewDisk(NewPlace):
    """An empty disk for an instance."""

    size_bytes: int
    name: str | None = Field(None, max_length=400, description="The volume's name.")
    pool: str | None = Field(None, max_length=70, description="Pool by name or id; the default one otherwise.")
    format: str = Field("qcow2", max_length=10, description=FORMAT)


class Target(NewPlace):
    """The instance that is to have the volume."""

    instance: Word


class Removal(Body):
    """How patiently a guest is asked."""

    timeout: int = Field(30, description="Seconds a running guest has to let go of the disk.")
    boot_disk: bool = Field(False, description="Say so where the instance boots from it.")
    even_if_mounted: bool = Field(False, description="Take it although the guest has it mounted.")
    trash: bool = Field(False, description="Put the volume into the trash then.")


class Removals(Body):
    """Several disks of one instance."""

    disks: list[Word] = Field(max_length=100, description="Disks by slot (`vdb`), or volumes by name or id.")
    trash: list[Word] = Field([], max_length=100, description="Those of them that go to the trash; the others stay.")
    timeout: int = Field(30, description="Seconds a running guest has to let go of each.")
    boot_disk: bool = Field(False, description="Say so where the instance boots from one of them.")
    even_if_mounted: bool = Field(False, description="Take them although the guest has them mounted.")


class NewVolumeSize(Body):
    """A larger size."""

    size_bytes: int


@instances.post("/{ref}/add-disk", summary="Add a disk to an instance", status_code=202)
def add_disk(ctx: Ctx, ref: str, body: NewDisk, match: Match, dry_run: bool = False) -> JSONResponse:
    """Make an empty volume and attach it, at once where the instance runs and the bus allows it."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.add_disk(
        ctx, found, size_bytes=body.size_bytes, name=body.name, pool=body.pool, place=body.place(),
        format=body.format,
    )
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/detach", summary="Detach several disks from an instance", status_code=202)
def detach_disks(ctx: Ctx, ref: str, body: Removals, match: Match, dry_run: bool = False) -> JSONResponse:
    """All of them, or none where the guest keeps one; mounted ones are named with their mount points."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.detach_disks(ctx, found, service.DetachWish(**body.model_dump()))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@volumes.post("/{ref}/attach", summary="Attach a volume to an instance", status_code=202)
def attach(ctx: Ctx, ref: str, body: Target, match: Match, dry_run: bool = False) -> JSONResponse:
    """At once where the instance runs and the bus allows it, else at its next start."""
    volume, instance = get_volume(ctx, ref), service.get(ctx, body.instance)
    match.check(volume)
    intent = service.attach(ctx, volume, instance, body.place())
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, instance))


@volumes.post("/{ref}/detach", summary="Detach a volume from its instance", status_code=202)
def detach(ctx: Ctx, ref: str, body: Removal, match: Match, dry_run: bool = False) -> JSONResponse:
    """A running guest is asked for it; the volume stays with its data."""
    volume = get_volume(ctx, ref)
    match.check(volume)
    intent = service.detach(ctx, volume, **body.model_dump())
    return answer(ctx, intent, dry_run=dry_run)


@volumes.post("/{ref}/grow", summary="Grow a volume", status_code=202)
def grow(ctx: Ctx, ref: str, body: NewVolumeSize, match: Match, dry_run: bool = False) -> JSONResponse:
    """Enlarge it; a running guest sees it at once. It never shrinks."""
    volume = get_volume(ctx, ref)
    match.check(volume)
    return answer(ctx, service.grow(ctx, volume, body.size_bytes), dry_run=dry_run)
