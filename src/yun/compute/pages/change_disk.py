"""The form that changes a disk where it is; and the fields that it shares with the form of a new one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import GIB, KIB, MIB, parse_size
from yun.compute import limits as io_limits
from yun.compute import service
from yun.compute.limits import KINDS, NAMES
from yun.compute.model import LIVE, Instance
from yun.compute.service.change_disk import WAYS, find_disk, waiting_disks, way_word
from yun.compute.service.disk_ways import CACHES, IO_MODES
from yun.hosts.model import Host
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.storage.service import Disk, attachments_of
from yun.web.edits import changed
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, render, ticked, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)
GROUP = "limit_group"
ROWS: dict[str, Message] = {
    "total_iops": _("Requests"), "read_iops": _("Reads"), "write_iops": _("Writes"),
    "total_bytes": _("Bytes"), "read_bytes": _("Bytes read"), "write_bytes": _("Bytes written"),
}  # fmt: skip
TITLES: dict[str, Message] = {
    **WAYS, GROUP: _("Shared budget"),
    **{name: _("Limits per second") for name in NAMES},
}  # fmt: skip


def choices(ctx: Context, row: Instance) -> dict[str, Any]:
    """What the fields offer on the instance's host."""
    return ways_of(ctx.session.get_one(Host, row.host_id), ctx.locale)


def ways_of(host: Host | None, locale: str) -> dict[str, Any]:
    """The same, where no host is chosen yet without a word about it."""
    facts = host.facts if host is not None else {"io_uring": True}
    return {
        "caches": CACHES, "io_modes": IO_MODES, "kinds": [(kind, ROWS[kind].render(locale)) for kind in KINDS],
        "io_uring": "" if facts.get("io_uring") else facts.get("io_uring_fault", ""),
    }  # fmt: skip


def ways_in(form: FormData) -> dict[str, Any]:
    """How a new disk is wished for, by the fields of `DiskWish`. Raises `Invalid` naming the field."""
    return {
        "cache": word(form, "cache") or "none", "io": word(form, "io") or "", "serial": word(form, "serial") or "",
        "discard": ticked(form, "discard"), "limits": limits_in(form), GROUP: word(form, GROUP) or "",
    }  # fmt: skip


def notes_of(ctx: Context, row: Instance) -> dict[str, list[str]]:
    """What is not usual of each disk of the instance, and what of it waits for the next start, by slot."""
    waiting = waiting_disks(ctx, row)
    found = {}
    for disk in attachments_of(ctx.session, row.id):
        place = disk.attachment
        said = io_limits.texts(place.limits)
        if group := io_limits.group_of(place.limits):
            said.append(_("Shared budget {group}", group=group))
        usual = NEW | {"discard": place.discard if place.readonly else True}
        said += [
            _("{title}: {value}", title=title, value=way_word(name, getattr(place, name)))
            for name, title in WAYS.items() if getattr(place, name) != usual[name]
        ]  # fmt: skip
        said += [
            _("{title} waits for the next start; until then: {value}", title=WAYS[entry["field"]],
              value=way_word(entry["field"], entry["now"]))
            for entry in waiting if entry["slot"] == place.slot
        ]  # fmt: skip
        found[place.slot] = [text.render(ctx.locale) for text in said]
    return found


NEW: dict[str, Any] = {
    "cache": "none", "io": "", "discard": True, "serial": "", GROUP: "", **dict.fromkeys(NAMES, ""),
}  # fmt: skip
"""The fields of a new disk as they are shown first."""


def limits_in(form: FormData) -> dict[str, int]:
    """The limits as they were typed. Raises `Invalid` naming the field."""
    found = {}
    for name in NAMES:
        text = word(form, name)
        if not text:
            continue
        if _counts_bytes(name):
            found[name] = int(parse_size(text, field=name, default_unit="m"))
        elif text.isdigit():
            found[name] = int(text)
        else:
            raise Invalid(_("{value} is no number.", value=text[:40]), fields={name: _("a whole number")})
    return found


def _counts_bytes(name: str) -> bool:
    return "_bytes_" in name and not name.endswith("_max_length")


def _shown(name: str, value: int) -> str:
    """A limit as it is typed."""
    if not value:
        return ""
    if _counts_bytes(name):
        for unit, factor in (("G", GIB), ("M", MIB), ("K", KIB)):
            if value % factor == 0:
                return f"{value // factor}{unit}"
        return f"{value}B"
    return str(value)


def _now(disk: Disk) -> dict[str, Any]:
    """The values of all fields, as they are compared."""
    place = disk.attachment
    return {
        **{name: getattr(place, name) for name in WAYS}, GROUP: io_limits.group_of(place.limits),
        **{name: place.limits.get(name, 0) for name in NAMES},
    }  # fmt: skip


@router.get("/instances/{ref}/disks/{slot}/change")
def change_form(ctx: Ctx, ref: str, slot: str) -> Response:
    """The form that changes a disk."""
    row = service.get(ctx, ref)
    ctx.may("instance.change_disk", row.project_id)
    disk = find_disk(ctx, row, slot)
    base, was = f"/instances/{row.id}/disks/{disk.attachment.slot}/change", _now(disk)
    shown = {name: _shown(name, was[name]) for name in NAMES}
    return render(
        ctx, "compute/disk_change.html", row=row, disk=disk, action=base, preview_url=f"{base}/preview", was=was,
        now={**was, **shown}, live=row.state in LIVE, **choices(ctx, row),
    )  # fmt: skip


def _intent(ctx: Context, row: Instance, slot: str, form: FormData) -> Intent:
    """Only what was changed is asked for: a disk that joins a group takes its limits, where none were typed."""
    disk = find_disk(ctx, row, slot)
    wanted: dict[str, Any] = {
        "cache": word(form, "cache") or "none", "io": word(form, "io") or "", "discard": ticked(form, "discard"),
        "serial": word(form, "serial") or "", GROUP: word(form, GROUP) or "",
        **dict.fromkeys(NAMES, 0), **limits_in(form),
    }  # fmt: skip
    changes = changed(form, wanted, _now(disk), TITLES)
    rates = {name: wanted[name] for name in NAMES}
    touched = any(name in changes for name in rates)
    ways = {name: changes[name] for name in WAYS if name in changes}
    change = service.DiskChange(limits=rates if touched else None, limit_group=changes.get(GROUP), **ways)
    return service.change_disk(ctx, row, disk.attachment.slot, change)


@router.post("/instances/{ref}/disks/{slot}/change/preview")
def plan_change(ctx: Ctx, ref: str, slot: str, typed: Typed) -> Response:
    """What changing it would do."""
    return live_preview(ctx, lambda: _intent(ctx, service.get(ctx, ref), slot, typed))


@router.post("/instances/{ref}/disks/{slot}/change")
def change_disk(ctx: Ctx, ref: str, slot: str, typed: Typed) -> Response:
    """Change it."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, _intent(ctx, row, slot, typed)), location=f"/instances/{row.id}/disks")
