"""The real host driver inside a private host: its daemons, gateway and ports, with the packages' own paths."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.private_host import PrivateHost
from yun.drivers.host import kvm

pytestmark = pytest.mark.real

PRELUDE = """
import json, sys
from pathlib import Path
from yun.base.config import Settings
from yun.drivers.host import ovs
from yun.drivers.host.linux import LinuxMachine
m = LinuxMachine(Settings(state_dir=Path(sys.argv[1])))
"""

LISTEN = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("198.51.100.2", 9999)); s.settimeout(2)
try:
    while True:
        data, peer = s.recvfrom(100); print(data.decode(), peer[0], flush=True)
except TimeoutError:
    pass
"""

SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 0))
s.sendto(sys.argv[1].encode(), ("198.51.100.2", 9999)); time.sleep(0.2)
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateHost]:
    host = PrivateHost("yunbox", tmp_path_factory.mktemp("yunbox"))
    try:
        run_inside(host, "for n in ('openvswitch', 'ovn-central', 'ovn-controller'): m.start_service(n)\nprint('0')")
        yield host
    finally:
        host.close()


def run_inside(host: PrivateHost, code: str) -> object:
    """Run driver code inside the host; the JSON value it prints."""
    said = host.run(sys.executable, "-c", PRELUDE + code, str(host.directory / "state"))
    return json.loads(said)


def states(host: PrivateHost) -> dict[str, str]:
    found = run_inside(host, "print(json.dumps({s.name: s.state for s in m.services()}))")
    assert isinstance(found, dict)
    return found


def test_the_daemons_were_started_from_nothing_and_tell_their_versions(host: PrivateHost) -> None:
    found = run_inside(host, "print(json.dumps([[s.name, s.state, s.version] for s in m.services()]))")
    assert isinstance(found, list)
    table = {name: (state, version) for name, state, version in found}
    for name in ("openvswitch", "ovn-central", "ovn-controller"):
        state, version = table[name]
        assert state == "running"
        assert version[0].isdigit()


def test_the_chassis_is_registered_under_the_hosts_name(host: PrivateHost) -> None:
    until = time.monotonic() + 15
    while "Chassis yunbox" not in (shown := host.run("ovn-sbctl", "--timeout=5", "show")):
        assert time.monotonic() < until, shown
        time.sleep(0.1)
    assert "hostname: yunbox" in shown


