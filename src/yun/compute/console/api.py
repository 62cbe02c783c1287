"""REST of consoles: tickets, pictures of the screen, the serial log, keys and typed text."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any
from weakref import WeakValueDictionary

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from yun.compute.console.keys import MOST_KEYS, combination, strokes
from yun.compute.console.machines import consoles_of
from yun.compute.console.serial import HISTORY
from yun.compute.console.sockets import sockets
from yun.compute.console.tickets import Seat, issue, seat_of
from yun.compute.service import get, rendered
from yun.web.api import Ctx, Route, in_context

__all__ = ["router", "sockets"]

router = APIRouter(route_class=Route, prefix="/instances", tags=["consoles"])

HOLD_MS = 10
"""How long each key is held; QEMU plays a queue of about a thousand key events at this pace."""
_typing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class Body(BaseModel):
    """A request's body: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class NewTicket(Body):
    """Which console to open."""

    kind: str = Field("vnc", max_length=40, description="vnc, spice or serial")


class Typed(Body):
    """Text to type."""

    text: str = Field(max_length=100_000, description="At most 1000 characters of a US keyboard.")


class Keys(Body):
    """Keys to press together, such as ctrl, alt, delete."""

    keys: list[Annotated[str, Field(max_length=40)]] = Field(["ctrl", "alt", "delete"], max_length=10 * MOST_KEYS)


@router.post("/{ref}/console-tickets", summary="Open a console", status_code=201)
def create_ticket(ctx: Ctx, ref: str, body: NewTicket) -> JSONResponse:
    """A ticket for one WebSocket at `path`, to be opened within 30 seconds by the same person."""
    secret, ticket = issue(ctx, ref, body.kind)
    value = {
        "ticket": secret,
        "kind": ticket.kind,
        "instance_id": ticket.instance_id,
        "path": f"/console/{ticket.kind}?ticket={secret}",
        "expires_at": ticket.expires_at.isoformat(),
    }
    # It opens the console: not to be kept for a repetition either.
    return JSONResponse(value, 201, headers={"Cache-Control": "no-store"})


@router.get(
    "/{ref}/screenshot",
    summary="Picture of the screen",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
async def screenshot(
    request: Request, ref: str, width: Annotated[int | None, Query(ge=16, le=1920, description="In pixels.")] = None
) -> Response:
    """The screen as PNG, at most five seconds old."""
    seat = await in_context(request, lambda ctx: seat_of(ctx, ref, "instance.screenshot", on=True), write=False)
    consoles = consoles_of(request)
    machine = consoles.machine(seat)
    picture = await consoles.pictures.get(seat.instance_id, width, lambda: machine.screenshot(seat.uuid))
    return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=5"})


@router.get("/{ref}/log", summary="Output of the serial port", response_class=PlainTextResponse)
async def log(
    request: Request, ref: str, tail: Annotated[int, Query(ge=1, le=HISTORY, description="Bytes from the end.")] = 65536
) -> Response:
    """What the instance printed on its serial port, over all its boots, as plain text."""
    seat = await in_context(request, lambda ctx: seat_of(ctx, ref, "instance.log"), write=False)
    consoles = consoles_of(request)
    machine = consoles.machine(seat)
    text = await consoles.call(lambda: machine.serial_log(seat.uuid, tail))
    return PlainTextResponse(text.decode(errors="replace"))


@router.get("/{ref}/ssh", summary="How to log in by SSH")
def ssh(ctx: Ctx, ref: str) -> dict[str, Any]:
    """The user to log in as, the public keys it was given, its addresses: those reachable from outside first."""
    row = get(ctx, ref)
    shown = rendered(ctx, [row])[0]
    return {
        "instance_id": row.id,
        "user": row.default_user,
        "keys": list(row.ssh_keys),
        "addresses": [*shown["floating_ips"], *shown["addresses"]],
    }


@router.post("/{ref}/send-keys", summary="Press keys")
async def send_keys(request: Request, ref: str, body: Keys) -> dict[str, Any]:
    """Press a combination on the instance's keyboard; Ctrl-Alt-Del by default."""
    seat = await in_context(request, lambda ctx: seat_of(ctx, ref, "instance.console", on=True), write=False)
    codes = combination(body.keys)
    await _press(request, seat, [tuple(codes)])
    return {"keys": body.keys}


@router.post("/{ref}/type-text", summary="Type text")
async def type_text(request: Request, ref: str, body: Typed) -> dict[str, Any]:
    """Type text on the instance's keyboard as a US keyboard would; about 30 characters a second."""
    seat = await in_context(request, lambda ctx: seat_of(ctx, ref, "instance.console", on=True), write=False)
    keys = strokes(body.text)
    await _press(request, seat, keys)
    return {"typed": len(keys)}


async def _press(request: Request, seat: Seat, keys: list[tuple[int, ...]]) -> None:
    """One stroke after the other, at the pace at which they are played; texts for one instance do not mix."""
    consoles = consoles_of(request)
    machine = consoles.machine(seat)
    lock = _typing.setdefault(seat.instance_id, asyncio.Lock())
    async with lock:
        for codes in keys:
            await consoles.call(partial(machine.send_keys, seat.uuid, codes, HOLD_MS))
            await asyncio.sleep(2 * len(codes) * HOLD_MS / 1000)
