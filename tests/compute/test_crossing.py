"""Two people change the same: the second is refused with the difference, in the API, the panel and the command; also
where both changes were asked for before either was done."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab, both
from tests.compute.test_api import api, asking  # noqa: F401
from tests.compute.test_cli import Run, run  # noqa: F401
from tests.compute.test_pages import HTMX, browser, told  # noqa: F401
from yun.base.context import Actor
from yun.base.units import GIB
from yun.compute import service
from yun.compute.service import Card, DiskChange
from yun.network import service as network
from yun.operations.model import State
from yun.operations.service import submit
from yun.storage.model import Attachment

Browser = Callable[..., TestClient]
SOUND = '<devices><sound model="{}"/></devices>'
EDITS: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("PATCH", "", {"description": "old"}, {"description": "theirs"}, {"description": "mine"}),
    ("POST", "/rename", {"name": "web"}, {"name": "theirs"}, {"name": "mine"}),
    ("POST", "/tag", {"tags": []}, {"tags": ["a"]}, {"tags": ["b", "c"]}),
    ("PATCH", "/hardware", {"video": "vga"}, {"video": "virtio"}, {"video": "qxl"}),
    ("PATCH", "/hardware", {"rng": True}, {"rng": False, "pins": ["0"]}, {"pins": ["1"], "rng": True}),
    ("POST", "/resize", {"memory_mib": 128}, {"memory_mib": 256}, {"memory_mib": 512}),
    ("PUT", "/overlay", {"overlay": ""}, {"overlay": SOUND.format("ich9")}, {"overlay": SOUND.format("ac97")}),
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
    assert "it is now total_iops_sec 100, you want total_iops_sec 500." in refused.json()["detail"]
    again = {**mine, "was": {**was, "limits": {"total_iops_sec": 100}}}
    assert api.post(f"{web}/change-disk", json=again).status_code == 202
    lab.drain()
    place = lab.rows(Attachment)[0]
    assert (place.cache, place.limits["total_iops_sec"]) == ("writeback", 500), "the cache he had not touched"


def card(lab: Lab) -> str:
    """The MAC of the instance's card."""
    with lab.database.read() as session:
        return network.ports_of(session, lab.row().id)[0].mac


def test_a_boot_order_is_not_chosen_over_a_colleagues_head(lab: Lab, api: TestClient, web: str) -> None:  # noqa: F811
    address, mac, mac_and_disk = f"{web}/boot-order", card(lab), ["network", "disk"]
    seen = {"If-Match": api.get(f"{web}/boot").headers["ETag"]}
    theirs = api.put(address, json={"devices": ["network"], "was": {"devices": ["vda"]}})
    assert theirs.status_code == 202, theirs.text
    lab.drain()
    difference = [{"field": "devices", "theirs": [mac], "yours": [mac, "vda"]}]
    for was in (["vda"], ["disk"], []):
        refused = api.put(address, json={"devices": mac_and_disk, "was": {"devices": was}})
        assert refused.status_code == 409, "by whatever word he names what he saw; none: what nobody chose"
        assert refused.json()["details"] == {"was": {"devices": [mac]}, "difference": difference}
    assert refused.json()["detail"] == (
        f"Somebody else changed Boot order meanwhile: it is now {mac}, you want {mac}, vda."
    )
    refused = api.put(address, json={"devices": mac_and_disk}, headers=seen)
    assert (refused.status_code, refused.json()["details"]["difference"]) == (409, difference)
    left = api.put(address, json={"devices": ["vda"], "was": {"devices": ["vda"]}})
    assert left.status_code == 409
    assert "Nothing would change" in left.json()["detail"], "who wants it as he saw it has changed nothing"
    for wrong in ("vda", [5], [["vda"]], ["sdz"]):
        assert api.put(address, json={"devices": ["vda"], "was": {"devices": wrong}}).status_code == 409, wrong
    unknown = api.put(address, json={"devices": ["sdz"], "was": {"devices": [mac]}})
    assert (unknown.status_code, list(unknown.json()["fields"])) == (422, ["devices"])
    lab.drain()
    assert [d["name"] for d in api.get(f"{web}/boot").json()["order"]] == [mac]
    again = api.put(address, json={"devices": mac_and_disk, "was": {"devices": [mac]}})
    assert again.status_code == 202, "who has seen it means it"
    lab.drain()
    assert [d["name"] for d in api.get(f"{web}/boot").json()["order"]] == [mac, "vda"]
    usual = api.put(address, json={"devices": [], "was": {"devices": [mac, "vda"]}})
    assert usual.status_code == 202
    lab.drain()
    assert not lab.row().boot_order


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


