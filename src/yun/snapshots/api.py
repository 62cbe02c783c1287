"""REST of snapshots: parse, call the verb, render."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.base.messages import _
from yun.compute import service as compute
from yun.operations.answer import answer
from yun.snapshots import service
from yun.snapshots.model import Snapshot
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/snapshots", tags=["snapshots"])
Word = Annotated[str, Field(max_length=200)]
Reference = Annotated[str, Query(max_length=300)]
TITLES = {"name": _("Name"), "note": _("Notes")}


class Body(BaseModel):
    """A request's body: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class NewSnapshot(Body):
    """What is to be kept of an instance."""

    instance: Word = Field(description="By name or id.")
    name: Word | None = Field(None, description="One of the instance's own; chosen where left out.")
    note: str = Field("", max_length=4000, description="What it is for.")
    memory: bool = Field(False, description="Keep what a running or paused guest has in memory, too.")
    quiesce: bool = Field(True, description="Have the guest's agent bring its file systems to rest, where it answers.")
    without: list[Word] = Field([], max_length=100, description="Disks to be left out, by slot, name or id.")


class SnapshotPatch(Body):
    """Another name or note; what is left out stays."""

    name: Word | None = None
    note: str | None = Field(None, max_length=4000)
    was: dict[str, Any] | None = Field(
        None, description="What the fields to be changed were when you looked; where one is another now, it is a 409 "
        "that names it, what is there now, and what you want.",
    )  # fmt: skip


class Restoring(Body):
    """How to go back."""

    memory: bool | None = Field(None, description="With what the guest had in memory; where left out, if it was kept.")
    keep: bool = Field(True, description="Keep what the instance is now as a snapshot first.")
    added: str = Field(
        "detach", max_length=20, description="What becomes of disks that it has got since: detach, or remove."
    )
    start: bool | None = Field(None, description="Without memory: start it; where left out, if it runs now.")


class NewInstance(Body):
    """The instance that is to be made; what is left out is as the snapshot kept it."""

    name: Word
    flavor: Word | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    network: Word | None = Field(None, description="Another network for the first card.")
    project: Word | None = Field(None, description="Another project, in which you may create instances.")
    pool: Word | None = Field(None, description="Another storage location: its disks are copied there.")
    full: bool = Field(False, description="Independent of the snapshot's files: everything is copied.")
    start: bool = True


class Forking(Body):
    """Which instance is forked, and what the forks are."""

    instance: Word = Field(description="By name or id; it must run or be paused.")
    name: Word = Field(description="`{n}` stands for the number, `{n:02d}` for it with leading zeros.")
    count: int = Field(1, description="How many at once.")
    network: Word | None = Field(None, description="Another network for their first card.")
    isolated: bool = Field(False, description="The cables of their cards are pulled.")


class DiskWish(Body):
    """Which disk, and what the volume is to be called."""

    disk: Word = Field(description="By its slot, its volume's name, or that one's id.")
    name: Word | None = Field(None, description="Chosen where left out.")


def _get(ctx: Context, ref: str, match: Match) -> Snapshot:
    row = service.get(ctx, ref)
    match.check(row)
    return row


def _show(ctx: Context, row: Snapshot) -> dict[str, Any]:
    return service.shown(ctx, [row])[0]


@router.get("", summary="List snapshots")
def list_snapshots(
    ctx: Ctx, instance: str | None = Query(None, max_length=300, description="Only this one's, by name or id."),
    q: str = Query("", max_length=1000, description="A part of a name, a note or an instance's name."),
    sort: str = Query("-created_at", max_length=40), cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:  # fmt: skip
    """The project's snapshots, those in the trash left out. Sorts: created_at, name, memory_bytes."""
    of = compute.get(ctx, instance) if instance else None
    page = service.list_snapshots(ctx, instance=of, q=q, sort=sort, cursor=cursor, limit=limit)
    return {"items": service.shown(ctx, page.items), "next": page.next}


@router.post("", summary="Take a snapshot", status_code=201)
def create_snapshot(ctx: Ctx, body: NewSnapshot, dry_run: bool = False) -> JSONResponse:
    """Keep an instance as it is now; it goes on. The answer is the snapshot in its first state."""
    instance = compute.get(ctx, body.instance)
    wish = service.SnapshotWish(
        name=service.free_name(ctx.session, instance.id) if body.name is None else body.name, note=body.note,
        memory=body.memory, quiesce=body.quiesce, without=tuple(body.without),
    )  # fmt: skip
    intent = service.create(ctx, instance, wish)
    return answer(
        ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get(ctx, intent.subject.id))
    )


