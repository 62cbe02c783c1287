"""What goes through ports: recordings that begin, end, are downloaded and forgotten; counters as rates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.network.conftest import Asking, Do
from tests.network.test_api import api, asking_as  # noqa: F401 (fixtures)
from yun.base.context import Actor
from yun.base.db import Database
from yun.base.errors import Conflict, Forbidden, Invalid, Unavailable
from yun.drivers.host.fake import FakeMachine
from yun.drivers.host.port import PortCounters
from yun.network import capture_filter, service
from yun.network.model import Capture, Port, PortSample
from yun.network.steps import captures
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.intent import Intent, Subject
from yun.operations.model import State

pytestmark = pytest.mark.usefixtures("cloud")
Plugged = Callable[..., Port]


def record(do: Do, port: Port, **wish: Any) -> str:
    done = do(lambda ctx: service.capture(ctx, service.get_port(ctx, port.id), **wish))
    return str(done.subject_id)


def look(do: Do) -> None:
    do(lambda ctx: Intent("capture.tend", operations_title(), Subject("capture", "all")))


def operations_title() -> Any:
    from yun.base.messages import _

    return _("Look")


def row(database: Database, identifier: str) -> Capture:
    with database.read() as session:
        return session.get_one(Capture, identifier)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()), ("tcp", ("tcp",)), ("port 80", ("port", "80")), ("TCP and port 0080", ("tcp", "and", "port", "80")),
        ("port 53 host 10.1.0.7 udp", ("udp", "and", "host", "10.1.0.7", "and", "port", "53")),
        ("net 10.1.0.0/24", ("net", "10.1.0.0/24")), ("icmp6 host FE80::1", ("icmp6", "and", "host", "fe80::1")),
    ],
)  # fmt: skip
def test_a_filter_is_a_few_words(text: str, words: tuple[str, ...]) -> None:
    assert capture_filter.words_of(text) == words
    assert capture_filter.words_of(" ".join(words)) == words


@pytest.mark.parametrize(
    "text",
    ["sctp", "port", "port 0", "port 65536", "port x", "port ٣", "host", "host evil", "host 10.1.0.0/24",
     "net 10.1.0.1/24", "tcp udp", "port 1 port 2", "icmp port 1", "-w /etc/passwd", "tcp; id", "host $(id)",
     "tcp or udp", "not tcp",
     "(tcp)", "host fe80::1%eth0", "tcp " * 60],
)  # fmt: skip
def test_nothing_else_reaches_the_recorder(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        capture_filter.words_of(text)
    assert set(caught.value.fields) == {"filter"}


def test_a_recording_ends_by_itself_and_its_row_says_what_it_has(
    plugged: Plugged, do: Do, database: Database, machine: FakeMachine, tmp_path: Path, asking: Asking
) -> None:
    machine.capture_folder = tmp_path
    port = plugged()
    identifier = record(do, port, filter="tcp port 80", seconds=30, max_bytes=1 << 20)
    spec = machine.recordings[identifier][0]
    assert (spec.port_uuid, spec.words, spec.seconds, spec.max_bytes) == (
        port.uuid, ("tcp", "and", "port", "80"), 30, 1 << 20,
    )  # fmt: skip
    look(do)
    assert row(database, identifier).state == "recording"
    with asking() as ctx, pytest.raises(Conflict):
        service.capture_file(ctx, service.get_capture(ctx, identifier))
    machine.end_capture(identifier, size=5000, packets=12)
    look(do)
    ended = row(database, identifier)
    assert (ended.state, ended.reason, ended.size, ended.packets) == ("complete", "size", 5000, 12)
    assert ended.ended_at is not None
    with asking() as ctx, pytest.raises(Unavailable):
        service.capture_file(ctx, service.get_capture(ctx, identifier))
    (tmp_path / f"{identifier}.pcap").write_bytes(b"x" * 5000)
    with asking() as ctx:
        assert service.capture_file(ctx, service.get_capture(ctx, identifier)).st_size == 5000


def test_it_is_stopped_keeping_what_it_has_and_undoing_it_leaves_nothing(
    plugged: Plugged, do: Do, database: Database, machine: FakeMachine, asking: Asking
) -> None:
    port = plugged()
    identifier = record(do, port)
    with asking() as ctx, pytest.raises(Conflict):
        service.capture(ctx, service.get_port(ctx, port.id))
    do(lambda ctx: service.stop_capture(ctx, service.get_capture(ctx, identifier)))
    assert (row(database, identifier).state, row(database, identifier).reason) == ("complete", "stopped")
    with asking() as ctx, pytest.raises(Conflict):
        service.stop_capture(ctx, service.get_capture(ctx, identifier))
    do(lambda ctx: service.delete_capture(ctx, service.get_capture(ctx, identifier)))
    assert machine.recordings == {}
    done = do(lambda ctx: service.capture(ctx, service.get_port(ctx, port.id)))
    do(lambda ctx: operations.undo(ctx, done.id))
    assert machine.recordings == {}
    with database.read() as session:
        assert session.scalars(sa.select(Capture)).all() == []


def test_what_cannot_be_recorded_is_said_and_leaves_nothing(
    plugged: Plugged, do: Do, database: Database, machine: FakeMachine, asking: Asking
) -> None:
    port = plugged()
    for wish, field in (({"seconds": 601}, "seconds"), ({"seconds": 0}, "seconds"), ({"max_bytes": 1}, "max_bytes"),
                        ({"max_bytes": (100 << 20) + 1}, "max_bytes")):  # fmt: skip
        with asking() as ctx, pytest.raises(Invalid) as caught:
            service.capture(ctx, service.get_port(ctx, port.id), **wish)  # type: ignore[arg-type]
        assert set(caught.value.fields) == {field}
    machine.ports[port.uuid] = False
    failed = do(lambda ctx: service.capture(ctx, service.get_port(ctx, port.id)), state=State.FAILED)
    assert "no card on this host" in str(failed.error)
    with database.read() as session:
        assert session.scalars(sa.select(Capture)).all() == []
    with asking() as ctx:
        lone = service.create_port(ctx, service.NewPort())
        operations.submit(ctx, lone)
    with asking() as ctx, pytest.raises(Conflict):
        service.capture(ctx, service.get_port(ctx, lone.subject.id))


def test_only_administrators_of_the_project_record_and_read(
    plugged: Plugged, do: Do, asking: Asking, projects: tuple[str, str]
) -> None:
    port = plugged()
    identifier = record(do, port)
    with asking(actor=Actor("user", "usr_1", "li", {projects[0]: "member"})) as ctx:
        with pytest.raises(Forbidden):
            service.capture(ctx, service.get_port(ctx, port.id))
        with pytest.raises(Forbidden):
            service.get_capture(ctx, identifier)
        with pytest.raises(Forbidden):
            service.list_of(ctx, Capture)
    with asking(actor=Actor("user", "usr_1", "li", {projects[0]: "member"}), project=None) as ctx:
        assert service.list_of(ctx, Capture).items == []
    with asking(actor=Actor("user", "usr_2", "wang", {projects[0]: "admin"})) as ctx:
        assert service.get_capture(ctx, identifier).id == identifier


def test_who_takes_a_recording_is_in_the_audit_and_those_of_ports_that_are_gone_are_listed(
    api: TestClient, plugged: Plugged, do: Do, database: Database, tmp_path: Path  # noqa: F811
) -> None:
    port = plugged("web1")
    identifier = record(do, port)
    do(lambda ctx: service.stop_capture(ctx, service.get_capture(ctx, identifier)))
    with database.write() as session:
        kept = session.get_one(Capture, identifier)
        kept.port_id, kept.path = "prt_gone", str(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"packets")
    address = f"/captures/{identifier}/file"
    assert api.get(address).status_code == 200
    assert api.get(address, headers={"Range": "bytes=0-3"}).status_code == 206
    assert api.get(address, headers={"Range": "bytes=4-"}).status_code == 206
    lines = [line for line in api.get("/audit").json()["items"] if line["action"] == "capture.download"]
    assert [(line["subject"]["id"], line["actor"]["name"]) for line in lines] == [(identifier, "root")] * 2
    page = api.get("http://localhost/networks/captures")
    assert page.status_code == 200
    assert identifier in page.text
    assert "gone" in page.text
    assert identifier not in api.get("http://localhost/networks/captures?q=by:nobody").text


def test_old_ones_are_forgotten_strangers_removed_and_lost_ones_told(
    plugged: Plugged, do: Do, database: Database, machine: FakeMachine, engine: Engine
) -> None:
    port = plugged()
    old, lost = record(do, port), ""
    with database.write() as session:
        session.get_one(Capture, old).created_at -= timedelta(days=2)
        session.get_one(Capture, old).state = "complete"
    lost = record(do, port)
    with database.write() as session:
        session.get_one(Capture, lost).created_at -= timedelta(minutes=5)
    stranger = machine.recordings.pop(lost)
    machine.recordings["cap_stranger"] = stranger
    look(do)
    assert machine.recordings == {}
    assert (row(database, lost).state, row(database, lost).reason) == ("failed", "lost")
    with database.read() as session:
        assert session.get(Capture, old) is None


def test_a_project_keeps_so_many_and_no_more(
    plugged: Plugged, do: Do, database: Database, asking: Asking, machine: FakeMachine
) -> None:
    port = plugged()
    identifier = record(do, port)
    machine.end_capture(identifier, 100, 1)
    look(do)
    with database.write() as session:
        first = session.get_one(Capture, identifier)
        values = {c.name: getattr(first, c.name) for c in Capture.__table__.columns}
        session.execute(sa.insert(Capture), [{**values, "id": f"cap_{n}"} for n in range(19)])
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.capture(ctx, service.get_port(ctx, port.id))
    assert "20" in caught.value.message.render()


def test_counters_become_rates_and_begin_anew_with_the_card(
    plugged: Plugged, do: Do, database: Database, machine: FakeMachine, asking: Asking
) -> None:
    port = plugged()
    first = PortCounters(1000, 10, 0, 2000, 20, 1)

    def measure(counted: PortCounters) -> None:
        machine.counters[port.uuid] = counted
        machine.counters["00000000-0000-4000-8000-000000000000"] = first
        with database.write() as session:  # the last one was ten seconds ago
            for sample in session.scalars(sa.select(PortSample)):
                session.execute(
                    sa.update(PortSample).where(PortSample.at == sample.at).values(at=sample.at - timedelta(seconds=10))
                )
        do(lambda ctx: Intent("port.sample", operations_title(), Subject("port", "all")))

    for counted in (first, replace(first, bytes_in=6000, dropped_out=11), replace(first, bytes_in=5)):
        measure(counted)
    with asking() as ctx:
        points = service.port_metrics(ctx, service.get_port(ctx, port.id))["points"]
    assert [p["total"]["bytes_in"] for p in points] == [1000, 6000, 5]
    assert points[0]["bytes_in"] is None
    assert points[1]["bytes_in"] == pytest.approx(500, rel=0.1)
    assert points[1]["dropped_out"] == pytest.approx(1, rel=0.1)
    assert points[2]["bytes_in"] is None
    assert captures.interval(10, 1_000_000) == pytest.approx(18_000)
