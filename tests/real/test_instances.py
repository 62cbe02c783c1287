"""Instances on real libvirt and OVN, in a private host: made, reached, killed, stopped, deleted, back, purged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.real.cloud import Desk, until
from tests.real.disk_side import limited
from tests.real.guest_side import inside

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
NAME = '网站 <web> & "co" $(id)'


def test_the_whole_life_of_a_machine(desk: Desk) -> None:
    """One test, since each part needs the one before."""
    made = desk.yun(
        "instance", "create", NAME, "--hostname", "web", "--image", "tiny", "--flavor", "tiny", "--floating-ip",
        "--key", f"{desk.key}.pub", "--password-file", str(desk.host.directory / "password"),
    )  # fmt: skip
    assert made["state"] == "running"
    identifier, address = made["id"], made["floating_ips"][0]
    assert "密码" not in json.dumps(made, ensure_ascii=False)
    assert until(lambda: desk.ssh(address, "hostname"), 120) == "web"
    assert NAME in desk.host.run("virsh", "desc", "--title", identifier)
    before = desk.definition(identifier)
    desk.ssh(address, "echo mark > /root/mark; sync")

    inside(desk, identifier, address)
    disks_come_and_go(desk, identifier, address)
    cards_come_and_go(desk, identifier)
    killed_is_noticed_and_mended(desk, identifier)
    pulled_plug_is_noticed(desk, identifier)
    power(desk, identifier)

    assert until(lambda: desk.ssh(address, "cat /root/mark"), 120) == "mark"
    deletion = desk.yun("instance", "delete", NAME)
    assert identifier not in desk.host.run("virsh", "list", "--all", "--name")
    assert desk.shown(identifier)["state"] == "trashed"
    desk.yun("undo", deletion["operation"]["id"])
    assert desk.shown(NAME)["state"] == "running"
    assert desk.shown(NAME)["floating_ips"] == [address]
    assert desk.definition(identifier) == before
    assert desk.yun("volume", "show", "data")["attachment"] is None
    assert until(lambda: desk.ssh(address, "cat /root/mark"), 120) == "mark"

    heads = Path("/var/lib/yun/pool/heads")
    assert desk.host.run("ls", str(heads)).split()
    desk.yun("instance", "delete", NAME, "--force")
    desk.yun("instance", "purge", NAME, "--yes")
    desk.yun("volume", "delete", "data")
    for name in ("data", "extra"):
        desk.yun("trash", "purge", name, "--yes")
    assert desk.host.run("ls", str(heads)).split() == []
    assert desk.host.run("ls", str(heads.parent / "seeds")).split() == []
    assert desk.yun("instance", "list", "--state", "trashed") == []


def disks_come_and_go(desk: Desk, identifier: str, address: str) -> None:
    """Plugged in, written to, grown, taken out and put back while the guest runs; the definition says the same."""

    def blocks(slot: str) -> int:
        """KiB that the guest sees in a slot; 0 for an empty one."""
        return int(desk.ssh(address, f"grep ' {slot}$' /proc/partitions | awk '{{print $3}}'") or 0)

    desk.yun("volume", "create", "data", "--size", "32M")
    attached = desk.yun("volume", "attach", "data", identifier, "--serial", "data-1")
    until(lambda: blocks("vdb") == 32 * 1024, 20)
    desk.ssh(address, "echo kept > /dev/vdb; sync")
    desk.yun("volume", "grow", "data", "64M")
    until(lambda: blocks("vdb") == 64 * 1024, 20)
    limited(desk, identifier, address)
    moved_under_its_guest(desk, identifier, address)
    detached = desk.yun("volume", "detach", "data")
    assert detached["operation"]["result"]["effect"] == "live"
    until(lambda: blocks("vdb") == 0, 20)
    assert "vdb" not in desk.definition(identifier)
    desk.yun("undo", detached["operation"]["id"])
    until(lambda: blocks("vdb") == 64 * 1024, 20)
    assert desk.ssh(address, "head -c 4 /dev/vdb") == "kept"
    desk.yun("undo", attached["operation"]["id"])
    until(lambda: blocks("vdb") == 0, 20)
    added = desk.yun("instance", "add-disk", identifier, "--size", "16M", "--bus", "scsi", "--name", "extra")
    until(lambda: blocks("sda") == 16 * 1024, 20)
    desk.yun("undo", added["operation"]["id"])
    desk.yun("volume", "delete", "extra")


def moved_under_its_guest(desk: Desk, identifier: str, address: str) -> None:
    """A disk in use goes to another pool and back: no reboot, no byte lost, no file left behind."""
    second = "/var/lib/yun/second"
    desk.yun("pool", "create", "second", second)
    process = desk.process(identifier)
    desk.ssh(address, "dd if=/dev/urandom of=/dev/vdb bs=1M seek=1 count=20 conv=fsync 2>/dev/null")
    before = desk.ssh(address, "md5sum < /dev/vdb")
    moved = desk.yun("volume", "move", "data", "second")
    assert moved["operation"]["result"]["effect"] == "live"
    assert f"{second}/heads/" in desk.host.run("virsh", "dumpxml", identifier)
    assert len(desk.host.run("ls", f"{second}/heads").split()) == 1
    assert desk.ssh(address, "echo 3 > /proc/sys/vm/drop_caches; md5sum < /dev/vdb") == before
    desk.ssh(address, "echo after | dd of=/dev/vdb bs=512 seek=4096 conv=notrunc,fsync 2>/dev/null")
    after = desk.ssh(address, "md5sum < /dev/vdb")
    desk.yun("undo", moved["operation"]["id"])
    assert desk.ssh(address, "echo 3 > /proc/sys/vm/drop_caches; md5sum < /dev/vdb") == after != before
    assert desk.process(identifier) == process
    assert desk.host.run("ls", f"{second}/heads").split() == []
    # The disk it boots from, with the base file that it stands on.
    root = desk.yun("volume", "move", desk.shown(identifier)["disks"][0]["volume_id"], "second")
    assert root["operation"]["result"]["effect"] == "live"
    assert desk.ssh(address, "echo 3 > /proc/sys/vm/drop_caches; cat /root/mark; sync") == "mark"
    desk.yun("undo", root["operation"]["id"])
    assert desk.ssh(address, "echo 3 > /proc/sys/vm/drop_caches; cat /root/mark") == "mark"
    assert desk.process(identifier) == process


def cards_come_and_go(desk: Desk, identifier: str) -> None:
    """A second card answers in its network, loses its carrier, moves to another network, and goes."""

    def inside(command: str) -> str:
        """What a command prints in the guest, by its agent: with two ways out, the way in may be the wrong one."""
        done = desk.yun("instance", "run", identifier, "sh", "-c", command, check=False)
        return str(done["operation"]["result"]["stdout"]).strip()

    def card(word: str) -> str:
        """What the guest's kernel says of its second card; nothing where it has none."""
        return inside(f"cat /sys/class/net/eth1/{word} 2>/dev/null")

    def answers(gateway: str) -> bool:
        """Whether the gateway answers the guest through its second card."""
        return "1 packets received" in inside(f"ping -c 1 -W 2 -I eth1 {gateway}")

    for name, cidr in (("back", "10.66.0.0/24"), ("front", "10.67.0.0/24")):
        desk.yun("network", "create", name, "--cidr", cidr)
    added = desk.yun("instance", "add-nic", identifier, "--network", "back", "--mac", "52:54:00:00:66:01")
    assert added["operation"]["result"]["effect"] == "live"
    until(lambda: card("address") == "52:54:00:00:66:01", 20)
    until(lambda: answers("10.66.0.1"), 60)
    pulled = desk.yun("instance", "change-nic", identifier, "52:54:00:00:66:01", "--link", "down")
    until(lambda: card("carrier") == "0", 20)
    desk.yun("undo", pulled["operation"]["id"])
    until(lambda: card("carrier") == "1", 20)
    moved = desk.yun("instance", "change-nic", identifier, "52:54:00:00:66:01", "--network", "front")
    there = next(p["address"] for p in desk.shown(identifier)["ports"] if p["mac"] == "52:54:00:00:66:01")
    assert there.startswith("10.67.0.")
    inside("ip address flush dev eth1; udhcpc -i eth1 -n -q -t 10 -s /usr/lib/tiny/dhcp >/dev/null 2>&1")
    until(lambda: there in inside("ip -4 address show dev eth1"), 30)
    until(lambda: answers("10.67.0.1"), 30)
    desk.yun("undo", moved["operation"]["id"])
    removed = desk.yun("instance", "remove-nic", identifier, "52:54:00:00:66:01")
    assert removed["operation"]["result"]["effect"] == "live"
    until(lambda: card("address") == "", 20)
    assert "52:54:00:00:66:01" not in desk.definition(identifier)


