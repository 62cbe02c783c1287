"""The dialogs and forms of a snapshot's verbs, each with what it would do."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import MIB, parse_size
from yun.compute import service as compute
from yun.compute.model import LIVE, SETTLED, Instance
from yun.compute.model import State as InstanceState
from yun.identity import service as identity
from yun.network import service as network
from yun.network.model import Network
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.snapshots import service
from yun.snapshots.model import Snapshot
from yun.storage import service as storage
from yun.web.edits import changed
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, number, render, ticked, word, words
from yun.web.pages import preview as asking

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# ── take one ──


@router.get("/snapshots/new")
def choose(ctx: Ctx, q: str = "") -> Response:
    """Of which instance?"""
    ctx.may("snapshot.create")
    found = compute.list_instances(ctx, sort="name", limit=500).items
    rows = [row for row in found if row.state in SETTLED]
    return render(
        ctx, "snapshots/choose.html", action="/snapshots/new", preview_url="/snapshots/new/preview", instances=rows
    )


def _chosen(ctx: Context, form: FormData) -> Intent:
    reference = word(form, "instance")
    if not reference:
        raise Invalid(_("Of which instance?"), fields={"instance": _("choose one")})
    row = compute.get(ctx, reference)
    name = word(form, "name") or service.free_name(ctx.session, row.id)
    memory = ticked(form, "memory") and row.state in LIVE
    return service.create(ctx, row, service.SnapshotWish(name, note=word(form, "note") or "", memory=memory))


@router.post("/snapshots/new/preview")
def plan_chosen(ctx: Ctx, typed: Typed) -> Response:
    """What taking it would do."""
    return live_preview(ctx, lambda: _chosen(ctx, typed))


@router.post("/snapshots/new")
def create_chosen(ctx: Ctx, typed: Typed) -> Response:
    """Take it and show the instance's tree."""
    intent = _chosen(ctx, typed)
    operation = submit(ctx, intent)
    return accepted(ctx, operation, location=f"/instances/{intent.arguments['instance_id']}/snapshots")


@router.get("/instances/{ref}/snapshots/new")
def create_dialog(ctx: Ctx, ref: str) -> Response:
    """What shall be kept?"""
    row = compute.get(ctx, ref)
    ctx.may("snapshot.create", row.project_id)
    base = f"/instances/{row.id}/snapshots"
    live = row.state in LIVE
    return render(
        ctx, "snapshots/create_dialog.html", row=row, action=f"{base}/new", preview_url=f"{base}/preview",
        name=service.free_name(ctx.session, row.id), live=live, memory=live and _memory_can_be_kept(ctx, row),
        agent=row.agent and row.state == InstanceState.RUNNING,
        disks=storage.attachments_of(ctx.session, row.id),
    )  # fmt: skip


def _memory_can_be_kept(ctx: Context, row: Instance) -> bool:
    return not compute.detail(ctx, row)["host_devices"]


def _new(ctx: Context, ref: str, form: FormData) -> Intent:
    return service.create(ctx, compute.get(ctx, ref), service.SnapshotWish(
        name=word(form, "name") or "", note=word(form, "note") or "", memory=ticked(form, "memory"),
        quiesce=ticked(form, "quiesce"), without=words(form, "without"),
    ))  # fmt: skip


