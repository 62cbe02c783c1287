"""REST of what an instance boots from: its order, and what only its next start boots from."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi.responses import JSONResponse, Response
from pydantic import Field

from yun.compute import boot, service
from yun.compute.api.shared import Body, Edit, Word, instances, row_of
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, tag

NAMED = "a slot such as vda, a MAC, an id, a volume's name, or disk, cd, network for the first of a kind"


class Order(Edit):
    """What starts try in turn."""

    devices: Annotated[list[Word], Field(max_length=100)] = Field(
        description=f"Each {NAMED}; none: as it is where nobody chose."
    )


class Once(Body):
    """What only the next start boots from."""

    device: Word = Field(description=f"It is {NAMED}; empty: nothing, it boots as ever.")


@instances.get("/{ref}/boot", summary="Show what an instance boots from")
def show_boot(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """What starts try in turn, what only the next one boots from, and all devices there are."""
    found = service.get(ctx, ref)
    tag(response, found)
    return service.boot_view(ctx, found)


@instances.put("/{ref}/boot-order", summary="Change an instance's boot order", status_code=202)
def boot_order(ctx: Ctx, ref: str, body: Order, match: Match, dry_run: bool = False) -> JSONResponse:
    """From its next start on. `was` has the `devices` that were tried; none: those of nobody's choice."""
    found = service.get(ctx, ref)
    wanted, now, was = service.order_told(ctx, found, body.devices), service.order_told(ctx, found), body.was
    if was and isinstance(was.get("devices"), list) and was["devices"] != now["devices"]:
        was = service.order_told(ctx, found, was["devices"])
    changes = match.edit(found, wanted, now, boot.TITLES, was)
    asked = body.devices if changes or wanted == now else found.boot_order
    intent = service.boot_order(ctx, found, asked)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.put("/{ref}/boot-once", summary="Boot an instance once from a device", status_code=202)
def boot_once(ctx: Ctx, ref: str, body: Once, match: Match, dry_run: bool = False) -> JSONResponse:
    """Only its next start; an empty device drops what was said before."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.boot_once(ctx, found, body.device)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))
