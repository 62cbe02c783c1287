"""The first page: what runs, what is wrong, what happened."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.compute import service
from yun.hosts import service as hosts
from yun.hosts.placement import Room
from yun.operations import service as operations
from yun.operations.answer import text
from yun.operations.model import State
from yun.operations.pages import shown
from yun.storage import service as storage
from yun.storage.model import Pool
from yun.web.pages import Ctx, PageRoute, render, welcome, without_project

router = APIRouter(route_class=PageRoute, include_in_schema=False)
WRONG = ("crashed", "error")


def promised_too_much(ctx: Context, rooms: list[Room], pools: list[Pool]) -> list[dict[str, Any]]:
    """Hosts and pools that have promised more than they may, as (message, hint, url)."""
    found: list[tuple[Message, Message, str]] = []
    for room in rooms:
        if room.memory_mib < 0:
            promised, whole = (format_size(m * MIB) for m in (room.committed_mib, room.committed_mib + room.memory_mib))
            message = _(
                "{name} has promised {promised} of memory and may promise {whole}: nothing new fits.",
                name=room.host.name, promised=promised, whole=whole,
            )  # fmt: skip
            hint = _("Delete or move instances, or raise the limit in the host's settings.")
            found.append((message, hint, f"/hosts/{room.host.id}"))
        elif room.vcpus < 0:
            message = _(
                "{name} has promised {count} vCPU more than it may: nothing new fits.",
                name=room.host.name, count=-room.vcpus,
            )  # fmt: skip
            hint = _("Delete or move instances, or raise the limit in the host's settings.")
            found.append((message, hint, f"/hosts/{room.host.id}"))
    for pool in pools:
        books = storage.pool_room(ctx.session, pool)
        if books.promised > books.limit:
            message = _(
                "The pool {name} has promised {promised} to disks and may promise {whole}: no new disk fits.",
                name=pool.name, promised=format_size(books.promised), whole=format_size(books.limit),
            )  # fmt: skip
            found.append((message, _("Empty the trash, or raise the limit of the pool."), f"/pools/{pool.id}"))
    return [{"message": m.render(ctx.locale), "hint": h.render(ctx.locale), "url": url} for m, h, url in found]


@router.get("/")
def overview(ctx: Ctx) -> Response:
    """What a person with ten minutes wants to know."""
    if without_project(ctx):
        return welcome(ctx)
    ctx.may("instance.list")
    counts = service.count_instances(ctx)
    wrong = service.list_instances(ctx, q="state:crashed,error", sort="name", limit=20).items
    failed = operations.list_operations(ctx, state=State.FAILED, limit=5).items
    recent = operations.list_operations(ctx, limit=8).items
    notices = []
    if ctx.allowed("notice.list"):
        notices = [
            {"key": n.key, "level": n.level, "message": text(n.message, ctx.locale), "hint": text(n.hint, ctx.locale),
             "created_at": n.created_at}
            for n in operations.notices(ctx)
        ]  # fmt: skip
    hosts_rooms = hosts.rooms(ctx.session) if ctx.allowed("host.list") else []
    rooms = [
        {"host": r.host, "used_mib": r.committed_mib, "memory_mib": r.committed_mib + r.memory_mib,
         "vcpus": int(r.host.cpus * r.host.cpu_overcommit), "free_vcpus": r.vcpus}
        for r in hosts_rooms
    ]  # fmt: skip
    pools = storage.list_pools(ctx).items if ctx.allowed("pool.list") else []
    return render(
        ctx, "compute/overview.html", counts=counts, total=sum(counts.values()), wrong=service.rendered(ctx, wrong),
        failed=[shown(ctx, o) for o in failed], recent=[shown(ctx, o) for o in recent], notices=notices, rooms=rooms,
        pools=pools, overfull=promised_too_much(ctx, hosts_rooms, pools),
    )  # fmt: skip
