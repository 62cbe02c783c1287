"""A local port for a SPICE viewer: each connection to it goes through a WebSocket of the cloud with its own ticket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

CHUNK = 65536
TABLE = Path("/proc/net/tcp")


def connection_file(title: str, port: int) -> str:
    """The ``.vv`` file that leads virt-viewer to a local port; no password: the cloud has let the person in."""
    name = "".join(c for c in title if c.isprintable())
    return f"[virt-viewer]\ntype=spice\nhost=127.0.0.1\nport={port}\ntitle={name}\n"


class Bridge:
    """Listens on 127.0.0.1 while it is entered; ``connect`` opens one WebSocket. ``port`` 0 takes a free one.

    Whoever can reach a local port could look at the screen: where the system tells who connects, only the same user
    is let through.
    """

    def __init__(self, connect: Callable[[], Any], port: int = 0) -> None:
        self._connect = connect
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._ended = threading.Event()

    def __enter__(self) -> Bridge:
        threading.Thread(target=self._accept, name="spice", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def wait(self) -> None:
        """Until somebody interrupts."""
        with suppress(KeyboardInterrupt):
            self._ended.wait()

    def view(self, program: list[str], text: str) -> None:
        """Run the viewer on a private copy of the connection file, until it is closed."""
        with tempfile.TemporaryDirectory(prefix="yun-") as folder:
            path = Path(folder) / "screen.vv"
            path.write_text(text)
            with suppress(KeyboardInterrupt):
                subprocess.run([*program, str(path)], check=False)

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                end, peer = self._listener.accept()
            except OSError:
                return
            if owner(peer[1], self.port) not in (None, os.getuid()):
                end.close()
                continue
            threading.Thread(target=self._carry, args=(end,), name="spice-channel", daemon=True).start()

    def _carry(self, end: socket.socket) -> None:
        with end:
            try:
                far = self._connect()
            except Exception as error:  # the viewer only sees a closed connection: the person is told why
                sys.stderr.write(f"{getattr(error, 'message', None) or error}\n")
                return
            with far:
                threading.Thread(target=self._back, args=(far, end), name="spice-back", daemon=True).start()
                with suppress(OSError, EOFError, _closed()):
                    while data := end.recv(CHUNK):
                        far.send(data)

    @staticmethod
    def _back(far: Any, end: socket.socket) -> None:
        with suppress(OSError, EOFError, _closed()):
            for data in far:
                end.sendall(data if isinstance(data, bytes) else data.encode())
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def owner(port: int, to: int) -> int | None:
    """The user whose process holds the local end of a loopback connection from ``port``; None where nobody tells."""
    try:
        lines = TABLE.read_text().splitlines()[1:]
    except OSError:
        return None
    here, there = f"0100007F:{port:04X}", f"0100007F:{to:04X}"
    for line in lines:
        words = line.split()
        if words[1:3] == [here, there]:
            return int(words[7])
    return None


def _closed() -> type[BaseException]:
    from websockets.exceptions import ConnectionClosed

    return ConnectionClosed
