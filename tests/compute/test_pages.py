"""The panel's pages of instances on fakes: searching, changing what others change too, many at once, the overview."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab
from tests.house.scenes_devices import see
from yun.app import create_app
from yun.base.context import Actor
from yun.compute import service
from yun.compute.service.search import finished
from yun.drivers.host.fake import FakeMachine
from yun.hosts import service as hosts
from yun.identity import service as identity
from yun.network import service as network
from yun.operations.service import submit
from yun.seed import enlarge, fill_instances
from yun.storage import service as storage
from yun.web.request import Asker
from yun.worker import fake_drivers

ADMIN = Actor("root", "root", "root", {"*": "admin"})
HTMX = {"HX-Request": "true", "Origin": "http://yun.test"}
INTO_LIST = {**HTMX, "HX-Target": "list"}


@pytest.fixture
def browser(lab: Lab) -> Callable[..., TestClient]:
    """Opens the panel as somebody in the lab's project."""

    def opened(actor: Actor = ADMIN) -> TestClient:
        app = create_app(lab.cloud)
        asker = Asker(actor=actor, project_id=lab.project_id, project_name="default")
        app.state.cloud.authenticate = lambda _session, _credentials: asker
        return TestClient(app, base_url="http://yun.test", raise_server_exceptions=False, follow_redirects=False)

    return opened


def reader(lab: Lab) -> Actor:
    return Actor("user", "usr_reader", "rita", {lab.project_id: "reader"})


def told(answer: Any) -> dict[str, Any]:
    """What the answer has the page do."""
    found: dict[str, Any] = json.loads(answer.headers["hx-trigger"])
    return found


def was(page: str) -> str:
    """What the form of a page says it showed."""
    found = re.search(r'name="was" value="([^"]*)"', page)
    assert found
    return html.unescape(found[1])


# ── searching ──


@pytest.mark.parametrize("query", ["state:nowhere", "colour:red", "web:1", 'state:"half'])
def test_a_search_that_cannot_mean_anything_says_what_could_be_and_the_list_stays(
    lab: Lab, browser: Callable[..., TestClient], query: str
) -> None:
    for headers in ({}, INTO_LIST):
        answer = browser().get("/instances", params={"q": query}, headers=headers)
        assert answer.status_code == 200
        assert 'id="list"' in answer.text
        assert "list-fault" in answer.text
        assert "one of" in answer.text
    assert browser().get("/instances?sort=colour").status_code == 422


