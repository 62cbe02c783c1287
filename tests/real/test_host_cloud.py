"""The whole way of a new user, in a private host: up, hello answers, undo of its deletion, down, nothing left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.real.cloud import STATE, YUN, bare_machine
from tests.real.private_host import PrivateHost

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateHost]:
    """A machine that Yun has never seen."""
    with bare_machine("barebox", tmp_path_factory.mktemp("barebox")) as made:
        yield made


def test_a_new_users_whole_way(box: PrivateHost) -> None:
    """One test, since each part needs the one before: the order is the user's own."""
    said = box.run(YUN, "up", timeout=600)
    assert "SSH to hello" in said
    assert "http://127.0.0.1:8480" in said
    address = hello(box)["addresses_outside"]
    assert "yun ssh hello" in said
    assert address in said
    for secret in ("yun.db", "root.token", "admin.password"):
        assert box.run("stat", "-c", "%a", f"{STATE}/{secret}").strip() == "600"
    assert "masquerade" in box.run("nft", "list", "table", "inet", "yun")

    began = time.monotonic()
    again = box.run(YUN, "up", "--no-hello", timeout=120)
    assert "already running" in again, again
    assert time.monotonic() - began < 15

    before = hello(box)
    box.run(YUN, "instance", "delete", "hello", timeout=120)
    assert json.loads(box.run(YUN, "-o", "json", "instance", "list")) == []
    box.run(YUN, "undo", timeout=120)
    assert hello(box) == before

    told = box.run(YUN, "doctor", "-o", "json", check=False)
    assert [f["text"] for f in json.loads(told)["findings"] if f["level"] == "error"] == []

    box.run(YUN, "down")
    assert "ins_" in box.run("virsh", "list", "--name")
    assert box.run(YUN, "down", "--guests", timeout=120)
    assert box.run("sh", "-c", "pgrep -c 'ovs|ovn|libvirtd|virtlogd|qemu' || true").strip() == "0"

    assert "There is no cloud" in box.run("env", f"YUN_STATE_DIR={STATE}-typo", YUN, "down", "--purge", "--yes")
    box.run("hostname", "renamed")
    box.run(YUN, "up", "--no-hello", timeout=120)
    until = time.monotonic() + 60
    while hello(box) != before:
        assert time.monotonic() < until, hello(box)
        time.sleep(0.5)
    chassis = box.run("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:system-id")
    assert chassis.strip().strip('"') == "barebox"

    box.run(YUN, "down", "--purge", "--yes", timeout=120)
    assert box.run("cat", "/etc/openvswitch/system-id.conf").strip() not in ("barebox", "renamed")
    assert box.run("ls", "-A", STATE) == ""
    assert box.run("nft", "list", "tables").strip() == ""
    assert "br-ex" not in box.run("ip", "-br", "link")
    assert box.run("ls", "/usr/local/bin").split() == []


def hello(box: PrivateHost) -> dict[str, str]:
    """What must survive deletion and undo: id, state, address inside and outside."""
    found = json.loads(box.run(YUN, "-o", "json", "instance", "show", "hello"))
    port = found["ports"][0]
    outside = port["floating_ip"]["address"] if isinstance(port["floating_ip"], dict) else port["floating_ip"]
    return {"id": found["id"], "state": found["state"], "address": port["address"], "addresses_outside": outside}
