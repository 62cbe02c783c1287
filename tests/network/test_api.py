"""The networks over HTTP, and the same by command against that API."""

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
from yun.base.context import Actor
from yun.base.db import Database
from yun.network.model import Port
from yun.operations.engine import Engine
from yun.web.client import Client, Target
from yun.web.request import Asker, Credentials
from yun.worker import Cloud

pytestmark = pytest.mark.usefixtures("cloud")
ROOT = Actor("root", "root", "root", {"*": "admin"})


@pytest.fixture
def asking_as(database: Database, settings: Settings, engine: Engine) -> Callable[..., TestClient]:
    """A client of the API as an actor in a project."""

    def make(actor: Actor, project_id: str) -> TestClient:
        app = create_app(Cloud(settings, database, engine.drivers, engine))

        def authenticate(_session: Any, _credentials: Credentials) -> Asker:
            return Asker(actor=actor, project_id=project_id)

        app.state.cloud.authenticate = authenticate
        return TestClient(app, base_url="http://localhost/api/v1", raise_server_exceptions=False)

    return make


@pytest.fixture
def api(asking_as: Callable[..., TestClient], projects: tuple[str, str]) -> Iterator[TestClient]:
    with asking_as(ROOT, projects[0]) as client:
        yield client


LAB = {"name": "lab", "subnet": {"cidr": "10.9.0.0/24", "gateway": None}}


def test_a_network_is_created_shown_listed_and_deleted(api: TestClient, engine: Engine) -> None:
    made = api.post("/networks", json=LAB)
    assert made.status_code == 201, made.text
    assert made.json()["subnets"][0]["cidr"] == "10.9.0.0/24"
    assert made.json()["operation"]["kind"] == "network.create"
    engine.drain()
    assert {n["name"] for n in api.get("/networks").json()["items"]} == {"default", "external", "lab"}
    shown = api.get("/networks/lab")
    assert shown.json()["id"] == made.json()["id"]
    subnet = api.get("/subnets", params={"network": "lab"}).json()["items"][0]
    assert (subnet["gateway"], subnet["addresses_total"]) == (None, 254)
    gone = api.delete("/networks/lab", headers={"If-Match": shown.headers["ETag"]})
    assert gone.status_code == 202
    engine.drain()
    assert api.get("/networks/lab").json()["state"] == "trashed"
    assert len(api.get("/networks").json()["items"]) == 2


def test_a_preview_writes_nothing_and_speaks_chinese(api: TestClient) -> None:
    answer = api.post("/networks?dry_run=true", json=LAB, headers={"Accept-Language": "zh"})
    assert answer.status_code == 200
    assert answer.json()["title"] == "创建网络 lab"
    assert len(api.get("/networks").json()["items"]) == 2


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("/networks", {"name": "lab", "subnet": {"cidr": "10.9.0.7/24"}}, "cidr"),
    ("/networks", {"name": "a/b"}, "name"),
    ("/subnets", {"network": "default", "cidr": "10.77.0.0/25"}, "cidr"),
    ("/security-groups/default/rules", {"port_min": 70000}, "port_min"),
    ("/floating-ips", {"address": "8.8.8.8"}, "address"),
]


def test_bad_input_is_422_and_names_its_field(api: TestClient) -> None:
    for path, body, field in WRONG:
        answer = api.post(path, json=body)
        assert answer.status_code == 422, path
        assert answer.json()["code"] == "invalid"
        assert field in answer.json()["fields"]


def test_rules_floating_ips_ports_and_routers(
    api: TestClient, engine: Engine, plugged: Callable[..., Port], projects: tuple[str, str]
) -> None:
    port = plugged("hello")
    assert api.get("/ports/hello").json()["address"] == port.address
    group = api.get("/security-groups/default").json()
    assert any(r["text"] == "TCP 22 from anybody" for r in group["rules"])
    added = api.post("/security-groups/default/rules", json={"port_min": 80, "remote": "10.0.0.0/8"})
    assert added.status_code == 202
    engine.drain()
    rules = api.get("/security-groups/default").json()["rules"]
    rule = next(r for r in rules if r["port_min"] == 80)
    assert api.delete(f"/security-groups/default/rules/{rule['id']}").status_code == 202
    engine.drain()
    floating = api.post("/floating-ips").json()
    assert floating["port_id"] is None
    assert api.post(f"/floating-ips/{floating['id']}/associate", json={"port": "hello"}).status_code == 202
    engine.drain()
    assert api.get(f"/floating-ips/{floating['address']}").json()["port_address"] == port.address
    assert api.get("/ports/hello").json()["floating_address"] == floating["address"]
    assert api.delete(f"/floating-ips/{floating['id']}").status_code == 409
    assert api.get("/routers").json()["items"][0]["external_address"] == "172.31.240.2"


def test_another_project_gets_404_and_a_reader_403(
    asking_as: Callable[..., TestClient], plugged: Callable[..., Port], projects: tuple[str, str]
) -> None:
    port = plugged()
    stranger = Actor("user", "usr_s", "s", {projects[1]: "admin"})
    with asking_as(stranger, projects[1]) as client:
        assert client.get(f"/ports/{port.id}").status_code == 404
        assert client.get(f"/networks/{port.network_id}").status_code == 404
        assert client.post("/networks/ensure-default").status_code == 403
        assert client.get("/ports").json()["items"] == []
    reader = Actor("user", "usr_r", "r", {projects[0]: "reader"})
    with asking_as(reader, projects[0]) as client:
        assert client.get(f"/ports/{port.id}").status_code == 200
        assert client.post("/networks", json=LAB).status_code == 403
        assert client.delete("/networks/default").status_code == 403


