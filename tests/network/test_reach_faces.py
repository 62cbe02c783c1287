"""Reachability over HTTP, by command and in the panel."""

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
from yun.cli import root
from yun.network.model import Port
from yun.operations.engine import Engine
from yun.web.client import Client, Target
from yun.web.request import Asker, Credentials
from yun.worker import Cloud

pytestmark = pytest.mark.usefixtures("cloud")
ROOT = Actor("root", "root", "root", {"*": "admin"})


@pytest.fixture
def browser(
    database: Database, settings: Settings, engine: Engine, projects: tuple[str, str]
) -> Iterator[TestClient]:
    app = create_app(Cloud(settings, database, engine.drivers, engine))

    def authenticate(_session: Any, _credentials: Credentials) -> Asker:
        return Asker(actor=ROOT, project_id=projects[0])

    app.state.cloud.authenticate = authenticate
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def test_the_answer_over_http_has_its_reasons_and_the_rule_that_lacks(
    browser: TestClient, plugged: Callable[..., Port]
) -> None:
    plugged("one"), plugged("two", floating=True)
    found = browser.get("/api/v1/network/reach", params={"from": "anywhere", "to": "two", "port": 443}).json()
    assert found["reachable"] is False
    assert found["obstacle"] == "ingress"
    assert found["missing_rule"] | {"security_group_id": ""} == {
        "security_group_id": "", "security_group_name": "default", "direction": "ingress", "family": "ipv4",
        "protocol": "tcp", "port_min": 443, "port_max": 443, "icmp_type": None, "icmp_code": None, "remote": None,
    }  # fmt: skip
    yes = browser.get(
        "/api/v1/network/reach", params={"from": "anywhere", "to": "two", "port": 22}, headers={"Accept-Language": "zh"}
    ).json()
    assert yes["text"] == "可达：任意外部地址可以通过 TCP 22 访问 two。"
    assert [s["kind"] for s in yes["steps"]] == ["floating_ip", "router", "security_group"]
    wrong = browser.get("/api/v1/network/reach", params={"from": "one", "to": "two", "port": 0})
    assert (wrong.status_code, set(wrong.json()["fields"])) == (422, {"port"})


def test_ports_and_groups_say_what_can_reach_them(browser: TestClient, plugged: Callable[..., Port]) -> None:
    one = plugged("one")
    told = browser.get(f"/api/v1/ports/{one.id}").json()["reach"]
    assert told["in"] == ["anybody: TCP 22, ICMP.", "ports of group default: everything."]
    assert browser.get("/api/v1/security-groups/default").json()["reach"]["in"] == told["in"]
    page = browser.get(f"/networks/ports/{one.id}", headers={"Accept-Language": "zh"})
    assert "任意地址：TCP 22、ICMP。" in page.text


def test_the_page_answers_and_offers_the_missing_rule(browser: TestClient, plugged: Callable[..., Port]) -> None:
    plugged("one", floating=True), plugged("two")
    empty = browser.get("/networks/reach")
    assert empty.status_code == 200
    assert '<option value="two">' in empty.text
    page = browser.get("/networks/reach", params={"source": "anywhere", "target": "one", "port": "443"})
    assert "Add the missing rule to default" in page.text
    assert "/rules/new?direction=ingress&amp;protocol=tcp&amp;port_min=443" in page.text
    group = page.text.partition("/networks/security-groups/")[2].partition("/rules/new")[0]
    dialog = browser.get(
        f"/networks/security-groups/{group}/rules/new", params={"direction": "ingress", "protocol": "tcp",
                                                                "port_min": "443"}
    )  # fmt: skip
    assert 'value="443"' in dialog.text
    wrong = browser.get("/networks/reach", params={"source": "nobody", "target": "one", "port": "x"})
    assert wrong.status_code == 200
    assert "is out of range" in wrong.text


