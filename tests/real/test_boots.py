"""Machines that boot from a CD, on old hardware, by UEFI with a TPM; and memory that grows in a real guest."""

from __future__ import annotations

import re
import shutil
import time

import pytest

from tests.real.boot_media import BEGINS, ENDS, installer
from tests.real.cloud import STATE, Desk, until
from tests.real.hypervisor_room import CACHE
from yun.images import builders

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]


def said(desk: Desk, identifier: str) -> str:
    """Everything that its serial port said."""
    return desk.host.run("cat", f"{STATE}/logs/serial/{identifier}.log", check=False)


def inside(desk: Desk, identifier: str, command: str) -> str:
    """What a command prints in the guest."""
    done = desk.yun("instance", "run", identifier, "sh", "-c", command)["operation"]["result"]
    return str(done["stdout"]).strip()


def booted(desk: Desk, identifier: str, boots: int = 0) -> None:
    """Its system is up, for the so many-th time (0: at all), and its agent has told of it."""
    until(lambda: said(desk, identifier).count("login: ") >= boots, 240)
    until(lambda: desk.shown(identifier)["agent"], 120)


def test_a_machine_is_installed_from_a_cd_and_later_from_it_once_again(desk: Desk) -> None:
    work = desk.host.directory / "cd"
    work.mkdir()
    cd = installer(builders.build("tiny", CACHE, lambda: None), work)
    desk.yun("image", "import", "installer", "--file", str(cd))
    made = desk.yun("instance", "create", "cd", "--iso", "installer", "--flavor", "mini")
    identifier = made["id"]
    booted(desk, identifier, 1)
    log = said(desk, identifier)
    assert [log.count(w) for w in (BEGINS, ENDS)] == [1, 1], "it restarted into what it had installed"
    assert [d["name"] for d in desk.yun("instance", "boot-order", identifier)["order"]] == ["vda", "sdi"]
    inside(desk, identifier, "echo mine > /root/mark; sync")

    desk.yun("instance", "reboot", identifier)
    booted(desk, identifier, 2)
    assert inside(desk, identifier, "cat /root/mark") == "mine"

    desk.yun("instance", "boot-once", identifier, "cd")
    assert desk.yun("instance", "boot-order", identifier)["once"]["name"] == "sdi"
    assert "<boot order='1'/>" in _device(desk, identifier, "vda"), "the definition is as ever until it starts"
    desk.yun("instance", "reboot", identifier)
    assert desk.yun("instance", "boot-order", identifier)["once"] is None
    booted(desk, identifier, 3)
    log = said(desk, identifier)
    assert [log.count(w) for w in (BEGINS, ENDS)] == [2, 2], "once from the CD; the guest's own restart from the disk"
    assert inside(desk, identifier, "cat /root/mark 2>/dev/null; true") == ""
    assert "<boot order='1'/>" in _device(desk, identifier, "vda")

    desk.yun("instance", "boot-order", identifier, "cd", "disk")
    desk.yun("instance", "stop", identifier, "--force")
    desk.yun("instance", "start", identifier)
    until(lambda: said(desk, identifier).count(BEGINS) == 3, 120)
    desk.yun("instance", "delete", identifier, "--force")
    desk.yun("instance", "purge", identifier, "--yes")
    desk.yun("image", "delete", "installer")
    shutil.rmtree(work)


def _device(desk: Desk, identifier: str, slot: str) -> str:
    """The XML of a disk in the definition."""
    xml = desk.host.run("virsh", "dumpxml", "--inactive", identifier)
    return next(d for d in re.findall(r"<disk .*?</disk>", xml, re.DOTALL) if f"dev='{slot}'" in d)


def test_a_machine_of_old_hardware_becomes_a_modern_one(desk: Desk) -> None:
    """SATA and e1000 first, then virtio, then UEFI with a TPM, then memory that grows and shrinks while it runs."""
    builders.build("tiny-generic", CACHE, lambda: None)
    desk.host.run("cp", "-a", f"{CACHE}/.", f"{desk.host.directory}/root{STATE}/builds")
    desk.yun("image", "build", "tiny-generic")
    made = desk.yun("instance", "create", "old", "--image", "tiny-generic", "--flavor", "mini")
    identifier = made["id"]
    booted(desk, identifier)
    assert [(d["slot"], d["bus"]) for d in desk.shown(identifier)["disks"]] == [("sdh", "sata")]
    assert [p["model"] for p in desk.shown(identifier)["ports"]] == ["e1000"]
    assert "/dev/sd" in inside(desk, identifier, "grep ' / ' /proc/mounts")
    assert inside(desk, identifier, "basename $(readlink /sys/class/net/eth0/device/driver)") == "e1000"
    inside(desk, identifier, "echo mine > /root/mark; sync")

    desk.yun("instance", "stop", identifier)
    desk.yun("volume", "change-bus", desk.shown(identifier)["disks"][0]["volume_id"], "virtio")
    desk.yun("instance", "change-nic", identifier, made["ports"][0]["mac"], "--model", "virtio")
    desk.yun("instance", "start", identifier)
    booted(desk, identifier)
    assert "/dev/vda" in inside(desk, identifier, "grep ' / ' /proc/mounts")
    assert inside(desk, identifier, "basename $(readlink /sys/class/net/eth0/device/driver)") == "virtio_net"
    assert inside(desk, identifier, "cat /root/mark") == "mine"

    desk.yun("instance", "stop", identifier)
    desk.yun("instance", "configure", identifier, "--firmware", "uefi", "--tpm", "--memory-max", "1G")
    desk.yun("instance", "start", identifier)
    booted(desk, identifier)
    assert inside(desk, identifier, "test -d /sys/firmware/efi && echo uefi") == "uefi"
    assert inside(desk, identifier, "cat /root/mark") == "mine"
    memory_grows_and_shrinks(desk, identifier)
    desk.yun("instance", "delete", identifier, "--force")
    desk.yun("instance", "purge", identifier, "--yes")
    desk.yun("image", "delete", "tiny-generic")


def memory_grows_and_shrinks(desk: Desk, identifier: str) -> None:
    """The guest itself counts more, and less again, while it runs."""

    def mib() -> int:
        return int(inside(desk, identifier, "awk '/MemTotal/ {print $2}' /proc/meminfo")) // 1024

    before, begun = mib(), time.monotonic()
    desk.yun("instance", "resize", identifier, "--memory", "768M")
    until(lambda: mib() >= before + 200, 60)
    grown = mib()
    assert desk.shown(identifier)["pending"] == []
    desk.yun("instance", "resize", identifier, "--memory", "512M")
    until(lambda: mib() <= grown - 200, 60)
    assert time.monotonic() - float(inside(desk, identifier, "cut -d. -f1 /proc/uptime")) < begun, "it never restarted"