def test_the_name_survives_a_restart_of_open_vswitch(host: PrivateHost) -> None:
    run_inside(host, "m.stop_service('openvswitch'); m.start_service('openvswitch'); print(0)")
    name = host.run("ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "external_ids:system-id")
    assert name.strip().strip('"') == "yunbox"


@pytest.mark.parametrize(
    ("service", "pidfile"),
    [
        ("openvswitch", "/run/openvswitch/ovs-vswitchd.pid"),
        ("ovn-central", "/run/ovn/ovnsb_db.pid"),
        ("ovn-controller", "/run/ovn/ovn-controller.pid"),
    ],
)
def test_a_frozen_daemon_is_unresponsive_and_starting_it_wakes_or_restarts_it(
    host: PrivateHost, service: str, pidfile: str
) -> None:
    run_inside(host, f"m.start_service('{service}'); print(0)")
    pid = host.run("cat", pidfile).strip()
    host.run("kill", "-STOP", pid)
    began = time.monotonic()
    assert states(host)[service] == "unresponsive"
    assert time.monotonic() - began < 8
    # The frozen process of ovn-central is its database, not the one whose pid we know: it is restarted.
    run_inside(host, f"m.start_service('{service}'); print(0)")
    assert states(host)[service] == "running"


def test_a_killed_daemon_is_seen_as_stopped_and_can_be_started(host: PrivateHost) -> None:
    monitor, worker = host.run("sh", "-c", "pgrep -f '^ovn-northd' | sort -n | tr '\\n' ' '").split()[:2]
    host.run("kill", "-KILL", monitor, worker)
    assert states(host)["ovn-central"] == "stopped"
    run_inside(host, "m.start_service('ovn-central'); print(0)")
    assert states(host)["ovn-central"] == "running"


def test_the_gateway_holds_address_rules_forwarding_and_mapping_until_it_is_removed(host: PrivateHost) -> None:
    host.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
    host.run("nft", "add", "table", "inet", "stranger")
    host.run("ovs-vsctl", "set", "Open_vSwitch", ".", "external_ids:ovn-bridge-mappings=physnet9:br-dc")
    run_inside(host, "m.apply_gateway(cidr='172.31.248.0/24', address='172.31.248.1/24'); print(0)")
    assert "172.31.248.1/24" in host.run("ip", "-4", "addr", "show", "br-ex")
    assert "masquerade" in host.run("nft", "list", "table", "inet", "yun")
    assert host.run("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"
    mapping = host.run("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:ovn-bridge-mappings")
    assert mapping.strip().strip('"') == "physnet9:br-dc,physnet1:br-ex"

    run_inside(host, "m.apply_gateway(cidr='172.31.248.0/24', address='172.31.248.9/24'); print(0)")
    shown = host.run("ip", "-4", "addr", "show", "br-ex")
    assert "172.31.248.9/24" in shown
    assert "172.31.248.1/24" not in shown

    run_inside(host, "m.remove_gateway(); m.remove_gateway(); print(0)")
    assert "br-ex" not in host.run("ovs-vsctl", "list-br")
    tables = host.run("nft", "list", "tables")
    assert "yun" not in tables
    assert "stranger" in tables
    assert host.run("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "0"
    mapping = host.run("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:ovn-bridge-mappings")
    assert mapping.strip().strip('"') == "physnet9:br-dc"


def test_a_gateway_lost_in_a_reboot_is_put_back(host: PrivateHost) -> None:
    run_inside(host, "m.apply_gateway(cidr='172.31.248.0/24', address='172.31.248.1/24'); print(0)")
    host.run("nft", "delete", "table", "inet", "yun")
    host.run("ip", "addr", "flush", "dev", "br-ex")
    assert run_inside(host, "print(json.dumps([m.keep_gateway(), m.keep_gateway()]))") == [True, False]
    assert "172.31.248.1/24" in host.run("ip", "-4", "addr", "show", "br-ex")
    assert "masquerade" in host.run("nft", "list", "table", "inet", "yun")
    run_inside(host, "m.remove_gateway(); print(0)")


def test_traffic_of_the_external_range_leaves_with_the_hosts_address(host: PrivateHost) -> None:
    """A guest is played by a port of br-ex in a namespace; the world by another namespace without a route back."""
    run_inside(host, "m.apply_gateway(cidr='172.31.248.0/24', address='172.31.248.1/24'); print(0)")
    script = """
    ip netns add guest; ip netns add world
    ovs-vsctl add-port br-ex g0 -- set Interface g0 type=internal
    ip link set g0 netns guest; ip -n guest addr add 172.31.248.50/24 dev g0; ip -n guest link set g0 up
    ip -n guest route add default via 172.31.248.1
    ip link add up0 type veth peer name w0; ip link set w0 netns world
    ip addr add 198.51.100.1/24 dev up0; ip link set up0 up
    ip -n world addr add 198.51.100.2/24 dev w0; ip -n world link set w0 up
    """
    host.run("sh", "-ec", script)
    talk = """
ip -n guest addr add 10.99.99.9/24 dev g0
ip netns exec world "$0" -c "$1" > /run/heard & server=$!
sleep 0.5
for source in 172.31.248.50 10.99.99.9; do ip netns exec guest "$0" -c "$2" $source; done
wait $server
cat /run/heard
"""
    try:
        said = host.run("sh", "-c", talk, sys.executable, LISTEN, SEND)
        assert said.split() == ["172.31.248.50", "198.51.100.1"]
    finally:
        host.run("sh", "-c", "ovs-vsctl del-port br-ex g0; ip netns del guest; ip netns del world; ip link del up0")
        run_inside(host, "m.remove_gateway(); print(0)")


def test_a_gateway_is_removed_by_the_state_directory_that_made_it(host: PrivateHost) -> None:
    run_inside(host, "m.apply_gateway(cidr='172.31.248.0/24', address='172.31.248.1/24'); print(0)")
    run_inside(host, "LinuxMachine(Settings(state_dir=Path(sys.argv[1] + '-other'))).remove_gateway(); print(0)")
    assert "br-ex" in host.run("ovs-vsctl", "list-br")
    assert "masquerade" in host.run("nft", "list", "table", "inet", "yun")
    run_inside(host, "m.remove_gateway(); print(0)")
    assert "br-ex" not in host.run("ovs-vsctl", "list-br")


def test_a_range_that_the_host_already_uses_is_refused(host: PrivateHost) -> None:
    host.run("sh", "-ec", "ip link add lan0 type veth peer name lan1; ip addr add 172.31.248.7/25 dev lan0")
    code = """
from yun.base.errors import DriverError
try:
    m.apply_gateway(cidr='172.31.248.0/24', address='172.31.248.1/24'); print('null')
except DriverError as error:
    print(json.dumps(error.message.render()))
"""
    said = run_inside(host, code)
    host.run("ip", "link", "del", "lan0")
    assert isinstance(said, str)
    assert "lan0" in said
    assert "br-ex" not in host.run("ovs-vsctl", "list-br")


def test_a_bridge_of_a_stranger_is_left_alone(host: PrivateHost) -> None:
    host.run("ovs-vsctl", "add-br", "br-ex", "--", "set", "Bridge", "br-ex", "datapath_type=netdev")
    code = """
from yun.base.errors import DriverError
try:
    m.apply_gateway(cidr='172.31.248.0/24', address='172.31.248.1/24'); print('null')
except DriverError as error:
    print(json.dumps(error.hint.render()))
m.remove_gateway()
"""
    said = run_inside(host, code)
    assert isinstance(said, str)
    assert "external_ids:yun=gateway" in said
    assert "br-ex" in host.run("ovs-vsctl", "list-br")
    host.run("ovs-vsctl", "del-br", "br-ex")


def test_ports_of_dead_machines_go_and_all_others_stay(host: PrivateHost) -> None:
    def add(name: str, port: str, *more: str) -> None:
        host.run("ovs-vsctl", "add-port", "br-int", name, "--", "set", "Interface", name,
                 f"external_ids:iface-id={port}", *more)  # fmt: skip

    until = time.monotonic() + 15
    while "br-int" not in host.run("ovs-vsctl", "list-br"):
        assert time.monotonic() < until
        time.sleep(0.1)
    mac = "external_ids:attached-mac=52\\:54\\:00\\:00\\:00\\:01"
    add("vnet8", "dead", mac)
    add("vnet9", "kept", mac)
    host.run("ip", "tuntap", "add", "dev", "vnet7", "mode", "tap")
    add("vnet7", "alive", mac)
    add("foreign0", "foreign")
    assert run_inside(host, "print(json.dumps(m.remove_stale_ports(['kept'])))") == ["dead"]
    left = host.run("ovs-vsctl", "list-ports", "br-int").split()
    assert {"vnet7", "vnet9", "foreign0"} <= set(left)
    assert "vnet8" not in left


def test_the_chassis_settings_of_before_are_put_back_and_a_strangers_controller_goes_on(tmp_path: Path) -> None:
    host = PrivateHost("yunold", tmp_path / "yunold")
    try:
        run_inside(host, "for n in ('openvswitch', 'ovn-central'): m.start_service(n)\nprint('0')")
        host.run("/usr/share/ovn/scripts/ovn-ctl", "start_controller")
        named = "external_ids:hostname=elsewhere"
        host.run("ovs-vsctl", "set", "Open_vSwitch", ".", named, "external_ids:ovn-encap-ip=192.0.2.7")
        look = "print(json.dumps([ovs.external_ids(), Path('/etc/openvswitch/system-id.conf').read_text()]))"
        before = run_inside(host, look)
        time.sleep(1)
        bridges = host.run("ovs-vsctl", "list-br")
        run_inside(host, "m.set_chassis_name('node1'); print(0)")
        assert run_inside(host, look) != before
        until = time.monotonic() + 15
        while "br-int" not in host.run("ovs-vsctl", "list-br"):
            assert time.monotonic() < until
            time.sleep(0.1)
        run_inside(host, "m.forget_chassis(); print(0)")
        time.sleep(1)  # a controller makes its bridge by itself, whether or not it was told of a database
        assert run_inside(host, look) == before
        assert host.run("ovs-vsctl", "list-br") == bridges
        assert states(host)["ovn-controller"] == "running"
        assert "ovn-controller" not in run_inside(host, "print(json.dumps(m.started_services()))")  # type: ignore[operator]
    finally:
        host.close()


def test_the_boot_sector_proves_itself_under_emulation() -> None:
    assert kvm.run_boot_sector("tcg", 10.0) == (True, "proved")


def test_a_boot_sector_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "boot_sector", lambda: b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa")
    assert kvm.run_boot_sector("tcg", 0.7) == (False, "too_slow")


def test_a_sector_that_says_the_wrong_thing_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = bytes.fromhex("b010e6f4f4").ljust(510, b"\0") + b"\x55\xaa"
    monkeypatch.setattr(kvm, "boot_sector", lambda: wrong)
    assert kvm.run_boot_sector("tcg", 10.0) == (False, "wrong_answer")


def test_the_installed_qemu_tells_its_version() -> None:
    assert kvm.qemu_version()[0].isdigit()


def test_the_probe_of_this_machine_ends_quickly(tmp_path: Path) -> None:
    began = time.monotonic()
    accel, reason = kvm.choose("auto", tmp_path / "kvm.json", "boot", "7.2")
    assert time.monotonic() - began < 5
    assert (accel == "kvm") == (reason == "proved")
