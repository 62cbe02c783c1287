"""The web over the whole cloud in memory: repeated requests, previews, commands, and what they leave behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient

from tests.house import story as told
from tests.house.story import Story
from yun.app import create_app
from yun.base.config import Settings
from yun.cli import root
from yun.compute.console.model import ConsoleTicket
from yun.identity import secret
from yun.network import service as network
from yun.operations.model import Operation, Reply
from yun.storage.model import Volume
from yun.web.client import Client, Target
from yun.web.command import Shell

GIB = 1 << 30


class Desk(httpx.BaseTransport):
    """A person with the root token, at the API and at the command; the engine works between requests if it may."""

    def __init__(self, story: Story) -> None:
        self.story, self.works = story, True
        token = secret.root_token_path(story.settings).read_text().strip()
        self.http = TestClient(
            create_app(story.cloud), base_url="http://cloud/api/v1/", headers={"Authorization": f"Bearer {token}"}
        )
        self.shell = ""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.works:
            self.story.cloud.engine.drain()
        headers = {k: v for k, v in request.headers.items() if k in ("accept-language", "content-type")}
        path = request.url.raw_path.decode().removeprefix("/api/v1/")
        answer = self.http.request(request.method, path, content=request.read(), headers=headers)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(root, words)

    def rows(self, table: type[Any]) -> list[Any]:
        with self.story.cloud.database.read() as session:
            return list(session.scalars(sa.select(table)))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    story = Story.begin(Settings(state_dir=tmp_path, fake=True))
    made = Desk(story)

    def found(options: Shell) -> Client:
        return Client(Target("http://cloud", "token"), options, transport=made)

    monkeypatch.setattr(Client, "found", found)
    monkeypatch.setenv("YUN_LANG", "en")
    story.do(network.ensure_default)
    yield made
    story.cloud.database.close()


def test_a_disk_asked_for_twice_under_one_key_is_made_once(desk: Desk) -> None:
    key, body = {"Idempotency-Key": "once"}, {"name": "v1", "size_bytes": GIB}
    first = desk.http.post("volumes", json=body, headers=key)
    again = desk.http.post("volumes", json=body, headers=key)
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Yun-Operation"] == first.headers["Yun-Operation"]
    assert [v.name for v in desk.rows(Volume)] == ["v1"]
    assert desk.http.post("volumes", json={**body, "name": "v2"}, headers=key).status_code == 409


def test_a_console_ticket_is_not_kept_in_clear(desk: Desk) -> None:
    desk.story.do(told.instance("m1"))
    for _n in range(2):
        answer = desk.http.post("instances/m1/console-tickets", json={}, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 201
    assert desk.rows(Reply) == []
    assert len(desk.rows(ConsoleTicket)) == 2


def test_the_preview_of_a_cancel_leaves_the_operation_alone(desk: Desk) -> None:
    identifier = desk.story.ask(told.MAKE_VOLUME)
    shown = desk.http.post(f"operations/{identifier}/cancel", params={"dry_run": "true"})
    assert shown.status_code == 200
    assert (shown.json()["kind"], len(shown.json()["effects"])) == ("operation.cancel", 1)
    assert not desk.story.find(identifier).cancel_requested
    desk.works = False
    by_command = desk.run("operation", "cancel", identifier, "--dry-run")
    assert by_command.exit_code == 0
    assert "taken back" in by_command.stdout
    assert not desk.story.find(identifier).cancel_requested
    desk.story.cloud.engine.drain()
    assert desk.story.find(identifier).state == "succeeded"
    ended = desk.http.post(f"operations/{identifier}/cancel", params={"dry_run": "true"})
    assert ended.status_code == 409


@pytest.mark.parametrize("verb", ["retry", "abandon"])
def test_previews_of_what_is_stuck_leave_it_stuck(desk: Desk, verb: str) -> None:
    identifier = desk.story.ask(told.MAKE_VOLUME)
    with desk.story.cloud.database.write() as session:
        session.execute(sa.update(Operation).where(Operation.id == identifier).values(state="stuck"))
    shown = desk.http.post(f"operations/{identifier}/{verb}", params={"dry_run": "true"})
    assert shown.json()["dry_run"] is True
    assert desk.story.find(identifier).state == "stuck"
    assert desk.http.post(f"operations/{identifier}/{verb}").status_code == 200
    assert desk.story.find(identifier).state != "stuck"


def test_previews_of_ended_sessions_end_none(desk: Desk) -> None:
    desk.story.do(told.MAKE_USER)
    for _n in range(2):
        desk.http.post("sessions", json={"name": "u1", "password": "long enough secret"})
    shown = desk.http.delete("sessions", params={"user": "u1", "dry_run": "true"})
    assert shown.json()["effects"] == ["2 sessions of u1 end."]
    one = desk.http.get("sessions", params={"user": "u1"}).json()["items"][0]["id"]
    assert desk.http.delete(f"sessions/{one}", params={"dry_run": "true"}).json()["dry_run"] is True
    assert len(desk.http.get("sessions", params={"user": "u1"}).json()["items"]) == 2
    assert desk.http.delete(f"sessions/{one}").status_code == 204
    assert desk.http.delete("sessions", params={"user": "u1"}).json() == {"ended": 1}


def test_a_command_that_knows_no_preview_does_nothing_under_dry_run(desk: Desk) -> None:
    desk.story.do(told.instance("m1"))
    refused = desk.run("instance", "type-text", "m1", "rm -rf /", "--dry-run")
    assert refused.exit_code == 2, refused.output
    assert "nothing was done" in refused.stderr
    for path, method in (("instances/m1/send-keys", "POST"), ("notices/x", "DELETE"), ("image-uploads/x", "DELETE")):
        answer = desk.http.request(method, path, params={"dry_run": "true"}, json={} if method == "POST" else None)
        assert (answer.status_code, list(answer.json()["fields"])) == (422, ["dry_run"]), path


def test_a_waited_for_change_prints_the_thing_as_it_is_afterwards(desk: Desk) -> None:
    desk.story.do(told.instance("m1"))
    stopped = json.loads(desk.run("instance", "stop", "m1", "-o", "json").stdout)
    assert (stopped["state"], stopped["operation"]["state"]) == ("stopped", "succeeded")
    trashed = json.loads(desk.run("instance", "delete", "m1", "-o", "json").stdout)
    assert trashed["state"] == "trashed"
    purged = json.loads(desk.run("instance", "purge", trashed["id"], "--yes", "-o", "json").stdout)
    assert (set(purged), purged["id"]) == ({"id", "name", "operation"}, trashed["id"])


def test_of_many_the_refused_ones_do_not_keep_the_others(desk: Desk) -> None:
    for name in ("m1", "m2"):
        desk.story.do(told.instance(name))
    shown = desk.run("instance", "stop", "m1", "nope", "m2", "-o", "json")
    assert shown.exit_code == 5
    first, missing, last = json.loads(shown.stdout)
    assert (first["state"], last["state"]) == ("stopped", "stopped")
    assert (missing["ref"], missing["error"]["code"]) == ("nope", "not_found")
    table = desk.run("instance", "start", "nope", "m1")
    assert table.exit_code == 5
    assert "done" in table.stdout
    assert "nope" in table.stderr
    plans = json.loads(desk.run("instance", "stop", "m1", "m1", "--dry-run", "-o", "json").stdout)
    assert [p["kind"] for p in plans] == ["instance.stop"] * 2


def test_the_history_of_what_does_not_exist_is_an_error(desk: Desk) -> None:
    desk.story.do(told.instance("m1"))
    assert "m1" in desk.run("history", "instance", "m1").stdout
    assert desk.run("history", "instance", "nope").exit_code == 5
    assert desk.run("history", "security-group", "default").exit_code == 0
    assert desk.run("history", "token", "nope").exit_code == 5
    unknown = desk.run("history", "foo", "bar")
    assert unknown.exit_code == 2
    assert "security-group" in unknown.stderr
    assert "成功" in desk.run("--lang", "zh", "history").stdout
    rows = json.loads(desk.run("--lang", "zh", "history", "-o", "json").stdout)
    assert {r["state"] for r in rows} == {"succeeded"}


def test_an_instance_that_has_moved_on_is_not_changed_by_who_saw_it_before(desk: Desk) -> None:
    desk.story.do(told.instance("m1"))
    seen = {"If-Match": desk.http.get("instances/m1").headers["ETag"]}
    assert desk.http.post("instances/m1/tag", json={"tags": ["a"]}, headers=seen).status_code == 200
    calls: list[tuple[str, str, Any]] = [
        ("DELETE", "instances/m1", None), ("POST", "instances/m1/stop", None), ("POST", "instances/m1/reboot", None),
        ("POST", "instances/m1/pause", None), ("POST", "instances/m1/start", None),
        ("POST", "instances/m1/resume", None), ("POST", "instances/m1/purge", None),
    ]  # fmt: skip
    for method, path, body in calls:
        assert desk.http.request(method, path, json=body, headers=seen).status_code == 412, path
    for path, body in (("instances/m1/rename", {"name": "m2"}), ("instances/m1/tag", {"tags": []})):
        refused = desk.http.post(path, json=body, headers=seen)
        assert refused.status_code == 409, path
        assert refused.json()["details"]["difference"], "with what is there now"
    assert desk.http.delete("flavors/small", headers={"If-Match": '"old"'}).status_code == 412


def test_a_role_that_was_changed_meanwhile_is_not_overwritten(desk: Desk) -> None:
    desk.story.do(told.MAKE_USER)
    user = {"If-Match": desk.http.get("users/u1").headers["ETag"]}
    project = {"If-Match": desk.http.get("projects/default").headers["ETag"]}
    member = "projects/default/members/u1"
    assert desk.http.put("users/u1/role", json={"role": "reader"}, headers=user).status_code == 200
    assert desk.http.put(member, json={"role": "member"}, headers=project).status_code == 200
    for method, path, seen in (
        ("PUT", "users/u1/role", user), ("DELETE", "users/u1/role", user), ("DELETE", "users/u1", user),
        ("PUT", member, project), ("DELETE", member, project), ("DELETE", "projects/default", project),
    ):  # fmt: skip
        body = {"role": "admin"} if method == "PUT" else None
        assert desk.http.request(method, path, json=body, headers=seen).status_code == 412, path


def test_somebody_without_a_project_has_a_panel_that_says_so_and_fills_no_audit(desk: Desk) -> None:
    desk.story.do(told.MAKE_USER)
    held = desk.http.post("sessions", json={"name": "u1", "password": "long enough secret"}).json()["token"]
    browser = TestClient(create_app(desk.story.cloud), cookies={"yun_session": held, "yun_locale": "zh"})
    first = browser.get("/", headers={"Sec-Fetch-Mode": "navigate"})
    assert first.status_code == 200
    assert "您尚未加入任何项目" in first.text
    assert browser.get("/operations/open").json() == {"ids": []}
    assert browser.get("/operations/drawer", headers={"HX-Request": "true"}).status_code == 200
    assert browser.get("/instances", headers={"HX-Request": "true", "Sec-Fetch-Mode": "cors"}).status_code == 200

    def refusals() -> int:
        return len(desk.http.get("audit", params={"action": "permission.refused"}).json()["items"])

    assert refusals() == 0
    refused = browser.get("/api/v1/events", headers={"Authorization": f"Bearer {held}"})
    assert (refused.status_code, refusals()) == (403, 1)
