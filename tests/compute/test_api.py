"""Instances and flavors over HTTP: what a program sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import ROOT, Lab, both
from yun.app import create_app
from yun.base.context import Actor
from yun.web.request import Asker, Credentials


def asking(lab: Lab, actor: Actor = ROOT) -> TestClient:
    """A client of the API as this actor, in the lab's project."""
    app = create_app(lab.cloud)

    def authenticate(_session: Any, _credentials: Credentials) -> Asker:
        return Asker(actor=actor, project_id=lab.project_id if actor is ROOT else next(iter(actor.roles), None))

    app.state.cloud.authenticate = authenticate
    return TestClient(app, base_url="http://localhost/api/v1", raise_server_exceptions=False)


@pytest.fixture
def api(lab: Lab) -> Iterator[TestClient]:
    """A client of the API as the administrator."""
    with asking(lab) as client:
        yield client


WEB = {"name": "web", "image": "tiny", "flavor": "tiny"}


def test_creating_answers_201_with_the_row_and_the_operation(lab: Lab, api: TestClient) -> None:
    answer = api.post("/instances", json=WEB | {"password": "secret 密码", "user_data": "#!/bin/sh\n"})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["state"], body["task"]["kind"], body["task"]["doing"]) == ("building", "instance.create", "creating…")
    assert answer.headers["Yun-Operation"] == body["operation"]["id"]
    assert "secret" not in answer.text
    assert "$6$" not in answer.text
    lab.drain()
    shown = api.get("/instances/web")
    assert (shown.json()["state"], shown.json()["task"]) == ("running", None)
    assert shown.json()["ports"][0]["address"] == shown.json()["addresses"][0]
    assert shown.json()["disks"][0]["slot"] == "vda"
    assert "secret" not in shown.text
    assert "$6$" not in shown.text


def test_a_dry_run_answers_with_the_preview_in_the_readers_language(lab: Lab, api: TestClient) -> None:
    answer = api.post("/instances?dry_run=true", json=WEB, headers={"Accept-Language": "zh"})
    assert answer.status_code == 200
    assert answer.json()["title"] == "创建云主机 web"
    assert api.get("/instances").json() == {"items": [], "next": None}


@pytest.mark.parametrize("verb", ["stop", "reboot", "pause"])
def test_power_verbs_answer_202_and_are_done(lab: Lab, api: TestClient, verb: str) -> None:
    api.post("/instances", json=WEB)
    lab.drain()
    answer = api.post(f"/instances/web/{verb}")
    assert answer.status_code == 202
    assert answer.json()["operation"]["kind"] == f"instance.{verb}"
    lab.drain()
    expected = {"stop": "stopped", "reboot": "running", "pause": "paused"}
    assert api.get("/instances/web").json()["state"] == expected[verb]
    assert api.post(f"/instances/web/{verb}?dry_run=true").status_code in (200, 409)


def test_edits_are_done_at_once_and_honour_if_match(lab: Lab, api: TestClient) -> None:
    api.post("/instances", json=WEB)
    lab.drain()
    tag = api.get("/instances/web").headers["ETag"]
    answer = api.patch("/instances/web", json={"description": "云", "protected": True}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["description"], answer.json()["protected"]) == (200, "云", True)
    assert api.patch("/instances/web", json={"autostart": False}, headers={"If-Match": tag}).status_code == 409
    assert api.delete("/instances/web").status_code == 409
    assert api.post("/instances/web/rename", json={"name": "数据库"}).json()["name"] == "数据库"
    assert api.post("/instances/数据库/tag", json={"tags": ["a"]}).json()["tags"] == ["a"]
    assert api.patch("/instances/数据库", json={"state": "running"}).status_code == 422
    assert api.patch("/instances/数据库", json={"name": None, "tags": None}).status_code == 409  # null changes nothing
    both = {"name": None, "description": "x", "tags": None, "shutdown_seconds": None, "on_crash": None}
    assert api.patch("/instances/数据库", json=both).json()["description"] == "x"


@both
def test_the_list_is_searched_sorted_and_paged(lab: Lab, api: TestClient) -> None:
    for name, tags in (("web-1", ["web"]), ("web-2", ["web", "prod"]), ("数据库", ["prod"])):
        api.post("/instances", json=WEB | {"name": name, "tags": tags, "start": name != "web-2"})
    lab.drain()

    def names(q: str = "", **params: str) -> list[str]:
        return [i["name"] for i in api.get("/instances", params={"q": q, **params}).json()["items"]]

    assert names(sort="name") == ["web-1", "web-2", "数据库"]
    assert names(sort="-name") == ["数据库", "web-2", "web-1"]
    assert names("tag:web", sort="name") == ["web-1", "web-2"]
    assert names("tag:web -tag:prod") == ["web-1"]
    assert names("state:running WEB") == ["web-1"]
    assert names("数据") == ["数据库"]
    assert names('"web-2"') == ["web-2"]
    assert names("image:tiny flavor:tiny -state:running") == ["web-2"]
    assert names(state="stopped") == ["web-2"]
    assert names("host:nowhere") == []
    address = api.get("/instances/web-1").json()["addresses"][0]
    assert names(f"address:{address}") == ["web-1"]
    assert names(address) == ["web-1"]
    assert names("100%") == []
    page = api.get("/instances", params={"sort": "name", "limit": 2}).json()
    rest = api.get("/instances", params={"sort": "name", "limit": 2, "cursor": page["next"]}).json()
    assert [i["name"] for i in page["items"] + rest["items"]] == ["web-1", "web-2", "数据库"]
    assert rest["next"] is None
    for sort in ("created_at", "-created_at", "state", "-memory_mib", "vcpus"):
        seen, cursor = [], None
        for _page in range(3):
            params = {"sort": sort, "limit": 1, **({"cursor": cursor} if cursor else {})}
            found = api.get("/instances", params=params).json()
            seen, cursor = [*seen, *(i["name"] for i in found["items"])], found["next"]
        assert (sorted(seen), cursor) == (["web-1", "web-2", "数据库"], None)
    assert api.get("/instances", params={"usage": "true"}).json()["items"][0]["usage"] is None


