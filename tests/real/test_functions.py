"""Network functions as real machines: a firewall between two networks, a proxy before two servers, a VPN gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.cloud import CACHE, STATE, YUN, Desk, until
from yun.images import builders

pytestmark = pytest.mark.real
BOOT = 120.0
MACHINES = ("client", "server", "roadster")
FUNCTIONS = ("wall", "front", "gate")


def said(desk: Desk, machine: str, command: str) -> str:
    """What a shell command printed in a guest, its errors too; through the agent."""
    ended = desk.yun("instance", "run", machine, "--", "sh", "-c", f"( {command} ) 2>&1", check=False)
    return str(ended["operation"]["result"]["stdout"]).strip() if ended else ""


def address(desk: Desk, machine: str) -> str:
    """The first address of a machine."""
    return str(desk.shown(machine)["addresses"][0])


def function(desk: Desk, name: str) -> dict[str, Any]:
    """A function as it is shown, asked now."""
    desk.yun("function", "refresh", name, check=False)
    found: dict[str, Any] = desk.yun("function", "show", name)
    return found


def fetch(desk: Desk, machine: str, address: str, port: int = 80) -> str:
    """The last line that a machine gets by HTTP; empty where nothing comes within 3 s."""
    asked = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'"
    return said(desk, machine, f"{asked} | nc -w 3 {address} {port} 2>/dev/null | tail -n 1")


@pytest.fixture(scope="module")
def street(desk: Desk) -> Iterator[Desk]:
    """Two servers and a traveller as plain machines, the three functions, all of them up and told by their agents."""
    builders.build("function", CACHE, lambda: None)
    desk.host.run("cp", "-a", f"{CACHE}/.", f"{desk.host.directory}/root{STATE}/builds")
    desk.yun("image", "build", "function")
    desk.yun("network", "create", "inside", "--cidr", "10.60.0.0/24")
    desk.yun("security-group", "add-rule", "default", "--protocol", "any", check=False)
    desk.yun("instance", "create", "client", "--image", "tiny", "--flavor", "tiny")
    desk.yun("instance", "create", "server", "--image", "tiny", "--flavor", "tiny", "--network", "inside")
    small = ("--vcpus", "1", "--memory", "192M", "--disk", "200M")
    desk.yun("instance", "create", "roadster", "--image", "function", *small)
    desk.yun("function", "create", "wall", "--kind", "firewall", "--inner-network", "inside", "--no-masquerade",
             "--rule", "allow in tcp 80", "--rule", "allow in icmp")  # fmt: skip
    desk.yun("function", "create", "front", "--kind", "proxy", "--floating-ip", "--backend", "client:8080",
             "--backend", "other=client:8081", "--backend", f"{address(desk, 'client')}:8082",
             "--route", "/other=other", "--check", "/")  # fmt: skip
    desk.yun("function", "create", "gate", "--kind", "vpn", "--port", "51820")
    for name in (*MACHINES, *FUNCTIONS):
        until(lambda name=name: desk.shown(name)["agent"], BOOT)
    yield desk
    desk.clear()
    desk.yun("image", "delete", "function")
    desk.yun("network", "delete", "inside")


def test_a_firewall_lets_through_what_its_rules_allow_and_another_rule_counts_at_once(street: Desk) -> None:
    inner = next(p["address"] for p in street.shown("wall")["ports"] if p["address"].startswith("10.60."))
    outer, server = address(street, "wall"), address(street, "server")
    said(street, "client", f"ip route replace 10.60.0.0/24 via {outer}")
    said(street, "server", f"ip route replace default via {inner}; mkdir -p /srv; echo served > /srv/index.html")
    for port in (80, 81):
        said(street, "server", f"httpd -p {port} -h /srv")
    assert until(lambda: fetch(street, "client", server), 30) == "served"
    assert fetch(street, "client", server, 81) == "", "no rule allows it"
    assert "1 packets received" in said(street, "client", f"ping -c 1 -W 3 {server}")
    assert "0 packets received" in said(street, "client", f"ping -c 1 -W 2 {outer}"), "the firewall itself is closed"

    shown = function(street, "wall")
    assert shown["seen"]["health"] == "working"
    counters = shown["seen"]["facts"]["counters"]
    assert counters["r1"][0] >= 1
    assert counters["default"][0] >= 1

    changed = street.yun("function", "update", "wall", "--rule", "deny in tcp 80", "--rule", "allow in tcp 81")
    assert fetch(street, "client", server, 81) == "served"
    assert fetch(street, "client", server) == ""
    street.yun("undo", changed["operation"]["id"])
    assert fetch(street, "client", server) == "served"
    assert fetch(street, "client", server, 81) == ""

    street.yun("function", "update", "wall", "--rule", "allow in tcp 81")
    street.yun("instance", "reboot", "wall")
    until(lambda: street.shown("wall")["agent"], BOOT)
    assert until(lambda: fetch(street, "client", server, 81), 60) == "served", "the seed brings the newest"
    assert fetch(street, "client", server) == ""
    assert function(street, "wall")["seen"]["current"]


def test_a_proxy_goes_by_path_and_leaves_out_who_does_not_answer(street: Desk) -> None:
    for port, word in ((8080, "first"), (8081, "other"), (8082, "second")):
        said(street, "client", f"d=/srv{port}; mkdir -p $d/other; echo {word} > $d/index.html; "
                               f"cp $d/index.html $d/other/; httpd -p {port} -h $d")  # fmt: skip
    front = next(f for f in street.shown("front")["floating_ips"])

    def get(path: str = "/") -> str:
        return street.host.run("curl", "-s", "-m", "5", f"http://{front}{path}", check=False).strip()

    assert until(lambda: {get() for _again in range(6)} == {"first", "second"}, 60)
    assert until(lambda: get("/other/index.html") == "other", 60)
    assert until(lambda: "down" not in states(street).values(), 60)
    assert states(street) == {"b1": "up", "b2": "up", "b3": "up"}
    said(street, "client", "kill $(ps | grep 'httpd -p 808[2]' | awk '{ print $1 }')")
    until(lambda: states(street)["b3"] == "down", 60)
    assert {get() for _again in range(6)} == {"first"}
    changed = street.yun("function", "update", "front", "--route", "none")
    assert get("/other/index.html") == "first"
    street.yun("undo", changed["operation"]["id"])
    assert get("/other/index.html") == "other"

    refused = street.yun("function", "update", "front", "--backend", "nobody:80", check=False)
    assert refused is None
    said(street, "front", "kill $(cat /run/haproxy.pid)")
    assert until(lambda: get() == "first", 60), "what stands is started again"


def states(desk: Desk) -> dict[str, str]:
    """How the backends are, asked now."""
    return {name: one["state"] for name, one in function(desk, "front")["seen"]["facts"]["backends"].items()}


def test_a_peer_comes_in_through_the_vpn_gateway_and_one_that_is_taken_away_does_not(street: Desk) -> None:
    place = str(street.host.directory / "peer.key")
    public = street.host.run(YUN, "function", "new-key", place).strip()
    made = street.yun("function", "update", "gate", "--peer", f"roadster={public}@10.99.0.2/32")
    assert made["operation"]["state"] == "succeeded"
    told = street.host.run(YUN, "function", "client-config", "gate", "roadster", "--private-key", place)
    lines = dict(line.split(" = ", 1) for line in told.splitlines() if " = " in line)
    assert lines["Endpoint"] == f"{address(street, 'gate')}:51820"
    config = "\n".join(line for line in told.splitlines() if not line.startswith("Address"))
    said(street, "roadster", f"printf '%s' '{config}' > /tmp/wg; ip link add wg0 type wireguard;"
                             "wg setconf wg0 /tmp/wg; ip addr add 10.99.0.2/24 dev wg0; ip link set wg0 up")
    assert until(lambda: "1 packets received" in said(street, "roadster", "ping -c 1 -W 3 10.99.0.1"), 60)
    peer = function(street, "gate")["seen"]["facts"]["peers"][public]
    assert peer["handshake"] > 0
    assert peer["endpoint"].startswith(address(street, "roadster"))
    assert peer["received"] > 0

    client = address(street, "client")
    said(street, "roadster", f"ip route replace {client}/32 dev wg0")
    said(street, "client", "mkdir -p /srv; echo reached > /srv/index.html; httpd -p 8090 -h /srv")
    assert fetch(street, "roadster", client, 8090) == "reached"
    street.yun("function", "update", "gate", "--peer", "none")
    assert "0 packets received" in said(street, "roadster", "ping -c 1 -W 3 10.99.0.1")
    private = street.host.run("cat", place).strip()
    asked = [o for o in street.yun("operation", "list") if o["kind"] != "instance.run"]
    assert private not in json.dumps(asked), "a peer's private key never came to the cloud"
