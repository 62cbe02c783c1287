"""The same change of many instances: found by a query, shown before, reported one by one, in API, command and panel."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab, both
from tests.compute.test_pages import ADMIN, HTMX, told
from yun.app import create_app
from yun.base.errors import Conflict, Invalid
from yun.compute import service
from yun.compute.service import bulk
from yun.compute.service.bulk import BulkWish
from yun.web.request import Asker


@pytest.fixture
def many(lab: Lab) -> list[str]:
    """Three instances that run, tagged ``class``; the last is protected and stopped."""
    for number in range(3):
        lab.create(f"m{number}", tags=("class",))
    lab.do(service.update, "m2", protected=True)
    lab.do(service.stop, "m2", force=True)
    return [lab.row(f"m{number}").id for number in range(3)]


@pytest.fixture
def panel(lab: Lab) -> TestClient:
    """The panel and the API, as the administrator in the lab's project."""
    app = create_app(lab.cloud)
    asker = Asker(actor=ADMIN, project_id=lab.project_id, project_name="default")
    app.state.cloud.authenticate = lambda _session, _credentials: asker
    return TestClient(app, base_url="http://yun.test", raise_server_exceptions=False, follow_redirects=False)


@both
def test_a_query_says_which_and_each_gets_its_own_operation(lab: Lab, many: list[str]) -> None:
    with lab.asking() as ctx:
        ids = bulk.meant(ctx, query="tag:class state:running")
        assert sorted(ids) == sorted(many[:2])
        turns = bulk.carry_out(ctx, "tag", ids, BulkWish(add_tags=["exam"], remove_tags=["class"]))
    lab.drain()
    assert all(t.operation is not None for t in turns)
    assert [lab.row(f"m{n}").tags for n in range(3)] == [["exam"], ["exam"], ["class"]]
    lab.undo(turns[0].operation.id)  # type: ignore[union-attr]
    assert lab.row(turns[0].id).tags == ["class"]


def test_who_refuses_is_said_with_the_reason_and_keeps_no_other_from_it(lab: Lab, many: list[str]) -> None:
    with lab.asking() as ctx:
        seen = bulk.together(ctx, "delete", bulk.plan(ctx, "delete", [*many, "nobody"]))
    assert seen["count"] == 2
    assert [one["name"] for one in seen["left_out"]] == ["m2", "nobody"]
    assert all(one["reason"] for one in seen["left_out"])
    assert [lab.row(i).state for i in many] == ["running", "running", "stopped"], "a preview changes nothing"
    with lab.asking() as ctx:
        turns = bulk.carry_out(ctx, "delete", [*many, "nobody"])
    lab.drain()
    assert [t.error is None for t in turns] == [True, True, False, False]
    assert [lab.row(i).state for i in many] == ["trashed", "trashed", "stopped"]


def test_what_fits_nobody_is_refused_as_for_one(lab: Lab, many: list[str]) -> None:
    for verb, wish, error in (
        ("resize", BulkWish(), Invalid), ("tag", BulkWish(), Invalid), ("update", BulkWish(), Invalid),
        ("update", BulkWish(on_crash="explode"), Invalid), ("resume", BulkWish(), Conflict),
    ):  # fmt: skip
        for call in (bulk.plan, bulk.carry_out):
            with pytest.raises(error), lab.asking() as ctx:
                call(ctx, verb, many, wish)
    for query, ids in ((None, None), ("tag:nobody", None), (None, [])):
        with pytest.raises(Invalid), lab.asking() as ctx:
            bulk.meant(ctx, query=query, ids=ids)
    with pytest.raises(Invalid) as caught, lab.asking() as ctx:
        bulk.meant(ctx, ids=[f"ins_{n}" for n in range(bulk.MOST + 1)])
    assert "ids" in caught.value.fields


def test_sizes_and_policies_change_for_many(lab: Lab, many: list[str]) -> None:
    with lab.asking() as ctx:
        assert all(t.error is None for t in bulk.carry_out(ctx, "resize", many, BulkWish(flavor="small")))
    lab.drain()
    assert {lab.row(i).flavor_name for i in many} == {"small"}
    with lab.asking() as ctx:
        turns = bulk.carry_out(ctx, "update", many, BulkWish(protected=True, on_crash="leave"))
    lab.drain()
    assert [t.error for t in turns] == [None] * 3
    assert all(lab.row(i).protected and lab.row(i).on_crash == "leave" for i in many)


def test_the_panel_asks_then_shows_then_does(lab: Lab, many: list[str], panel: TestClient) -> None:
    asked = panel.get("/bulk/instances/tag/dialog", params={"id": many}).text
    assert "Tag 3 instances" in asked
    seen = panel.get("/bulk/instances/tag/preview", params={"id": many, "add_tags": "a b"}).text
    assert "Its tags are: class, a, b." in seen
    assert 'name="add_tags" value="a b"' in seen
    events = told(panel.post("/bulk/instances/tag", data={"id": many, "add_tags": "a b"}, headers=HTMX))
    assert len(events["yun:done"]["operations"]) == 3
    lab.drain()
    assert lab.row(many[1]).tags == ["class", "a", "b"]
    for verb in ("resize", "update"):
        assert panel.get(f"/bulk/instances/{verb}/dialog", params={"id": many}).status_code == 200


def test_one_route_takes_a_query_and_reports_each(lab: Lab, many: list[str], panel: TestClient) -> None:
    body = {"query": "tag:class", "verb": "stop", "arguments": {"force": True}}
    seen = panel.post("/api/v1/instances/bulk?dry_run=true", json=body)
    assert seen.status_code == 200, seen.text
    assert (seen.json()["count"], len(seen.json()["left_out"])) == (2, 1)
    done = panel.post("/api/v1/instances/bulk", json=body)
    assert done.status_code == 202, done.text
    report = {item["name"]: item for item in done.json()["items"]}
    assert "operation" in report["m0"]
    assert report["m2"]["error"]["code"] == "conflict"
    lab.drain()
    assert {lab.row(i).state for i in many} == {"stopped"}
    assert panel.post("/api/v1/instances/bulk", json={"query": "nonsense:1", "verb": "stop"}).status_code == 422
