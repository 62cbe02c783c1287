"""The page that answers whether one thing can talk to another."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import YunError
from yun.base.messages import _
from yun.network import service
from yun.network.api import reach as faces
from yun.network.model import Port
from yun.network.service.reach import Question
from yun.network.service.reach import reach as ask
from yun.web.pages import Ctx, PageRoute, fault_of, render

router = APIRouter(route_class=PageRoute, include_in_schema=False)
PROTOCOLS = (
    ("", _("whatever passes")), ("tcp", "TCP"), ("udp", "UDP"), ("ping", _("Ping (ICMP)")), ("icmp", "ICMP"),
)  # fmt: skip
LINKS = {
    "port": "/networks/ports/", "network": "/networks/", "security_group": "/networks/security-groups/",
    "router": "/networks/routers/", "floating_ip": "/networks/floating-ips",
    "load_balancer": "/networks/load-balancers/",
}  # fmt: skip


@router.get("/networks/reach")
def reach(
    ctx: Ctx, source: str = "", target: str = "", protocol: str = "", port: str = "",
) -> Response:  # fmt: skip
    """Two choosers and, where both are chosen, the answer."""
    ctx.may("network.reach")
    asked = {"source": source, "target": target, "protocol": protocol, "port": port}
    answer, fault = None, None
    if source or target:
        try:
            answer = faces.shown(ask(ctx, question(asked)), ctx.locale)
            asked |= {name: named(ctx, asked[name]) for name in ("source", "target")}
        except YunError as error:
            fault = fault_of(ctx, error)
            if fault.status >= 500:
                raise
    return render(
        ctx, "network/reach.html", tab="reach", asked=asked, answer=answer, fault=fault, ends=ends(ctx),
        protocols=[(value, title) for value, title in PROTOCOLS], link=link,
    )  # fmt: skip


def question(asked: dict[str, str]) -> Question:
    """What was asked; a port that is no number is out of every range."""
    number = asked["port"].strip()
    port = (int(number) if number.isascii() and number.isdigit() and len(number) < 9 else -1) if number else None
    return Question(asked["source"], asked["target"], asked["protocol"] or None, port)


def link(step: dict[str, Any]) -> str:
    """Where a step's thing is looked at."""
    base = LINKS.get(step["kind"] or "", "")
    return f"{base}{step['id']}" if base.endswith("/") else base


def named(ctx: Context, reference: str) -> str:
    """What was asked for by its id, as a person would: by its host name, where one thing of the list alone has that."""
    rows = service.list_of(ctx, Port, sort="created_at", limit=1000).items
    found = next((r.hostname for r in rows if r.hostname and reference in (r.id, r.instance_id)), "")
    owners = {r.instance_id or r.id for r in rows if r.hostname == found}
    return found if found and len(owners) == 1 else reference


def ends(ctx: Context) -> list[tuple[str, str]]:
    """What can be chosen: (reference, what it is)."""
    rows = service.list_of(ctx, Port, sort="created_at", limit=1000).items
    names = [r.hostname for r in rows]
    return [
        (r.hostname if r.hostname and names.count(r.hostname) == 1 else r.id, f"{r.hostname} {r.address}") for r in rows
    ]