@pytest.fixture
def yun(browser: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command against the API; the engine runs after each request that changes something."""

    class Transport(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            path = request.url.raw_path.decode()
            answer = browser.request(request.method, path, content=request.read(), headers=dict(request.headers))
            if request.method != "GET":
                engine.drain()
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    monkeypatch.setattr(Client, "found", lambda options: Client(Target("http://localhost", "k"), options, Transport()))
    return lambda *words: CliRunner().invoke(root, ["--lang", "en", *words])


def test_the_command_says_why_and_ends_with_1(yun: Callable[..., Result], plugged: Callable[..., Port]) -> None:
    plugged("one"), plugged("two")
    yes = yun("network", "reach", "one", "two", "--port", "22")
    assert yes.exit_code == 0, yes.output
    assert yes.output.startswith("Yes: one can reach two by TCP 22.")
    no = yun("network", "reach", "anywhere", "two", "--port", "22")
    assert no.exit_code == 1
    assert "No floating IP leads to two" in no.output
    assert "anybody: TCP 22, ICMP." in yun("port", "show", "two").output


def test_groups_and_sets_are_changed_by_command(yun: Callable[..., Result], plugged: Callable[..., Port]) -> None:
    def done(*words: str) -> str:
        answer = yun(*words)
        assert answer.exit_code == 0, answer.output
        return answer.output

    done("security-group", "create", "web")
    done("address-set", "create", "office", "192.0.2.0/24", "2001:db8::/32", "--description", "people")
    done("security-group", "add-rule", "web", "--port", "22", "--from", "set:office")
    done("address-set", "update", "office", "--add", "198.51.100.7", "--remove", "2001:db8::/32")
    assert "192.0.2.0/24, 198.51.100.7/32" in done("address-set", "show", "office")
    assert "192.0.2.0/24: TCP 22. 198.51.100.7: TCP 22." in done("security-group", "show", "web")
    done("security-group", "update", "web", "--stateless", "--name", "raw")
    done("security-group", "clone", "raw", "raw2")
    shown = done("-o", "json", "security-group", "show", "raw2")
    rule = next(r for r in json.loads(shown)["rules"] if r["direction"] == "ingress")
    assert rule["text"] == "TCP 22 from the address set office"
    done("security-group", "update-rule", "raw2", rule["id"], "--port", "2222", "--anybody")
    assert "anybody: TCP 2222." in done("security-group", "show", "raw2")
    assert yun("address-set", "delete", "office").exit_code == 6
    done("security-group", "delete", "raw2"), done("security-group", "delete", "raw")
    done("security-group", "log", "default", "--minutes", "5")
    assert "COUNT" in done("security-group", "hits", "default")
    done("security-group", "stop-log", "default")
    assert "office" in done("address-set", "list")


def test_groups_and_sets_are_changed_in_the_panel(
    browser: TestClient, engine: Engine, plugged: Callable[..., Port]
) -> None:
    ours = {"Origin": "http://localhost", "HX-Request": "true"}

    def post(path: str, **form: str) -> str:
        answer = browser.post(path, data=form, headers=ours)
        assert answer.status_code in (200, 204), answer.headers.get("HX-Trigger", answer.text)
        engine.drain()
        return answer.headers.get("HX-Location", "")

    made = json.loads(post("/networks/security-groups", name="web"))["path"]
    office = json.loads(post("/networks/address-sets", name="office", ranges="192.0.2.0/24\n2001:db8::/32"))["path"]
    assert "192.0.2.0/24" in browser.get(office).text
    assert "office" in browser.get("/networks/address-sets").text
    dialog = browser.get(f"{made}/rules/new").text
    assert "PostgreSQL (5432)" in dialog
    post(f"{made}/rules", kind="postgresql", direction="ingress", family="ipv4", remote_set=office.rpartition("/")[2])
    page = browser.get(made).text
    assert "TCP 5432 from the address set office" in page
    rule = page.partition("/rules/sru_")[2][:26]
    assert "5432" in browser.get(f"{made}/rules/sru_{rule}/edit").text
    post(f"{made}/rules/sru_{rule}/edit", protocol="tcp", port_min="5433", direction="ingress", family="ipv4")
    assert "TCP 5433 from anybody" in browser.get(made).text
    post(f"{made}/edit", name="web", description="d", sort="stateless")
    assert "stateless" in browser.get(made).text
    copy = json.loads(post(f"{made}/clone", name="web-2"))["path"]
    assert "TCP 5433 from anybody" in browser.get(copy).text
    assert browser.get(f"{office}/edit").status_code == 200
    post(f"{office}/edit", name="office", ranges="198.51.100.0/24", description="")
    assert "198.51.100.0/24" in browser.get(office).text
    assert "For 10 minutes it is noted" in browser.get(f"{made}/log/preview").text
    post(f"{made}/log")
    assert "ends <time" in browser.get(made).text
    post(f"{made}/stop-log")
    assert browser.get(f"{office}/delete/preview").status_code == 200
    post(f"{office}/delete")
