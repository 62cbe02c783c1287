"""The terminal's side of a serial console: raw keys out, bytes in, and a key that is ours.

``Ctrl-]`` is kept for us: followed by ``q`` it leaves, by ``r`` it tells the guest's shell how large the terminal is,
by ``?`` it explains itself, and twice it reaches the guest.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

ESCAPE = 0x1D


class Keyboard:
    """What is typed, as bytes for the guest; `feed` acts on our own key."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._escaped = False
        self.left = False

    def feed(self, data: bytes) -> bytes:
        """The bytes for the guest; ``left`` is set when the person leaves."""
        out = bytearray()
        for byte in data:
            if self._escaped:
                self._escaped = False
                out += self._ours(byte)
                if self.left:
                    break
            elif byte == ESCAPE:
                self._escaped = True
            else:
                out.append(byte)
        return bytes(out)

    def _ours(self, byte: int) -> bytes:
        if byte == ESCAPE:
            return bytes([ESCAPE])
        if byte in b"qQ.":
            self.left = True
        elif byte in b"rR":
            size = shutil.get_terminal_size()
            return f" stty rows {size.lines} cols {size.columns}\r".encode()
        else:
            self._told("keys")
        return b""


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Keys one by one and unechoed while this lasts, where the descriptor is a terminal."""
    if not os.isatty(descriptor):
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Session:
    """One WebSocket joined to standard input and output. ``told`` gets words of state: ``waiting``, ``connected``."""

    def __init__(self, socket: Any, told: Callable[[str], None]) -> None:
        self.socket, self.told = socket, told
        self.keyboard = Keyboard(told)
        self._ended, self._wake = os.pipe()
        self.code: int | None = None

    def run(self) -> bool:
        """Until the console ends (False) or the person leaves it (True)."""
        reader = threading.Thread(target=self._show, name="console", daemon=True)
        reader.start()
        try:
            self._type()
        finally:
            with suppress(Exception):
                self.socket.close()
            reader.join(5)
            os.close(self._ended)
        return self.keyboard.left

    def _type(self) -> None:
        source = sys.stdin.fileno()
        watched = [source, self._ended]
        while not self.keyboard.left:
            ready, _w, _x = select.select(watched, [], [])
            if self._ended in ready:
                return
            data = os.read(source, 4096)
            if not data:
                watched.remove(source)
                continue
            if typed := self.keyboard.feed(data):
                try:
                    self.socket.send(typed)
                except Exception:
                    return

    def _show(self) -> None:
        try:
            for message in self.socket:
                if isinstance(message, str):
                    self.told(str(json.loads(message).get("state", "")))
                else:
                    _write(message)
        except Exception as error:
            self.code = getattr(getattr(error, "rcvd", None), "code", None)
        finally:
            os.close(self._wake)


def _write(data: bytes) -> None:
    target = sys.stdout.fileno()
    while data:
        data = data[os.write(target, data) :]
