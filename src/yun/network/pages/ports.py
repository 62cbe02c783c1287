"""Pages of ports: most are made with their instances, others here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from yun.base.context import Context
from yun.base.messages import _
from yun.base.units import parse_size
from yun.network import service
from yun.network.api import reach as faces
from yun.network.api import show
from yun.network.model import Capture, Network, Port, SecurityGroup, Subnet
from yun.network.service.reach import of_ports
from yun.network.service.search import FIELDS
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import (
    Ctx,
    FormData,
    Listing,
    PageRoute,
    Typed,
    accepted,
    live_preview,
    number,
    preview,
    render,
    ticked,
    word,
    words,
)
from yun.web.searching import searched
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/networks/ports")
def ports(
    ctx: Ctx, q: str = "", state: str = "", sort: str = "created_at", cursor: str | None = None
) -> Response:
    """The project's ports."""
    page, fault = searched(ctx, q, FIELDS[Port], lambda words: service.list_of(
        ctx, Port, filters={"state": state or None}, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    filters = {"q": q, "state": state}
    listing = Listing("/networks/ports", page, sort=sort, filters=filters, cursor=cursor, live="port", fault=fault)
    names = {n.id: n.name for n in service.list_of(ctx, Network, sort="name", limit=1000).items}
    return render(
        ctx, "network/ports.html", listing=listing, rows=show.ports(ctx.session, page.items), names=names, tab="ports"
    )


def _groups(ctx: Context, project_id: str | None) -> list[SecurityGroup]:
    inside = replace(ctx, project_id=project_id)
    return [
        g for g in service.list_of(inside, SecurityGroup, sort="name", limit=1000).items if g.project_id == project_id
    ]


@router.get("/networks/ports/new")
def port_form(ctx: Ctx) -> Response:
    """The form for a port that is in no instance yet."""
    ctx.may("port.create")
    networks = [n for n in service.list_of(ctx, Network, sort="name", limit=1000).items if not n.external]
    group = service.default_group(ctx.session, ctx.project_id) if ctx.project_id else None
    return render(
        ctx, "network/port_form.html", action="/networks/ports", preview_url="/networks/ports/new/preview", port=None,
        networks=networks, groups=_groups(ctx, ctx.project_id), chosen=[group.name] if group else [],
        was={"allowed_pairs": [], **dict.fromkeys(service.PORT_NUMBERS, 0)},
    )  # fmt: skip


def _pair(line: str) -> dict[str, str]:
    mac, comma, cidr = line.strip().rpartition(",")
    return {"mac": mac.strip(), "cidr": cidr.strip()} if comma else {"cidr": cidr.strip()}


def _typed(form: FormData) -> dict[str, Any]:
    """What was typed of a port; what was left empty means none."""
    lines = (word(form, "allowed_pairs") or "").splitlines()
    return {
        "name": word(form, "name") or "", "security_groups": words(form, "groups"),
        "port_security": ticked(form, "port_security"), "allowed_pairs": [_pair(n) for n in lines if n.strip()],
        **{name: number(form, name) or 0 for name in service.PORT_NUMBERS},
    }  # fmt: skip


def _count(form: FormData) -> int:
    """How many are made; one where nothing is said."""
    found = number(form, "count")
    return 1 if found is None else found


def _new(ctx: Context, form: FormData) -> Intent:
    typed = _typed(form)
    groups = typed.pop("security_groups")
    new = service.NewPort(
        network=word(form, "network"), addresses=listed(word(form, "addresses") or ""), groups=groups,
        mac=word(form, "mac"), hostname=word(form, "hostname") or "", count=_count(form),
        changes=service.PortChanges(**typed),
    )  # fmt: skip
    return service.create_port(ctx, new)


@router.post("/networks/ports/new/preview")
def plan_port(ctx: Ctx, typed: Typed) -> Response:
    """What creating it would do."""
    return live_preview(ctx, lambda: _new(ctx, typed))


@router.post("/networks/ports")
def create_port(ctx: Ctx, typed: Typed) -> Response:
    """Make a port."""
    operation = submit(ctx, _new(ctx, typed))
    one = _count(typed) == 1
    return accepted(ctx, operation, location=f"/networks/ports/{operation.subject_id}" if one else "/networks/ports")


# ── one that is there ──


@router.get("/networks/ports/{ref}")
def port(ctx: Ctx, ref: str) -> Response:
    """One port."""
    found = service.get_port(ctx, ref)
    network, subnet = ctx.session.get(Network, found.network_id), ctx.session.get(Subnet, found.subnet_id)
    reach = faces.summary(of_ports(ctx.session, [found])[found.id], ctx.locale)
    return render(
        ctx, "network/port.html", port=show.ports(ctx.session, [found])[0], network=network, subnet=subnet,
        plugged=found.plugged, captures=_captures(ctx, found), live=f"port:{found.id} capture service_chain",
        reach=reach, chains=service.chains_of_ports(ctx.session, [found.id]),
    )  # fmt: skip


def _captures(ctx: Context, found: Port) -> list[dict[str, Any]]:
    """The port's recordings, newest first, for those who may read them."""
    if not ctx.allowed("capture.list", found.project_id):
        return []
    inside = replace(ctx, project_id=found.project_id)
    page = service.list_of(inside, Capture, filters={"port_id": found.id}, sort="-created_at", limit=50)
    return [show.capture(row) for row in page.items]


@router.get("/networks/captures")
def captures(ctx: Ctx, q: str = "", sort: str = "-created_at", cursor: str | None = None) -> Response:
    """The project's recordings, also those of ports that are gone."""
    page, fault = searched(ctx, q, FIELDS[Capture], lambda words: service.list_of(
        ctx, Capture, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    listing = Listing(
        "/networks/captures", page, sort=sort, filters={"q": q}, cursor=cursor, live="capture", fault=fault
    )
    living = service.ports_by_id(ctx.session, [row.port_id for row in page.items])
    return render(
        ctx, "network/captures.html", listing=listing, shown=[show.capture(row) for row in page.items], living=living,
        tab="captures",
    )  # fmt: skip


@router.get("/networks/ports/{ref}/edit")
def edit_form(ctx: Ctx, ref: str) -> Response:
    """The form that changes a port."""
    found = service.get_port(ctx, ref)
    ctx.may("port.update", found.project_id)
    action = f"/networks/ports/{found.id}/edit"
    was = service.told_port(ctx.session, found)
    return render(
        ctx, "network/port_form.html", action=action, preview_url=f"{action}/preview", port=found, networks=[],
        groups=_groups(ctx, found.project_id), chosen=was["security_groups"], was=was,
    )  # fmt: skip


def _changed(ctx: Context, found: Port, form: FormData) -> Intent:
    now = service.told_port(ctx.session, found)
    typed = _typed(form)
    if found.instance_id is None:
        typed |= {"mac": word(form, "mac") or found.mac, "address": word(form, "address") or found.address}
    wanted = service.told_wish(ctx, found, typed)
    return service.update_port(
        ctx, found, service.PortChanges(**changed(form, wanted, now, service.PORT_TITLES))
    )


@router.post("/networks/ports/{ref}/edit/preview")
def plan_edit(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What changing it would do."""
    return live_preview(ctx, lambda: _changed(ctx, service.get_port(ctx, ref), typed))


@router.post("/networks/ports/{ref}/edit")
def save(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Change it."""
    found = service.get_port(ctx, ref)
    return accepted(ctx, submit(ctx, _changed(ctx, found, typed)), location=f"/networks/ports/{found.id}")


@router.get("/networks/ports/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = service.get_port(ctx, ref)
    intent = service.delete_port(ctx, found)
    return preview(ctx, intent, action=f"/networks/ports/{found.id}/delete", confirm=_("Delete"))


@router.post("/networks/ports/{ref}/delete")
def delete_port(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    intent = service.delete_port(ctx, service.get_port(ctx, ref))
    return accepted(ctx, submit(ctx, intent), location="/networks/ports")


@router.get("/networks/ports/{ref}/add-address")
def address_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for one address more."""
    found = service.get_port(ctx, ref)
    ctx.may("port.add_address", found.project_id)
    subnets = service.subnets_of(ctx.session, found.network_id)
    action = f"/networks/ports/{found.id}/add-address"
    return render(ctx, "network/address_dialog.html", action=action, port=found, subnets=subnets)


@router.post("/networks/ports/{ref}/add-address")
def add_address(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Give it one address more."""
    found = service.get_port(ctx, ref)
    intent = service.add_address(ctx, found, word(typed, "address"), subnet=word(typed, "subnet"))
    return accepted(ctx, submit(ctx, intent))


@router.get("/networks/ports/{ref}/addresses/{address}/remove/preview")
def remove_address_preview(ctx: Ctx, ref: str, address: str) -> Response:
    """What taking it away does."""
    found = service.get_port(ctx, ref)
    intent = service.remove_address(ctx, found, address)
    action = f"/networks/ports/{found.id}/addresses/{address}/remove"
    return preview(ctx, intent, action=action, confirm=_("Remove"))


@router.post("/networks/ports/{ref}/addresses/{address}/remove")
def remove_address(ctx: Ctx, ref: str, address: str) -> Response:
    """Take it away."""
    return accepted(ctx, submit(ctx, service.remove_address(ctx, service.get_port(ctx, ref), address)))


# ── what goes through it ──

CHARTS = {"bytes": ("bytes_in", "bytes_out"), "packets": ("packets_in", "packets_out"),
          "drops": ("dropped_in", "dropped_out")}  # fmt: skip


@router.get("/networks/ports/{ref}/charts/{name}")
def chart(ctx: Ctx, ref: str, name: Literal["bytes", "packets", "drops"]) -> Response:
    """The last hour as numbers for a chart."""
    points = service.port_metrics(ctx, service.get_port(ctx, ref))["points"]
    times = [datetime.fromisoformat(p["at"]).timestamp() for p in points]
    return JSONResponse({"times": times, "series": [[p[key] for p in points] for key in CHARTS[name]]})


@router.get("/networks/ports/{ref}/capture")
def capture_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that begins a recording."""
    found = service.get_port(ctx, ref)
    ctx.may("port.capture", found.project_id)
    action = f"/networks/ports/{found.id}/capture"
    return render(ctx, "network/capture_dialog.html", action=action, port=found)


@router.post("/networks/ports/{ref}/capture")
def capture(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Begin a recording."""
    size = word(typed, "size")
    intent = service.capture(
        ctx, service.get_port(ctx, ref), filter=word(typed, "filter") or "", seconds=number(typed, "seconds") or 60,
        max_bytes=parse_size(size, field="size") if size else 10 << 20,
    )  # fmt: skip
    return accepted(ctx, submit(ctx, intent))


@router.get("/captures/{ref}/stop/preview")
def stop_preview(ctx: Ctx, ref: str) -> Response:
    """What stopping does."""
    found = service.get_capture(ctx, ref)
    return preview(ctx, service.stop_capture(ctx, found), action=f"/captures/{found.id}/stop", confirm=_("Stop"))


@router.post("/captures/{ref}/stop")
def stop_capture(ctx: Ctx, ref: str) -> Response:
    """End a recording."""
    return accepted(ctx, submit(ctx, service.stop_capture(ctx, service.get_capture(ctx, ref))))


@router.get("/captures/{ref}/delete/preview")
def delete_capture_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = service.get_capture(ctx, ref)
    intent = service.delete_capture(ctx, found)
    return preview(ctx, intent, action=f"/captures/{found.id}/delete", confirm=_("Delete"))


@router.post("/captures/{ref}/delete")
def delete_capture(ctx: Ctx, ref: str) -> Response:
    """Delete a recording."""
    return accepted(ctx, submit(ctx, service.delete_capture(ctx, service.get_capture(ctx, ref))))