@router.post("/fork", summary="Fork a running instance", status_code=202)
def fork(ctx: Ctx, body: Forking, dry_run: bool = False) -> JSONResponse:
    """Copies that go on from this moment with the same memory, each an instance of its own; the instance goes on."""
    wish = service.ForkWish(**body.model_dump(exclude={"instance"}))
    return answer(ctx, service.fork(ctx, compute.get(ctx, body.instance), wish), dry_run=dry_run)


@router.get("/tree", summary="Show an instance's tree of snapshots")
def show_tree(ctx: Ctx, instance: Reference) -> dict[str, Any]:
    """All its snapshots, parents before their children, and the one that the instance as it is now grew from."""
    return service.shown_tree(ctx, compute.get(ctx, instance))


@router.get("/compare", summary="Compare two snapshots")
def compare(ctx: Ctx, first: Reference, second: Reference) -> dict[str, Any]:
    """What differs between two snapshots of an instance: its definition, disks that only one has, and of the others how
    many bytes were written on the way from where they part to each."""
    one, other = service.get(ctx, first), service.get(ctx, second)
    named = {"first": {"id": one.id, "name": one.name}, "second": {"id": other.id, "name": other.name}}
    return {**named, **service.compare(ctx, one, other)}


@router.get("/{ref:path}", summary="Show a snapshot")
def show_snapshot(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One snapshot by id, or by name where only one of the project has it; trashed ones too."""
    row = service.get(ctx, ref)
    tag(response, row)
    return _show(ctx, row)


@router.patch("/{ref:path}", summary="Change a snapshot's name or note")
def update_snapshot(ctx: Ctx, ref: str, body: SnapshotPatch, match: Match, dry_run: bool = False) -> JSONResponse:
    """What it keeps never changes."""
    row = service.get(ctx, ref)
    wanted = {n: v for n, v in (("name", body.name), ("note", body.note)) if v is not None}
    values = match.edit(row, wanted, {name: getattr(row, name) for name in wanted}, TITLES, body.was)
    return answer(ctx, service.update(ctx, row, **values), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/{ref:path}", summary="Delete a snapshot", status_code=202)
def delete_snapshot(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """To the trash; those that grew from it and the instance stay as they are."""
    row = _get(ctx, ref, match)
    return answer(ctx, service.delete(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/{ref:path}/restore", summary="Restore an instance to a snapshot", status_code=202)
def restore(ctx: Ctx, ref: str, body: Restoring, match: Match, dry_run: bool = False) -> JSONResponse:
    """The instance is again what the snapshot kept; what it is now is kept as a snapshot first, unless that is not
    wanted. The operation's subject is the instance."""
    intent = service.restore(ctx, _get(ctx, ref, match), service.RestoreWish(**body.model_dump()))
    return answer(ctx, intent, dry_run=dry_run)


@router.post("/{ref:path}/restore-as", summary="Restore a snapshot as a new instance", status_code=201)
def restore_as(ctx: Ctx, ref: str, body: NewInstance, match: Match, dry_run: bool = False) -> JSONResponse:
    """The instance that the snapshot is of stays as it is. The answer is the new one, in its first state."""
    intent = service.restore_as(ctx, _get(ctx, ref, match), service.NewFromSnapshot(**body.model_dump()))

    def row() -> dict[str, Any]:
        return compute.detail(ctx, compute.get(ctx, intent.subject.id))

    return answer(ctx, intent, dry_run=dry_run, status=201, row=row)


@router.post("/{ref:path}/take-disk", summary="Take a disk out of a snapshot as a volume", status_code=202)
def take_disk(ctx: Ctx, ref: str, body: DiskWish, match: Match, dry_run: bool = False) -> JSONResponse:
    """A volume of its own with what the disk held then. The operation's subject is the volume."""
    return answer(ctx, service.take_disk(ctx, _get(ctx, ref, match), body.disk, name=body.name), dry_run=dry_run)


@router.post("/{ref:path}/purge", summary="Remove a snapshot from the trash for good", status_code=202)
def purge(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """It cannot be brought back; other snapshots stay as they are."""
    row = _get(ctx, ref, match)
    return answer(ctx, service.purge(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))
