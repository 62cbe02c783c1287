"""Daemons killed, stopped and contradicted in the middle of what the whole cloud does: nothing is lost, nothing waits
for ever, and what was asked for comes to be."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.real.cloud import STATE, YUN, Desk, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
LIBVIRTD = "pgrep -x libvirtd"
NORTHBOUND = "pgrep -f 'ovsdb-server.*ovnnb_db[.]sock'"
SOUTHBOUND = "pgrep -f 'ovsdb-server.*ovnsb_db[.]sock'"
NORTHD = "pgrep -x ovn-northd"
CONTROLLER = "pgrep -x ovn-controller"
BOOTABLE = b"\x55\xaa"
SWITCH = "pgrep -x ovs-vswitchd"


@pytest.fixture(autouse=True)
def nothing_is_left(desk: Desk) -> Iterator[None]:
    """Each test finds the cloud up and empty, with all its daemons."""
    desk.up()
    yield
    desk.up()
    desk.settle()
    desk.clear()


def signal(desk: Desk, name: str, *which: str) -> None:
    """A signal to daemons of the private host."""
    for one in which:
        desk.host.run("sh", "-c", f"kill -{name} $({one})")


def ask_for(desk: Desk, name: str, *words: str) -> dict[str, Any]:
    """Ask for a machine without waiting for it."""
    made: dict[str, Any] = desk.yun(
        "instance", "create", name, "--image", "tiny", "--flavor", "nano", "--no-wait", *words
    )
    return made


def answers_in(desk: Desk, *words: str) -> float:
    """Seconds that the running cloud takes for an answer, without the command's own start."""
    began = time.monotonic()
    desk.yun(*words)
    return time.monotonic() - began


def agrees(desk: Desk, identifier: str) -> None:
    """The machine runs for libvirt, for OVN and in its row."""
    until(lambda: desk.shown(identifier)["state"] == "running", 60)
    assert desk.host.run("virsh", "domstate", identifier).strip() == "running"
    assert plugged(desk, identifier) in desk.host.run("ovn-nbctl", "--timeout=10", "show")
    until(lambda: plugged(desk, identifier) in chassis_ports(desk), 30)


def plugged(desk: Desk, identifier: str) -> str:
    """The name of the machine's port, for OVN and for the host's switch."""
    return re.findall(r"interfaceid='([^']+)'", desk.host.run("virsh", "dumpxml", identifier))[0]


@pytest.mark.parametrize("moment", [0.05, 0.4, 0.8])
def test_libvirtd_killed_in_the_middle_of_a_creation_is_only_a_pause(desk: Desk, moment: float) -> None:
    made = ask_for(desk, "halfway")
    time.sleep(moment)
    signal(desk, "KILL", LIBVIRTD)
    time.sleep(1)
    desk.yun("host", "start-service", "newbox", "libvirt")
    desk.settle()
    agrees(desk, made["id"])


def test_a_libvirtd_that_hangs_holds_up_nobody_else(desk: Desk) -> None:
    before = desk.yun("instance", "create", "before", "--image", "tiny", "--flavor", "nano")
    signal(desk, "STOP", LIBVIRTD)
    try:
        hung = desk.yun("instance", "pause", before["id"], "--no-wait")
        more = ask_for(desk, "meanwhile")
        assert answers_in(desk, "instance", "list") < 3
        assert answers_in(desk, "instance", "show", before["id"]) < 3
        made = desk.yun("security-group", "create", "apart")
        assert made["name"] == "apart"
        desk.yun("security-group", "delete", "apart")
        until(lambda: away(desk), 30)
        assert desk.shown(before["id"])["task"]
    finally:
        signal(desk, "CONT", LIBVIRTD)
    desk.settle()
    assert desk.yun("operation", "show", hung["operation"]["id"])["state"] == "succeeded"
    assert desk.shown(before["id"])["state"] == "paused"
    agrees(desk, more["id"])
    until(lambda: not away(desk), 30)


def away(desk: Desk) -> bool:
    """Whether the host's page says that libvirt does not answer."""
    services = desk.yun("host", "show", "newbox")["services"]
    return any(s["name"] == "libvirt" and s["state"] != "running" for s in services)


@pytest.mark.parametrize("daemons", [(NORTHBOUND,), (NORTHD, SOUTHBOUND), (CONTROLLER,), (SWITCH,)])
def test_daemons_of_the_network_killed_in_the_middle_of_making_and_removing(
    desk: Desk, daemons: tuple[str, ...]
) -> None:
    first = desk.yun("instance", "create", "first", "--image", "tiny", "--flavor", "nano", "--floating-ip")
    port = plugged(desk, first["id"])
    made = ask_for(desk, "second", "--floating-ip")
    gone = desk.yun("instance", "delete", first["id"], "--force", "--no-wait")
    time.sleep(0.2)
    signal(desk, "KILL", *daemons)
    time.sleep(1)
    desk.up()
    desk.settle()
    agrees(desk, made["id"])
    assert desk.yun("operation", "show", gone["operation"]["id"])["state"] == "succeeded"
    assert port not in chassis_ports(desk)
    assert port not in desk.host.run("ovn-nbctl", "--timeout=10", "show")
    desk.yun("undo", gone["operation"]["id"])
    agrees(desk, first["id"])
    assert plugged(desk, first["id"]) == port