@router.post("/instances/{ref}/snapshots/preview")
def plan_new(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What taking it would do."""
    return live_preview(ctx, lambda: _new(ctx, ref, typed))


@router.post("/instances/{ref}/snapshots/new")
def create(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Take it."""
    return accepted(ctx, submit(ctx, _new(ctx, ref, typed)))


# ── name and note ──

TITLES: dict[str, Message] = {"name": _("Name"), "note": _("Notes")}


@router.get("/snapshots/{ref}/edit")
def edit_dialog(ctx: Ctx, ref: str) -> Response:
    """Another name or note."""
    row = service.get(ctx, ref)
    ctx.may("snapshot.update", row.project_id)
    was = {"name": row.name, "note": row.note}
    return render(ctx, "snapshots/edit_dialog.html", row=row, action=f"/snapshots/{row.id}/edit", was=was)


@router.post("/snapshots/{ref}/edit")
def edit(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Save it."""
    row = service.get(ctx, ref)
    wanted = {"name": word(typed, "name") or "", "note": word(typed, "note") or ""}
    changes = changed(typed, wanted, {"name": row.name, "note": row.note}, TITLES)
    return accepted(ctx, submit(ctx, service.update(ctx, row, **changes)))


# ── go back ──

MEMORY, START, OFF = "memory", "start", "off"


@router.get("/snapshots/{ref}/restore")
def restore_dialog(ctx: Ctx, ref: str) -> Response:
    """How to go back?"""
    row = service.get(ctx, ref)
    ctx.may("snapshot.restore", row.project_id)
    instance = service.instance_of(ctx.session, row)
    live = instance is not None and instance.state in LIVE
    there = storage.attachments_of(ctx.session, row.instance_id)
    had = {disk.volume_id for disk in service.disks_of(ctx.session, row.id)} | set(row.left)
    action = f"/snapshots/{row.id}/restore"
    return render(
        ctx, "snapshots/restore_dialog.html", row=row, action=action, preview_url=f"{action}/preview",
        way=MEMORY if row.memory_path else (START if live else OFF),
        extra=[disk for disk in there if disk.volume_id not in had],
    )  # fmt: skip


def _back(ctx: Context, ref: str, form: FormData) -> Intent:
    way = word(form, "way")
    if way not in (MEMORY, START, OFF):
        raise Invalid(_("How to go back?"), fields={"way": _("choose one")})
    return service.restore(ctx, service.get(ctx, ref), service.RestoreWish(
        memory=way == MEMORY, keep=ticked(form, "keep"), added=word(form, "added") or "detach",
        start=None if way == MEMORY else way == START,
    ))  # fmt: skip


@router.post("/snapshots/{ref}/restore/preview")
def plan_restore(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What going back would do."""
    return live_preview(ctx, lambda: _back(ctx, ref, typed))


@router.post("/snapshots/{ref}/restore")
def restore(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Go back, and show the instance's tree."""
    operation = submit(ctx, _back(ctx, ref, typed))
    return accepted(ctx, operation, location=f"/instances/{operation.subject_id}/snapshots")


# ── a new instance ──


@router.get("/snapshots/{ref}/restore-as")
def restore_as_form(ctx: Ctx, ref: str) -> Response:
    """Fields left, what would happen right."""
    row = service.get(ctx, ref)
    ctx.may("snapshot.restore_as", row.project_id)
    here = ctx.project_id == row.project_id
    action = f"/snapshots/{row.id}/restore-as"
    base = f"{row.instance_name}-{row.name}"[:90]
    return render(
        ctx, "snapshots/restore_as.html", row=row, action=action, preview_url=f"{action}/preview",
        name=compute.free_name(ctx, base) if here else base,
        flavors=compute.list_flavors(ctx, limit=200).items, pools=storage.list_pools(ctx, limit=1000).items,
        networks=network.list_of(ctx, Network, sort="name", limit=200).items if here else [],
        projects=[p for p in identity.list_projects(ctx, limit=200).items if ctx.allowed("instance.create", p.id)],
    )  # fmt: skip


def _anew(ctx: Context, ref: str, form: FormData) -> Intent:
    row = service.get(ctx, ref)
    memory, project = word(form, "memory_mib"), word(form, "project")
    return service.restore_as(ctx, row, service.NewFromSnapshot(
        name=word(form, "name") or "", flavor=word(form, "flavor"), vcpus=number(form, "vcpus"),
        memory_mib=parse_size(memory, field="memory_mib", default_unit="m") // MIB if memory else None,
        network=word(form, "network"), project=None if project == row.project_id else project,
        pool=word(form, "pool"), full=ticked(form, "full"), start=ticked(form, "start"),
    ))  # fmt: skip


@router.post("/snapshots/{ref}/restore-as/preview")
def plan_restore_as(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What making it would do."""
    return live_preview(ctx, lambda: _anew(ctx, ref, typed))


@router.post("/snapshots/{ref}/restore-as")
def restore_as(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Make it and show its page."""
    operation = submit(ctx, _anew(ctx, ref, typed))
    return accepted(ctx, operation, location=f"/instances/{operation.subject_id}")


# ── forks ──


@router.get("/instances/{ref}/snapshots/fork")
def fork_form(ctx: Ctx, ref: str) -> Response:
    """Fields left, what would happen right."""
    row = compute.get(ctx, ref)
    ctx.may("snapshot.fork", row.project_id)
    here = ctx.project_id == row.project_id
    base = f"/instances/{row.id}/snapshots/fork"
    return render(
        ctx, "snapshots/fork.html", row=row, action=base, preview_url=f"{base}/preview",
        name=compute.free_name(ctx, row.name) if here else f"{row.name}-2",
        networks=network.list_of(ctx, Network, sort="name", limit=200).items if here else [],
    )  # fmt: skip


def _forked(ctx: Context, ref: str, form: FormData) -> Intent:
    count = number(form, "count")
    return service.fork(ctx, compute.get(ctx, ref), service.ForkWish(
        name=word(form, "name") or "", count=1 if count is None else count, network=word(form, "network"),
        isolated=ticked(form, "isolated"),
    ))  # fmt: skip


@router.post("/instances/{ref}/snapshots/fork/preview")
def plan_fork(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What forking it would do."""
    return live_preview(ctx, lambda: _forked(ctx, ref, typed))


@router.post("/instances/{ref}/snapshots/fork")
def fork(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Fork it, and show the only fork or all instances."""
    one = (number(typed, "count") or 1) == 1
    operation = submit(ctx, _forked(ctx, ref, typed))
    return accepted(ctx, operation, location=f"/instances/{operation.subject_id}" if one else "/instances")


# ── a single disk ──


@router.get("/snapshots/{ref}/take-disk")
def take_disk_dialog(ctx: Ctx, ref: str) -> Response:
    """Which disk?"""
    row = service.get(ctx, ref)
    ctx.may("snapshot.take_disk", row.project_id)
    action = f"/snapshots/{row.id}/take-disk"
    return render(
        ctx, "snapshots/take_disk_dialog.html", row=row, action=action, preview_url=f"{action}/preview",
        disks=service.disks_of(ctx.session, row.id),
    )  # fmt: skip


def _taken(ctx: Context, row: Snapshot, form: FormData) -> Intent:
    return service.take_disk(ctx, row, word(form, "disk") or "", name=word(form, "name"))


@router.post("/snapshots/{ref}/take-disk/preview")
def plan_take_disk(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What taking it would do."""
    return live_preview(ctx, lambda: _taken(ctx, service.get(ctx, ref), typed))


@router.post("/snapshots/{ref}/take-disk")
def take_disk(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Take it and show the volume."""
    operation = submit(ctx, _taken(ctx, service.get(ctx, ref), typed))
    return accepted(ctx, operation, location=f"/volumes/{operation.subject_id}")


# ── away ──


@router.get("/snapshots/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    row = service.get(ctx, ref)
    return asking(ctx, service.delete(ctx, row), action=f"/snapshots/{row.id}/delete", confirm=_("Delete"))


@router.post("/snapshots/{ref}/delete")
def delete(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    row = service.get(ctx, ref)
    there = service.instance_of(ctx.session, row) is not None
    location = f"/instances/{row.instance_id}/snapshots" if there else "/snapshots"
    return accepted(ctx, submit(ctx, service.delete(ctx, row)), location=location)