@pytest.mark.parametrize(
    "params",
    [{"q": "a:b"}, {"q": "state:happy"}, {"sort": "password_hash"}, {"cursor": "x"}, {"limit": "0"}, {"limit": "x"}],
)
def test_a_bad_question_names_its_field(api: TestClient, params: dict[str, str]) -> None:
    answer = api.get("/instances", params=params)
    assert answer.status_code == 422
    assert answer.json()["fields"]


@both
@pytest.mark.parametrize("ref", ["%00", "nope", "ins_00000000000000000000000000", "a'b\"c<", "x" * 500, "%F0%9F%98%80"])
def test_a_strange_reference_is_not_found(api: TestClient, ref: str) -> None:
    assert api.get(f"/instances/{ref}").status_code == 404
    assert api.get(f"/flavors/{ref}").status_code == 404
    assert api.post(f"/instances/{ref}/start").status_code == 404


@both
@pytest.mark.parametrize("q", ["\0", '"', "-", "tag:\0x", "-:", "state:", "%_\\", "name:'; DROP TABLE instance; --"])
def test_a_strange_query_breaks_nothing(api: TestClient, q: str) -> None:
    assert api.get("/instances", params={"q": q}).status_code in (200, 422)


def test_another_projects_instances_do_not_exist(lab: Lab, api: TestClient) -> None:
    api.post("/instances", json=WEB)
    lab.drain()
    identifier = api.get("/instances/web").json()["id"]
    with asking(lab, Actor("user", "usr_x", "x", {"prj_other": "admin"})) as stranger:
        assert stranger.get(f"/instances/{identifier}").status_code == 404
        assert stranger.get("/instances/web").status_code == 404
        assert stranger.get("/instances").json()["items"] == []
        assert stranger.post(f"/instances/{identifier}/stop").status_code == 404
        assert stranger.delete(f"/instances/{identifier}").status_code == 404
        assert stranger.get(f"/instances/{identifier}/metrics").status_code == 404


def test_a_reader_reads_and_changes_nothing(lab: Lab, api: TestClient) -> None:
    api.post("/instances", json=WEB)
    lab.drain()
    with asking(lab, Actor("user", "usr_r", "r", {lab.project_id: "reader"})) as reader:
        assert reader.get("/instances/web").status_code == 200
        assert reader.get("/instances/web/metrics").json()["points"] == []
        assert reader.post("/instances/web/stop").status_code == 403
        assert reader.delete("/instances/web").status_code == 403
        assert reader.post("/instances", json=WEB).status_code == 403
        assert reader.get("/flavors").status_code == 200
        assert reader.delete("/flavors/tiny").status_code == 403


def test_deleting_shows_in_the_trash_and_purge_ends_it(lab: Lab, api: TestClient) -> None:
    api.post("/instances", json=WEB)
    lab.drain()
    plan = api.delete("/instances/web?dry_run=true").json()
    assert any("stays reserved" in text for text in plan["effects"])
    assert plan["undo"]["possible"]
    assert api.delete("/instances/web").status_code == 202
    lab.drain()
    assert api.get("/instances/web").json()["state"] == "trashed"
    plan = api.post("/instances/web/purge?dry_run=true").json()
    assert plan["destroys"]
    assert not plan["undo"]["possible"]
    assert api.post("/instances/web/purge").status_code == 202
    lab.drain()
    assert api.get("/instances/web").status_code == 404


def test_flavors_are_listed_made_and_withdrawn(api: TestClient) -> None:
    names = [f["name"] for f in api.get("/flavors").json()["items"]]
    assert names[:3] == ["nano", "tiny", "mini"]
    body = {"name": "大", "vcpus": 2, "memory_mib": 512, "disk_bytes": 1024**3}
    answer = api.post("/flavors", json=body)
    assert (answer.status_code, answer.json()["vcpus"]) == (201, 2)
    assert api.post("/flavors", json=body).status_code == 409
    for wrong in ({"vcpus": 0}, {"memory_mib": -1}, {"disk_bytes": 10**30}, {"name": "a/b"}):
        assert api.post("/flavors", json=body | {"name": "x"} | wrong).status_code == 422
    assert api.get("/flavors/大").json()["memory_mib"] == 512
    assert api.delete("/flavors/大").status_code == 200
    assert api.get("/flavors/大").status_code == 404
