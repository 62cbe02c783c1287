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
    assert desk.yun("image", "show", "installer")["boots"] == "bios"
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
    copied_with_its_firmware_and_tpm(desk, identifier)
    desk.yun("instance", "delete", identifier, "--force")
    desk.yun("instance", "purge", identifier, "--yes")
    desk.yun("image", "delete", "tiny-generic")
    desk.yun("trash", "purge", "tiny-generic", "--yes")


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


def copied_with_its_firmware_and_tpm(desk: Desk, identifier: str) -> None:
    """Running and stopped: a linked clone has files of its own for what UEFI and TPM keep, as the source's are; it
    boots, its TPM has the source's keys, and the source goes on as it was."""
    key, ours = endorsement_key(desk, identifier), places(desk, identifier)
    warm = desk.yun("instance", "clone", identifier, "warm", "--no-start")["id"]
    theirs = places(desk, warm)
    assert set(theirs).isdisjoint(ours)
    assert digests(desk, theirs) == digests(desk, ours)
    assert endorsement_key(desk, identifier) == key, "the running source's TPM works on"
    desk.yun("instance", "delete", warm, "--force")
    desk.yun("instance", "purge", warm, "--yes")
    assert digests(desk, theirs) == ["", ""], "it leaves nothing behind"

    desk.yun("instance", "stop", identifier)
    before = digests(desk, ours)
    assert "" not in before
    cold = desk.yun("instance", "clone", identifier, "cold", "--no-start")["id"]
    assert digests(desk, places(desk, cold)) == before, "byte by byte"
    assert depth(desk, cold) == depth(desk, identifier), "linked: both stand on the same layer"
    desk.yun("instance", "start", cold)
    booted(desk, cold)
    assert inside(desk, cold, "hostname; test -d /sys/firmware/efi && echo uefi; cat /root/mark") == "cold\nuefi\nmine"
    assert endorsement_key(desk, cold) == key, "what was sealed by the source's TPM can be opened"
    xml = desk.host.run("virsh", "dumpxml", cold)
    assert places(desk, cold)[0] in xml
    assert identifier not in xml, "nothing of the source's"
    assert digests(desk, ours) == before, "the copy's boot wrote to its own files alone"
    desk.yun("instance", "delete", cold, "--force")
    desk.yun("instance", "purge", cold, "--yes")
    desk.yun("instance", "start", identifier)
    booted(desk, identifier)
    assert inside(desk, identifier, "cat /root/mark") == "mine"
    assert endorsement_key(desk, identifier) == key


def places(desk: Desk, identifier: str) -> list[str]:
    """Where the host keeps the variables of a machine's UEFI, and the state of its TPM."""
    uuid = desk.host.run("virsh", "domuuid", identifier).strip()
    return [f"{STATE}/pool/seeds/{identifier}.nvram", f"/var/lib/libvirt/swtpm/{uuid}/tpm2/tpm2-00.permall"]


def digests(desk: Desk, files: list[str]) -> list[str]:
    """Of each file; empty for what is not there."""
    return [desk.host.run("sha256sum", file, check=False)[:64] for file in files]


def depth(desk: Desk, identifier: str) -> int:
    """Layers below its disk."""
    return int(desk.yun("volume", "show", desk.shown(identifier)["disks"][0]["volume_id"])["depth"])


EK_TEMPLATE = (
    "0023" "000b" "000300b2"  # an elliptic key, named by SHA-256, restricted to decryption
    "0020" "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"
    "0006" "0080" "0043" "0010" "0003" "0010" "0000" "0000"
)  # fmt: skip
"""The public area of the endorsement key by which a TPM is known (TCG EK credential profile, P-256)."""


def endorsement_key(desk: Desk, identifier: str) -> str:
    """The key that the guest's TPM makes of its seed: TPM2_CreatePrimary by hand, since the guest has no tools."""
    body = (
        "00000131" "4000000b" "00000009" "40000009" "0000" "00" "0000"  # below the endorsement hierarchy, no password
        "0004" "0000" "0000" f"{len(EK_TEMPLATE) // 2:04x}{EK_TEMPLATE}" "0000" "00000000"
    )  # fmt: skip
    command = f"8002{len(body) // 2 + 6:08x}{body}"
    octal = "".join(f"\\{byte:03o}" for byte in bytes.fromhex(command))
    talk = f"exec 3<>/dev/tpmrm0; printf '{octal}' >&3; dd bs=4096 count=1 <&3 2>/dev/null | od -An -v -tx1"
    said = inside(desk, identifier, talk)
    answer = bytes.fromhex("".join(said.split()))
    assert answer[:2] == b"\x80\x02", said
    assert answer[6:10] == bytes(4), said
    public = answer[20 : 20 + int.from_bytes(answer[18:20], "big")]
    assert public[:8] == bytes.fromhex(EK_TEMPLATE[:16])
    return public.hex()
