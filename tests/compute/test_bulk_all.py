"""All that a search finds change at once: only what the preview showed, and what came or went since is told."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab, both
from tests.compute.test_pages import ADMIN, HTMX, told
from yun.app import create_app
from yun.base.errors import Conflict, Invalid
from yun.compute import service
from yun.compute.model import Instance
from yun.compute.pages import listing
from yun.compute.service import bulk, bulk_volumes
from yun.compute.service.bulk import BulkWish
from yun.compute.service.bulk_volumes import VolumesWish
from yun.operations.service import many as changes
from yun.storage import service as storage
from yun.storage.model import Volume
from yun.web.request import Asker


@pytest.fixture
def fleet(lab: Lab) -> Lab:
    """Four stopped instances with the tag class, one without."""
    for number in range(4):
        lab.create(f"m{number}", tags=("class",), start=False)
    lab.create("other", start=False)
    return lab


@pytest.fixture
def panel(lab: Lab) -> TestClient:
    """The panel and the API, as the administrator in the lab's project."""
    app = create_app(lab.cloud)
    asker = Asker(actor=ADMIN, project_id=lab.project_id, project_name="default")
    app.state.cloud.authenticate = lambda _session, _credentials: asker
    return TestClient(app, base_url="http://yun.test", raise_server_exceptions=False, follow_redirects=False)


def tags(lab: Lab) -> dict[str, list[str]]:
    """The tags of every instance."""
    return {row.name: row.tags for row in lab.rows(Instance)}


@both
def test_only_what_the_preview_showed_is_changed(fleet: Lab) -> None:
    wish = BulkWish(add_tags=["exam"])
    with fleet.asking() as ctx:
        shown = [turn.id for turn in bulk.plan(ctx, "tag", bulk.meant(ctx, query="tag:class"), wish)]
    fleet.create("late", tags=("class",), start=False)
    fleet.do(service.tag, "m3", tags=["gone"])
    with fleet.asking() as ctx:
        since = bulk.come_since(ctx, "tag", "tag:class", shown, wish)
        turns = bulk.carry_out(ctx, "tag", shown, wish, query="tag:class")
    fleet.drain()
    assert [turn.name for turn in since] == ["late"]
    assert [(t.name, t.error is None) for t in turns] == [("m0", True), ("m1", True), ("m2", True), ("m3", False)]
    assert "does not find it" in next(t.error for t in turns if t.error is not None).message.render()
    assert tags(fleet) == {
        "m0": ["class", "exam"], "m1": ["class", "exam"], "m2": ["class", "exam"], "m3": ["gone"],
        "late": ["class"], "other": [],
    }  # fmt: skip


def test_one_that_was_left_out_before_is_not_told_as_new(fleet: Lab) -> None:
    fleet.do(service.update, "m0", protected=True)
    with fleet.asking() as ctx:
        planned = bulk.plan(ctx, "delete", bulk.meant(ctx, query="tag:class"))
        able = [turn.id for turn in planned if turn.error is None]
        assert bulk.come_since(ctx, "delete", "tag:class", able, BulkWish()) == []


def test_nothing_is_done_where_the_search_finds_none_of_them_any_more(fleet: Lab) -> None:
    with fleet.asking() as ctx:
        shown = bulk.meant(ctx, query="tag:class")
    with pytest.raises(Conflict), fleet.asking() as ctx:
        bulk.carry_out(ctx, "tag", shown, BulkWish(add_tags=["x"]), query="name=nobody")
    assert tags(fleet)["m0"] == ["class"]


