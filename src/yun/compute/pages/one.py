"""One instance: overview with charts, console, disks, network, activity, settings, and its verbs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import MIB, parse_size
from yun.compute import service
from yun.compute.api.reach import cards
from yun.compute.console.model import screens_of
from yun.compute.model import Instance, OnCrash, State
from yun.compute.pages.change_disk import notes_of
from yun.compute.pages.guest import runs_of
from yun.compute.pages.listing import dressed
from yun.compute.service.edit import TITLES
from yun.compute.service.resize import size_text
from yun.operations.intent import Intent
from yun.operations.pages import history_of, shown
from yun.operations.service import get as get_operation
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.navigation import with_tabs
from yun.web.pages import Ctx, PageRoute, Typed, accepted, number, preview, render, ticked, word, words
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Verb = Literal[
    "start", "stop", "reboot", "pause", "resume", "delete", "tend", "purge", "kill", "reset", "thaw", "trim",
    "sync_time",
]  # fmt: skip

TEMPLATES = {"overview": "instance_overview"}
VERBS: dict[str, Callable[[Context, Instance], Intent]] = {
    "start": service.start,
    "stop": service.stop,
    "reboot": service.reboot,
    "pause": service.pause,
    "resume": service.resume,
    "delete": service.delete,
    "purge": service.purge,
    "tend": service.tend,
    "thaw": service.thaw,
    "trim": service.trim,
    "sync_time": service.sync_time,
    # The same verbs with the power cut at once, for a guest that does not listen.
    "kill": lambda ctx, row: service.stop(ctx, row, force=True),
    "reset": lambda ctx, row: service.reboot(ctx, row, hard=True),
}


def tabs_of(ctx: Context, item: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The tabs of an instance as (address, title, name)."""
    base = f"/instances/{item['id']}"
    own = [
        ("overview", _("Overview")), ("console", _("Screen")), ("serial", _("Serial console")),
        ("guest", _("Guest")), ("disks", _("Disks")),
        ("network", _("Network")), ("activity", _("Activity")), ("settings", _("Settings")),
    ]  # fmt: skip
    if not ctx.allowed("instance.console", item["project_id"]):
        own = [t for t in own if t[0] not in ("console", "serial")]
    titles = with_tabs(ctx, "instance", own, item["project_id"])
    return [(base if n == "overview" else f"{base}/{n}", title.render(ctx.locale), n) for n, title in titles]


def frame(ctx: Context, row: Instance) -> dict[str, Any]:
    """What the top of every page of an instance is drawn from (`compute/frame.html`), whichever room has the tab."""
    item = dressed(ctx, [row])[0]
    whole = service.detail(ctx, row)
    item |= {part: whole[part] for part in ("ports", "disks", "drives", "host_devices")}
    task = shown(ctx, get_operation(ctx, item["task"]["operation_id"])) if item["task"] else None
    return {
        "item": item, "row": row, "tabs": tabs_of(ctx, item), "task": task, "trashed": row.state == State.TRASHED,
        "live": f"instance:{row.id} operation",
    }  # fmt: skip


def _page(ctx: Context, ref: str, tab: str, **values: Any) -> Response:
    top = frame(ctx, service.get(ctx, ref))
    if tab in ("console", "serial", "settings"):
        top["live"] = ""
    return render(ctx, f"compute/{TEMPLATES.get(tab, tab)}.html", tab=tab, **top, **values)


@router.get("/instances/{ref}")
def overview(ctx: Ctx, ref: str) -> Response:
    """What it is and what it uses."""
    row = service.get(ctx, ref)
    history = history_of(ctx, "instance", row.id, limit=5)
    return _page(ctx, ref, "overview", history=history, guest=service.guest(ctx, row))


@router.get("/instances/{ref}/console")
def console(ctx: Ctx, ref: str, screen: str = "") -> Response:
    """Its screen, keyboard and mouse: by VNC, or by SPICE where it has only that, or where that is asked for."""
    row = service.get(ctx, ref)
    ctx.may("instance.console", row.project_id)
    screens = screens_of(row.running_hardware)
    return _page(ctx, ref, "console", screens=screens, screen=screen if screen in screens else screens[0])


@router.get("/instances/{ref}/serial")
def serial(ctx: Ctx, ref: str) -> Response:
    """Its serial port."""
    ctx.may("instance.console", service.get(ctx, ref).project_id)
    return _page(ctx, ref, "serial")


@router.get("/instances/{ref}/guest")
def guest(ctx: Ctx, ref: str) -> Response:
    """What its guest tells of itself, and what can be done in there."""
    row = service.get(ctx, ref)
    return _page(ctx, ref, "guest", guest=service.guest(ctx, row), runs=runs_of(ctx, row))


@router.get("/instances/{ref}/disks")
def disks(ctx: Ctx, ref: str) -> Response:
    """Its disks."""
    return _page(ctx, ref, "disks", notes=notes_of(ctx, service.get(ctx, ref)))


@router.get("/instances/{ref}/network")
def network(ctx: Ctx, ref: str) -> Response:
    """Its network cards and addresses, and what can reach it."""
    row = service.get(ctx, ref)
    return _page(ctx, ref, "network", outside=service.outside_cards(ctx, row), reached=cards(ctx, row))


