"""Storage over HTTP and from the command: the whole application on fakes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient

from yun.app import create_app
from yun.base.config import Settings
from yun.base.ids import new_id
from yun.base.units import GIB
from yun.cli import root
from yun.first import prepare, settle
from yun.identity.secret import ensure_root_token
from yun.operations.intent import Subject
from yun.web.client import Client, Target
from yun.web.command import Shell
from yun.worker import Cloud, build

Run = Callable[..., Result]


@pytest.fixture
def cloud(settings: Settings) -> Iterator[Cloud]:
    made = build(settings)
    made.database.create()
    prepare(made)
    made.engine.nudge("host.tend", Subject("host", "local", "local"))
    made.engine.drain()
    assert settle(made)
    made.engine.drain()
    yield made
    made.database.close()


@pytest.fixture
def http(cloud: Cloud) -> Iterator[TestClient]:
    headers = {"Authorization": f"Bearer {ensure_root_token(cloud.settings)}"}
    with TestClient(create_app(cloud), base_url="http://127.0.0.1/api/v1", headers=headers) as made:
        yield made


@pytest.fixture
def run(cloud: Cloud, http: TestClient, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command against the application; the engine runs after each request that changes something."""

    class Transport(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            path = request.url.raw_path.decode().removeprefix("/api/v1/")
            answer = http.request(request.method, path, content=request.read(), headers=dict(request.headers))
            if request.method != "GET":
                cloud.engine.drain()
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def found(options: Shell) -> Client:
        return Client(Target("http://127.0.0.1", ensure_root_token(cloud.settings)), options, Transport())

    monkeypatch.setattr(Client, "found", found)

    def call(*words: str, **rest: Any) -> Result:
        return CliRunner().invoke(root, words, **rest)

    return call


def made(cloud: Cloud, http: TestClient, name: str = "data", **more: Any) -> dict[str, Any]:
    answer = http.post("volumes", json={"name": name, "size_bytes": 10 * GIB, **more})
    assert answer.status_code == 201, answer.text
    cloud.engine.drain()
    return dict(http.get(f"volumes/{answer.json()['id']}").json())


def test_a_volume_is_made_shown_listed_deleted_and_brought_back(cloud: Cloud, http: TestClient) -> None:
    answer = http.post("volumes", json={"name": "数据", "size_bytes": 10 * GIB})
    body = answer.json()
    assert (answer.status_code, body["state"], body["operation"]["state"]) == (201, "building", "queued")
    cloud.engine.drain()
    shown = http.get("volumes/数据").json()
    assert (shown["id"], shown["state"], shown["pool"]) == (body["id"], "available", "default")
    assert shown["attachment"] is None
    assert [v["id"] for v in http.get("volumes").json()["items"]] == [body["id"]]
    gone = http.delete(f"volumes/{body['id']}")
    assert (gone.status_code, gone.json()["state"]) == (200, "trashed")
    assert gone.json()["operation"]["undo"]["possible"] is True
    assert http.get("volumes").json()["items"] == []
    item = http.get("trash").json()["items"][0]
    assert (item["kind"], item["name"], item["bytes"]) == ("volume", "数据", 10 * GIB)
    back = http.post(f"trash/{item['id']}/restore")
    assert back.status_code == 202
    cloud.engine.drain()
    assert http.get(f"volumes/{body['id']}").json()["state"] == "available"
    assert http.get("trash").json()["items"] == []


def test_a_purge_removes_for_good_and_says_so_before(cloud: Cloud, http: TestClient) -> None:
    volume = made(cloud, http)
    http.delete(f"volumes/{volume['id']}")
    preview = http.post(f"trash/{volume['id']}/purge", params={"dry_run": True}).json()
    assert preview["undo"]["possible"] is False
    assert "data" in preview["destroys"][0]
    assert http.post(f"trash/{volume['id']}/purge").status_code == 202
    cloud.engine.drain()
    assert http.get(f"volumes/{volume['id']}").status_code == 404
    assert http.get(f"trash/{volume['id']}").status_code == 404


def test_a_preview_writes_nothing_and_tells_what_is_left(cloud: Cloud, http: TestClient) -> None:
    preview = http.post("volumes", params={"dry_run": True}, json={"name": "v", "size_bytes": GIB})
    assert preview.status_code == 200
    assert preview.json()["capacity"]
    assert http.get("volumes").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "v", "size_bytes": 0}, "size_bytes"),
        ({"name": "v", "size_bytes": -1}, "size_bytes"),
        ({"name": "v", "size_bytes": 10 * 1024**5}, "size_bytes"),
        ({"name": "a/b", "size_bytes": GIB}, "name"),
        ({"name": "x" * 300, "size_bytes": GIB}, "name"),
        ({"name": "v", "size_bytes": "much"}, "size_bytes"),
        ({"name": "v", "size_bytes": GIB, "colour": "red"}, "colour"),
    ],
)
def test_wrong_input_is_422_names_the_field_and_changes_nothing(
    http: TestClient, body: dict[str, Any], field: str
) -> None:
    answer = http.post("volumes", json=body, headers={"Accept-Language": "zh"})
    assert answer.status_code == 422
    assert list(answer.json()["fields"]) == [field]
    assert http.get("volumes").json()["items"] == []


