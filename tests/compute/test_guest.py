"""What guests tell of themselves: kept, renewed, shown, and without any harm by guests that tell nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.compute.conftest import ROOT, Lab, both
from yun.app import create_app
from yun.compute import service
from yun.compute.guest.model import InstanceGuest
from yun.compute.service.tending import TEND_ALL
from yun.compute.steps.guest import plain
from yun.drivers.hypervisor.port import GuestCard, GuestFacts, GuestFileSystem
from yun.operations.intent import Subject
from yun.operations.model import Operation
from yun.web.request import Asker


def tend(lab: Lab) -> None:
    """The periodic look at all machines, and all that follows."""
    periodic(lab, TEND_ALL)


def periodic(lab: Lab, kind: str) -> None:
    lab.cloud.engine.nudge(kind, Subject("periodic", kind))
    lab.drain()


def running(lab: Lab, name: str = "web") -> None:
    lab.create(name)
    tend(lab)


def told(lab: Lab, name: str = "web") -> dict[str, object]:
    with lab.asking() as ctx:
        return service.guest(ctx, service.get(ctx, name))


@both
def test_a_guest_is_asked_as_soon_as_its_agent_connects(lab: Lab) -> None:
    lab.create()
    before = told(lab)
    assert (before["seen_at"], before["file_systems"]) == (None, [])
    tend(lab)
    now = told(lab)
    assert now["agent"] is True
    assert now["os_name"] == "Fake Linux 1"
    assert now["hostname"] == lab.row().name
    assert now["seen_at"] is not None
    (root,) = now["file_systems"]  # type: ignore[misc]
    assert (root["mount"], root["slots"]) == ("/", ["vda"])
    (card,) = now["cards"]  # type: ignore[misc]
    assert card["addresses"][0].startswith("fe80::")
    assert len(lab.events("instance.guest")) == 1
    assert not [o for o in lab.rows(Operation) if o.kind.startswith("instance.learn")], "it leaves no trace"


def test_facts_are_renewed_and_only_what_lasts_is_news(lab: Lab) -> None:
    running(lab)
    age(lab)
    periodic(lab, "instance.learn_guests")
    assert len(lab.events("instance.guest")) == 1
    lab.domain().guest.title = "renamed"
    periodic(lab, "instance.learn_guests")
    assert told(lab)["hostname"] != "renamed", "fresh facts are not asked again"
    age(lab)
    periodic(lab, "instance.learn_guests")
    assert told(lab)["hostname"] == "renamed"
    assert len(lab.events("instance.guest")) == 2


def test_a_guest_that_does_not_answer_keeps_what_it_told_and_its_turn(lab: Lab) -> None:
    running(lab)
    age(lab)
    lab.world.fail("guest", 1)
    periodic(lab, "instance.learn_guests")
    (row,) = lab.rows(InstanceGuest)
    assert row.seen_at < row.asked_at
    assert row.os_name == "Fake Linux 1"


def test_nobody_asks_machines_that_are_off_or_have_no_agent(lab: Lab) -> None:
    running(lab, "off")
    lab.do(service.stop, "off")
    running(lab, "silent")
    lab.world.guest(lab.row("silent").uuid, agent=False)
    tend(lab)
    age(lab)
    asked = lab.world.calls["guest"]
    periodic(lab, "instance.learn_guests")
    assert lab.world.calls["guest"] == asked


def test_a_purged_instance_leaves_no_facts(lab: Lab) -> None:
    running(lab)
    lab.do(service.delete, "web")
    lab.do(service.purge, "web")
    assert lab.rows(InstanceGuest) == []


def test_what_a_guest_tells_is_cut_to_what_can_be_kept_and_shown() -> None:
    many = tuple(GuestFileSystem(f"/mnt/{n}", "ext4", "/dev/vda") for n in range(1000))
    addresses = ("10.0.0.1/24",) * 500
    cards = tuple(GuestCard(f"eth{n}", "52:54:00:00:00:01", addresses) for n in range(500))
    facts = plain(GuestFacts("x" * 1000, "a\x1b[31m\nb" + "y" * 1000, "", "h\0", "z" * 1000, many, cards))
    assert len(facts["os_id"]) == 100
    assert facts["os_name"].startswith("a[31mb")
    assert len(facts["os_name"]) == 300
    assert facts["hostname"] == "h"
    assert (len(facts["file_systems"]), len(facts["cards"]), len(facts["cards"][0]["addresses"])) == (200, 100, 100)


@pytest.fixture
def panel(lab: Lab) -> Iterator[TestClient]:
    """The panel and the API as the administrator."""
    app = create_app(lab.cloud)

    def authenticate(_session: Any, _credentials: Any) -> Asker:
        return Asker(actor=ROOT, project_id=lab.project_id)

    app.state.cloud.authenticate = authenticate
    with TestClient(app, base_url="http://yun.test", raise_server_exceptions=False) as client:
        yield client


def age(lab: Lab) -> None:
    """All facts are old."""
    with lab.database.write() as session:
        for row in session.scalars(sa.select(InstanceGuest)):
            row.asked_at = row.asked_at - timedelta(hours=1)


def test_the_route_and_the_pages_show_it(lab: Lab, panel: TestClient) -> None:
    running(lab)
    identifier = lab.row().id
    body = panel.get(f"/api/v1/instances/{identifier}/guest").json()
    assert body["os_name"] == "Fake Linux 1"
    assert body["frozen_until"] is None
    overview = panel.get(f"/instances/{identifier}").text
    assert "Fake Linux 1" in overview
    page = panel.get(f"/instances/{identifier}/guest").text
    assert "<code>vda</code>" in page
    assert lab.domain().spec.nics[0].mac in page