def chassis_ports(desk: Desk) -> set[str]:
    """The ports that are plugged into the host's switch."""
    said = desk.host.run("ovs-vsctl", "--bare", "--columns=external_ids", "list", "Interface")
    return {word.removeprefix("iface-id=") for word in said.split() if word.startswith("iface-id=")}


def test_a_guest_is_reached_again_after_every_daemon_was_killed(desk: Desk) -> None:
    made = desk.yun(
        "instance", "create", "steady", "--image", "tiny", "--flavor", "tiny", "--floating-ip", "--key",
        f"{desk.key}.pub",
    )  # fmt: skip
    address = made["floating_ips"][0]
    born = until(lambda: desk.ssh(address, "cat /proc/sys/kernel/random/boot_id"), 120)
    process = desk.process(made["id"])
    signal(desk, "KILL", LIBVIRTD, NORTHBOUND, SOUTHBOUND, NORTHD, CONTROLLER, SWITCH)
    desk.signal_cloud("KILL")
    desk.up()
    assert until(lambda: desk.ssh(address, "cat /proc/sys/kernel/random/boot_id"), 60) == born
    assert desk.process(made["id"]) == process
    agrees(desk, made["id"])


def test_a_machine_undefined_behind_our_back_comes_back_as_itself(desk: Desk) -> None:
    made = desk.yun("instance", "create", "mine", "--image", "tiny", "--flavor", "nano")
    before = desk.definition(made["id"])
    desk.host.run("virsh", "undefine", "--nvram", made["id"])
    desk.host.run("virsh", "destroy", made["id"])
    until(lambda: made["id"] in desk.host.run("virsh", "list", "--name"), 60)
    agrees(desk, made["id"])
    assert desk.definition(made["id"]) == before
    assert "instance.tend" in [o["kind"] for o in desk.yun("history", "instance", made["id"])]


def test_a_second_cloud_on_one_state_directory_is_refused_and_the_first_goes_on(desk: Desk) -> None:
    words = ["timeout", "60", YUN, "serve", "--port", "8490"]
    said = desk.host.run("sh", "-c", '"$@" 2>&1; echo "ended with $?"', "sh", *words, timeout=90)
    assert "Another yun serve already works on" in said, said
    assert "Traceback" not in said
    assert "ended with 0" not in said
    assert "ended with 124" not in said
    made = desk.yun("instance", "create", "still", "--image", "tiny", "--flavor", "nano")
    assert made["state"] == "running"


@contextmanager
def big_file(desk: Desk, mib: int) -> Iterator[tuple[str, str]]:
    """A raw disk of data that does not shrink, inside the private host: its path and its SHA-256."""
    path = Path(desk.host.directory) / "big.raw"
    block = hashlib.sha256(b"yun").digest() * (2**20 // 32)
    total = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(mib):
            piece = number.to_bytes(8, "big") + block[8:510] + BOOTABLE + block[512:]
            file.write(piece)
            total.update(piece)
    try:
        yield str(path), total.hexdigest()
    finally:
        path.unlink()


@pytest.mark.parametrize("moment", [0.3, 1.2])
def test_a_copy_that_is_cut_by_a_kill_is_made_anew_and_whole(desk: Desk, moment: float) -> None:
    with big_file(desk, 700) as (path, digest):
        asked = desk.yun("image", "import", f"cut{moment}", "--host-file", path, "--no-wait")
        time.sleep(moment)
        desk.signal_cloud("KILL")
        desk.up()
        desk.settle()
        image = desk.yun("image", "show", f"cut{moment}")
        assert image["state"] == "active", asked
        copy = str(Path(path).with_name("copy.raw"))
        desk.yun("image", "export", f"cut{moment}", copy, "--format", "raw")
        assert desk.host.run("sha256sum", copy).split()[0] == digest
        Path(copy).unlink()
    desk.yun("image", "delete", f"cut{moment}")
    desk.yun("image", "purge", f"cut{moment}", "--yes")
    big = ("-size", "+100M", "-newer", str(desk.key), "-type", "f")
    finished_exports = ("-not", "-name", "exp_*")  # they wait a day for whoever downloads them again
    assert desk.host.run("find", STATE, *big, *finished_exports).split() == []


def test_an_upload_goes_on_after_the_cloud_was_ended_in_the_middle_of_it(desk: Desk) -> None:
    with big_file(desk, 400) as (path, digest):
        words = ["-o", "json", "image", "import", "climbing", "--file", path]
        enter = ["nsenter", "-t", str(desk.host.pid), "-m", "-u", "-n", "-i", "-p", "--"]
        sending = subprocess.Popen([*enter, YUN, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        until(lambda: desk.host.run("find", STATE, "-name", "*.part", "-size", "+1M").strip(), 30)
        desk.signal_cloud("TERM")
        time.sleep(1)
        desk.up()
        sending.communicate(timeout=120)
        assert sending.returncode == 0
        assert desk.yun("image", "show", "climbing")["state"] == "active"
        copy = str(Path(path).with_name("copy.raw"))
        desk.yun("image", "export", "climbing", copy, "--format", "raw")
        assert desk.host.run("sha256sum", copy).split()[0] == digest
        Path(copy).unlink()
    desk.yun("image", "delete", "climbing")
    desk.yun("image", "purge", "climbing", "--yes")
