"""Clones of real machines: running and stopped, each an individual, the process killed in the middle."""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import Any

import pytest

from tests.real.cloud import STATE, Desk, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]
SERVER = ("--image", "tiny", "--flavor", "tiny", "--floating-ip")
IDENTITY = "hostname; cat /sys/class/net/eth0/address; sha256sum < /etc/dropbear/dropbear_ed25519_host_key"


def test_a_running_machine_is_cloned_and_both_answer_as_individuals(desk: Desk) -> None:
    """One test, since each part needs the one before."""
    desk.clear()
    made = desk.yun("instance", "create", "web", *SERVER, "--key", f"{desk.key}.pub")
    identifier, address = made["id"], made["floating_ips"][0]
    until(lambda: desk.ssh(address, "hostname"), 120)
    until(lambda: desk.shown("web")["agent"], 60)
    desk.ssh(address, "echo mark > /root/mark; while :; do cat /proc/uptime; usleep 20000; done > /tmp/beat &")

    cloned = desk.yun("instance", "clone", "web", "copy")
    assert cloned["operation"]["result"]["consistency"] == "quiesced"
    other = desk.yun("floating-ip", "allocate")["address"]
    desk.yun("floating-ip", "associate", other, "copy")
    assert until(lambda: desk.ssh(other, "cat /root/mark"), 120) == "mark"
    ours, theirs = desk.ssh(address, IDENTITY).split("\n"), desk.ssh(other, IDENTITY).split("\n")
    assert (ours[0], theirs[0]) == ("web", "copy")
    assert ours[1] != theirs[1], "MAC"
    assert ours[2] != theirs[2], "SSH host key"
    copy = desk.shown("copy")
    assert set(copy["addresses"]).isdisjoint(desk.shown("web")["addresses"])
    assert genid(desk, identifier) != genid(desk, copy["id"])
    assert longest_pause(desk.ssh(address, "cat /tmp/beat")) < 1.0, "the source hardly noticed"

    desk.ssh(address, "echo ours > /root/own; sync")
    desk.ssh(other, "echo theirs > /root/own; sync")
    assert desk.ssh(address, "cat /root/own") == "ours"
    agrees(desk, identifier)
    flattened(desk, identifier, address)
    goes_out_while_it_runs(desk, address)
    restarts(desk, identifier, address)
    killed_in_the_middle(desk, identifier, address)
    full_and_stopped(desk, identifier)
    image_of(desk, identifier)
    desk.clear()
    desk.yun("image", "delete", "golden")
    desk.yun("trash", "purge", "golden", "--yes")


def goes_out_while_it_runs(desk: Desk, address: str) -> None:
    """An OVA of the running machine holds what was written before, unsynced; a machine made of it starts with that."""
    desk.ssh(address, "echo moment > /root/moment")
    file = f"{STATE}/web.ova"
    made = desk.yun("instance", "export", "web", file)
    assert made["consistency"] == "quiesced"
    assert longest_pause(desk.ssh(address, "cat /tmp/beat")) < 1.5, "the source hardly noticed"
    desk.yun("instance", "import", file, "back")
    desk.yun("instance", "start", "back")
    outside = desk.yun("floating-ip", "allocate")["address"]
    desk.yun("floating-ip", "associate", outside, "back")
    assert until(lambda: desk.ssh(outside, "cat /root/moment"), 240) == "moment"
    desk.yun("floating-ip", "disassociate", outside)
    desk.yun("instance", "delete", "back")
    desk.host.run("rm", file)


def genid(desk: Desk, identifier: str) -> str:
    """The VM generation id of a domain."""
    return desk.host.run("sh", "-c", f"virsh dumpxml {identifier} | grep genid").strip()


def longest_pause(beats: str) -> float:
    """Seconds between two beats of the guest's clock at most."""
    times = [float(line.split()[0]) for line in beats.splitlines() if line.count(" ") == 1]
    assert len(times) > 20
    return max(b - a for a, b in itertools.pairwise(times))


