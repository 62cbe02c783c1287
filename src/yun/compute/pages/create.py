"""The form that creates an instance, with the live preview beside it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.units import parse_size
from yun.compute import service
from yun.compute.pages.change_disk import NEW, ways_in, ways_of
from yun.compute.service.bus_fit import BUSES
from yun.identity import service as identity
from yun.images import service as images
from yun.network import service as network
from yun.network.model import Network, SecurityGroup
from yun.operations.service import submit
from yun.web.pages import (
    Ctx,
    FormData,
    PageRoute,
    Typed,
    accepted,
    live_preview,
    number,
    render,
    ticked,
    word,
    words,
)
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)


def wish_of(form: FormData) -> service.Wish:
    """What was typed as a wish. Raises `Invalid` for what is not a number or a size."""
    own = word(form, "flavor") == "own"
    memory, disk = word(form, "memory_mib") if own else None, word(form, "disk_bytes")
    user_data, installs = form.get("user_data"), word(form, "source") == "iso"
    return service.Wish(
        name=word(form, "name") or "",
        image="" if installs else word(form, "image") or "",
        iso=word(form, "iso") or "" if installs else "",
        driver_iso=word(form, "driver_iso") or "" if installs else "",
        flavor=None if own else word(form, "flavor"),
        vcpus=number(form, "vcpus") if own else None,
        memory_mib=parse_size(memory, field="memory_mib", default_unit="m") // 2**20 if memory else None,
        disk_bytes=parse_size(disk, field="disk_bytes", default_unit="g") if disk else None,
        network=word(form, "network"),
        address=word(form, "address"),
        security_groups=words(form, "security_groups") or None,
        keys=() if installs else words(form, "keys"),
        ssh_keys=()
        if installs
        else tuple(line for text in words(form, "ssh_keys") for line in text.splitlines() if line.strip()),
        password=None if installs else word(form, "password"),
        hostname=word(form, "hostname"),
        user_data=user_data if isinstance(user_data, str) and not installs else "",
        description=word(form, "description") or "",
        tags=tuple(t for text in words(form, "tags") for t in listed(text)),
        autostart=ticked(form, "autostart"),
        protected=ticked(form, "protected"),
        start=ticked(form, "start"),
        floating_ip=ticked(form, "floating_ip"),
        disk=service.FirstDisk(
            **ways_in(form), bus=word(form, "bus") or "", format=word(form, "format") or "qcow2"
        ),
    )


def _choices(ctx: Context) -> dict[str, Any]:
    keys = identity.list_keys(ctx) if ctx.actor.kind == "user" else []
    return {
        "images": [i for i in images.list_images(ctx, state="active", limit=500).items if i.kind == "disk"],
        "isos": images.list_isos(ctx) if ctx.project_id else [],
        "flavors": service.list_flavors(ctx, limit=200).items,
        "networks": network.list_of(ctx, Network, sort="name", limit=200).items,
        "groups": network.list_of(ctx, SecurityGroup, sort="name", limit=200).items,
        "keys": keys,
    }


@router.get("/instances/new")
def form(ctx: Ctx, image: str = "") -> Response:
    """Fields left, what would happen right."""
    ctx.may("instance.create")
    choices = _choices(ctx)
    chosen = next((i for i in choices["images"] if i.id == image), None) or next(iter(choices["images"]), None)
    fits = [f.name for f in choices["flavors"] if chosen is None or f.memory_mib >= chosen.min_memory_mib]
    return render(
        ctx, "compute/create.html", action="/instances", preview_url="/instances/new/preview", image=image,
        flavor=fits[0] if fits else "", now=NEW, buses=BUSES, **ways_of(None, ctx.locale), **choices,
    )  # fmt: skip


@router.post("/instances/new/preview")
def preview(ctx: Ctx, typed: Typed) -> Response:
    """What pressing *Create* would do now."""
    return live_preview(ctx, lambda: service.create(ctx, wish_of(typed)))


@router.post("/instances")
def create(ctx: Ctx, typed: Typed) -> Response:
    """Create it and show its page."""
    operation = submit(ctx, service.create(ctx, wish_of(typed)))
    return accepted(ctx, operation, location=f"/instances/{operation.subject_id}")
