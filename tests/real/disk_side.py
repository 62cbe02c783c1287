"""What a guest notices of how its disk is limited and named: a part of the test of a machine's whole life."""

from __future__ import annotations

import time

from tests.real.cloud import Desk, until

MOST = "total-bytes=1M"


def write(desk: Desk, address: str, mib: int) -> float:
    """How long the guest takes to write so many MiB down to its second disk; the tool's own patience is 10 s."""
    begun = time.monotonic()
    said = desk.ssh(address, f"dd if=/dev/zero of=/dev/vdb bs=1M seek=40 count={mib} conv=fsync && echo done")
    assert said == "done", f"{mib} MiB are not written after {time.monotonic() - begun:.1f} s"
    return time.monotonic() - begun


def limited(desk: Desk, identifier: str, address: str) -> None:
    """A budget of 1 MiB/s is felt at once, shared with another disk, taken back, put back, and lifted."""
    assert desk.ssh(address, "cat /sys/block/vdb/serial") == "data-1", "what /dev/disk/by-id is made of"
    process = desk.process(identifier)
    done = desk.yun("instance", "change-disk", identifier, "data", "--limit", MOST, "--limit-group", "slow")
    assert done["operation"]["result"]["effect"] == "live"
    assert write(desk, address, 4) > 2.5
    shared = desk.yun("instance", "change-disk", identifier, "vda", "--limit-group", "slow")
    tuned = desk.host.run("virsh", "blkdeviotune", identifier, "vda")
    assert "total_bytes_sec: 1048576" in tuned, tuned
    assert "slow" in tuned, tuned
    desk.yun("undo", shared["operation"]["id"])
    assert "total_bytes_sec: 0" in desk.host.run("virsh", "blkdeviotune", identifier, "vda")
    assert "total_bytes_sec: 1048576" in desk.host.run("virsh", "blkdeviotune", identifier, "vdb")
    desk.yun("undo", done["operation"]["id"])
    assert "total_bytes_sec: 0" in desk.host.run("virsh", "blkdeviotune", identifier, "vdb")
    write(desk, address, 20)  # at 1 MiB/s it would not end in time
    assert "iotune" not in desk.host.run("virsh", "dumpxml", "--inactive", identifier)
    assert desk.process(identifier) == process
    until(lambda: desk.shown(identifier)["state"] == "running", 10)
