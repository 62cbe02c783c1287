"""A real machine that runs out of places: what it is given then waits for its next start, as the preview says."""

from __future__ import annotations

import pytest

from tests.real.cloud import Desk
from tests.real.test_boots import booted, inside

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
FULL = "The running instance has no free place for one more device: it gets it at its next start."


def test_a_full_machine_is_given_what_it_has_no_place_for_at_its_next_start(desk: Desk) -> None:
    identifier = desk.yun("instance", "create", "full", "--image", "tiny", "--flavor", "mini")["id"]
    booted(desk, identifier)
    add = ("instance", "add-disk", identifier, "--size", "1M")
    count = 0
    while FULL not in desk.yun("--dry-run", *add)["effects"]:
        assert desk.yun(*add)["operation"]["result"]["effect"] == "live"
        count += 1
        assert count < 20
    assert count > 5
    disks = "grep -c 'vd[b-z]$' /proc/partitions"
    assert inside(desk, identifier, disks) == str(count), "its guest has each"

    assert desk.yun(*add)["operation"]["result"]["effect"] == "next"
    assert FULL in desk.yun("--dry-run", "instance", "add-nic", identifier)["effects"]
    assert desk.yun("instance", "add-nic", identifier)["operation"]["result"]["effect"] == "next"
    assert desk.yun(*add, "--bus", "scsi")["operation"]["result"]["effect"] == "live"
    shown = desk.shown(identifier)
    assert [d["waits"] for d in shown["disks"]].count(True) == [p["waits"] for p in shown["ports"]].count(True) == 1
    assert inside(desk, identifier, disks) == str(count)

    desk.yun("instance", "reboot", identifier)
    booted(desk, identifier, 2)
    assert inside(desk, identifier, disks) == str(count + 1)
    assert inside(desk, identifier, "ls /sys/class/net | grep -c eth") == "2"
    shown = desk.shown(identifier)
    assert not any(thing["waits"] for thing in (*shown["disks"], *shown["ports"]))
    desk.clear()
    for disk in desk.yun("volume", "list"):
        desk.yun("volume", "delete", disk["id"])
        desk.yun("trash", "purge", disk["name"], "--yes")
