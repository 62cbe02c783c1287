"""The WebSockets of consoles: `/console/vnc` carries RFB, `/console/spice` a channel of SPICE, `/console/serial` the
serial port's bytes.

All want ``?ticket=`` and the credentials of the person it was given to. The guard at the door has refused pages of
other sites before. On the serial socket binary frames are bytes of the port in both directions, text frames from the
server are JSON such as ``{"state": "connected"}`` or ``"waiting"`` (the machine is off; it goes on when it starts).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Literal, cast

from fastapi import APIRouter, WebSocket
from starlette.requests import Request
from starlette.websockets import WebSocketDisconnect

from yun.base.errors import Unavailable, YunError
from yun.base.log import logger
from yun.compute.console.machines import consoles_of
from yun.compute.console.serial import HISTORY
from yun.compute.console.tickets import Seat, redeem, seat_of
from yun.web import problem
from yun.web.api import in_context
from yun.web.request import language

log = logger(__name__)
sockets = APIRouter()

CHUNK = 65536
CHECK_SECONDS = 30.0
ENDED, REVOKED, BROKEN = 1000, 4403, 4503


@sockets.websocket("/console/vnc")
async def vnc(websocket: WebSocket, ticket: str = "") -> None:
    """The screen, keyboard and pointer: RFB, already authenticated, of the kind noVNC speaks."""
    await _screen(websocket, ticket, "vnc")


@sockets.websocket("/console/spice")
async def spice(websocket: WebSocket, ticket: str = "") -> None:
    """One channel of a SPICE screen: a viewer opens several, each with a ticket of its own. The link needs no password:
    any is taken."""
    await _screen(websocket, ticket, "spice")


async def _screen(websocket: WebSocket, ticket: str, kind: Literal["vnc", "spice"]) -> None:
    seat = await _admitted(websocket, ticket, kind)
    if seat is None:
        return
    consoles = consoles_of(websocket)
    try:
        end: socket.socket = await consoles.call(lambda: consoles.machine(seat).open_graphics(seat.uuid, kind))
    except YunError as error:
        await _refuse(websocket, error)
        return
    await _accept(websocket)
    end.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=end)
    try:
        await _hold(websocket, seat, _to_viewer(websocket, reader), _from_viewer(websocket, writer))
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@sockets.websocket("/console/serial")
async def serial(websocket: WebSocket, ticket: str = "", history: int = HISTORY) -> None:
    """The serial port: several may watch and type at once; the last ``history`` bytes printed before come first."""
    seat = await _admitted(websocket, ticket, "serial")
    if seat is None:
        return
    consoles = consoles_of(websocket)
    try:
        line, viewer = await consoles.lines.join(consoles.machine(seat), seat.uuid, history)
    except YunError as error:
        await _refuse(websocket, error)
        return
    try:
        await _accept(websocket)

        async def show() -> None:
            while (item := await viewer.receive()) is not None:
                if isinstance(item, str):
                    await websocket.send_text(json.dumps({"state": item}))
                else:
                    await websocket.send_bytes(item)

        await _hold(websocket, seat, show(), _each(websocket, line.type))
    finally:
        consoles.lines.leave(seat.uuid, line, viewer)


async def _admitted(websocket: WebSocket, ticket: str, kind: str) -> Seat | None:
    try:
        return await in_context(websocket, lambda ctx: redeem(ctx, ticket, kind), write=True)
    except YunError as error:
        await _refuse(websocket, error)
        return None


async def _refuse(websocket: WebSocket, error: YunError) -> None:
    """Answer the handshake as any request: problem+json with the status of the error's kind."""
    # A handshake is a request in all that a problem asks of it: headers and a request id.
    problem_of = problem.problem_of(error, cast(Request, websocket), language(websocket))
    await websocket.send_denial_response(problem_of.response())


async def _accept(websocket: WebSocket) -> None:
    offered = websocket.scope.get("subprotocols") or []
    await websocket.accept(subprotocol="binary" if "binary" in offered else None)


async def _hold(websocket: WebSocket, seat: Seat, *pumps: Coroutine[Any, Any, None]) -> None:
    """Run the pumps until one ends or the person may no longer sit here; then close with a code that says which."""
    code = ENDED
    tasks = [asyncio.create_task(pump) for pump in (*pumps, _watch(websocket, seat))]
    try:
        done, _rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception()
            if isinstance(error, YunError):
                code = REVOKED
            elif error is not None and not isinstance(error, WebSocketDisconnect | OSError):
                log.error("the console of %s broke", seat.instance_id, exc_info=error)
                code = BROKEN
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        with suppress(RuntimeError, OSError, WebSocketDisconnect):
            await websocket.close(code)


async def _watch(websocket: WebSocket, seat: Seat) -> None:
    """Raise when the person loses the right to this console while he sits before it."""
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        with suppress(Unavailable):
            await in_context(
                websocket, lambda ctx: seat_of(ctx, seat.instance_id, "instance.console"), write=False
            )


async def _to_viewer(websocket: WebSocket, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(CHUNK):
        await websocket.send_bytes(data)


async def _from_viewer(websocket: WebSocket, writer: asyncio.StreamWriter) -> None:
    async def pass_on(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    await _each(websocket, pass_on)


async def _each(websocket: WebSocket, take: Callable[[bytes], Awaitable[None]]) -> None:
    """Give each binary frame to ``take`` until the viewer leaves; text frames are for later and ignored."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if data := message.get("bytes"):
            await take(data)
