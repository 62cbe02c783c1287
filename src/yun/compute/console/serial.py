"""Serial lines: one per instance and process, shared by all who watch, with what was printed before they came.

The serial port has room for one, so the process holds it once and passes everything on. What the port prints while
nobody watches is in the hypervisor's log file; whoever joins gets its end first, so nothing depends on this process
having lived then.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from yun.base.errors import YunError
from yun.base.log import logger

log = logger(__name__)

HISTORY = 256 * 1024
BACKLOG = 1 << 20
"""Bytes that a viewer may be behind before he is let go."""
LINGER_SECONDS = 3.0
RETRY_SECONDS = 1.0
SETTLE_SECONDS = 0.05
LOAD_SECONDS = 10.0
CHUNK = 32768

# Questions to the terminal (where is the cursor, what are you): replayed, they would be answered into the guest.
_QUESTIONS = re.compile(
    rb"\x1b\[[?>=]?[0-9;]*[cn]|\x1b\[\??[0-9;]*\$p|\x1b\[1[1-9]t|\x1b\[2[01]t|\x1bP\+?q[^\x1b]*\x1b\\|\x05|\x1bZ"
    rb"|\x1b\][0-9;]*\?(?:\x07|\x1b\\)"
)

Calls = Callable[[Callable[[], Any]], Awaitable[Any]]


class Port(Protocol):
    """The part of a hypervisor driver that a line uses."""

    def open_serial(self, uuid: str) -> socket.socket:
        """A connected socket of the serial port."""
        ...

    def serial_log(self, uuid: str, tail: int = 65536) -> bytes:
        """The end of what the serial port printed."""
        ...


def replay(history: bytes) -> bytes:
    """What was printed, fit to be shown again: without questions to the terminal and without half a character."""
    text = _QUESTIONS.sub(b"", history)
    start = 0
    while start < min(4, len(text)) and text[start] & 0xC0 == 0x80:
        start += 1
    return text[start:]


def overlap(known: bytes, fresh: bytes) -> int:
    """How many first bytes of ``fresh`` are the last of ``known`` already."""
    for size in range(min(len(known), len(fresh)), 0, -1):
        if known.endswith(fresh[:size]):
            return size
    return 0


def missed(shown: bytes, logged: bytes) -> bytes:
    """What the end of a log has after everything that was shown; nothing where the two do not meet.

    ``logged`` begins somewhere within what was shown, so all of it before the news must be the end of ``shown``:
    a machine prints the same words at every boot, and a mere search for the last of them would find the wrong boot.
    """
    if logged.startswith(shown):
        return logged[len(shown) :]
    last = shown[-8:]
    place = logged.rfind(last)
    while place >= 0:
        end = place + len(last)
        if shown.endswith(logged[:end]):
            return logged[end:]
        place = logged.rfind(last, 0, end - 1)
    return b""


class Viewer:
    """One who watches a line: `receive` gives bytes printed, or a word of state (``connected``, ``waiting``)."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | str | None] = asyncio.Queue()
        self._behind = 0
        self.gone = False

    def put(self, item: bytes | str) -> None:
        """Hand something on; one who does not read is let go."""
        if self.gone:
            return
        self._behind += len(item)
        if self._behind > BACKLOG:
            self.end()
            return
        self._queue.put_nowait(item)

    def end(self) -> None:
        """Nothing more will come."""
        self.gone = True
        self._queue.put_nowait(None)

    async def receive(self) -> bytes | str | None:
        """The next item; None at the end."""
        item = await self._queue.get()
        if item is not None:
            self._behind -= len(item)
        return item