def agrees(desk: Desk, identifier: str) -> None:
    """The rows, the files and the chain that QEMU really has open are the same."""
    rows = desk.yun("volume", "show", desk.shown(identifier)["disks"][0]["volume_id"])
    xml = desk.host.run("virsh", "domblklist", identifier)
    path = next(line.split()[1] for line in xml.splitlines() if line.strip().startswith("vda"))
    chain = json.loads(desk.host.run("qemu-img", "info", "-U", "--backing-chain", "--output=json", path))
    assert chain[0]["filename"] == path
    assert rows["state"] == "available"
    said = desk.host.run("qemu-img", "check", "-U", "-q", path, check=False)
    assert not said.strip(), said
    desk.yun("pool", "show", "default")
    modes = desk.host.run("stat", "-c", "%a", *[c["filename"] for c in chain[1:]]).split()
    assert set(modes) == {"444"}


def flattened(desk: Desk, identifier: str, address: str) -> None:
    """The running source's chain becomes short again; the guest, its process and its data go on."""
    volume, process = desk.shown(identifier)["disks"][0]["volume_id"], desk.process(identifier)
    assert desk.yun("volume", "show", volume)["depth"] == 2
    desk.yun("volume", "flatten", volume)
    assert desk.yun("volume", "show", volume)["depth"] == 1
    assert desk.process(identifier) == process
    assert desk.ssh(address, "cat /root/mark /root/own") == "mark\nours"
    agrees(desk, identifier)


def image_of(desk: Desk, identifier: str) -> None:
    """An image of the stopped source makes machines that are individuals."""
    made = desk.yun("instance", "make-image", identifier, "golden")
    assert made["operation"]["result"]["consistency"] == "stopped"
    server = ("--image", "golden", "--flavor", "tiny", "--floating-ip", "--key", f"{desk.key}.pub")
    child = desk.yun("instance", "create", "child", *server)
    assert until(lambda: desk.ssh(child["floating_ips"][0], "hostname; cat /root/mark"), 120) == "child\nmark"


def restarts(desk: Desk, identifier: str, address: str) -> None:
    """The source starts again from its new head, with all that it wrote before and after."""
    desk.yun("instance", "reboot", identifier, "--hard")
    assert until(lambda: desk.ssh(address, "cat /root/mark /root/own"), 120) == "mark\nours"


def killed_in_the_middle(desk: Desk, identifier: str, address: str) -> None:
    """The cloud's process dies at several moments of a clone: each one ends, and the source goes on writing."""
    for number, moment in enumerate((0.05, 0.2, 0.4)):
        until(lambda: desk.shown(identifier)["agent"], 60)
        started = threading.Thread(
            target=desk.yun, args=("instance", "clone", "web", f"k{number}", "--no-start", "--no-wait"),
            kwargs={"check": False},
        )  # fmt: skip
        started.start()
        until(lambda n=number: [i for i in instances(desk) if i["name"] == f"k{n}"], 30)
        time.sleep(moment)
        desk.signal_cloud("KILL")
        started.join()
        desk.up()
        desk.settle()
        assert [i["state"] for i in instances(desk) if i["name"] == f"k{number}"] in ([], ["stopped"])
        desk.ssh(address, f"echo {number} >> /root/after; sync")
        agrees(desk, identifier)
    assert desk.ssh(address, "cat /root/after").split() == ["0", "1", "2"]
    restarts(desk, identifier, address)
    assert desk.ssh(address, "cat /root/after").split() == ["0", "1", "2"]


def instances(desk: Desk) -> list[dict[str, Any]]:
    """All instances."""
    found: list[dict[str, Any]] = desk.yun("instance", "list")
    return found


def full_and_stopped(desk: Desk, identifier: str) -> None:
    """A full copy stands on nothing; one of a stopped machine boots as well as one of a running one."""
    desk.yun("instance", "stop", identifier, "--force")
    cloned = desk.yun("instance", "clone", "web", "whole", "--full", "--no-start")
    assert cloned["operation"]["result"]["consistency"] == "stopped"
    desk.yun("instance", "start", "whole")
    path = desk.host.run("sh", "-c", f"virsh domblklist {cloned['id']} | grep vda").split()[1]
    assert path.startswith(f"{STATE}/pool/heads/")
    info = json.loads(desk.host.run("qemu-img", "info", "-U", "--output=json", path))
    assert "backing-filename" not in info
    until(lambda: desk.shown("whole")["agent"], 120)