def test_more_than_a_change_takes_are_refused(fleet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST", 3)
    with pytest.raises(Invalid) as caught, fleet.asking() as ctx:
        bulk.meant(ctx, query="tag:class")
    assert "query" in caught.value.fields


def test_the_panel_offers_all_that_match_and_shows_them_before(
    fleet: Lab, panel: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 'name="query"' not in panel.get("/instances").text, "all of them are on the page"
    monkeypatch.setattr(listing, "PAGE", 2)
    page = panel.get("/instances", params={"q": "tag:class", "state": "stopped"}).text
    assert "Choose all 4 that match" in page
    assert "tag:class state:&#34;stopped&#34;" in page
    asked = panel.get("/bulk/instances/tag/dialog", params={"query": "tag:class", "id": "ignored"}).text
    assert "Tag 4 instances" in asked
    assert 'name="query" value="tag:class"' in asked
    seen = panel.get("/bulk/instances/tag/preview", params={"query": "tag:class", "add_tags": "exam"}).text
    ids = [fleet.row(f"m{n}").id for n in range(4)]
    assert all(f'name="id" value="{i}"' in seen for i in ids)
    fleet.create("late", tags=("class",), start=False)
    form = {"query": "tag:class", "shown": "yes", "id": ids, "add_tags": "exam"}
    events = told(panel.post("/bulk/instances/tag", data=form, headers=HTMX))
    assert len(events["yun:done"]["operations"]) == 4
    assert "late" in events["yun:toast"]["hint"]
    fleet.drain()
    assert tags(fleet)["late"] == ["class"]
    assert tags(fleet)["m2"] == ["class", "exam"]


def test_a_button_that_asks_nothing_shows_all_that_match_first(fleet: Lab, panel: TestClient) -> None:
    answer = panel.post("/bulk/instances/start", data={"query": "tag:class", "id": "one"}, headers=HTMX)
    assert answer.headers["HX-Retarget"] == "#dialog"
    assert "Start 4 instances" in answer.text
    fleet.drain()
    assert {fleet.row(f"m{n}").state for n in range(4)} == {"stopped"}
    whole = panel.post("/bulk/instances/start", data={"query": ""}, headers=HTMX)
    assert "Start 5 instances" in whole.text
    for path in ("/bulk/instances/explode/preview", "/bulk/flavors/delete/preview", "/bulk/instances/start/dialog"):
        assert panel.get(path, params={"query": ""}).status_code in (404, 422)


def test_the_api_names_what_came_since(fleet: Lab, panel: TestClient) -> None:
    body: dict[str, Any] = {"query": "tag:class", "verb": "tag", "arguments": {"add_tags": ["x"]}}
    shown = panel.post("/api/v1/instances/bulk?dry_run=true", json=body).json()
    assert shown["count"] == 4
    fleet.create("late", tags=("class",), start=False)
    ids = [one["id"] for one in shown["machines"]]
    done = panel.post("/api/v1/instances/bulk", json={**body, "ids": ids}).json()
    assert done["count"] == 4
    assert [one["name"] for one in done["since"]] == ["late"]


@pytest.mark.parametrize("query", ["", "  ", '""', "\0", '-""', 'tag:""'])
def test_a_search_that_says_nothing_is_no_wish_to_change_everything(
    fleet: Lab, panel: TestClient, query: str
) -> None:
    for path in ("/api/v1/instances/bulk", "/api/v1/instances/bulk?dry_run=true"):
        answer = panel.post(path, json={"query": query, "verb": "delete"})
        assert answer.status_code == 422
        assert answer.json()["fields"].keys() <= {"query", "q"}
    fleet.drain()
    assert {row.state for row in fleet.rows(Instance)} == {"stopped"}
    everything = panel.post(
        "/api/v1/instances/bulk?dry_run=true", json={"query": "-state:trashed", "verb": "delete"}
    ).json()
    assert everything["count"] == 5


def test_one_that_is_named_by_name_and_id_has_one_turn(fleet: Lab, panel: TestClient) -> None:
    body = {"ids": ["m0", fleet.row("m0").id, "m1"], "verb": "tag", "arguments": {"add_tags": ["x"]}}
    shown = panel.post("/api/v1/instances/bulk?dry_run=true", json=body).json()
    assert [one["name"] for one in shown["machines"]] == ["m0", "m1"]
    done = panel.post("/api/v1/instances/bulk", json=body).json()
    assert [(one["name"], "operation" in one) for one in done["items"]] == [("m0", True), ("m1", True)]


# ── volumes ──


def make(lab: Lab, *names: str) -> None:
    """Volumes of a GiB."""
    for name in names:
        lab.do(lambda ctx, name=name: storage.create_volume(ctx, name=name, size_bytes=1 << 30))


@both
def test_many_volumes_are_tagged_detached_and_trashed(fleet: Lab) -> None:
    make(fleet, "d0", "d1", "d2")
    many = bulk_volumes.MANY

    def change(verb: str, query: str, **wish: Any) -> list[bool]:
        with fleet.asking() as ctx:
            ids = many.meant(ctx, query=query)
            many.together(ctx, verb, many.plan(ctx, verb, ids, VolumesWish(**wish)))
            turns = many.carry_out(ctx, verb, ids, VolumesWish(**wish))
        fleet.drain()
        return [turn.error is None for turn in turns]

    assert change("tag", "attached:no", add_tags=["spare"]) == [True] * 3
    for name in ("d0", "d1"):
        fleet.do(lambda ctx, name=name: service.attach(ctx, storage.get_volume(ctx, name), service.get(ctx, "m0")))
    assert change("detach", "tag:spare") == [True, True, False]
    with fleet.asking() as ctx:
        assert [v.name for v in storage.list_volumes(ctx, q="tag:spare attached:no").items] == ["d0", "d1", "d2"]
    assert change("delete", "tag:spare") == [True] * 3
    states = {row.name: row.state for row in fleet.rows(Volume)}
    assert {states[n] for n in ("d0", "d1", "d2")} == {"trashed"}
    assert states["m0"] == "available"
    with pytest.raises(Invalid):
        change("move", "name=m1")


def test_the_list_of_volumes_has_the_same_ways(fleet: Lab, panel: TestClient) -> None:
    make(fleet, "d0", "d1")
    assert 'name="id"' in panel.get("/volumes").text
    asked = panel.get("/bulk/volumes/tag/dialog", params={"query": "attached:no"}).text
    assert "Tag 2 volumes" in asked
    assert panel.get("/bulk/volumes/move/dialog", params={"query": "attached:no"}).status_code == 200
    ids = [row.id for row in fleet.rows(Volume) if row.name in ("d0", "d1")]
    events = told(panel.post("/bulk/volumes/delete", data={"id": ids}, headers=HTMX))
    fleet.drain()
    undone = panel.post("/bulk/undo", data={"id": events["yun:toast"]["undo_all"]}, headers=HTMX)
    assert undone.status_code == 204
    fleet.drain()
    assert {row.state for row in fleet.rows(Volume)} == {"available"}
    body = {"query": "attached:no", "verb": "tag", "arguments": {"add_tags": ["x"]}}
    seen = panel.post("/api/v1/volumes/bulk?dry_run=true", json=body)
    assert seen.json()["count"] == 2
    done = panel.post("/api/v1/volumes/bulk", json=body)
    assert done.status_code == 202, done.text
    assert {row.tags[0] for row in fleet.rows(Volume) if row.tags} == {"x"}