def test_of_a_long_value_a_sentence_says_the_beginning_and_the_difference_all(api: TestClient, web: str) -> None:  # noqa: F811
    long = "x" * 900
    assert api.patch(web, json={"description": long}).status_code == 200
    refused = api.patch(web, json={"description": "mine", "was": {"description": "old"}}).json()
    assert f"it is now {'x' * 200}…, you want mine" in refused["detail"]
    assert refused["details"]["difference"] == [{"field": "description", "theirs": long, "yours": "mine"}]


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


def test_who_may_not_lay_xml_over_it_does_not_learn_by_a_difference_what_is_laid(lab: Lab, web: str) -> None:
    lab.do(service.set_overlay, "web", SOUND.format("ich9"))
    with asking(lab, Actor("user", "u1", "ann", {lab.project_id: "admin"})) as colleague:
        refused = colleague.put(f"{web}/overlay", json={"overlay": SOUND.format("ac97"), "was": {"overlay": ""}})
    assert refused.status_code == 403
    assert "ich9" not in refused.text


def test_boot_order_and_extra_xml_are_told_in_their_forms(lab: Lab, browser: Browser, web: str) -> None:  # noqa: F811
    panel, mac = browser(), card(lab)
    with lab.database.read() as session:
        port, disk = network.ports_of(session, lab.row().id)[0].id, lab.rows(Attachment)[0].volume_id
    pages: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        ("boot-order", {"device": [port, disk]}, {"devices": f"meanwhile: {mac}"}),
        ("overlay", {"overlay": SOUND.format("ac97")}, {"overlay": f"meanwhile: {SOUND.format('ich9')}"}),
    ]
    shown = [hidden(panel.get(f"{web}/{'xml' if path == 'overlay' else path}").text) for path, *_rest in pages]
    lab.do(service.boot_order, "web", ["network"])
    lab.do(service.set_overlay, "web", SOUND.format("ich9"))
    for (path, form, fields), was in zip(pages, shown, strict=True):
        plan = panel.post(f"{web}/{path}/preview", data={**form, "was": json.dumps(was)}, headers=HTMX)
        assert "Somebody else changed" in plan.text, "before anything is saved"
        refused = panel.post(f"{web}/{path}", data={**form, "was": json.dumps(was)}, headers=HTMX)
        problem = told(refused)["yun:problem"]
        assert (refused.status_code, problem["fields"]) == (409, fields)
        knowing = json.dumps({**was, **problem["details"]["was"]})
        assert panel.post(f"{web}/{path}", data={**form, "was": knowing}, headers=HTMX).status_code == 200
        lab.drain()
    assert lab.row().boot_order == [port, disk]
    assert lab.row().hardware == {"overlay": SOUND.format("ac97")}
    usual = panel.post(f"{web}/boot-order", data={"usual": "true", "was": json.dumps(shown[0])}, headers=HTMX)
    assert "Nothing would change" in told(usual)["yun:problem"]["detail"], "he saw the usual order, and wants it"


