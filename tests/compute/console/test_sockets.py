"""Console WebSockets from end to end on the fake: tickets, screen, shared serial line, refusals."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from tests.compute.console.conftest import SmallCloud
from yun.compute.console import sockets
from yun.compute.console.model import LIFE_SECONDS, ConsoleTicket
from yun.compute.model import Instance, State
from yun.operations.model import Event


def ticket(client: TestClient, instance: Instance, kind: str) -> str:
    answer = client.post(f"/api/v1/instances/{instance.id}/console-tickets", json={"kind": kind})
    assert answer.status_code == 201, answer.text
    assert answer.json()["path"] == f"/console/{kind}?ticket={answer.json()['ticket']}"
    return str(answer.json()["path"])


def read_until(socket: object, text: bytes) -> bytes:
    got = b""
    while text not in got:
        message = socket.receive()  # type: ignore[attr-defined]
        assert message["type"] == "websocket.send", message
        got += message.get("bytes") or b""
    return got


def state(socket: object) -> str:
    return str(json.loads(socket.receive_text())["state"])  # type: ignore[attr-defined]


def test_the_screen_speaks_rfb_through_the_socket(client: TestClient, cloud: SmallCloud) -> None:
    path = ticket(client, cloud.machine(), "vnc")
    with client.websocket_connect(path, subprotocols=["binary"]) as socket:
        assert socket.accepted_subprotocol == "binary"
        assert socket.receive_bytes() == b"RFB 003.008\n"
        socket.send_bytes(b"RFB 003.008\n")
        assert socket.receive_bytes() == b"\x01\x01"
        socket.send_bytes(b"\x01")
        read_until(socket, b"\0\0\0\0")
        socket.send_bytes(b"\x01")
        read_until(socket, b"web")


def test_the_screen_ends_when_the_machine_does(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    with client.websocket_connect(ticket(client, instance, "vnc")) as socket:
        assert socket.receive_bytes()
        cloud.world.crash(instance.uuid)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_bytes()
        assert closed.value.code == sockets.ENDED


def test_opening_a_console_is_told(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    with client.websocket_connect(ticket(client, instance, "vnc")) as socket:
        socket.receive_bytes()
    with cloud.database.read() as session:
        event = session.query(Event).one()
    assert (event.kind, event.subject_id) == ("instance.console_opened", instance.id)
    assert event.data["console"] == "vnc"
    assert event.data["actor"] == "ann"


def test_a_ticket_is_kept_as_a_digest_only(client: TestClient, cloud: SmallCloud) -> None:
    secret = ticket(client, cloud.machine(), "vnc").rpartition("=")[2]
    with cloud.database.read() as session:
        row = session.query(ConsoleTicket).one()
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()


def refused(client: TestClient, path: str, status: int = 403, **rest: object) -> dict[str, object]:
    with pytest.raises(WebSocketDenialResponse) as denial, client.websocket_connect(path, **rest):
        pass
    assert denial.value.status_code == status
    return dict(denial.value.json())


def test_a_ticket_opens_once(client: TestClient, cloud: SmallCloud) -> None:
    path = ticket(client, cloud.machine(), "vnc")
    with client.websocket_connect(path) as socket:
        socket.receive_bytes()
    assert refused(client, path)["code"] == "forbidden"


def test_a_ticket_runs_out(client: TestClient, cloud: SmallCloud) -> None:
    path = ticket(client, cloud.machine(), "vnc")
    cloud.clock.advance(LIFE_SECONDS)
    refused(client, path)


def test_old_tickets_are_swept(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    ticket(client, instance, "vnc")
    cloud.clock.advance(2 * 3600)
    ticket(client, instance, "vnc")
    with cloud.database.read() as session:
        assert session.query(ConsoleTicket).count() == 1


def test_a_ticket_is_of_one_kind_of_console(client: TestClient, cloud: SmallCloud) -> None:
    path = ticket(client, cloud.machine(), "vnc")
    refused(client, path.replace("vnc", "serial"))


def test_a_ticket_is_of_one_person(client: TestClient, cloud: SmallCloud) -> None:
    path = ticket(client, cloud.machine(), "vnc")
    refused(client, path, headers={"Authorization": "Bearer bob"})
    with client.websocket_connect(path) as socket:
        assert socket.receive_bytes()


def test_nobody_and_a_made_up_ticket_are_refused(client: TestClient, cloud: SmallCloud) -> None:
    path = ticket(client, cloud.machine(), "vnc")
    refused(client, "/console/vnc?ticket=abc")
    refused(client, "/console/vnc")
    refused(client, path, 401, headers={"Authorization": ""})


def test_a_page_of_another_site_is_refused(client: TestClient, cloud: SmallCloud) -> None:
    path = ticket(client, cloud.machine(), "vnc")
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(path, headers={"Origin": "https://evil.example"}),
    ):
        pass
    with client.websocket_connect(path, headers={"Origin": "http://testserver"}) as socket:
        assert socket.receive_bytes()


def test_readers_and_strangers_get_no_ticket(client: TestClient, cloud: SmallCloud) -> None:
    path = f"/api/v1/instances/{cloud.machine().id}/console-tickets"
    for name, status in (("reader", 403), ("stranger", 404), ("", 404)):
        headers = {"Authorization": f"Bearer {name}"} if name else {"Authorization": ""}
        assert client.post(path, json={"kind": "vnc"}, headers=headers).status_code in (status, 401)


def test_a_role_lost_between_ticket_and_console_counts(client: TestClient, cloud: SmallCloud) -> None:
    path = ticket(client, cloud.machine(), "vnc")
    cloud.roles["ann"] = "reader"
    refused(client, path)


def test_a_role_lost_while_watching_ends_it(
    client: TestClient, cloud: SmallCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "CHECK_SECONDS", 0.1)
    with client.websocket_connect(ticket(client, cloud.machine(), "vnc")) as socket:
        socket.receive_bytes()
        cloud.roles["ann"] = "reader"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_bytes()
        assert closed.value.code == sockets.REVOKED


def test_a_stopped_machine_has_no_screen_but_its_serial_history(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    cloud.drivers.on("").hypervisor.destroy(instance.uuid)
    with cloud.database.write() as session:
        session.get_one(Instance, instance.id).state = State.STOPPED
    answer = client.post(f"/api/v1/instances/{instance.id}/console-tickets", json={"kind": "vnc"})
    assert answer.status_code == 409
    with client.websocket_connect(ticket(client, instance, "serial")) as socket:
        assert state(socket) == "waiting"
        read_until(socket, b"login: ")


def test_an_unknown_kind_of_console_names_the_field(client: TestClient, cloud: SmallCloud) -> None:
    answer = client.post(f"/api/v1/instances/{cloud.machine().id}/console-tickets", json={"kind": "rdp"})
    assert answer.status_code == 422
    assert "kind" in answer.json()["fields"]


def test_a_hypervisor_that_is_away_refuses_the_screen(client: TestClient, cloud: SmallCloud) -> None:
    path = ticket(client, cloud.machine(), "vnc")
    cloud.world.away = True
    assert refused(client, path, 503)["code"] == "driver_error"


# serial ----------------------------------------------------------------------------------------------------


def test_several_watch_and_type_on_one_serial_line(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    with (
        client.websocket_connect(ticket(client, instance, "serial")) as first,
        client.websocket_connect(ticket(client, instance, "serial")) as second,
    ):
        for socket in (first, second):
            assert state(socket) == "connected"
            read_until(socket, b"login: ")
        first.send_bytes(b"echo one\r")
        for socket in (first, second):
            read_until(socket, b"\r\none\r\n$ ")
        second.send_bytes("echo 二 <b>\r".encode())
        for socket in (first, second):
            read_until(socket, "\r\n二 <b>\r\n$ ".encode())


def test_a_later_viewer_sees_what_was_printed_before(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    with client.websocket_connect(ticket(client, instance, "serial")) as socket:
        read_until(socket, b"login: ")
        socket.send_bytes(b"echo earlier\r")
        read_until(socket, b"\r\nearlier\r\n")
    with client.websocket_connect(ticket(client, instance, "serial")) as socket:
        got = read_until(socket, b"\r\nearlier\r\n$ ")
        assert got.count(b"\r\nearlier\r\n") == 1


def test_scroll_back_outlives_the_process(app, cloud: SmallCloud) -> None:  # type: ignore[no-untyped-def]
    instance = cloud.machine()
    cloud.world.domains[instance.uuid].guest.write(b"printed while nobody watched\r\n")
    for _process in range(2):
        if hasattr(app.state, "consoles"):
            del app.state.consoles
        with (
            TestClient(app, base_url="http://cloud.test", headers={"Authorization": "Bearer ann"}) as client,
            client.websocket_connect(ticket(client, instance, "serial")) as socket,
        ):
            read_until(socket, b"printed while nobody watched")


def test_a_serial_line_goes_on_when_the_machine_starts_again(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    driver = cloud.drivers.on("").hypervisor
    with client.websocket_connect(ticket(client, instance, "serial")) as socket:
        assert state(socket) == "connected"
        read_until(socket, b"login: ")
        driver.destroy(instance.uuid)
        assert state(socket) == "waiting"
        driver.start(instance.uuid)
        got = read_until(socket, b"login: ")
        assert got.count(b"login: ") == 1
        socket.send_bytes(b"echo again\r")
        read_until(socket, b"\r\nagain\r\n")


def test_questions_to_the_terminal_are_not_asked_again(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    cloud.world.domains[instance.uuid].guest.write(b"\x1b[31mred\x1b[6n\x1b[c\x1b[18t\x1b]11;?\x07 end\r\n")
    with client.websocket_connect(ticket(client, instance, "serial")) as socket:
        assert state(socket) == "connected"
        got = read_until(socket, b"end\r\n")
    assert b"\x1b[31mred end\r\n" in got


def test_the_port_is_let_go_after_the_last_viewer(
    client: TestClient, cloud: SmallCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yun.compute.console.serial.LINGER_SECONDS", 0.1)
    instance = cloud.machine()
    with client.websocket_connect(ticket(client, instance, "serial")) as socket:
        read_until(socket, b"login: ")
    time.sleep(0.5)
    with cloud.drivers.on("").hypervisor.open_serial(instance.uuid) as end:
        end.settimeout(5)
        end.sendall(b"x")
        assert end.recv(1) == b"x"