def test_a_word_that_is_still_being_typed_means_what_it_may_become(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    lab.create("found")
    word = "state:running"
    for end in range(len("state:"), len(word) + 1):
        answer = browser().get("/instances", params={"q": word[:end]}, headers=INTO_LIST)
        assert ">found</a>" in answer.text, word[:end]
    assert "list-fault" in browser().get("/instances", params={"q": "state:x"}).text


def test_only_the_last_word_is_made_whole() -> None:
    assert finished("web state:r") == "web state:running"
    assert finished("state:stopped,p") == "state:stopped,paused"
    assert finished("-state:st") == "-state:stopped"
    assert finished("state:r web") == "state:r web"
    assert finished("web tag:") == "web "
    assert finished("tag:we name:a") == "tag:we name:a"
    assert finished("state:zz") == "state:zz"


def test_a_list_that_cannot_be_renewed_stays_and_a_toast_says_why(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    answer = browser().get("/instances?cursor=nonsense", headers=INTO_LIST)
    assert answer.status_code == 422
    assert "cursor" in told(answer)["yun:problem"]["fields"]


def test_pages_of_a_list_lead_back_the_way_they_came(lab: Lab, browser: Callable[..., TestClient]) -> None:
    fill_instances(lab.cloud, 160)
    panel = browser()

    def names(text: str) -> list[str]:
        return re.findall(r'<td class="name"><a href="[^"]+">([^<]+)<', text)

    def leading(text: str, label: str) -> str:
        found = re.search(rf'<a class="btn" href="([^"]+)"[^>]*>(?:<svg[^>]*><use[^>]*></svg>)?{label}', text)
        assert found, label
        return html.unescape(found[1])

    pages = [panel.get("/instances?sort=-name").text]
    for _page in range(3):
        pages.append(panel.get(leading(pages[-1], "Next page")).text)
    assert "Next page" not in pages[3]
    back = pages[3]
    for before in (pages[2], pages[1], pages[0]):
        back = panel.get(leading(back, "Previous page")).text
        assert names(back) == names(before)
    assert "Previous page" not in back


def test_the_palette_finds_all_kinds_of_things_and_shows_nobody_more_than_he_may_see(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    lab.create("needle-machine")
    lab.do(lambda ctx: storage.create_volume(ctx, name="needle-disk", size_bytes=2**30))
    lab.do(lambda ctx: network.create_network(ctx, network.NewNetwork("needle-net", "", 1442, None)))
    lab.do(lambda ctx: identity.create_user(ctx, identity.NewUser(name="needle.wang")))

    def urls(actor: Actor, q: str) -> str:
        items = browser(actor).get("/search", params={"q": q}).json()["items"]
        return " ".join(item["url"].split("/")[1] for item in items)

    assert urls(ADMIN, "NEEDLE") == "instances volumes volumes networks users"
    assert urls(reader(lab), "needle") == "instances volumes volumes networks"
    assert urls(ADMIN, "localhost") == "hosts"
    assert urls(reader(lab), "localhost") == ""
    assert urls(ADMIN, "state:nowhere") == ""


def test_short_lists_are_searched_by_name_and_the_trash_is_seen_from_every_kind(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    panel = browser()
    for name in ("keep-net", "gone-net"):
        lab.do(lambda ctx, name=name: network.create_network(ctx, network.NewNetwork(name, "", 1442, None)))
    lab.do(lambda ctx: network.delete_network(ctx, network.get_network(ctx, "gone-net")))
    for name in ("first-disk", "second-disk"):
        lab.do(lambda ctx, name=name: storage.create_volume(ctx, name=name, size_bytes=2**30))
        lab.do(lambda ctx, name=name: storage.delete_volume(ctx, storage.get_volume(ctx, name)))

    def seen(address: str, *names: str) -> list[bool]:
        return [name in panel.get(address).text for name in names]

    assert seen("/networks?q=KEEP", "keep-net", "gone-net") == [True, False]
    assert seen("/networks?state=trashed", "keep-net", "gone-net") == [False, True]
    assert seen("/trash?q=first", "first-disk", "second-disk") == [True, False]
    assert seen("/hosts?q=local", ">localhost</a>") == [True]
    assert seen("/hosts?q=elsewhere", ">localhost</a>", "Nothing matches") == [False, True]
    assert seen("/networks/security-groups?q=elsewhere", "Nothing matches") == [True]
    assert seen("/trash", "/networks?state=trashed") == [True]


# ── changing ──


def test_the_settings_apply_only_what_was_changed_and_leave_a_colleagues_changes(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    lab.create("shared")
    panel, row = browser(), lab.row("shared")
    address = f"/instances/{row.id}"
    shown = was(panel.get(f"{address}/settings").text)
    lab.do(service.update, row.id, description="from a colleague", tags=["theirs"], protected=True)
    form = {
        "was": shown, "name": "shared", "description": "", "tags": "", "shutdown_seconds": "77", "autostart": "true",
        "restart_on_crash": "true",
    }  # fmt: skip
    assert panel.post(f"{address}/update", data=form, headers=HTMX).status_code == 200
    now = lab.row("shared")
    assert (now.description, now.tags, now.protected, now.shutdown_seconds) == (
        "from a colleague", ["theirs"], True, 77,
    )  # fmt: skip


def test_a_field_that_two_changed_is_a_conflict_that_names_both_values_and_saving_again_means_it(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    lab.create("shared")
    panel, row = browser(), lab.row("shared")
    address = f"/instances/{row.id}"
    shown = was(panel.get(f"{address}/settings").text)
    lab.do(service.update, row.id, description="theirs", protected=True)
    form = {
        "was": shown, "name": "shared", "description": "mine", "tags": "", "shutdown_seconds": "60",
        "autostart": "true", "restart_on_crash": "true",
    }  # fmt: skip
    refused = panel.post(f"{address}/update", data=form, headers=HTMX)
    assert refused.status_code == 409
    problem = told(refused)["yun:problem"]
    assert problem["detail"] == (
        "Somebody else changed Description meanwhile: it is now theirs, you want mine."
    )
    assert problem["fields"] == {"description": "meanwhile: theirs"}
    assert lab.row("shared").description == "theirs"
    form["was"] = json.dumps({**json.loads(shown), **problem["details"]["was"]})
    assert panel.post(f"{address}/update", data=form, headers=HTMX).status_code == 200
    assert (lab.row("shared").description, lab.row("shared").protected) == ("mine", True)
    assert panel.post(f"{address}/update", data={**form, "was": "{"}, headers=HTMX).status_code == 422


def test_limits_of_hosts_and_pools_and_names_of_projects_do_not_undo_a_colleagues_change(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    panel = browser()
    with lab.asking() as ctx:
        host, pool = hosts.list_hosts(ctx).items[0].id, storage.list_pools(ctx).items[0].id
    limits = was(panel.get(f"/hosts/{host}/settings").text)
    books = was(panel.get(f"/pools/{pool}/edit").text)
    named = was(panel.get(f"/projects/{lab.project_id}/edit").text)
    lab.do(lambda ctx: hosts.update(ctx, host, hosts.Changes(accepts=False, cpu_overcommit=4.0)))
    lab.do(lambda ctx: storage.update_pool(ctx, pool, storage.PoolChanges(overcommit=1.5)))
    lab.do(lambda ctx: identity.update_project(ctx, lab.project_id, description="theirs"))
    old = json.loads(limits)
    form = {
        "was": limits, "description": "mine", "accepts": "true", "reserved_mib": str(old["reserved_mib"]),
        "cpu_overcommit": f"{old['cpu_overcommit']:g}", "memory_overcommit": f"{old['memory_overcommit']:g}",
    }  # fmt: skip
    saved = panel.post(f"/hosts/{host}/update", data=form, headers=HTMX)
    assert json.loads(saved.headers["hx-location"])["path"] == f"/hosts/{host}/settings"  # what it showed is old now
    form = {"was": books, "overcommit": "3.0", "reserve_bytes": "2G", "is_default": "true"}
    assert panel.post(f"/pools/{pool}/edit", data=form, headers=HTMX).status_code == 204
    form = {"was": named, "name": "renamed", "description": ""}
    assert panel.post(f"/projects/{lab.project_id}/edit", data=form, headers=HTMX).status_code == 200
    lab.drain()
    with lab.asking() as ctx:
        found, books_now = hosts.get(ctx, host), storage.get_pool(ctx, pool)
        assert (found.description, found.accepts, found.cpu_overcommit) == ("mine", False, 4.0)
        assert (books_now.overcommit, books_now.reserve_bytes) == (1.5, 2 << 30)
        project = identity.get_project(ctx, lab.project_id)
        assert (project.name, project.description) == ("renamed", "theirs")
    crossed = panel.post(f"/pools/{pool}/edit", headers=HTMX, data={
        "was": books, "overcommit": "2", "reserve_bytes": "2G", "is_default": "true",
    })  # fmt: skip
    assert crossed.status_code == 409
    assert "overcommit" in told(crossed)["yun:problem"]["fields"]


def test_who_may_not_change_an_instance_sees_its_settings_and_no_button_to_save(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    lab.create("looked-at")
    address = f"/instances/{lab.row('looked-at').id}/settings"
    assert 'type="submit" class="btn btn-primary">Save' in browser().get(address).text
    seen = browser(reader(lab)).get(address).text
    assert "<fieldset disabled>" in seen
    assert ">Save<" not in seen
    lab.do(service.delete, "looked-at")
    assert ">Save<" not in browser().get(address).text


# ── many at once ──


def test_every_operation_on_many_is_the_persons_own_and_one_button_takes_all_back(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    ids = []
    for n in range(3):
        lab.create(f"many-{n}")
        ids.append(lab.row(f"many-{n}").id)
    panel = browser()
    answer = panel.post("/bulk/instances/stop", data={"id": ids}, headers=HTMX)
    events = told(answer)
    made = events["yun:done"]["operations"]
    assert len(made) == 3
    assert events["yun:toast"]["undo_all"] == made[::-1]
    lab.drain()
    assert {lab.row(i).state for i in ids} == {"stopped"}
    undone = panel.post("/bulk/undo", data={"id": made[::-1]}, headers=HTMX)
    assert told(undone)["yun:toast"]["text"] == "Undo of 3 operations: started."
    lab.drain()
    assert {lab.row(i).state for i in ids} == {"running"}
    again = panel.post("/bulk/undo", data={"id": made}, headers=HTMX)
    assert again.status_code == 409


def test_those_for_which_there_is_no_room_are_left_out_and_said(lab: Lab, browser: Callable[..., TestClient]) -> None:
    ids = []
    for n in range(3):
        lab.create(f"tight-{n}", flavor="mini")
        ids.append(lab.row(f"tight-{n}").id)
    lab.create("gone")
    gone = lab.row("gone").id
    lab.do(service.delete, gone)
    for identifier in ids:
        lab.do(service.stop, identifier)
    answer = browser().post("/bulk/instances/start", data={"id": [*ids, gone, "ins_nothing"]}, headers=HTMX)
    events = told(answer)
    assert len(events["yun:done"]["operations"]) == 3
    assert events["yun:toast"]["text"] == "Start 3 instances: started; 2 left out."
    assert "gone" in events["yun:toast"]["hint"]


def test_a_full_host_keeps_some_of_many_from_starting_and_not_the_others(
    lab: Lab, browser: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    from yun.base.errors import NoCapacity, OverQuota
    from yun.base.messages import Message
    from yun.compute.service import bulk

    ids = []
    for n in range(3):
        lab.create(f"full-{n}")
        lab.do(service.stop, f"full-{n}")
        ids.append(lab.row(f"full-{n}").id)
    errors = {ids[0]: NoCapacity(Message("the host is full")), ids[2]: OverQuota(Message("the quota is reached"))}

    def start(ctx: Any, row: Any, _wish: Any) -> Any:
        if row.id in errors:
            raise errors[row.id]
        return service.start(ctx, row)

    monkeypatch.setitem(bulk.CALLS, "start", start)
    seen = browser().get("/bulk/instances/start/preview", params={"id": ids}).text
    assert "Left out: the host is full" in seen
    events = told(browser().post("/bulk/instances/start", data={"id": ids}, headers=HTMX))
    assert events["yun:toast"]["hint"] == "the host is full the quota is reached"
    lab.drain()
    assert [lab.row(i).state for i in ids] == ["stopped", "running", "stopped"]


# ── the overview, and a cloud in memory ──


def test_the_overview_says_when_a_host_or_pool_has_promised_more_than_it_may(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    lab.create("big", flavor="large")
    assert "nothing new fits" not in browser().get("/").text
    with lab.asking() as ctx:
        host, pool = hosts.list_hosts(ctx).items[0], storage.list_pools(ctx).items[0]
        host.memory_mib = 2048
        pool.overcommit = 0.0
    page = browser().get("/").text
    assert "nothing new fits" in page
    assert "no new disk fits" in page
    assert "Everything runs as it should" not in page
    assert "nothing new fits" not in browser(reader(lab)).get("/").text


def test_the_host_in_memory_grows_with_the_number_of_its_machines(lab: Lab) -> None:
    drivers = fake_drivers()
    enlarge(drivers, 300)
    grown = drivers.on("local").machine
    machine = lab.cloud.drivers.on("local").machine
    assert isinstance(grown, FakeMachine)
    assert isinstance(machine, FakeMachine)
    machine.inventory = replace(machine.inventory, cpus=grown.inventory.cpus, memory_mib=grown.inventory.memory_mib)
    with lab.asking() as ctx:
        host = hosts.list_hosts(ctx).items[0]
        host.cpus, host.memory_mib = grown.inventory.cpus, grown.inventory.memory_mib
    fill_instances(lab.cloud, 300)
    with lab.asking() as ctx:
        wish = service.Wish(name="one-more", image="tiny", flavor="medium")
        assert submit(ctx, service.create(ctx, wish)).state == "queued"


# ── devices of hosts ──


def test_sizes_left_empty_are_asked_for_in_the_words_of_the_form(
    lab: Lab, browser: Callable[..., TestClient]
) -> None:
    lab.create()
    page, base = browser(), f"/instances/{lab.row().id}"
    answer = page.post(f"{base}/disks", data={"size_bytes": " "}, headers=HTMX)
    assert answer.status_code == 422
    assert told(answer)["yun:problem"]["detail"] == "A size is needed."
    answer = page.post(f"{base}/resize", data={"flavor": "", "memory_mib": ""}, headers=HTMX)
    assert answer.status_code == 422
    assert told(answer)["yun:problem"]["fields"] == {"flavor": "a flavor, or vCPUs and memory"}


def test_devices_of_the_host_are_listed_given_and_taken_by_page(lab: Lab, browser: Callable[..., TestClient]) -> None:
    lab.do(see)
    lab.create()
    page, base = browser(), f"/instances/{lab.row().id}"
    with lab.asking() as ctx:
        host = hosts.get(ctx, "localhost").id
        key = next(d for d in service.list_devices(ctx, host) if d.address == "1-1")
    listed = page.get(f"/hosts/{host}/devices")
    assert listed.status_code == 200
    assert "TU104GL [Tesla T4]" in listed.text
    assert "the host has file systems or swap on it" in listed.text
    assert "None. An instance can have" in page.get(f"{base}/settings").text
    form = page.get(f"{base}/host-devices/add")
    assert form.status_code == 200
    assert key.id in form.text
    seen = page.post(f"{base}/host-devices/add/preview", data={"device": key.id}, headers=HTMX)
    assert "The instance gets Yubico.com" in html.unescape(seen.text)
    assert page.post(f"{base}/host-devices/add", data={"device": key.id}, headers=HTMX).status_code < 400
    lab.drain()
    settings = page.get(f"{base}/settings")
    assert settings.status_code == 200
    assert "Yubikey" in settings.text
    assert f"/hosts/{host}/devices" in page.get(f"/hosts/{host}").text
    assert base in page.get(f"/hosts/{host}/devices").text
    assert page.get(f"{base}/host-devices/{key.id}/remove/preview", headers=HTMX).status_code == 200
    assert page.post(f"{base}/host-devices/{key.id}/remove", headers=HTMX).status_code < 400
    lab.drain()
    assert "Yubikey" not in page.get(f"{base}/settings").text
    member = browser(Actor("user", "usr_m", "mia", {lab.project_id: "member"}))
    assert "Devices of the host" not in member.get(f"{base}/settings").text
    assert member.get(f"{base}/host-devices/add").status_code in (403, 404)
