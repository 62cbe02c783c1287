"""Asking a daemon over its own socket whether it lives: no process is started, and a frozen daemon is found out.

Three small protocols: JSON-RPC (the OVSDB servers' databases and every Open vSwitch daemon's control socket) and
libvirt's RPC (libvirtd, virtlogd). Each question ends within its time-out.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from pathlib import Path
from typing import Any

LIBVIRT_PROGRAM = 0x20008086
KEEPALIVE_PROGRAM = 0x6B656570
AUTH_LIST, CONNECT_OPEN, CONNECT_CLOSE, CONNECT_GET_LIB_VERSION = 66, 1, 2, 157
CALL, REPLY, MESSAGE = 0, 1, 2


class Away(Exception):
    """Nobody listens: the daemon does not run."""


class Mute(Exception):
    """Somebody listens and does not answer in time, or answers nonsense."""


class _Line:
    """A connected socket with one deadline for everything said on it."""

    def __init__(self, path: str, timeout: float) -> None:
        self.until = time.monotonic() + timeout
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(path)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            self.socket.close()
            raise Away(str(error)) from error
        except OSError as error:
            self.socket.close()
            raise Mute(str(error)) from error

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Mute(str(error)) from error

    def receive(self, most: int) -> bytes:
        left = self.until - time.monotonic()
        if left <= 0:
            raise Mute("time-out")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(most)
        except OSError as error:
            raise Mute(str(error)) from error
        if not data:
            raise Mute("closed")
        return data

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.receive(count - len(data))
        return data


def json_rpc(path: str, method: str, params: list[Any], timeout: float) -> Any:
    """The ``result`` of one JSON-RPC call on a unix socket. Raises `Away` or `Mute`."""
    with _Line(path, timeout) as line:
        line.send(json.dumps({"id": "yun", "method": method, "params": params}).encode())
        buffer, decoder = "", json.JSONDecoder()
        while True:
            buffer += line.receive(65536).decode(errors="replace")
            while buffer:
                try:
                    value, end = decoder.raw_decode(buffer)
                except json.JSONDecodeError:
                    break
                buffer = buffer[end:].lstrip()
                if isinstance(value, dict) and value.get("id") == "yun" and "result" in value:
                    return value["result"]


def ovsdb_alive(path: str, timeout: float) -> None:
    """Pass where the OVSDB server behind ``path`` answers an echo."""
    json_rpc(path, "echo", ["yun"], timeout)


def control_version(pidfile: str, timeout: float) -> str:
    """The version that an Open vSwitch or OVN daemon tells on its control socket, found by its pid file."""
    pid = read_pid(pidfile)
    if pid is None:
        raise Away("no pid file")
    said = json_rpc(pidfile.removesuffix(".pid") + f".{pid}.ctl", "version", [], timeout)
    first = str(said).split("\n", 1)[0].split()
    return first[-1] if first else ""


def libvirt_version(path: str, uri: str, timeout: float) -> str:
    """The library's version as libvirtd tells it over a real connection to ``uri``."""
    with _Line(path, timeout) as line:
        _rpc(line, LIBVIRT_PROGRAM, AUTH_LIST, b"")
        name = uri.encode()
        opened = struct.pack(">II", 1, len(name)) + name + b"\0" * (-len(name) % 4) + struct.pack(">I", 1)
        _rpc(line, LIBVIRT_PROGRAM, CONNECT_OPEN, opened)
        version = _number(_rpc(line, LIBVIRT_PROGRAM, CONNECT_GET_LIB_VERSION, b""))
        # Without a farewell the daemon writes an error into its log each time.
        _rpc(line, LIBVIRT_PROGRAM, CONNECT_CLOSE, b"")
        return _dotted(version)


def libvirt_keepalive(path: str, timeout: float) -> None:
    """Pass where the libvirt daemon behind ``path`` answers a keep-alive ping in its event loop."""
    with _Line(path, timeout) as line:
        line.send(struct.pack(">7I", 28, KEEPALIVE_PROGRAM, 1, 1, MESSAGE, 0, 0))
        (length,) = struct.unpack(">I", line.exactly(4))
        line.exactly(min(length, 4096) - 4)


def _rpc(line: _Line, program: int, procedure: int, body: bytes) -> bytes:
    line.send(struct.pack(">7I", 28 + len(body), program, 1, procedure, CALL, 1, 0) + body)
    while True:
        (length,) = struct.unpack(">I", line.exactly(4))
        if not 28 <= length <= 1 << 20:
            raise Mute("nonsense")
        reply = line.exactly(length - 4)
        _program, _version, number, kind, _serial, status = struct.unpack(">6I", reply[:24])
        if number == procedure and kind == REPLY:
            if status != 0:
                raise Mute(reply[24:].replace(b"\0", b"").decode(errors="replace")[-200:])
            return reply[24:]


def _number(reply: bytes) -> int:
    return int(struct.unpack(">Q", reply[:8])[0])


def _dotted(version: int) -> str:
    return f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"


def read_pid(path: str) -> int | None:
    """The pid in a pid file, or None."""
    try:
        return int(Path(path).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
