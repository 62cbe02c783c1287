"""OVN's northbound database, bare and private: the contract, what exactly is written, and faults of the server."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.drivers.network.contract import (
    GROUP,
    NETWORK,
    NOTHING,
    OFFICE,
    OUTSIDE,
    PORT,
    ROUTER,
    SUBNET,
    NetworkEngineContract,
    build,
)
from tests.real.northbound import Northbound, only
from yun.base.errors import DriverError
from yun.drivers.network.ovn import OvnNetworkEngine
from yun.drivers.network.port import GroupSpec, RuleSpec

pytestmark = pytest.mark.real


@pytest.fixture
def northbound(tmp_path: Path) -> Iterator[Northbound]:
    server = Northbound(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def engine(northbound: Northbound) -> Iterator[OvnNetworkEngine]:
    engine = OvnNetworkEngine(northbound.remote, timeout=10)
    yield engine
    engine.close()


class TestOvn(NetworkEngineContract):
    pass


def test_dhcp_offers_address_router_resolver_domain_and_mtu(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    options = only(northbound.rows("DHCP_Options"))
    assert options["cidr"] == "10.0.0.0/24"
    assert {k: v for k, v in options["options"].items() if k != "server_mac"} == {
        "server_id": "10.0.0.1",
        "router": "10.0.0.1",
        "lease_time": "3600",
        "mtu": "1442",
        "dns_server": "{192.0.2.53}",
        "domain_name": '"yun.internal"',
    }
    port = only(northbound.rows("Logical_Switch_Port"), name=PORT.uuid)
    assert port["dhcpv4_options"] == options["_uuid"]


def test_a_port_is_secured_and_pinned_to_its_host(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    port = only(northbound.rows("Logical_Switch_Port"), name=PORT.uuid)
    assert port["addresses"] == port["port_security"] == "52:54:00:00:00:01 10.0.0.11"
    assert port["options"] == {"requested-chassis": "h1"}
    engine.apply_port(replace(PORT, host="h2", port_security=False, groups=()))
    port = only(northbound.rows("Logical_Switch_Port"), name=PORT.uuid)
    assert port["options"] == {"requested-chassis": "h2"}
    assert port["port_security"] == []
    assert all(g["ports"] == [] for g in northbound.rows("Port_Group"))


def test_groups_allow_and_one_group_drops_the_rest(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    port = only(northbound.rows("Logical_Switch_Port"), name=PORT.uuid)["_uuid"]
    groups = {g["name"]: g for g in northbound.rows("Port_Group")}
    assert groups["sgr_1"]["ports"] == groups["yun_drop"]["ports"] == port
    acls = {(a["direction"], a["match"]): a["action"] for a in northbound.rows("ACL")}
    assert acls["to-lport", "outport == @yun_drop && ip"] == "drop"
    assert acls["from-lport", "inport == @yun_drop && ip"] == "drop"
    assert acls["from-lport", "inport == @sgr_1 && ip4"] == "allow-related"
    assert acls["to-lport", "outport == @sgr_1 && ip4 && tcp && tcp.dst == 22"] == "allow-related"


def test_changed_rules_leave_equal_acls_alone(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    engine.apply_group(GROUP)
    kept = {a["match"]: a["_uuid"] for a in northbound.rows("ACL")}
    rules = (
        *GROUP.rules[:1],
        RuleSpec("ingress", protocol="udp", port_min=5000, port_max=5010, remote="10.1.0.0/16"),
        RuleSpec("ingress", protocol="icmp", icmp_type=8),
        RuleSpec("ingress", remote="group:sgr_1"),
        RuleSpec("egress", "ipv6", "tcp", port_min=1),
    )
    engine.apply_group(GroupSpec("sgr_1", "default", rules))
    acls = {a["match"]: a["_uuid"] for a in northbound.rows("ACL")}
    assert set(acls) == {
        "inport == @sgr_1 && ip4",
        "outport == @sgr_1 && ip4 && ip4.src == 10.1.0.0/16 && udp && udp.dst >= 5000 && udp.dst <= 5010",
        "outport == @sgr_1 && ip4 && icmp4 && icmp4.type == 8",
        "outport == @sgr_1 && ip4 && ip4.src == $sgr_1_ip4",
        "inport == @sgr_1 && ip6 && tcp && tcp.dst >= 1",
    }
    assert acls["inport == @sgr_1 && ip4"] == kept["inport == @sgr_1 && ip4"]


def test_a_router_has_legs_routes_translation_and_a_chassis(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    router = only(northbound.rows("Logical_Router"))
    assert len(router["ports"]) == 2
    assert only(northbound.rows("Gateway_Chassis"))["chassis_name"] == "h1"
    route = only(northbound.rows("Logical_Router_Static_Route"))
    assert (route["ip_prefix"], route["nexthop"]) == ("0.0.0.0/0", "203.0.113.1")
    nat = {(n["type"], n["external_ip"], n["logical_ip"]) for n in northbound.rows("NAT")}
    assert nat == {("snat", "203.0.113.10", "10.0.0.0/24"), ("dnat_and_snat", "203.0.113.50", "10.0.0.11")}
    engine.apply_router(replace(ROUTER, nat=ROUTER.nat[:1]))
    assert len(northbound.rows("NAT")) == 1
    engine.remove_router("rtr_1")
    assert northbound.rows("NAT") == northbound.rows("Logical_Router_Port") == []
    assert {p["type"] for p in northbound.rows("Logical_Switch_Port")} == {"", "localnet"}


def names(northbound: Northbound) -> dict[str, str]:
    """Everything that the DNS of the networks knows; each row is used by a switch."""
    used = {u for s in northbound.rows("Logical_Switch") for u in _set(s["dns_records"])}
    rows = northbound.rows("DNS")
    assert {r["_uuid"] for r in rows} == used, "a row that no switch uses, or a reference to nothing"
    return {k: v for r in rows for k, v in r["records"].items()}


def back(address: str) -> str:
    """The name under which an address is looked up."""
    return ipaddress.ip_address(address).reverse_pointer


def test_guests_are_told_of_time_servers_and_routes_beside_the_way_out(
    engine: OvnNetworkEngine, northbound: Northbound
) -> None:
    build(engine)
    told = replace(SUBNET, ntp_servers=("192.0.2.7",), routes=(("192.168.7.0/24", "10.0.0.9"),))
    engine.apply_network(replace(NETWORK, subnets=(told,)))
    options = only(northbound.rows("DHCP_Options"))["options"]
    assert options["ntp_server"] == "{192.0.2.7}"
    assert options["classless_static_route"] == "{192.168.7.0/24,10.0.0.9, 0.0.0.0/0,10.0.0.1}"
    engine.apply_network(replace(NETWORK, subnets=(replace(SUBNET, dhcp=False),)))
    assert northbound.rows("DHCP_Options") == []
    assert only(northbound.rows("Logical_Switch_Port"), name=PORT.uuid)["dhcpv4_options"] == []
    engine.apply_network(NETWORK)
    options = only(northbound.rows("DHCP_Options"))
    assert "ntp_server" not in options["options"]
    assert only(northbound.rows("Logical_Switch_Port"), name=PORT.uuid)["dhcpv4_options"] == options["_uuid"]


def _set(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_names_are_served_and_withdrawn(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    both = {"hello": "10.0.0.11", "hello.yun.internal": "10.0.0.11", back("10.0.0.11"): "hello.yun.internal"}
    assert names(northbound) == both
    engine.apply_network(replace(NETWORK, dns_records={"Extra": "10.0.0.99"}))
    assert names(northbound) == both | {"extra": "10.0.0.99"}
    engine.apply_port(replace(PORT, hostname="other", addresses=("10.0.0.12",)))
    named = {
        "other": "10.0.0.12", "other.yun.internal": "10.0.0.12", "extra": "10.0.0.99",
        back("10.0.0.12"): "other.yun.internal",
    }  # fmt: skip
    assert names(northbound) == named
    lab = replace(NETWORK.subnets[0], domain="lab")
    engine.apply_network(replace(NETWORK, subnets=(lab,)))
    assert names(northbound) == {"other": "10.0.0.12", "other.lab": "10.0.0.12", back("10.0.0.12"): "other.lab"}
    engine.apply_port(replace(PORT, hostname="", network_id="net_2", subnet_ids=()))
    assert names(northbound) == {}
    engine.apply_port(PORT)
    assert names(northbound) == {"hello": "10.0.0.11", "hello.lab": "10.0.0.11", back("10.0.0.11"): "hello.lab"}
    engine.apply_network(replace(NETWORK, subnets=(lab,), domain="own"))
    named = {f"hello{d}": "10.0.0.11" for d in ("", ".own", ".lab")}
    assert names(northbound) == {**named, back("10.0.0.11"): "hello.own"}
    engine.remove_port("prt_1")
    assert names(northbound) == {}
    engine.apply_port(PORT)
    engine.remove_network("net_1")
    assert names(northbound) == {}


def test_a_port_that_moves_leaves_no_reference_behind(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    engine.apply_port(replace(PORT, network_id="net_2", subnet_ids=()))
    port = only(northbound.rows("Logical_Switch_Port"), name=PORT.uuid)["_uuid"]
    assert {g["name"]: g["ports"] for g in northbound.rows("Port_Group")} == {"sgr_1": port, "yun_drop": port}
    outside = only(northbound.rows("Logical_Switch"), name="net_2")
    inside = only(northbound.rows("Logical_Switch"), name="net_1")
    assert port in outside["ports"]
    assert port not in _set(inside["ports"])
    engine.remove_port("prt_1")
    assert all(g["ports"] == [] for g in northbound.rows("Port_Group"))


def test_removing_everything_leaves_not_a_row_of_ours(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    engine.remove_port("prt_1")
    engine.remove_router("rtr_1")
    engine.remove_group("sgr_1")
    engine.remove_network("net_1")
    engine.remove_network("net_2")
    for table in ("Logical_Switch", "Logical_Router", "Port_Group", "ACL", "DHCP_Options", "DNS", "Gateway_Chassis"):
        assert northbound.rows(table) == [], table


def test_strangers_are_left_alone(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    northbound.ctl("ls-add", "net_1", "--", "lsp-add", "net_1", "foreign", "--", "pg-add", "theirs", "foreign")
    build(engine)
    engine.remove_port("prt_1")
    engine.remove_router("rtr_1")
    engine.remove_network("net_1")
    engine.remove_group("sgr_1")
    assert northbound.ctl("lsp-list", "net_1").endswith("(foreign)")
    assert only(northbound.rows("Port_Group"), name="theirs")["ports"]


def test_two_applications_write_nothing_the_second_time(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    tables = (
        "Logical_Switch",
        "Logical_Switch_Port",
        "Port_Group",
        "ACL",
        "NAT",
        "Logical_Router",
        "DNS",
        "DHCP_Options",
    )
    before = {t: sorted(json.dumps(r, sort_keys=True) for r in northbound.rows(t)) for t in tables}
    build(engine)
    assert {t: sorted(json.dumps(r, sort_keys=True) for r in northbound.rows(t)) for t in tables} == before


def test_a_second_engine_finds_what_the_first_made(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    second = OvnNetworkEngine(northbound.remote, timeout=10)
    try:
        assert second.inventory() == engine.inventory()
        second.remove_port("prt_1")
        second.apply_network(OUTSIDE)
    finally:
        second.close()
    assert len(northbound.rows("Logical_Switch")) == 2


def test_two_clouds_on_one_database_do_not_see_each_other(northbound: Northbound) -> None:
    one, two = (OvnNetworkEngine(northbound.remote, timeout=10) for _again in range(2))
    port = replace(PORT, id="prt_9", uuid="9a2c0d61-57fc-4d1b-8ac7-0b40f13fb1c5", network_id="net_9", groups=("sgr_9",))
    try:
        one.own("prj_one")
        two.own("prj_two")
        build(one)
        two.apply_network(replace(NETWORK, id="net_9", subnets=()))
        two.apply_group(GroupSpec("sgr_9", "theirs"))
        two.apply_port(replace(port, subnet_ids=()))
        assert two.inventory() == NOTHING | {"network": {"net_9"}, "group": {"sgr_9"}, "port": {"prt_9"}}
        two.remove_port("prt_1")
        two.remove_router("rtr_1")
        two.remove_network("net_1")
        two.remove_group("sgr_1")
        assert two.ports_up(["prt_1"]) == {}
        assert one.inventory()["port"] == {"prt_1"}
        assert one.inventory()["router"] == {"rtr_1"}
        two.remove_port("prt_9")
        two.remove_network("net_9")
        two.remove_group("sgr_9")
        names = {g["name"] for g in northbound.rows("Port_Group")}
        assert names == {"sgr_1", "yun_drop_prj_one"}
    finally:
        one.close()
        two.close()


def test_rows_without_a_mark_are_taken_over_as_they_are_applied(
    engine: OvnNetworkEngine, northbound: Northbound
) -> None:
    build(engine)
    tables = ("Logical_Switch", "Logical_Switch_Port", "Logical_Router", "Logical_Router_Port", "Port_Group", "DNS")
    before = {t: len(northbound.rows(t)) for t in tables}
    heir = OvnNetworkEngine(northbound.remote, timeout=10)
    try:
        heir.own("prj_one")
        assert not any(heir.inventory().values())
        build(heir)
        assert heir.inventory() == engine.inventory()
    finally:
        heir.close()
    assert {t: len(northbound.rows(t)) for t in tables} == before
    marks = {r["external_ids"].get("yun_cloud") for t in tables for r in northbound.rows(t)}
    assert marks == {"prj_one"}
    assert {g["name"] for g in northbound.rows("Port_Group")} == {"sgr_1", "yun_drop"}


def test_without_a_server_a_call_fails_fast_and_works_once_it_is_there(tmp_path: Path) -> None:
    server = Northbound(tmp_path)
    engine = OvnNetworkEngine(server.remote, timeout=10)
    try:
        began = time.monotonic()
        with pytest.raises(DriverError) as caught:
            engine.apply_network(NETWORK)
        assert caught.value.retryable
        assert time.monotonic() - began < 2
        server.start()
        engine.apply_network(NETWORK)
        assert engine.inventory()["network"] == {"net_1"}
    finally:
        engine.close()
        server.stop()


def ask_until(engine: OvnNetworkEngine, end: float) -> None:
    """Ask for the inventory again and again: until a loss is noticed the copy of the database answers."""
    while time.monotonic() < end:
        engine.inventory()


def test_a_restarted_server_is_found_again_and_everybody_is_nudged(
    engine: OvnNetworkEngine, northbound: Northbound
) -> None:
    heard: list[str] = []
    engine.subscribe(heard.append)
    build(engine)
    northbound.stop()
    began = time.monotonic()
    with pytest.raises(DriverError) as caught:
        ask_until(engine, began + 4)
    assert caught.value.retryable
    assert time.monotonic() - began < 4
    northbound.start()
    end = time.monotonic() + 10
    while "" not in heard and time.monotonic() < end:
        time.sleep(0.05)
    assert "" in heard
    assert engine.inventory()["port"] == {"prt_1"}
    engine.remove_port("prt_1")
    assert engine.inventory()["port"] == set()


def test_a_server_that_hangs_times_out_and_is_well_again_afterwards(northbound: Northbound) -> None:
    engine = OvnNetworkEngine(northbound.remote, timeout=1.5)
    try:
        engine.apply_network(NETWORK)
        assert northbound.process is not None
        os.kill(northbound.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(DriverError) as caught:
            engine.apply_group(GROUP)
        assert caught.value.retryable
        assert time.monotonic() - began < 4
        os.kill(northbound.process.pid, signal.SIGCONT)
        _eventually(lambda: engine.apply_port(PORT))
        assert engine.inventory()["port"] == {"prt_1"}
        assert len(northbound.rows("Port_Group")) == 2
    finally:
        engine.close()


def test_a_server_that_hangs_from_the_start_holds_nobody_for_long(northbound: Northbound) -> None:
    assert northbound.process is not None
    os.kill(northbound.process.pid, signal.SIGSTOP)
    engine = OvnNetworkEngine(northbound.remote, timeout=0.5)
    try:
        began = time.monotonic()
        with pytest.raises(DriverError):
            engine.alive()
        assert time.monotonic() - began < 2
        os.kill(northbound.process.pid, signal.SIGCONT)
        _eventually(engine.alive)
    finally:
        engine.close()


def _eventually(call: Any) -> None:
    """Repeat a call that fails retryably, for ten seconds at most."""
    end = time.monotonic() + 10
    while True:
        try:
            call()
            return
        except DriverError as error:
            if not error.retryable or time.monotonic() > end:
                raise
            time.sleep(0.2)


def test_a_stateless_group_follows_no_connections(engine: OvnNetworkEngine, northbound: Northbound) -> None:
    build(engine)
    engine.apply_group(replace(GROUP, stateless=True))
    group = only(northbound.rows("Port_Group"), name=GROUP.id)
    mine = [r for r in northbound.rows("ACL") if r["_uuid"] in group["acls"]]
    assert {r["action"] for r in mine} == {"allow-stateless"}
    engine.apply_group(GROUP)
    group = only(northbound.rows("Port_Group"), name=GROUP.id)
    assert {r["action"] for r in northbound.rows("ACL") if r["_uuid"] in group["acls"]} == {"allow-related"}


def test_an_address_set_is_one_of_each_family_and_a_rule_names_its_own(
    engine: OvnNetworkEngine, northbound: Northbound
) -> None:
    engine.apply_set(OFFICE)
    found = {r["name"]: r["addresses"] for r in northbound.rows("Address_Set")}
    assert found == {"ads_1_ip4": "192.0.2.0/24", "ads_1_ip6": "2001:db8::/32"}
    engine.apply_group(replace(GROUP, rules=(RuleSpec("ingress", remote="set:ads_1"),)))
    acl = only(northbound.rows("ACL"), direction="to-lport")
    assert acl["match"] == "outport == @sgr_1 && ip4 && ip4.src == $ads_1_ip4"


def test_a_logged_group_notes_what_it_allows_and_drops_and_stops_to(
    engine: OvnNetworkEngine, northbound: Northbound
) -> None:
    build(engine)
    rules = (RuleSpec("egress", id="sru_1"), RuleSpec("ingress", protocol="tcp", id="sru_2"))
    engine.apply_group(replace(GROUP, rules=rules, logged=True))
    noted = [r for r in northbound.rows("ACL") if r["log"]]
    assert sorted((r["name"], r["action"]) for r in noted) == [
        ("sgr_1", "drop"), ("sgr_1", "drop"), ("sru_1", "allow-related"), ("sru_2", "allow-related"),
    ]  # fmt: skip
    meter = only(northbound.rows("Meter"))
    assert {r["meter"] for r in noted} == {meter["name"]}
    engine.apply_group(replace(GROUP, rules=tuple(replace(r, id="") for r in rules)))
    assert not [r for r in northbound.rows("ACL") if r["log"]]
