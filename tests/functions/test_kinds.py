"""Settings are checked whole and never reach a configuration as they were typed; answers of guests are read warily."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.functions.conftest import KEY, PEER
from yun.base.errors import Invalid
from yun.functions import lines
from yun.functions.kinds import Surroundings, digest, firewall, packed, proxy, user_data, vpn

RULE = {"action": "allow", "way": "in", "protocol": "tcp", "ports": "80", "source": "10.0.0.0/8"}
BACKEND = {"target": "10.0.0.9", "port": 8080}


def refused(kind: Any, given: Any, arms: int = 1) -> dict[str, str]:
    """The fields at fault."""
    with pytest.raises(Invalid) as caught:
        kind.check(given, arms)
    assert caught.value.fields
    return {name: right.render("en") for name, right in caught.value.fields.items()}


def test_a_firewall_denies_what_no_rule_allows_and_counts_every_rule() -> None:
    settings = firewall.check({"rules": [RULE, {"action": "deny", "way": "self", "protocol": "icmp"}]}, 2)
    assert settings["masquerade"] is True
    text = firewall.files(settings, Surroundings(2))["firewall.nft"]
    assert 'iifname "eth0" oifname "eth1" ip saddr 10.0.0.0/8 tcp dport { 80 } counter accept comment "r1"' in text
    assert 'meta l4proto { 1, 58 } counter drop comment "r2"' in text
    assert text.count("policy drop") == 2
    assert 'oifname "eth0" masquerade' in text


def test_ports_are_sorted_and_may_not_meet() -> None:
    rule = {**RULE, "ports": "8000-8100, 443,80"}
    assert firewall.check({"rules": [rule]}, 2)["rules"][0]["ports"] == "80,443,8000-8100"
    for wrong in ("80,70-90", "0", "65536", "9-8", "http", "80;drop", ",", "-", "80 }; accept", True, ["80"], {}):
        found = refused(firewall, {"rules": [RULE, {**RULE, "ports": wrong}]}, 2)
        assert "row 2, ports" in found["rules"], wrong


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("action", "accept"), ("way", "in\n accept"), ("protocol", "sctp"), ("source", "10.0.0.1/8"),
        ("source", "10.0.0.0/8 accept"), ("source", 'eth0"'), ("destination", "fd00::/64"), ("note", 'a"; accept; "'),
        ("ports", "80 } accept"), ("nonsense", 1),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_rule_is_named_with_its_row(part: str, wrong: Any) -> None:
    said = refused(firewall, {"rules": [{**RULE, part: wrong}]}, 2)
    assert "row 1" in said["rules"]


def test_a_firewall_in_one_network_knows_no_inside() -> None:
    assert "row 1, way" in refused(firewall, {"rules": [RULE]})["rules"]
    assert refused(firewall, {"masquerade": True}) == {"masquerade": "off, or a second network"}
    assert firewall.check({}, 1) == {"masquerade": False, "rules": []}


@pytest.mark.parametrize(
    "given", [{"rules": "all"}, {"rules": [1]}, {"rule": []}, {"rules": [RULE] * 201}, {"masquerade": "yes"}]
)
def test_what_is_no_settings_at_all_is_refused(given: Any) -> None:
    assert refused(firewall, given, 2)


def test_a_proxy_goes_by_host_and_path_to_groups() -> None:
    settings = proxy.check({
        "backends": [BACKEND, {"target": "ins_1", "group": "api"}, {"target": "fd00::9", "port": "81"}],
        "routes": [{"host": "*.Example.org", "path": "/api/", "group": "api"}], "check_path": "/ok",
    }, 1)  # fmt: skip
    text = proxy.files(settings, Surroundings(1, {"ins_1": "10.0.0.7"}))["haproxy.cfg"]
    assert " acl h1 req.hdr(host),field(1,:),lower -m end .example.org\n acl p1 path /api\n" in text
    assert " acl p1 path_beg /api/\n" in text
    assert " use_backend g_api if h1 p1\n default_backend g_web\n" in text
    assert " server b1 10.0.0.9:8080 check inter 5s fall 3 rise 2" in text
    assert " server b2 10.0.0.7:80 check" in text
    assert " server b3 [fd00::9]:81 check" in text
    assert "ins_1" not in text
    assert " server b2" not in proxy.files(settings, Surroundings(1))["haproxy.cfg"], "an instance that is gone"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "backends"), ({"backends": [BACKEND, BACKEND]}, "backends"), ({"backends": [{"port": 1}]}, "backends"),
        ({"backends": [{**BACKEND, "port": 70000}]}, "backends"), ({"backends": [BACKEND], "port": 22}, "port"),
        ({"backends": [BACKEND], "port": 8404}, "port"), ({"backends": [{**BACKEND, "group": "a b"}]}, "backends"),
        ({"backends": [BACKEND], "routes": [{"path": "/x", "group": "nobody"}]}, "routes"),
        ({"backends": [BACKEND], "routes": [{"group": "web"}]}, "routes"),
        ({"backends": [BACKEND], "routes": [{"host": "a b", "group": "web"}]}, "routes"),
        ({"backends": [BACKEND], "routes": [{"path": "/x\n bind *:1", "group": "web"}]}, "routes"),
        ({"backends": [BACKEND], "check_path": "/ HTTP/1.1\r\nHost: x"}, "check_path"),
        ({"backends": [BACKEND], "balance": "first"}, "balance"),
        ({"backends": [BACKEND], "check_seconds": -1}, "check_seconds"),
        ({"backends": [BACKEND], "default_group": "api"}, "default_group"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_proxy_is_named(given: dict[str, Any], field: str) -> None:
    assert list(refused(proxy, given)) == [field]


def test_a_gateway_routes_what_peers_bring_and_hides_them_behind_itself() -> None:
    other = {"name": "site", "public_key": vpn.new_keys()[1], "addresses": ["10.99.0.3", "192.168.7.0/24"]}
    settings = vpn.check({"peers": [PEER, other]}, 1)
    files = vpn.files(settings, Surroundings(1, {}, "SECRET"))
    assert files["wg0.conf"].startswith("[Interface]\nPrivateKey = SECRET\nListenPort = 51820\n[Peer]\n")
    assert "AllowedIPs = 10.99.0.3/32, 192.168.7.0/24" in files["wg0.conf"]
    assert files["routes"] == "192.168.7.0/24\n"
    assert files["addresses"] == "10.99.0.1/24\n"
    assert 'ip saddr 10.99.0.0/24 oifname "eth0" masquerade' in files["vpn.nft"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"address": "10.99.0.0/24"}, "address"), ({"address": "10.99.0.1"}, "address"), ({"address": "x"}, "address"),
        ({"port": 0}, "port"), ({"keepalive": 601}, "keepalive"), ({"endpoint": "a b"}, "endpoint"),
        ({"networks": ["10.0.0.1/8"]}, "networks"), ({"peers": [PEER, PEER]}, "peers"),
        ({"peers": [{**PEER, "public_key": KEY[:-1]}]}, "peers"),
        ({"peers": [{**PEER, "public_key": "A" * 43 + "="}]}, "peers"),
        ({"peers": [{**PEER, "public_key": KEY + "\nEndpoint = x"}]}, "peers"),
        ({"peers": [{**PEER, "addresses": []}]}, "peers"), ({"peers": [{**PEER, "name": "a\nb"}]}, "peers"),
        ({"peers": [{**PEER, "addresses": ["10.99.0.1/32"]}]}, "peers"),
        ({"peers": [{**PEER, "addresses": None}]}, "peers"),
        ({"peers": [PEER, {"name": "b", "public_key": vpn.new_keys()[1], "addresses": ["10.99.0.0/30"]}]}, "peers"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_gateway_is_named(given: dict[str, Any], field: str) -> None:
    assert list(refused(vpn, given)) == [field]


def test_a_peers_file_has_all_but_its_private_key() -> None:
    settings = vpn.check({"peers": [PEER], "networks": ["10.0.0.0/24"]}, 1)
    text = vpn.client_config(settings, "laptop", public_key=KEY, endpoint="fd00::1")
    assert "PrivateKey = <your private key>\nAddress = 10.99.0.2/32\n" in text
    assert "Endpoint = [fd00::1]:51820\nAllowedIPs = 10.99.0.0/24, 10.0.0.0/24\nPersistentKeepalive = 25\n" in text
    with pytest.raises(Invalid):
        vpn.client_config(settings, "nobody", public_key=KEY, endpoint="x")
    private, public = vpn.new_keys()
    assert vpn.public_of(private) == public


def test_the_same_settings_give_the_same_archive_and_user_data_that_cloud_init_reads() -> None:
    files = firewall.files(firewall.check({}, 1), Surroundings())
    first, second = packed("firewall", files), packed("firewall", files)
    assert first == second
    assert len(digest(first)) == 64
    assert user_data(first).startswith("#cloud-config\nwrite_files:\n")


@pytest.mark.parametrize(
    "answer",
    ["", "{", "[]", '{"nftables": 1}', "[" * 100_000,
     '{"nftables": [{"rule": {"comment": "r1", "expr": [{"counter": {}}]}}]}'],
)  # fmt: skip
def test_nonsense_from_a_firewalls_guest_is_no_answer(answer: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError, RecursionError)):
        firewall.read(answer)


def test_what_guests_tell_is_read() -> None:
    counter = {"counter": {"packets": 3, "bytes": 180}}
    rule = {"rule": {"comment": "r1", "expr": [{"match": {}}, counter, {"accept": None}]}}
    assert firewall.read(json.dumps({"nftables": [{"metainfo": {}}, rule]})) == {"counters": {"r1": [3, 180]}}
    table = "# pxname,svname,status,check_status,lastchg,scur,stot\nfront,FRONTEND,OPEN,,,1,4\n"
    table += "g_web,b1,UP 1/3,* L7OK,9,0,3\ng_web,b2,no check,,9,0,0\n"
    found = proxy.read(table)["backends"]
    assert [found["b1"]["state"], found["b1"]["check"], found["b2"]["state"]] == ["up", "L7OK", "unchecked"]
    with pytest.raises(ValueError, match="numbers"):
        proxy.read("<html>")
    told = vpn.read(f"{KEY}\t(none)\t10.99.0.2/32\t0\t0\t0\toff\n")
    assert told == {"peers": {KEY: {"endpoint": "", "handshake": 0, "received": 0, "sent": 0}}}
    with pytest.raises(ValueError, match="peer"):
        vpn.read("nonsense\n")


def test_lines_of_the_command_become_settings() -> None:
    assert lines.rule("allow in tcp 80,443 from 10.0.0.0/8 to 10.1.0.7") == {
        "action": "allow", "way": "in", "protocol": "tcp", "ports": "80,443", "source": "10.0.0.0/8",
        "destination": "10.1.0.7",
    }  # fmt: skip
    assert lines.rule("deny") == {"action": "deny"}
    assert lines.backend("api=[fd00::9]:81") == {"group": "api", "target": "fd00::9", "port": "81"}
    assert lines.backend("web-1") == {"target": "web-1"}
    assert lines.route("www.example.org/api=api") == {"host": "www.example.org", "path": "/api", "group": "api"}
    assert lines.peer(f"laptop={KEY}@10.99.0.2/32,10.5.0.0/16")["public_key"] == KEY
    for read, wrong in ((lines.rule, "accept"), (lines.rule, "allow in tcp 80 nowhere"), (lines.backend, ":80"),
                        (lines.backend, "a:b"), (lines.route, "/api"), (lines.peer, "laptop")):  # fmt: skip
        with pytest.raises(Invalid):
            read(wrong)