class Line:
    """An instance's serial line: opened with the first viewer, opened again whenever the machine is started again."""

    def __init__(self, port: Port, uuid: str, call: Calls) -> None:
        self._port, self._uuid, self._call = port, uuid, call
        self._viewers: set[Viewer] = set()
        self._joining = 0
        self._history = bytearray()
        self._writer: asyncio.StreamWriter | None = None
        self._loaded = asyncio.Event()
        self._state = "waiting"
        self._task = asyncio.create_task(self._run())

    @property
    def watched(self) -> bool:
        """Whether anybody watches, or is about to."""
        return bool(self._viewers) or self._joining > 0

    @property
    def broken(self) -> bool:
        """Whether the line has ended and must be opened anew."""
        return self._task.done()

    async def join(self, history: int = HISTORY) -> Viewer:
        """A viewer who first gets the state and the last ``history`` bytes printed before."""
        viewer = Viewer()
        self._joining += 1
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._loaded.wait(), LOAD_SECONDS)
        finally:
            self._joining -= 1
        viewer.put(self._state)
        if self._history and history > 0:
            viewer.put(replay(bytes(self._history[-history:])))
        self._viewers.add(viewer)
        if self.broken:
            viewer.end()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """He watches no longer."""
        self._viewers.discard(viewer)

    async def type(self, data: bytes) -> None:
        """Send what somebody typed; without a connection it is lost, as on a real cable."""
        if self._writer is not None:
            self._writer.write(data)
            with suppress(OSError):
                await self._writer.drain()

    async def close(self) -> None:
        """Let the port and all viewers go."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        for viewer in self._viewers:
            viewer.end()

    async def _run(self) -> None:
        behind = True
        try:
            while True:
                try:
                    end = await self._call(lambda: self._port.open_serial(self._uuid))
                except YunError as error:
                    log.debug("serial line of %s: %s", self._uuid, error)
                    if behind:
                        await self._catch_up(b"")
                        behind = False
                    self._loaded.set()
                else:
                    await self._talk(end)
                    behind = True
                await asyncio.sleep(RETRY_SECONDS)
        except Exception:
            log.exception("the serial line of %s broke", self._uuid)
        finally:
            self._hang_up()
            for viewer in self._viewers:
                viewer.end()

    async def _talk(self, end: socket.socket) -> None:
        end.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=end)
        try:
            early = b""
            with suppress(TimeoutError):
                early = await asyncio.wait_for(reader.read(CHUNK), SETTLE_SECONDS)
            await self._catch_up(early)
            self._loaded.set()
            self._tell("connected")
            while data := await reader.read(CHUNK):
                self._print(data)
        except OSError as error:
            log.debug("serial line of %s ended: %s", self._uuid, error)
        finally:
            self._hang_up()
            self._tell("waiting")

    async def _catch_up(self, early: bytes) -> None:
        """Print what the log has and we have not, then what came since the port was opened and the log has not."""
        try:
            logged: bytes = await self._call(lambda: self._port.serial_log(self._uuid, HISTORY))
        except YunError as error:
            log.debug("serial log of %s: %s", self._uuid, error)
            logged = b""
        self._print(missed(bytes(self._history), logged))
        self._print(early[overlap(bytes(self._history[-len(early) :]), early) :] if early else b"")

    def _print(self, data: bytes) -> None:
        if not data:
            return
        self._history += data
        del self._history[:-HISTORY]
        if self._loaded.is_set():
            for viewer in self._viewers:
                viewer.put(data)

    def _tell(self, state: str) -> None:
        if state != self._state:
            self._state = state
            for viewer in self._viewers:
                viewer.put(state)

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Switchboard:
    """The open lines of this process, by instance. A line outlives its last viewer by `LINGER_SECONDS`."""

    def __init__(self, call: Calls) -> None:
        self._call = call
        self._lines: dict[str, Line] = {}
        self._endings: set[asyncio.Task[None]] = set()

    async def join(self, port: Port, uuid: str, history: int = HISTORY) -> tuple[Line, Viewer]:
        """Watch the machine's serial port, beginning with the last ``history`` bytes printed before."""
        line = self._lines.get(uuid)
        if line is None or line.broken:
            line = self._lines[uuid] = Line(port, uuid, self._call)
        return line, await line.join(history)

    def leave(self, uuid: str, line: Line, viewer: Viewer) -> None:
        """A viewer is gone; after a while without any the port is let go."""
        line.leave(viewer)
        if not line.watched:
            ending = asyncio.create_task(self._end(uuid, line))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _end(self, uuid: str, line: Line) -> None:
        await asyncio.sleep(LINGER_SECONDS)
        if not line.watched and self._lines.get(uuid) is line:
            del self._lines[uuid]
            await line.close()
