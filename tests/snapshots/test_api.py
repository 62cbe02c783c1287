"""Snapshots over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.compute.test_api import asking
from tests.snapshots.conftest import Past
from yun.base.context import Actor
from yun.compute import service as compute
from yun.operations.model import Operation
from yun.snapshots.model import Snapshot
from yun.storage.model import Volume


@pytest.fixture
def api(past: Past) -> Iterator[TestClient]:
    """A client of the API as the administrator."""
    with asking(past.lab) as client:
        yield client


def test_a_snapshot_is_taken_shown_changed_deleted_and_purged(past: Past, api: TestClient) -> None:
    body = {"instance": "web", "name": "clean", "note": "why", "memory": True}
    plan = api.post("/snapshots?dry_run=true", json=body, headers={"Accept-Language": "zh"})
    assert (plan.status_code, plan.json()["title"]) == (200, "为云主机 web 创建快照 clean")
    assert past.lab.rows(Snapshot) == []
    made = api.post("/snapshots", json=body)
    assert made.status_code == 201, made.text
    assert (made.json()["state"], made.json()["operation"]["kind"]) == ("building", "snapshot.create")
    past.lab.drain()
    shown = api.get("/snapshots/clean").json()
    assert shown["id"] == made.json()["id"]
    wanted = {
        "name": "clean", "note": "why", "instance": "web", "state": "available", "power": "running", "memory": True,
        "is_present": True, "kind": "manual",
    }  # fmt: skip
    assert {name: shown[name] for name in wanted} == wanted
    assert [disk["slot"] for disk in shown["disks"]] == ["vda"]
    assert shown["own_bytes"] >= shown["memory_bytes"] > 0
    changed = api.patch("/snapshots/web%2Fclean", json={"name": "tidy", "note": ""})
    assert (changed.status_code, changed.json()["name"], changed.json()["note"]) == (200, "tidy", "")
    was = {"name": "clean"}
    crossed = api.patch("/snapshots/tidy", json={"name": "else", "was": was})
    assert (crossed.status_code, "name" in crossed.json()["fields"]) == (409, True)
    gone = api.delete("/snapshots/tidy")
    assert gone.status_code == 200, gone.text
    assert api.get("/snapshots").json()["items"] == []
    assert api.get("/trash?kind=snapshot").json()["items"][0]["name"] == "tidy"
    assert api.post("/snapshots/tidy/purge?dry_run=true").json()["undo"]["possible"] is False
    assert api.post("/snapshots/tidy/purge").status_code == 202
    past.lab.drain()
    assert api.get("/snapshots/tidy").status_code == 404


def test_a_name_is_chosen_where_none_is_said(past: Past, api: TestClient) -> None:
    for number in (1, 2):
        assert api.post("/snapshots", json={"instance": "web"}).json()["name"] == f"snap-{number}"
        past.lab.drain()
    taken = api.post("/snapshots", json={"instance": "web", "name": "snap-1"})
    assert (taken.status_code, "name" in taken.json()["fields"]) == (409, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"), ({"name": "a/b"}, "name"), ({"name": "x", "without": ["vdz"]}, "without"),
        ({"name": "x", "without": ["vda"]}, "without"), ({"name": "x", "note": "n" * 1001}, "note"),
        ({"name": "x", "memory": True, "without": ["vda"]}, "without"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_taken(
    past: Past, api: TestClient, body: dict[str, object], field: str
) -> None:
    answer = api.post("/snapshots", json={"instance": "web", **body})
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["fields"]
    assert past.lab.rows(Snapshot) == []


def test_lists_are_searched_sorted_and_paged(past: Past, api: TestClient) -> None:
    for name, note in (("b", "first"), ("a", "second"), ("c", "")):
        past.take(name, note=note)

    def names(query: str) -> list[str]:
        return [item["name"] for item in api.get(f"/snapshots?{query}").json()["items"]]

    assert names("") == ["c", "a", "b"]
    assert names("sort=name") == ["a", "b", "c"]
    assert names("q=second") == ["a"]
    assert names("q=web") == ["c", "a", "b"], "the instance's name"
    assert names("instance=web&q=fir") == ["b"]
    first = api.get("/snapshots?sort=name&limit=2").json()
    rest = api.get("/snapshots", params={"sort": "name", "limit": 2, "cursor": first["next"]}).json()
    assert [[item["name"] for item in page["items"]] for page in (first, rest)] == [["a", "b"], ["c"]]
    assert api.get("/snapshots?sort=colour").status_code == 422
    assert api.get("/snapshots?instance=nobody").status_code == 404


def test_the_tree_says_where_the_instance_is(past: Past, api: TestClient) -> None:
    past.take("a")
    past.take("b")
    assert api.post("/snapshots/a/restore", json={"memory": False}).status_code == 202
    past.lab.drain()
    found = api.get("/snapshots/tree?instance=web").json()
    assert [(node["depth"], node["name"]) for node in found["nodes"]] == [(0, "a"), (1, "b"), (2, "before-a")]
    ids = {node["name"]: node["id"] for node in found["nodes"]}
    assert found["present"] == ids["a"]
    assert [node["name"] for node in found["nodes"] if node["is_present"]] == ["a"]
    assert found["nodes"][2]["parent_id"] == ids["b"]
    past.delete("b")
    found = api.get("/snapshots/tree?instance=web").json()
    assert found["nodes"][1]["parent_id"] == ids["a"], "what stood on it hangs on the next one above"


def test_two_are_compared(past: Past, api: TestClient) -> None:
    past.take("a")
    past.do(lambda ctx: compute.add_disk(ctx, compute.get(ctx, "web"), size_bytes=2**30, name="data"))
    past.take("b")
    found = api.get("/snapshots/compare?first=a&second=web/b").json()
    assert (found["first"]["name"], found["second"]["name"]) == ("a", "b")
    assert [disk["name"] for disk in found["only_second"]] == ["data"]
    assert [disk["slot"] for disk in found["disks"]] == ["vda"]
    past.lab.create("other")
    past.take("c", of="other")
    assert api.get("/snapshots/compare?first=a&second=c").status_code == 409


def test_ways_back_are_previewed_and_gone(past: Past, api: TestClient) -> None:
    past.take("a")
    plan = api.post("/snapshots/a/restore?dry_run=true", json={"keep": False}).json()
    assert plan["destroys"]
    assert plan["undo"]["possible"] is False
    assert "destroys" in api.post("/snapshots/a/restore?dry_run=true", json={}).json()
    assert "memory" in api.post("/snapshots/a/restore", json={"memory": True}).json()["fields"]
    assert "added" in api.post("/snapshots/a/restore", json={"added": "burn"}).json()["fields"]
    made = api.post("/snapshots/a/restore-as", json={"name": "copy", "memory_mib": 512, "vcpus": 2, "start": False})
    assert made.status_code == 201, made.text
    assert (made.json()["name"], made.json()["state"]) == ("copy", "building")
    past.lab.drain()
    assert (past.lab.row("copy").memory_mib, past.lab.row("copy").state) == (512, "stopped")
    taken = api.post("/snapshots/a/take-disk", json={"disk": "vda", "name": "disk"})
    assert taken.status_code == 202, taken.text
    assert taken.json()["operation"]["subject"]["name"] == "disk"
    past.lab.drain()
    assert next(v for v in past.lab.rows(Volume) if v.name == "disk").state == "available"
    assert "disk" in api.post("/snapshots/a/take-disk", json={"disk": "vdz"}).json()["fields"]


def test_names_are_found_by_their_instance_as_it_is_called_now(past: Past, api: TestClient) -> None:
    past.take("a")
    past.do(lambda ctx: compute.rename(ctx, compute.get(ctx, "web"), "shop"))
    past.lab.create("web")
    past.take("a", of="web")
    several = api.get("/snapshots/a")
    assert (several.status_code, "shop/a" in several.json()["hint"]) == (409, True)
    assert api.get("/snapshots/shop%2Fa").json()["instance"] == "shop"
    assert api.get("/snapshots/web%2Fa").json()["instance"] == "web"


def test_readers_look_and_strangers_see_nothing(past: Past) -> None:
    past.take("a")
    before = len(past.lab.rows(Operation))
    with asking(past.lab, Actor("user", "usr_r", "rita", {past.lab.project_id: "reader"})) as api:
        assert [item["name"] for item in api.get("/snapshots").json()["items"]] == ["a"]
        assert api.post("/snapshots", json={"instance": "web"}).status_code == 403
        assert api.post("/snapshots/a/restore", json={}).status_code == 403
        assert api.delete("/snapshots/a").status_code == 403
    identifier = past.row("a").id
    with asking(past.lab, Actor("user", "usr_x", "x", {"prj_elsewhere": "admin"})) as api:
        assert api.get("/snapshots").json()["items"] == []
        assert api.get(f"/snapshots/{identifier}").status_code == 404
        assert api.post(f"/snapshots/{identifier}/restore-as", json={"name": "mine"}).status_code == 404
    assert len(past.lab.rows(Operation)) == before
