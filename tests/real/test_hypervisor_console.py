"""Consoles of a real guest from end to end: RFB picture, log-in on the serial port, text typed on the keyboard."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.compute.console.conftest import SmallCloud
from tests.compute.console.test_sockets import read_until, state, ticket
from tests.drivers.hypervisor.contract import until
from tests.real.hypervisor_room import LibvirtRoom
from yun.base.config import Settings
from yun.base.db import Database
from yun.base.ids import from_uuid
from yun.compute.console import api
from yun.compute.model import Instance, State
from yun.drivers.hypervisor.fake import FakeWorld
from yun.hosts.model import Host
from yun.identity.model import Project
from yun.web import api as web_api

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def room() -> Iterator[LibvirtRoom]:
    room = LibvirtRoom()
    try:
        room.boot_tiny()
        until(lambda: b"login:" in room.driver.serial_log(room.booted), 240)
        yield room
    finally:
        room.close()


@pytest.fixture
def instance(room: LibvirtRoom) -> Instance:
    return Instance(
        id=from_uuid("ins", room.booted), uuid=room.booted, name="tiny", state=State.RUNNING, vcpus=1, memory_mib=128,
        hostname="tiny",
    )  # fmt: skip


@pytest.fixture
def client(room: LibvirtRoom, instance: Instance, tmp_path: Path) -> Iterator[TestClient]:
    database = Database(f"sqlite:///{tmp_path / 'yun.db'}")
    database.create()
    drivers = SimpleNamespace(on=lambda _host: SimpleNamespace(hypervisor=room.driver))
    cloud = SmallCloud(database, Settings(state_dir=tmp_path), FakeWorld(), drivers)
    with database.write() as session:
        project, host = Project(name="lab"), Host(name="h1")
        session.add_all([project, host])
        session.flush()
        cloud.project_id = instance.project_id = project.id
        instance.host_id = host.id
        session.add(instance)
    app = FastAPI()
    app.state.cloud = cloud
    app.include_router(api.router, prefix="/api/v1")
    app.include_router(api.sockets)
    web_api.install(app)
    with TestClient(app, headers={"Authorization": "Bearer ann"}) as client:
        yield client
    database.close()


def answer(socket: Any, question: bytes, line: bytes) -> None:
    """Type a line as a person does: a moment after the question. The guest sets its terminal up after it has asked,
    and what comes before that is read with other rules, or thrown away."""
    read_until(socket, question)
    time.sleep(1)
    socket.send_bytes(line)


def test_a_person_logs_in_on_the_serial_port(client: TestClient, instance: Instance) -> None:
    with client.websocket_connect(ticket(client, instance, "serial")) as socket:
        assert state(socket) == "connected"
        answer(socket, b"login: ", b"\r")
        answer(socket, b"login: ", b"root\r")
        answer(socket, b"Password: ", b"tiny\r")
        answer(socket, b"# ", b"echo $((6*7))-from-the-guest\r")
        read_until(socket, b"42-from-the-guest")
    with client.websocket_connect(ticket(client, instance, "serial")) as socket:
        assert read_until(socket, b"42-from-the-guest\r\n").count(b"\n42-from-the-guest") == 1
    assert "42-from-the-guest" in client.get(f"/api/v1/instances/{instance.id}/log").text


def test_the_screen_is_drawn_through_the_socket(client: TestClient, instance: Instance) -> None:
    with client.websocket_connect(ticket(client, instance, "vnc"), subprotocols=["binary"]) as socket:
        read_until(socket, b"RFB 003.008\n")
        socket.send_bytes(b"RFB 003.008\n")
        read_until(socket, b"\x01\x01")
        socket.send_bytes(b"\x01")
        assert read_until(socket, b"\0\0\0\0") == b"\0\0\0\0"
        socket.send_bytes(b"\x01")
        width, height = struct.unpack(">HH", socket.receive_bytes()[:4])
        assert width >= 640
        assert height >= 400
        socket.send_bytes(struct.pack(">BxHi", 2, 1, 0) + struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        got = b""
        while len(got) < width * height:
            got += socket.receive_bytes()
        assert got[0] == 0


def test_typed_text_reaches_the_guest_letter_by_letter(client: TestClient, instance: Instance) -> None:
    path = f"/api/v1/instances/{instance.id}"
    for line in ("root\n", "tiny\n", "echo 'Ab_{9}|~' \"<$((40+2))>\" > /dev/ttyS0\n"):
        assert client.post(path + "/type-text", json={"text": line}).json() == {"typed": len(line)}
        time.sleep(2)
    until(lambda: "Ab_{9}|~ <42>" in client.get(path + "/log").text, 20)


def test_a_thumbnail_of_the_real_screen(client: TestClient, instance: Instance) -> None:
    answer = client.get(f"/api/v1/instances/{instance.id}/screenshot", params={"width": 240})
    assert answer.content.startswith(b"\x89PNG")
    assert int.from_bytes(answer.content[16:20]) == 240
