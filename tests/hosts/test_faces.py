"""REST, panel and command of the hosts, over the whole application on a fake host."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from yun.app import create_app
from yun.base.config import Settings
from yun.base.db import Database
from yun.drivers.bundle import Drivers, HostDrivers
from yun.drivers.host.fake import FakeMachine
from yun.drivers.hypervisor.fake import FakeHypervisor
from yun.first import prepare
from yun.operations.engine import Engine
from yun.operations.intent import Subject
from yun.web.client import Client, Target
from yun.web.command import Shell
from yun.worker import Cloud


class Site:
    """A cloud with its web application; ``drain`` lets its engine work."""

    def __init__(self, database: Database, settings: Settings, machine: FakeMachine) -> None:
        local = HostDrivers(hypervisor=FakeHypervisor(), volume=None, machine=machine)  # type: ignore[arg-type]
        drivers = Drivers(network=None, connect=lambda _h: local)  # type: ignore[arg-type]
        self.machine = machine
        self.engine = Engine(database, drivers, settings)
        self.cloud = Cloud(settings, database, drivers, self.engine)
        prepare(self.cloud)
        self.token = (settings.state_dir / "root.token").read_text().strip()
        self.app = create_app(self.cloud)
        self.web = TestClient(self.app, headers={"Authorization": f"Bearer {self.token}"})
        self.tend()

    def tend(self) -> None:
        """Look at the host once."""
        self.engine.nudge("host.tend", Subject("periodic", "host.tend", "host.tend"))
        self.engine.drain()


@pytest.fixture
def site(database: Database, settings: Settings, machine: FakeMachine) -> Iterator[Site]:
    made = Site(database, settings, machine)
    yield made
    made.web.close()


def test_a_host_is_shown_with_its_services_and_what_is_left(site: Site) -> None:
    listed = site.web.get("/api/v1/hosts").json()
    assert listed["next"] is None
    (host,) = listed["items"]
    assert (host["name"], host["state"], host["left_mib"]) == ("node1", "up", 7168)
    assert [s["state"] for s in host["services"]] == ["running"] * 5
    shown = site.web.get("/api/v1/hosts/node1")
    assert shown.json()["id"] == host["id"]
    again = site.web.get("/api/v1/hosts/node1", headers={"If-None-Match": shown.headers["etag"]})
    assert again.status_code == 304


def test_texts_come_in_the_readers_language(site: Site) -> None:
    host = site.web.get("/api/v1/hosts/node1", headers={"Accept-Language": "zh"}).json()
    assert host["accel_text"] == "本机没有 /dev/kvm"
    assert host["services"][-1]["title"] == "虚拟机服务（libvirt、KVM/QEMU）"


def test_a_service_is_started_by_the_api_after_a_preview(site: Site) -> None:
    site.machine.break_service("libvirt")
    site.tend()
    plan = site.web.post("/api/v1/hosts/node1/services/libvirt/start?dry_run=true").json()
    assert plan["dry_run"] is True
    assert plan["undo"]["possible"] is False
    assert site.machine.state["libvirt"].state == "stopped"
    answered = site.web.post("/api/v1/hosts/node1/services/libvirt/start")
    assert answered.status_code == 202
    site.engine.drain()
    assert site.machine.state["libvirt"].state == "running"
    assert site.web.get("/api/v1/hosts/node1").json()["state"] == "up"


@pytest.mark.parametrize("body", [{"cpu_overcommit": -1}, {"reserved_mib": "x"}, {"name": "other"}, {}])
def test_impossible_changes_are_refused(site: Site, body: dict[str, object]) -> None:
    before = site.web.get("/api/v1/hosts/node1").json()
    answered = site.web.patch("/api/v1/hosts/node1", json=body)
    assert answered.status_code == 422
    assert site.web.get("/api/v1/hosts/node1").json() == before


def test_a_change_over_an_outdated_view_is_refused(site: Site) -> None:
    tag = site.web.get("/api/v1/hosts/node1").headers["etag"]
    first = site.web.patch("/api/v1/hosts/node1", json={"accepts": False}, headers={"If-Match": tag})
    assert first.status_code == 200
    assert first.json()["accepts"] is False
    second = site.web.patch("/api/v1/hosts/node1", json={"accepts": True}, headers={"If-Match": tag})
    assert second.status_code == 409
    assert second.json()["details"]["difference"] == [{"field": "accepts", "theirs": False, "yours": True}]


def test_an_unknown_host_or_service_is_not_found(site: Site) -> None:
    assert site.web.get("/api/v1/hosts/node2").status_code == 404
    assert site.web.post("/api/v1/hosts/node1/services/cron/start").status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/hosts", "/api/v1/hosts/node1"])
def test_nobody_sees_hosts_without_a_credential(site: Site, path: str) -> None:
    with TestClient(site.app) as stranger:
        assert stranger.get(path).status_code == 401


def test_the_pages_show_health_and_offer_the_start_of_what_is_down(site: Site) -> None:
    listed = site.web.get("/hosts").text
    assert "node1" in listed
    page = site.web.get("/hosts/node1").text
    assert "9.0.0" in page
    assert "/services/libvirt/start" not in page
    site.machine.break_service("libvirt", "unresponsive")
    site.tend()
    page = site.web.get("/hosts/node1").text
    assert "/services/libvirt/start" in page
    assert "broken by a test" in page
    host = site.web.get("/api/v1/hosts/node1").json()
    answered = site.web.post(f"/hosts/{host['id']}/services/libvirt/start", headers={"HX-Request": "true"})
    assert answered.status_code == 204
    site.engine.drain()
    assert site.machine.state["libvirt"].state == "running"
    for tab in ("activity", "settings"):
        assert site.web.get(f"/hosts/node1/{tab}").status_code == 200


def test_the_settings_form_saves_what_changed_and_marks_what_is_wrong(site: Site) -> None:
    form = {
        "description": "behind the door", "accepts": "true", "reserved_mib": "1024", "cpu_overcommit": "4",
        "memory_overcommit": "1,5",
    }  # fmt: skip
    answered = site.web.post("/hosts/node1/update", data=form, headers={"HX-Request": "true"})
    assert answered.status_code in (200, 204)
    host = site.web.get("/api/v1/hosts/node1").json()
    assert (host["description"], host["cpu_overcommit"], host["memory_overcommit"]) == ("behind the door", 4.0, 1.5)
    assert host["accepts"] is True
    wrong = site.web.post(
        "/hosts/node1/update", data={**form, "cpu_overcommit": "many"}, headers={"HX-Request": "true"}
    )
    assert wrong.status_code == 422
    assert "cpu_overcommit" in json.loads(wrong.headers["HX-Trigger"])["yun:problem"]["fields"]


def test_a_description_that_carries_markup_shows_as_text(site: Site) -> None:
    site.web.patch("/api/v1/hosts/node1", json={"description": "<script>alert(1)</script>"})
    page = site.web.get("/hosts/node1").text
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.fixture
def yun(site: Site) -> Callable[..., str]:
    """Run a command of the room against the site."""
    from yun.cli import root

    def call(*words: str) -> str:
        client = Client(Target("http://testserver", site.token), Shell(wait=False))
        client.http.close()
        client.http = TestClient(site.app, base_url="http://testserver/api/v1", headers=dict(client.http.headers))
        runner = CliRunner()

        def found(_cls: object, options: Shell) -> Client:
            client.options = options
            options.wait = False
            return client

        original = Client.found
        Client.found = classmethod(found)  # type: ignore[method-assign, assignment]
        try:
            done = runner.invoke(root, list(words), catch_exceptions=False)
        finally:
            Client.found = original  # type: ignore[method-assign]
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


def test_the_command_lists_shows_starts_and_changes(site: Site, yun: Callable[..., str]) -> None:
    assert "node1" in yun("host", "list")
    assert json.loads(yun("-o", "json", "host", "list"))[0]["name"] == "node1"
    assert "openvswitch" in yun("host", "show", "node1")
    site.machine.break_service("libvirt")
    site.tend()
    assert "libvirt stopped" in yun("host", "list")
    yun("host", "start-service", "node1", "libvirt")
    site.engine.drain()
    assert site.machine.state["libvirt"].state == "running"
    yun("host", "update", "node1", "--refuse", "--reserve", "2G")
    host = site.web.get("/api/v1/hosts/node1").json()
    assert (host["accepts"], host["reserved_mib"]) == (False, 2048)
