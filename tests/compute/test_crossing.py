"""Two people change the same: the second is refused with the difference, in the API, the panel and the command; also
where both changes were asked for before either was done."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab, both
from tests.compute.test_api import api  # noqa: F401
from tests.compute.test_cli import Run, run  # noqa: F401
from tests.compute.test_pages import HTMX, browser, told  # noqa: F401
from yun.compute import service
from yun.compute.service import Card
from yun.network import service as network
from yun.operations.model import State
from yun.operations.service import submit
from yun.storage.model import Attachment

Browser = Callable[..., TestClient]
EDITS: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("PATCH", "", {"description": "old"}, {"description": "theirs"}, {"description": "mine"}),
    ("POST", "/rename", {"name": "web"}, {"name": "theirs"}, {"name": "mine"}),
    ("POST", "/tag", {"tags": []}, {"tags": ["a"]}, {"tags": ["b", "c"]}),
    ("PATCH", "/hardware", {"video": "vga"}, {"video": "virtio"}, {"video": "qxl"}),
    ("PATCH", "/hardware", {"rng": True}, {"rng": False, "pins": ["0"]}, {"pins": ["1"], "rng": True}),
    ("POST", "/resize", {"memory_mib": 128}, {"memory_mib": 256}, {"memory_mib": 512}),
]


@pytest.fixture
def web(lab: Lab) -> str:
    """An instance; its address in API and panel."""
    lab.create(description="old", start=False)
    return f"/instances/{lab.row().id}"


@pytest.mark.parametrize(("method", "path", "was", "theirs", "mine"), EDITS)
def test_who_says_what_he_saw_is_refused_with_the_difference_and_nothing_is_changed(
    lab: Lab, api: TestClient, web: str, method: str, path: str, was: Any, theirs: Any, mine: Any  # noqa: F811
) -> None:
    was = {**was, **({"pins": []} if "pins" in mine else {})}
    first = api.request(method, web + path, json={**theirs, "was": was})
    assert first.status_code in (200, 202), first.text
    lab.drain()
    before = api.get(web).json()
    refused = api.request(method, web + path, json={**mine, "was": was})
    assert refused.status_code == 409
    problem = refused.json()
    changed = [name for name, value in mine.items() if value != was[name]]
    assert problem["details"]["difference"] == [
        {"field": name, "theirs": theirs[name], "yours": mine[name]} for name in changed
    ]
    assert set(problem["fields"]) == set(changed)
    assert "meanwhile" in problem["detail"]
    lab.drain()
    assert api.get(web).json() == before
    again = api.request(method, web + path, json={**mine, "was": {**was, **problem["details"]["was"]}})
    assert again.status_code in (200, 202), "who has seen it means it"


def test_what_a_colleague_changed_besides_stays_and_is_no_conflict(lab: Lab, api: TestClient, web: str) -> None:  # noqa: F811
    was = {"description": "old", "protected": False, "tags": []}
    api.patch(web, json={"protected": True})
    saved = api.patch(web, json={"description": "mine", "protected": False, "tags": [], "was": was})
    assert saved.status_code == 200, saved.text
    assert (lab.row().description, lab.row().protected) == ("mine", True)


@pytest.mark.parametrize(("method", "path", "was", "theirs", "mine"), EDITS)
def test_who_saw_an_older_revision_is_told_what_is_there_now(
    lab: Lab, api: TestClient, web: str, method: str, path: str, was: Any, theirs: Any, mine: Any  # noqa: F811
) -> None:
    seen = {"If-Match": api.get(web).headers["ETag"]}
    api.request(method, web + path, json=theirs)
    lab.drain()
    refused = api.request(method, web + path, json=mine, headers=seen)
    assert refused.status_code == 409
    assert refused.json()["details"]["difference"]
    for entry in refused.json()["details"]["difference"]:
        assert entry["yours"] == mine[entry["field"]]
        assert entry["theirs"] == theirs.get(entry["field"], was.get(entry["field"]))
    assert api.post(f"{web}/start", headers=seen).status_code == 412, "a verb has no fields to tell apart"


def groups(lab: Lab) -> Any:
    """Two security groups, and the card of ``web``."""
    for name in ("front", "back"):
        lab.do(lambda ctx, name=name: network.create_group(ctx, name))
    with lab.database.read() as session:
        return network.ports_of(session, lab.row().id)[0]


def test_the_groups_of_a_card_are_not_changed_over_a_colleagues_head(lab: Lab, api: TestClient, web: str) -> None:  # noqa: F811
    port = groups(lab)
    body = {"card": port.address, "security_groups": ["front"], "link_up": False}
    was = {"security_groups": ["default"], "link_up": True}
    assert api.post(f"{web}/change-nic", json={**body, "was": was}).status_code == 202
    lab.drain()
    refused = api.post(
        f"{web}/change-nic", json={"card": port.id, "security_groups": ["default", "back"], "was": was}
    )
    assert refused.status_code == 409
    assert refused.json()["details"]["difference"] == [
        {"field": "security_groups", "theirs": ["front"], "yours": ["back", "default"]}
    ]
    with lab.database.read() as session:
        assert [g.name for g in network.groups_of(session, port.id)] == ["front"]


def test_a_disk_is_not_limited_over_a_colleagues_head(lab: Lab, api: TestClient, web: str) -> None:  # noqa: F811
    was = {"limits": {}, "cache": "none"}
    first = {"disk": "vda", "limits": {"total_iops_sec": 100}, "cache": "writeback", "was": was}
    assert api.post(f"{web}/change-disk", json=first).status_code == 202
    lab.drain()
    mine = {"disk": "vda", "limits": {"total_iops_sec": 500}, "cache": "none", "was": was}
    refused = api.post(f"{web}/change-disk", json=mine)
    assert refused.status_code == 409
    assert refused.json()["details"]["difference"] == [
        {"field": "limits", "theirs": {"total_iops_sec": 100}, "yours": {"total_iops_sec": 500}}
    ]
    again = {**mine, "was": {**was, "limits": {"total_iops_sec": 100}}}
    assert api.post(f"{web}/change-disk", json=again).status_code == 202
    lab.drain()
    place = lab.rows(Attachment)[0]
    assert (place.cache, place.limits["total_iops_sec"]) == ("writeback", 500), "the cache he had not touched"


def hidden(text: str) -> dict[str, Any]:
    """What a form says it showed."""
    found = re.search(r'name="was" value="([^"]*)"', text)
    assert found
    shown: dict[str, Any] = json.loads(html.unescape(found[1]))
    return shown


def test_the_form_of_a_card_marks_the_field_and_saving_again_means_it(lab: Lab, browser: Browser, web: str) -> None:  # noqa: F811
    port, panel = groups(lab), browser()
    page = f"{web}/nics/{port.id}/change"
    shown = hidden(panel.get(page).text)
    with lab.database.read() as session:
        ids = {g.name: g.id for g in session.query(network_group())}
    lab.do(service.change_nic, "web", port.id, Card(groups=[ids["front"]], link_up=False))
    form = {
        "was": json.dumps(shown), "network": port.network_id, "address": port.address, "mac": port.mac,
        "model": port.model, "groups": [ids["back"]], "link_up": "true",
    }  # fmt: skip
    refused = panel.post(page, data=form, headers=HTMX)
    assert refused.status_code == 409
    problem = told(refused)["yun:problem"]
    assert problem["detail"] == "Somebody else changed Security groups meanwhile: it is now front, you want back."
    assert problem["fields"] == {"security_groups": "meanwhile: front"}
    assert 'data-field="security_groups"' in panel.get(page).text, "the mark has its place in the form"
    form["was"] = json.dumps({**shown, **problem["details"]["was"]})
    assert panel.post(page, data=form, headers=HTMX).status_code == 200
    lab.drain()
    with lab.database.read() as session:
        assert [g.name for g in network.groups_of(session, port.id)] == ["back"]
        assert network.ports_of(session, lab.row().id)[0].link_up is False, "which this person had not touched"


def network_group() -> Any:
    """The table of security groups."""
    from yun.network.model import SecurityGroup

    return SecurityGroup


def test_hardware_and_size_are_told_in_their_forms(lab: Lab, browser: Browser, web: str) -> None:  # noqa: F811
    panel = browser()
    shown, size = hidden(panel.get(f"{web}/hardware").text), hidden(panel.get(f"{web}/resize", headers=HTMX).text)
    lab.do(service.configure, "web", video="virtio")
    lab.do(service.resize, "web", memory_mib=256)
    form = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in shown.items() if v not in (False, [], "")}
    refused = panel.post(f"{web}/hardware", data={**form, "video": "qxl", "was": json.dumps(shown)}, headers=HTMX)
    assert refused.status_code == 409
    assert told(refused)["yun:problem"]["fields"] == {"video": "meanwhile: virtio"}
    refused = panel.post(f"{web}/resize", data={"memory_mib": "512M", "was": json.dumps(size)}, headers=HTMX)
    assert refused.status_code == 409
    assert "it is now 1 vCPU, 256 MiB, you want 1 vCPU, 512 MiB" in told(refused)["yun:problem"]["detail"]
    assert lab.row().memory_mib == 256


def test_the_command_prints_both_values(lab: Lab, run: Run, web: str) -> None:  # noqa: F811
    saw = ("--was", "description=old")
    assert run("instance", "update", "web", "--description", "theirs", *saw).exit_code == 0
    refused = run("instance", "update", "web", "--description", "mine", *saw)
    assert refused.exit_code == 6
    assert 'description: it is now "theirs", you want "mine"' in refused.stderr
    assert run("instance", "configure", "web", "--no-rng", "--was", "rng=true").exit_code == 0
    refused = run("instance", "configure", "web", "--rng", "--was", "rng=yes")
    assert refused.exit_code == 6
    assert "Nothing would change" in refused.stderr, "who wants it as he saw it has changed nothing"
    assert lab.row().hardware == {"rng": False}
    assert run("instance", "resize", "web", "--memory", "256M", "--was", "memory-mib=128").exit_code == 0
    refused = run("instance", "resize", "web", "--memory", "512M", "--was", "memory-mib=128")
    assert refused.exit_code == 6
    assert "memory_mib: it is now 256, you want 512" in refused.stderr
    for wrong in ("description", "video=vga"):
        assert run("instance", "update", "web", "--description", "x", "--was", wrong).exit_code == 2


# ── both were asked for before either was done ──


@both
def test_of_two_changes_that_wait_together_the_second_fails_with_the_difference(lab: Lab) -> None:
    lab.create(start=False)
    with lab.asking() as ctx:
        row = service.get(ctx, "web")
        port = network.ports_of(ctx.session, row.id)[0]
        pairs = [
            (service.configure(ctx, row, video="virtio"), service.configure(ctx, row, video="qxl"), "video"),
            (service.resize(ctx, row, memory_mib=256), service.resize(ctx, row, memory_mib=512), "memory_mib"),
            (
                service.change_nic(ctx, row, port.id, Card(address=str_after(port.address, 20))),
                service.change_nic(ctx, row, port.id, Card(address=str_after(port.address, 21))), "place",
            ),
            (
                service.change_nic(ctx, row, port.id, Card(model="e1000")),
                service.change_nic(ctx, row, port.id, Card(model="rtl8139")), "model",
            ),
        ]  # fmt: skip
        asked = [(submit(ctx, one).id, submit(ctx, two).id, field) for one, two, field in pairs]
    lab.drain()
    for one, two, field in asked:
        assert lab.operation(one).state == State.SUCCEEDED, (field, lab.operation(one).error)
        failed = lab.operation(two)
        assert failed.state == State.FAILED, field
        assert failed.error is not None
        assert failed.error["code"] == "conflict"
        assert [e["field"] for e in failed.error["details"]["difference"]] == [field]
    assert (lab.row().memory_mib, lab.domain().spec.nics[0].model) == (256, "e1000")


def str_after(address: str, last: int) -> str:
    """Another address of the same subnet."""
    return f"{address.rpartition('.')[0]}.{last + 100}"
