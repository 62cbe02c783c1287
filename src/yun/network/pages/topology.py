"""The page of the topology: a picture of the networks and of what hangs on them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from yun.base.errors import Invalid
from yun.base.query import finished
from yun.network import service
from yun.network.model import Network
from yun.network.service.search import FIELDS
from yun.network.topology.graph import Topology
from yun.network.topology.layout import Look, draw
from yun.network.topology.words import Words
from yun.web.pages import Ctx, PageRoute, fault_of, render

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE = "/networks/topology"
LIVE = "network subnet router port floating_ip load_balancer security_group"


@router.get(PAGE)
def topology(ctx: Ctx, q: str = "", open: Annotated[list[str], Query(max_length=200)] = []) -> Response:  # noqa: B006
    """The networks that ``q`` finds with what hangs on them; those in ``open`` are shown whole."""
    opened = list(dict.fromkeys(open))

    def toggle(network_id: str) -> str:
        wanted = [n for n in opened if n != network_id] if network_id in opened else [*opened, network_id]
        values = [("q", q)] * bool(q) + [("open", n) for n in wanted]
        return f"{PAGE}?{urlencode(values)}" if values else PAGE

    found, fault = Topology(), None
    try:
        found = service.topology(ctx, q=finished(q, FIELDS[Network]), opened=opened)
    except Invalid as error:
        if "q" not in error.fields:
            raise
        fault = fault_of(ctx, error)
    picture = draw(found, Look(Words(ctx.locale), toggle, frozenset(opened)))
    return render(
        ctx, "network/topology.html", found=found, picture=picture, q=q, opened=opened, fault=fault, page=PAGE,
        colours={group: number % 8 for number, (group, _name) in enumerate(found.groups)}, live=LIVE, tab="topology",
    )  # fmt: skip