def test_the_command_prints_both_values(lab: Lab, run: Run, web: str, tmp_path: Path) -> None:  # noqa: F811
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
    mac = card(lab)
    assert run("instance", "boot-order", "web", "network", "--was", "devices=vda").exit_code == 0
    refused = run("instance", "boot-order", "web", "vda", "network", "--was", "devices=vda")
    assert refused.exit_code == 6
    assert f'devices: it is now ["{mac}"], you want ["vda", "{mac}"]' in refused.stderr
    assert run("instance", "boot-order", "web", "--usual", "--was", f"devices={mac}").exit_code == 0
    file = tmp_path / "overlay.xml"
    for model, code in (("ich9", 0), ("ac97", 6)):
        file.write_text(SOUND.format(model), encoding="utf-8")
        laid = run("instance", "set-overlay", "web", str(file), "--was", "overlay=")
        assert laid.exit_code == code, laid.output
    assert "ich9" in laid.stderr.splitlines()[1]
    assert run("instance", "set-overlay", "web", str(file), "--was", f"overlay={SOUND.format('ich9')}").exit_code == 0
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
            (service.boot_order(ctx, row, ["network"]), service.boot_order(ctx, row, ["network", "vda"]), "devices"),
            (
                service.set_overlay(ctx, row, SOUND.format("ich9")),
                service.set_overlay(ctx, row, SOUND.format("ac97")), "overlay",
            ),
            (
                service.change_disk(ctx, row, "vda", DiskChange(limits={"total_iops_sec": 100})),
                service.change_disk(ctx, row, "vda", DiskChange(limits={"total_iops_sec": 500})), "limits",
            ),
            (
                service.change_disk(ctx, row, "vda", DiskChange(cache="writeback")),
                service.change_disk(ctx, row, "vda", DiskChange(cache="unsafe", serial="mine")), "cache",
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
    spec = lab.domain().spec
    assert (lab.row().memory_mib, spec.nics[0].model, spec.board.overlay) == (256, "e1000", SOUND.format("ich9"))
    assert (spec.disks[0].boot_order, spec.nics[0].boot_order) == (None, 1)
    place = lab.rows(Attachment)[0]
    assert (place.cache, place.limits, place.serial) == ("writeback", {"total_iops_sec": 100}, "")


@both
def test_changes_of_a_disk_that_wait_together_and_do_not_touch_each_other_are_all_done(lab: Lab) -> None:
    lab.create(start=False)
    with lab.asking() as ctx:
        row = service.get(ctx, "web")
        changes = (DiskChange(cache="writeback"), DiskChange(discard=False), DiskChange(limits={"total_iops_sec": 9}))
        asked = [submit(ctx, service.change_disk(ctx, row, "vda", change)).id for change in (*changes, changes[0])]
    lab.drain()
    assert [lab.operation(one).state for one in asked] == [State.SUCCEEDED] * 4, "wanted alike is no conflict"
    place = lab.rows(Attachment)[0]
    assert (place.cache, place.discard, place.limits) == ("writeback", False, {"total_iops_sec": 9})


def test_two_who_limit_a_shared_budget_by_different_disks_change_the_same(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.add_disk, "web", size_bytes=GIB)
    shared = {"limits": {"total_iops_sec": 100}, "limit_group": "data"}
    for slot in ("vda", "vdb"):
        lab.do(service.change_disk, "web", slot, DiskChange(**shared))
    with lab.asking() as ctx:
        row = service.get(ctx, "web")
        pair = [("vda", 200), ("vdb", 300)]
        one, two = (
            submit(ctx, service.change_disk(ctx, row, slot, DiskChange(limits={"total_iops_sec": rate}))).id
            for slot, rate in pair
        )
    lab.drain()
    assert lab.operation(one).state == State.SUCCEEDED
    error = lab.operation(two).error
    assert error is not None
    assert error["details"]["difference"] == [
        {"field": "limits", "theirs": {"total_iops_sec": 200}, "yours": {"total_iops_sec": 300}}
    ]
    assert {p.limits["total_iops_sec"] for p in lab.rows(Attachment)} == {200}


def str_after(address: str, last: int) -> str:
    """Another address of the same subnet."""
    return f"{address.rpartition('.')[0]}.{last + 100}"