def test_missing_and_stale_things_are_told_apart(cloud: Cloud, http: TestClient) -> None:
    for path in ("volumes/none", f"volumes/{new_id('vol')}", "pools/none", "trash/none"):
        assert http.get(path).status_code == 404
    volume = made(cloud, http)
    assert http.get(f"volumes/{volume['id']}").headers["ETag"]
    assert http.delete(f"volumes/{volume['id']}", headers={"If-Match": '"old"'}).status_code == 412


def test_pools_tell_what_they_hold_and_promise_and_are_managed(cloud: Cloud, http: TestClient) -> None:
    made(cloud, http)
    pool = http.get("pools/default").json()
    assert pool["promised_bytes"] == 10 * GIB
    assert pool["left_bytes"] == pool["limit_bytes"] - pool["promised_bytes"]
    assert pool["path"].startswith("/")
    changed = http.patch("pools/default", json={"overcommit": 1.5})
    assert (changed.status_code, changed.json()["overcommit"]) == (200, 1.5)
    assert http.post("pools", json={"name": "fast", "path": "/srv/fast"}).status_code == 202
    cloud.engine.drain()
    assert [p["name"] for p in http.get("pools").json()["items"]] == ["default", "fast"]
    assert http.delete("pools/default").status_code == 409
    assert http.delete("pools/fast").status_code == 202
    cloud.engine.drain()
    assert [p["name"] for p in http.get("pools").json()["items"]] == ["default"]


def test_too_much_is_507_and_says_how_much_is_short(cloud: Cloud, http: TestClient) -> None:
    volume: Any = cloud.drivers.on("local").volume
    volume.world.capacity = 8 * GIB
    cloud.engine.nudge("pool.tend", Subject("pool", "all", "all"))
    cloud.engine.drain()
    answer = http.post("volumes", json={"name": "v", "size_bytes": 100 * GIB}, headers={"Accept-Language": "zh"})
    assert answer.status_code == 507
    assert "76 GiB" in answer.json()["detail"]
    assert "存储池" in answer.json()["detail"]


def test_nobody_gets_anything(cloud: Cloud) -> None:
    with TestClient(create_app(cloud), base_url="http://127.0.0.1/api/v1") as http:
        for path in ("pools", "pools/default", "volumes", "volumes/v", "trash", "trash/x"):
            assert http.get(path).status_code == 401
        for path in ("pools", "volumes", "trash/x/restore", "trash/x/purge"):
            assert http.post(path, json={}).status_code in (401, 422)


def test_the_command_does_all_of_it(cloud: Cloud, run: Run) -> None:
    assert run("volume", "create", "data", "--size", "10G").exit_code == 0
    cloud.engine.drain()
    shown = run("-o", "json", "volume", "show", "data")
    assert json.loads(shown.stdout)["size_bytes"] == 10 * GIB
    assert "10 GiB" in run("volume", "list").stdout
    assert run("volume", "delete", "data").exit_code == 0
    listed = json.loads(run("-o", "json", "trash", "list").stdout)
    assert [i["name"] for i in listed] == ["data"]
    assert run("trash", "restore", "data").exit_code == 0
    cloud.engine.drain()
    assert json.loads(run("-o", "json", "trash", "list").stdout) == []
    run("volume", "delete", "data")
    assert run("trash", "purge", "data", input="n\n").exit_code == 1
    assert len(json.loads(run("-o", "json", "trash", "list").stdout)) == 1
    assert run("trash", "purge", "data", "--yes").exit_code == 0
    cloud.engine.drain()
    assert json.loads(run("-o", "json", "trash", "list").stdout) == []


def test_the_command_manages_pools_and_says_what_is_wrong(cloud: Cloud, run: Run) -> None:
    assert run("pool", "create", "fast", "/srv/fast").exit_code == 0
    cloud.engine.drain()
    assert "fast" in run("pool", "list").stdout
    assert run("pool", "update", "fast", "--overcommit", "2", "--reserve", "1M", "--default").exit_code == 0
    assert json.loads(run("-o", "json", "pool", "show", "fast").stdout)["is_default"] is True
    assert run("pool", "delete", "fast").exit_code == 6
    wrong = run("volume", "create", "v", "--size", "0", "--lang", "zh")
    assert wrong.exit_code == 2
    assert "磁盘" in wrong.stderr
    assert run("volume", "create", "v", "--size", "much").exit_code == 2
    assert run("volume", "show", "none").exit_code == 5