def killed_is_noticed_and_mended(desk: Desk, identifier: str) -> None:
    """Seen in the history within two seconds of libvirt's own event, and running again without anybody's doing."""
    old = desk.process(identifier)
    desk.host.run("kill", "-9", str(old))
    until(lambda: desk.host.run("pgrep", "-f", f"guest={identifier}", check=False).split() not in ([], [str(old)]), 30)
    until(lambda: desk.shown(identifier)["state"] == "running" and not desk.shown(identifier)["task"], 20)
    titles = [o["kind"] for o in desk.yun("history", "instance", identifier)]
    assert "instance.tend" in titles


def pulled_plug_is_noticed(desk: Desk, identifier: str) -> None:
    """Left down where the policy says so."""
    desk.yun("instance", "update", identifier, "--on-crash", "leave")
    desk.host.run("virsh", "destroy", identifier)
    until(lambda: desk.shown(identifier)["state"] == "stopped", 10)
    assert desk.shown(identifier)["reason"] == "destroyed"
    desk.yun("instance", "start", identifier)


def power(desk: Desk, identifier: str) -> None:
    """Every verb of power, and the metrics of what runs."""
    desk.yun("instance", "pause", identifier)
    assert "paused" in desk.host.run("virsh", "domstate", identifier)
    desk.yun("instance", "resume", identifier)
    until(lambda: desk.yun("instance", "metrics", identifier)["points"], 40)
    resized = desk.yun("instance", "resize", identifier, "--memory", "160M")
    assert resized["pending"] == [{"field": "memory_mib", "now": 128, "next": 160}]
    desk.yun("instance", "reboot", identifier, "--timeout", "60")
    assert desk.shown(identifier)["pending"] == []
    assert "163840 KiB" in desk.host.run("virsh", "dominfo", identifier)
    stopped = desk.yun("instance", "stop", identifier, "--timeout", "90")
    assert stopped["operation"]["result"]["how"] in ("agent", "acpi", "cut")
    assert "shut off" in desk.host.run("virsh", "domstate", identifier)
    desk.yun("instance", "start", identifier)
    assert desk.shown(identifier)["state"] == "running"
