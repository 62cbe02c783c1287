"""SPICE on the one port: the link of a real protocol through ticket and WebSocket, and a local port for viewers."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from tests.compute.console.conftest import SmallCloud
from tests.compute.console.test_sockets import ticket
from tests.drivers.hypervisor.screen_contract import ticket_for
from yun.compute.console import bridge
from yun.compute.console.bridge import Bridge, connection_file, owner
from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.fake.spice import HEADER, KEY_BYTES, MAGIC, link

MAIN = 1


def hello(channel: int = MAIN, magic: bytes = MAGIC) -> bytes:
    """What a viewer says first: which channel, and that it chooses how to authenticate."""
    body = struct.pack("<IBBIII", 0, channel, 0, 1, 0, 18) + struct.pack("<I", 0b1001)
    return HEADER.pack(magic, 2, 2, len(body)) + body


def answered(data: bytes) -> int:
    """The error in a server's answer to the link; its key must be there."""
    magic, major, _minor, size = HEADER.unpack(data[: HEADER.size])
    assert (magic, major) == (MAGIC, 2)
    body = data[HEADER.size :]
    assert len(body) == size >= 4 + KEY_BYTES + 12
    return int(struct.unpack_from("<I", body)[0])


def test_a_viewer_is_let_in_on_every_channel_with_a_ticket_for_each(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine(board=Board(display="spice"))
    paths = [ticket(client, instance, "spice") for _channel in range(2)]
    for channel, path in enumerate(paths, MAIN):
        with client.websocket_connect(path, subprotocols=["binary"]) as socket:
            socket.send_bytes(hello(channel))
            told = socket.receive_bytes()
            assert answered(told) == 0
            start = HEADER.size + 4
            socket.send_bytes(struct.pack("<I", 1) + ticket_for(told[start : start + KEY_BYTES]))
            assert socket.receive_bytes() == bytes(4)
    with pytest.raises(WebSocketDenialResponse) as denial, client.websocket_connect(paths[0]):
        pass
    assert denial.value.status_code == 403, "used once"


@pytest.mark.parametrize(("display", "kind"), [("vnc", "spice"), ("spice", "vnc")])
def test_a_machine_without_such_a_screen_says_so(
    client: TestClient, cloud: SmallCloud, display: Any, kind: str
) -> None:
    instance = cloud.machine(board=Board(display=display))
    path = ticket(client, instance, kind)
    with pytest.raises(WebSocketDenialResponse) as denial, client.websocket_connect(path):
        pass
    assert kind.upper() in denial.value.text


def test_a_machine_with_both_shows_both(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine(board=Board(display="both"))
    with client.websocket_connect(ticket(client, instance, "vnc")) as socket:
        assert socket.receive_bytes() == b"RFB 003.008\n"
    with client.websocket_connect(ticket(client, instance, "spice")) as socket:
        socket.send_bytes(hello(magic=b"RFB "))
        assert answered(socket.receive_bytes()) != 0


class Far:
    """A WebSocket's client side, with a server of SPICE behind it."""

    def __init__(self) -> None:
        self.near, far = socket.socketpair()
        self.far = far

    def __enter__(self) -> Far:
        import threading

        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self) -> None:
        try:
            link(self.far)
        except (ConnectionError, OSError):
            pass
        finally:
            self.far.close()

    def __exit__(self, *_error: object) -> None:
        self.near.shutdown(socket.SHUT_RDWR)
        self.near.close()

    def send(self, data: bytes) -> None:
        self.near.sendall(data)

    def __iter__(self) -> Iterator[bytes]:
        while data := self.near.recv(65536):
            yield data


@contextmanager
def viewer(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as end:
        yield end


def heard(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := end.recv(size - len(data))):
        data += part
    return data


def test_a_local_port_carries_each_channel_of_a_viewer() -> None:
    with Bridge(Far) as made:
        for channel in (1, 2, 3):
            with viewer(made.port) as end:
                end.sendall(hello(channel))
                assert answered(heard(end, HEADER.size + 4 + KEY_BYTES + 16)) == 0
    with pytest.raises(ConnectionRefusedError), viewer(made.port):
        pass


def test_another_users_connection_is_closed_unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Far] = []

    def connect() -> Far:
        opened.append(Far())
        return opened[-1]

    with Bridge(connect) as made, viewer(made.port) as end:
        end.sendall(hello())
        assert heard(end, 1) == MAGIC[:1]
    monkeypatch.setattr(bridge, "owner", lambda _port, _to: os.getuid() + 1)
    opened.clear()
    with Bridge(connect) as made, viewer(made.port) as end, suppress(ConnectionError):
        end.sendall(hello())
        assert heard(end, 1) == b""
    assert opened == []


def test_the_system_tells_whose_connection_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as end:
            assert owner(end.getsockname()[1], port) == os.getuid()
        assert owner(1, port) is None


def test_the_connection_file_keeps_to_its_lines() -> None:
    text = connection_file("web\n[virt-viewer]\nhost=evil", 5930)
    assert text.splitlines() == [
        "[virt-viewer]", "type=spice", "host=127.0.0.1", "port=5930", "title=web[virt-viewer]host=evil",
    ]  # fmt: skip