# ── the command ──


@pytest.fixture
def yun(api: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command against the API; the engine runs after each request that changes something."""
    from yun.cli import root
    from yun.web.command import Shell

    class Transport(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            path = request.url.raw_path.decode().removeprefix("/api/v1")
            answer = api.request(request.method, path, content=request.read(), headers=dict(request.headers))
            if request.method != "GET":
                engine.drain()
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def found(options: Shell) -> Client:
        return Client(Target("http://localhost", "token"), options, Transport())

    monkeypatch.setattr(Client, "found", found)

    def run(*words: str) -> Result:
        return CliRunner().invoke(root, ["--lang", "en", *words])

    return run


def test_every_command_of_the_networks_does_its_thing(yun: Callable[..., Result], plugged: Callable[..., Port]) -> None:
    plugged("hello")

    def told(*words: str) -> Any:
        result = yun("-o", "json", *words)
        assert result.exit_code == 0, (words, result.output, result.exception)
        return json.loads(result.stdout)

    told("network", "create", "lab", "--cidr", "10.9.0.0/24", "--dns", "192.0.2.9", "--domain", "lab.internal")
    told(
        "subnet", "create", "lab", "10.9.1.0/24", "--name", "more", "--pool", "10.9.1.10-10.9.1.20", "--gateway", "none"
    )
    assert told("subnet", "show", "more")["addresses_total"] == 11
    assert [s["name"] for s in told("subnet", "list", "--network", "lab")] == ["10.9.0.0-24", "more"]
    assert told("network", "show", "lab")["subnets"][1]["name"] == "more"
    told("subnet", "delete", "more")
    told("network", "delete", "lab")
    assert [n["name"] for n in told("network", "list")] == ["default", "external"]
    told("network", "ensure-default")
    told("network", "reconcile")
    assert told("router", "show", told("router", "list")[0]["id"])["name"] == "default"
    assert told("port", "show", told("port", "list")[0]["id"])["hostname"] == "hello"
    told("security-group", "create", "web", "--description", "HTTP")
    told("security-group", "add-rule", "web", "--port", "80-81", "--from", "10.0.0.0/8")
    told("security-group", "add-rule", "web", "--protocol", "icmp", "--egress", "--ipv6")
    shown = told("security-group", "show", "web")
    assert len(shown["rules"]) == 4
    told("security-group", "remove-rule", "web", next(r["id"] for r in shown["rules"] if r["port_min"] == 80))
    told("security-group", "delete", "web")
    assert [g["name"] for g in told("security-group", "list")] == ["default"]
    told("floating-ip", "allocate", "--address", "172.31.240.77")
    told("floating-ip", "associate", "172.31.240.77", "hello")
    assert told("floating-ip", "show", "172.31.240.77")["hostname"] == "hello"
    told("floating-ip", "disassociate", "172.31.240.77")
    told("floating-ip", "release", "172.31.240.77")
    assert told("floating-ip", "list") == []


def test_every_command_of_load_balancers_does_its_thing(
    yun: Callable[..., Result], plugged: Callable[..., Port]
) -> None:
    plugged("web1")

    def told(*words: str) -> Any:
        result = yun("-o", "json", *words)
        assert result.exit_code == 0, (words, result.output, result.exception)
        return json.loads(result.stdout)

    told("load-balancer", "create", "shop", "--listen", "80:8080", "--member", "web1", "--floating-ip", "new")
    told("load-balancer", "add-listener", "shop", "53/udp", "--check", "0", "--affinity", "60")
    shown = told("load-balancer", "show", "shop")
    assert [(one["protocol"], one["port"], one["member_port"]) for one in shown["listeners"]] == [
        ("udp", 53, 53), ("tcp", 80, 8080),
    ]  # fmt: skip
    assert [b["hostname"] for b in shown["backends"]] == ["web1"]
    told("load-balancer", "change-listener", "shop", shown["listeners"][1]["id"], "--check", "10", "--failures", "2")
    changed = told("load-balancer", "show", "shop")["listeners"][1]
    assert (changed["port"], changed["member_port"], changed["check_seconds"], changed["check_failures"]) == (
        80, 8080, 10, 2,
    )  # fmt: skip
    told("load-balancer", "remove-listener", "shop", shown["listeners"][0]["id"])
    told("load-balancer", "add-member", "shop", "web", "--kind", "tag")
    told("load-balancer", "remove-member", "shop", shown["members"][0]["id"])
    told("load-balancer", "update", "shop", "--name", "store", "--floating-ip", "none")
    assert [(b["name"], b["floating_address"]) for b in told("load-balancer", "list")] == [("store", None)]
    assert yun("load-balancer", "create", "bad", "--listen", "many").exit_code == 2
    told("load-balancer", "delete", "store")
    assert told("load-balancer", "list") == []


def test_a_table_and_an_error_are_for_people(yun: Callable[..., Result]) -> None:
    assert "default" in yun("network", "list").output
    wrong = yun("security-group", "add-rule", "default", "--port", "many")
    assert wrong.exit_code == 2
    missing = yun("network", "show", "nothing")
    assert missing.exit_code == 5
