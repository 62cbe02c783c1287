"""Daemons are really asked: a mute one is told from a dead one, and nobody waits for ever."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from yun.drivers.host import ask


@contextmanager
def server(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """A unix socket that serves one connection with ``answer``."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        with suppress(OSError):
            connection, _peer = listener.accept()
            with connection:
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_nobody_listening_is_away(tmp_path: Path) -> None:
    with pytest.raises(ask.Away):
        ask.ovsdb_alive(str(tmp_path / "none.sock"), 1)


def test_a_socket_left_by_a_dead_daemon_is_away(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "db.sock"))
    listener.close()
    with pytest.raises(ask.Away):
        ask.ovsdb_alive(str(tmp_path / "db.sock"), 1)


def test_a_daemon_that_accepts_and_says_nothing_is_mute_after_the_time_out(tmp_path: Path) -> None:
    done = threading.Event()
    with server(tmp_path / "db.sock", lambda _c: bool(done.wait(5))):
        began = time.monotonic()
        with pytest.raises(ask.Mute):
            ask.ovsdb_alive(str(tmp_path / "db.sock"), 0.3)
        assert time.monotonic() - began < 2
        done.set()


def test_the_answer_is_found_behind_the_servers_own_questions(tmp_path: Path) -> None:
    def answer(connection: socket.socket) -> None:
        asked = json.loads(connection.recv(4096))
        assert asked["method"] == "version"
        connection.sendall(b'{"id":"echo","method":"echo","params":[]}{"id":"yun","result":"ovs-vswitchd (Open vSw')
        time.sleep(0.05)
        connection.sendall(b'itch) 3.1.0\\nmore","error":null}')

    (tmp_path / "ovs-vswitchd.pid").write_text("77\n")
    with server(tmp_path / "ovs-vswitchd.77.ctl", answer):
        assert ask.control_version(str(tmp_path / "ovs-vswitchd.pid"), 2) == "3.1.0"


@pytest.mark.parametrize("text", ["", "no number\n", None])
def test_a_bad_or_missing_pid_file_means_away(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "x.pid").write_text(text)
    with pytest.raises(ask.Away):
        ask.control_version(str(tmp_path / "x.pid"), 1)


def _libvirtd(refuse: bool) -> Callable[[socket.socket], None]:
    bodies = {66: b"\0\0\0\1\0\0\0\0", 1: b"", 2: b"", 157: struct.pack(">Q", 9_001_002)}

    def answer(connection: socket.socket) -> None:
        with suppress(struct.error, OSError):
            while True:
                (length,) = struct.unpack(">I", connection.recv(4))
                call = connection.recv(length - 4)
                program, _v, procedure, _kind, serial, _status = struct.unpack(">6I", call[:24])
                bad = refuse and procedure == 1
                body = b"no such connection" if bad else bodies[procedure]
                connection.sendall(
                    struct.pack(">7I", 28 + len(body), program, 1, procedure, 1, serial, int(bad)) + body
                )

    return answer


def test_libvirts_version_is_asked_over_a_real_connection(tmp_path: Path) -> None:
    with server(tmp_path / "s", _libvirtd(refuse=False)):
        assert ask.libvirt_version(str(tmp_path / "s"), "qemu:///system", 2) == "9.1.2"


def test_a_libvirt_that_opens_no_connection_is_mute_with_its_reason(tmp_path: Path) -> None:
    with server(tmp_path / "s", _libvirtd(refuse=True)), pytest.raises(ask.Mute, match="no such connection"):
        ask.libvirt_version(str(tmp_path / "s"), "qemu:///system", 2)


def test_a_stranger_that_talks_nonsense_is_mute(tmp_path: Path) -> None:
    with server(tmp_path / "s", lambda c: c.sendall(b"\xff" * 64)), pytest.raises(ask.Mute):
        ask.libvirt_version(str(tmp_path / "s"), "qemu:///system", 2)
