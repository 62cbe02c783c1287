"""The first page: what runs, what is wrong, what happened."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.compute import service
from yun.hosts import service as hosts
from yun.operations import service as operations
from yun.operations.answer import text
from yun.operations.model import State
from yun.operations.pages import shown
from yun.storage import service as storage
from yun.web.pages import Ctx, PageRoute, render

router = APIRouter(route_class=PageRoute, include_in_schema=False)
WRONG = ("crashed", "error")


@router.get("/")
def overview(ctx: Ctx) -> Response:
    """What a person with ten minutes wants to know."""
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
    rooms = [
        {"host": r.host, "used_mib": r.committed_mib, "memory_mib": r.committed_mib + r.memory_mib,
         "vcpus": int(r.host.cpus * r.host.cpu_overcommit), "free_vcpus": r.vcpus}
        for r in (hosts.rooms(ctx.session) if ctx.allowed("host.list") else [])
    ]  # fmt: skip
    pools = storage.list_pools(ctx).items if ctx.allowed("pool.list") else []
    return render(
        ctx, "compute/overview.html", counts=counts, total=sum(counts.values()), wrong=service.rendered(ctx, wrong),
        failed=[shown(ctx, o) for o in failed], recent=[shown(ctx, o) for o in recent], notices=notices, rooms=rooms,
        pools=pools,
    )  # fmt: skip