@router.get("/instances/{ref}/activity")
def activity(ctx: Ctx, ref: str) -> Response:
    """Everything that was done to it."""
    row = service.get(ctx, ref)
    return _page(ctx, ref, "activity", history=history_of(ctx, "instance", row.id))


@router.get("/instances/{ref}/settings")
def settings(ctx: Ctx, ref: str) -> Response:
    """What can be changed of it."""
    row = service.get(ctx, ref)
    return _page(
        ctx, ref, "settings", was=_kept(row), waiting=service.waiting_words(ctx, row),
        boot=service.boot_words(ctx, row),
    )  # fmt: skip


CHANGEABLE: dict[str, Message] = {
    **{name: title for name, title in TITLES.items() if name != "on_crash"},
    "restart_on_crash": _("Start again after a crash"),
}


def _kept(row: Instance) -> dict[str, Any]:
    """What the settings show of an instance, by the names of the form's fields."""
    return {name: getattr(row, name) for name in CHANGEABLE if name != "restart_on_crash"} | {
        "restart_on_crash": row.on_crash == OnCrash.RESTART
    }


CHARTS: dict[str, tuple[tuple[str, float], ...]] = {
    "cpu": (("cpu", 100.0),),
    "memory": (("memory_used_kib", 1024.0), ("memory_kib", 1024.0)),
    "disk": (("disk_read", 1.0), ("disk_write", 1.0)),
    "net": (("net_rx", 1.0), ("net_tx", 1.0)),
}


@router.get("/instances/{ref}/charts/{name}")
def chart(ctx: Ctx, ref: str, name: Literal["cpu", "memory", "disk", "net"]) -> Response:
    """The last hour as numbers for a chart; the processor's in per cent of all its vCPUs."""
    found = service.metrics(ctx, service.get(ctx, ref))
    points = found["points"]
    scale = 1.0 / max(found["vcpus"], 1) if name == "cpu" else 1.0
    series = [
        [None if p[key] is None else p[key] * factor * scale for p in points] for key, factor in CHARTS[name]
    ]
    times = [datetime.fromisoformat(p["at"]).timestamp() for p in points]
    return JSONResponse({"times": times, "series": series})


@router.get("/instances/{ref}/{verb}/preview")
def verb_preview(ctx: Ctx, ref: str, verb: Verb) -> Response:
    """What the verb would do."""
    row = service.get(ctx, ref)
    return preview(ctx, VERBS[verb](ctx, row), action=f"/instances/{row.id}/{verb}")


@router.get("/instances/{ref}/resize")
def resize_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that asks for another size."""
    row = service.get(ctx, ref)
    ctx.may("instance.resize", row.project_id)
    return render(
        ctx, "compute/resize_dialog.html", row=row, action=f"/instances/{row.id}/resize",
        flavors=service.list_flavors(ctx, limit=1000).items,
        was={"flavor": size_text(row.vcpus, row.memory_mib).render()},
    )  # fmt: skip


@router.post("/instances/{ref}/resize")
def resize(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Give it another size: a flavor's, or numbers."""
    row = service.get(ctx, ref)
    memory = word(typed, "memory_mib")
    intent = service.resize(
        ctx, row, flavor=word(typed, "flavor"), vcpus=number(typed, "vcpus"),
        memory_mib=parse_size(memory, field="memory_mib", default_unit="m") // MIB if memory else None,
    )  # fmt: skip
    wanted = {"flavor": size_text(*(intent.arguments["values"][n] for n in ("vcpus", "memory_mib"))).render()}
    changed(typed, wanted, {"flavor": size_text(row.vcpus, row.memory_mib).render()}, {"flavor": _("Size")})
    return accepted(ctx, submit(ctx, intent), location=f"/instances/{row.id}")


@router.post("/instances/{ref}/update")
def update(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Save what was changed in the settings; what a colleague changed meanwhile stays."""
    row = service.get(ctx, ref)
    wanted: dict[str, Any] = {
        "name": word(typed, "name") or "",
        "description": word(typed, "description") or "",
        "tags": [t for text in words(typed, "tags") for t in listed(text)],
        "autostart": ticked(typed, "autostart"),
        "protected": ticked(typed, "protected"),
        "restart_on_crash": ticked(typed, "restart_on_crash"),
        "shutdown_seconds": number(typed, "shutdown_seconds"),
    }
    if wanted["shutdown_seconds"] is None:
        raise Invalid(_("How long may the guest take to power off?"), fields={"shutdown_seconds": _("is required")})
    changes = changed(typed, wanted, _kept(row), CHANGEABLE)
    if "restart_on_crash" in changes:
        changes["on_crash"] = OnCrash.RESTART if changes.pop("restart_on_crash") else OnCrash.LEAVE
    operation = submit(ctx, service.update(ctx, row, **changes))
    return accepted(ctx, operation, location=f"/instances/{row.id}/settings")


@router.post("/instances/{ref}/{verb}")
def act(ctx: Ctx, ref: str, verb: Verb) -> Response:
    """Do it."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, VERBS[verb](ctx, row)))
