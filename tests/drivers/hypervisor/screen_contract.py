"""What every hypervisor driver shows of running machines; joined to the contract of machines."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from yun.base.errors import DriverError
from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.fake.spice import HEADER, KEY_BYTES, MAGIC, PADDING

if TYPE_CHECKING:
    import socket

    from tests.drivers.hypervisor.contract import Room

MAIN = 1


def linked(end: socket.socket, channel: int) -> None:
    """Let a channel of SPICE in: link, any ticket, the server's consent."""
    body = struct.pack("<IBBIII", 0, channel, 0, 1, 0, 18) + struct.pack("<I", 0b1001)
    end.sendall(HEADER.pack(MAGIC, 2, 2, len(body)) + body)
    magic, major, _minor, size = HEADER.unpack(_heard(end, HEADER.size))
    assert (magic, major) == (MAGIC, 2)
    answer = _heard(end, size)
    assert struct.unpack_from("<I", answer)[0] == 0
    assert size >= 4 + KEY_BYTES + 12
    end.sendall(struct.pack("<I", 1) + ticket_for(answer[4 : 4 + KEY_BYTES]))
    assert _heard(end, 4) == bytes(4)


def ticket_for(public: bytes) -> bytes:
    """An empty password, encrypted as the server's key wants it."""
    key = serialization.load_der_public_key(public)
    assert isinstance(key, rsa.RSAPublicKey)
    return key.encrypt(b"\0", PADDING)


def _heard(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = end.recv(size - len(data))
        assert part, "it hung up"
        data += part
    return data


class ScreenContract:
    """Screens by VNC and by SPICE, each only where the machine has it."""

    @pytest.mark.parametrize("display", ["spice", "both"])
    def test_a_spice_screen_lets_a_viewer_in_without_a_password(self, room: Room, display: Any) -> None:
        uuid = room.machine(running=True, board=Board(display=display))
        with room.driver.open_graphics(uuid, "spice") as end:
            end.settimeout(10)
            linked(end, MAIN)
        room.driver.destroy(uuid)

    def test_a_screen_that_a_machine_has_not_is_refused_for_good(self, room: Room) -> None:
        for display, other in (("spice", "vnc"), ("vnc", "spice")):
            uuid = room.machine(running=True, board=Board(display=display))  # type: ignore[arg-type]
            with pytest.raises(DriverError) as caught:
                room.driver.open_graphics(uuid, other)  # type: ignore[arg-type]
            assert not caught.value.retryable
            room.driver.destroy(uuid)

    def test_a_machine_with_both_speaks_rfb_too(self, room: Room) -> None:
        uuid = room.machine(running=True, board=Board(display="both"))
        with room.driver.open_graphics(uuid) as end:
            end.settimeout(10)
            assert end.recv(4) == b"RFB "
        room.driver.destroy(uuid)
