"""Service chains over HTTP, by command and in the panel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from fastapi.testclient import TestClient

from tests.network.conftest import Asking, Do
from tests.network.test_chains import Room
from tests.network.test_reach_faces import browser, yun  # noqa: F401
from yun.base.db import Database
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import Port
from yun.operations.engine import Engine

BASE = "/networks/service-chains"
LOCAL = {"Origin": "http://localhost", "HX-Request": "true"}


@pytest.fixture
def room(do: Do, asking: Asking, plugged: Callable[..., Port], database: Database, world: World) -> Room:
    return Room(do, asking, plugged, database, world)


def hop(room: Room) -> dict[str, str]:
    return {"inner": room.fw[0].id, "outer": room.fw[1].id}


def test_over_http_it_is_previewed_made_changed_and_deleted(
    room: Room, browser: TestClient, engine: Engine  # noqa: F811
) -> None:
    wish = {"name": "c1", "subnet": "s1", "hops": [hop(room)], "protocol": "tcp", "port_min": 443}
    planned = browser.post("/api/v1/service-chains?dry_run=true", json=wish).json()
    assert "fw" in json.dumps(planned)
    assert browser.get("/api/v1/service-chains").json()["items"] == []
    made = browser.post("/api/v1/service-chains", json=wish)
    assert made.status_code == 201, made.text
    engine.drain()
    shown = browser.get("/api/v1/service-chains/c1").json()
    assert (shown["cidr"], shown["status"]) == ("10.1.0.0/24", "working")
    assert (shown["port_min"], shown["port_max"]) == (443, 443)
    assert [(h["name"], h["state"]) for h in shown["hops"]] == [("fw", "running")]
    assert browser.patch("/api/v1/service-chains/c1", json={"protocol": "any"}).status_code == 202
    engine.drain()
    assert browser.get("/api/v1/service-chains/c1").json()["protocol"] == "any"
    wrong = browser.patch("/api/v1/service-chains/c1", json={"on_failure": "never"})
    assert (wrong.status_code, set(wrong.json()["fields"])) == (422, {"on_failure"})
    assert browser.get("/api/v1/service-chains?q=failure:block").json()["items"][0]["name"] == "c1"
    assert browser.get("/api/v1/service-chains?q=failure:bypass").json()["items"] == []
    assert browser.delete("/api/v1/service-chains/c1").status_code == 202
    engine.drain()
    assert [c["name"] for c in browser.get("/api/v1/service-chains?state=trashed").json()["items"]] == ["c1"]
    topology = browser.get("/api/v1/network/topology").json()
    assert all(not n["service_chains"] for n in topology["nodes"] if n["kind"] == "router")


def test_in_the_panel_it_is_previewed_made_shown_and_changed(
    room: Room, browser: TestClient, engine: Engine  # noqa: F811
) -> None:
    with room.asking() as ctx:
        subnet = service.get_subnet(ctx, "s1").id
    form: dict[str, Any] = {
        "name": "c1", "subnet": subnet, "inner": [room.fw[0].id, "", "", ""], "outer": [room.fw[1].id, "", "", ""],
        "on_failure": "block", "protocol": "any",
    }  # fmt: skip
    zh = {"Accept-Language": "zh", **LOCAL}
    planned = browser.post(f"{BASE}/new/preview", data=form, headers=zh)
    assert "收发的流量都会经过 fw" in planned.text
    missing = browser.post(f"{BASE}/new/preview", data={**form, "inner": ["", "", "", ""]}, headers=zh)
    assert "一条服务链有 1 到 8 个节点" in missing.text
    assert browser.post(BASE, data=form, headers=zh).status_code < 400
    engine.drain()
    listed = browser.get(BASE, headers=zh).text
    assert "c1" in listed
    assert "工作中" in listed
    assert "全部" in listed
    assert "Message(" not in listed
    with room.asking() as ctx:
        identifier = service.get_chain(ctx, "c1").id
    page = browser.get(f"{BASE}/{identifier}", headers=zh).text
    assert room.fw[0].address in page
    assert "Message(" not in page
    assert "c1" in browser.get(f"/networks/ports/{room.fw[0].id}", headers=zh).text
    shown = browser.get(f"{BASE}/{identifier}/update", headers=zh).text
    assert f'<option value="{room.fw[1].id}" selected>' in shown
    changed = {**form, "on_failure": "bypass", "protocol": "tcp", "port_min": "80"}
    assert browser.post(f"{BASE}/{identifier}/update", data=changed, headers=zh).status_code < 400
    engine.drain()
    with room.asking() as ctx:
        chain = service.get_chain(ctx, "c1")
        assert (chain.on_failure, chain.protocol, chain.port_min, chain.port_max) == ("bypass", "tcp", 80, 80)
    assert "绕过" in browser.get(f"{BASE}/{identifier}", headers=zh).text
    gone = browser.get(f"{BASE}/{identifier}/delete/preview", headers=zh).text
    assert "恢复直达" in gone
    assert browser.post(f"{BASE}/{identifier}/delete", headers=zh).status_code < 400
    engine.drain()
    assert room.told() == []


def test_by_command_it_is_made_and_shown(
    room: Room, yun: Callable[..., Result]  # noqa: F811
) -> None:
    said = yun("service-chain", "create", "c1", "--subnet", "s1", "--hop", f"{room.fw[0].id},{room.fw[1].address}")
    assert said.exit_code == 0, said.output
    shown = yun("service-chain", "show", "c1")
    assert f"fw: {room.fw[0].address} / {room.fw[1].address} (running)" in shown.output
    assert yun("service-chain", "update", "c1", "--on-failure", "bypass").exit_code == 0
    listed = yun("service-chain", "list")
    assert "fw (running)" in listed.output
    assert "bypass" in listed.output
    assert yun("service-chain", "delete", "c1").exit_code == 0
    assert room.told() == []
