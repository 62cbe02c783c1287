"""Network functions over HTTP, in the panel and by the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from fastapi.testclient import TestClient

from tests.compute.test_api import asking
from tests.compute.test_cli import run as _run
from tests.compute.test_pages import browser as _browser
from tests.functions.conftest import KEY, Street

run, browser = _run, _browser
RULE = {"action": "allow", "way": "in", "protocol": "tcp", "ports": "80"}


def test_a_function_is_made_changed_and_deleted_over_http(street: Street) -> None:
    with asking(street.lab) as api:
        body = {
            "name": "front", "kind": "proxy", "floating_ip": True,
            "settings": {"backends": [{"target": "10.0.0.9", "port": 8080}]},
        }  # fmt: skip
        plan = api.post("/functions?dry_run=true", json=body, headers={"Accept-Language": "zh"})
        assert plan.status_code == 200
        assert plan.json()["title"] == "创建网络功能 front"
        made = api.post("/functions", json=body)
        assert made.status_code == 201, made.text
        street.lab.drain()
        shown = api.get("/functions/front")
        assert shown.json()["settings"]["default_group"] == "web"
        assert len(shown.json()["floating_ips"]) == 1
        assert [f["name"] for f in api.get("/functions?kind=proxy&q=front").json()["items"]] == ["front"]
        wrong = api.patch("/functions/front", json={"settings": {"backends": []}})
        assert wrong.status_code in (409, 422)
        api.post("/instances/front/tend")
        gone = api.delete("/functions/front")
        assert gone.status_code == 202
        street.lab.drain()
        assert api.get("/functions").json()["items"] == []


def test_a_wrong_setting_is_named_over_http(street: Street) -> None:
    street.make("vpn", {}, name="gate")
    with asking(street.lab) as api:
        peer = {"name": "a", "public_key": "nonsense", "addresses": ["10.99.0.2/32"]}
        answer = api.patch("/functions/gate", json={"settings": {"peers": [peer]}})
        assert answer.status_code == 422
        assert "row 1, public_key" in answer.json()["fields"]["peers"]
        peer["public_key"] = KEY
        assert api.patch("/functions/gate", json={"settings": {"peers": [peer]}}).status_code == 202
        street.lab.drain()
        told = api.get("/functions/gate/peers/a/config").json()["config"]
        assert "PrivateKey = <your private key>" in told


def test_the_panel_shows_makes_and_changes_functions(street: Street, browser: Callable[..., TestClient]) -> None:
    page = browser()
    assert "No network functions yet." in page.get("/functions").text
    for kind in ("firewall", "proxy", "vpn"):
        assert page.get(f"/functions/new?kind={kind}").status_code == 200
    typed = {
        "name": "wall", "kind": "firewall", "inner_network": "inside", "start": "true", "rules.action": "allow",
        "rules.way": "in", "rules.protocol": "tcp", "rules.ports": "80", "rules.source": "", "rules.destination": "",
        "rules.note": "",
    }  # fmt: skip
    assert "Allowed, inwards: TCP 80" in page.post("/functions/new/preview", data=typed).text
    assert "row 1, ports" in page.post("/functions/new/preview", data={**typed, "rules.ports": "x"}).text
    assert page.post("/functions", data=typed).status_code in (200, 303)
    street.lab.drain()
    (row,) = page.get("/functions").text.split('href="/functions/fnc_')[1:2]
    place = "/functions/fnc_" + row.split('"')[0]
    routed = {"backends": [{"target": "10.0.0.9"}], "routes": [{"path": "/x", "group": "web"}]}
    street.make("proxy", routed, name="front")
    street.make("vpn", {"peers": [{"name": "a b", "public_key": KEY, "addresses": ["10.99.0.2/32"]}]}, name="gate")
    for name in ("wall", "front", "gate"):
        street.meet(name)
        street.refresh(name)
        for at in ("", "/seen", "/edit", "/delete/preview"):
            assert page.get(f"/functions/{name}{at}").status_code == 200, at
    assert "Last handshake" in page.get("/functions/gate").text
    for field in ("rules", "backends", "routes", "peers"):
        assert page.get(f"/functions/rows/{field}").text.count("<tr>") == 1
    key = page.post("/functions/peer-key")
    assert "shown only now" in key.text
    config = page.get("/functions/gate/peers/a%20b/config")
    assert config.headers["content-disposition"].startswith("attachment")
    change = {**{k: v for k, v in typed.items() if k.startswith("rules")}, "rules.ports": "443"}
    assert "New: Allowed, inwards: TCP 443" in page.post(f"{place}/edit/preview", data=change).text
    assert page.post(f"{place}/edit", data=change).status_code in (200, 204, 303)
    street.lab.drain()
    assert street.shown("wall")["settings"]["rules"][0]["ports"] == "443"


def test_the_command_makes_shows_and_changes_functions(
    street: Street, run: Callable[..., Result], tmp_path: Path
) -> None:
    kind = ("--kind", "firewall", "--inner-network", "inside")
    made = run("function", "create", "wall", *kind, "--rule", "allow in tcp 80")
    assert made.exit_code == 0, made.output
    street.lab.drain()
    street.meet("wall")
    assert run("function", "update", "wall", "--rule", "deny any udp").exit_code == 0
    shown = run("function", "show", "wall")
    assert "deny any udp" in shown.output
    assert "working" in shown.output
    assert "wall" in run("function", "list", "--kind", "firewall").output
    assert run("function", "refresh", "wall").exit_code == 0
    wrong = run("function", "update", "wall", "--rule", "let it in")
    assert wrong.exit_code != 0
    assert "such as: allow in tcp" in wrong.output
    key = tmp_path / "key"
    public = run("function", "new-key", str(key)).output.strip()
    assert oct(key.stat().st_mode)[-3:] == "600"
    assert run("function", "new-key", str(key)).exit_code != 0, "a key is never written over"
    assert run("function", "create", "gate", "--kind", "vpn", "--peer", f"a={public}@10.99.0.2/32").exit_code == 0
    told = run("function", "client-config", "gate", "a", "--private-key", str(key)).output
    assert f"PrivateKey = {key.read_text().strip()}\n" in told
    settings = tmp_path / "settings.yaml"
    settings.write_text("backends:\n- {target: 10.0.0.9, port: 81}\n")
    assert run("function", "create", "front", "--kind", "proxy", "--settings", str(settings)).exit_code == 0
    assert run("function", "delete", "front", "--force").exit_code == 0


@pytest.mark.parametrize(
    "settings", [{"rules": {}}, {"rules": [[]]}, {"rules": [RULE | {"ports": None}] * 3}, {"x": "\0"}]
)
def test_odd_bodies_are_answered(street: Street, settings: dict[str, object]) -> None:
    with asking(street.lab) as api:
        body = {"name": "odd", "kind": "firewall", "settings": settings, "inner_network": "inside"}
        assert api.post("/functions?dry_run=true", json=body).status_code in (200, 422)
