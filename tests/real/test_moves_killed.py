"""The cloud is killed in the middle of copying a disk that a real guest writes to: the guest writes on, QEMU copies on,
and the next process of the cloud ends what was begun. A copy that a person cancels leaves nothing either."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.real.cloud import STATE, Desk, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
SECOND = f"{STATE}/second"
DATA = 192
"""MiB that are copied."""


def jobs(desk: Desk, identifier: str) -> list[dict[str, Any]]:
    """What QEMU itself says of its copies."""
    said = desk.host.run("virsh", "qemu-monitor-command", identifier, '{"execute":"query-block-jobs"}')
    found: list[dict[str, Any]] = json.loads(said)["return"]
    return found


@contextmanager
def slow(desk: Desk, identifier: str, mib: int) -> Iterator[None]:
    """The next copy goes at so many MiB a second, from shortly after its beginning."""
    loop = f"for n in $(seq 600); do virsh -q blockjob {identifier} vdb --bandwidth {mib} 2>/dev/null && exit; done"
    brake = threading.Thread(target=desk.host.run, args=("sh", "-c", loop), kwargs={"timeout": 120, "check": False})
    brake.start()
    yield
    brake.join()


def in_the_middle(desk: Desk, identifier: str) -> bool:
    """Whether a part is copied, and a part is not."""
    now = jobs(desk, identifier)
    return bool(now) and 0 < now[0]["offset"] < now[0]["len"] and not now[0]["ready"]


def heads(desk: Desk, folder: str) -> set[str]:
    """The disk files in a pool."""
    return set(desk.host.run("ls", "-A", f"{folder}/heads").split())


def test_a_cloud_that_is_killed_amid_a_copy_ends_it_when_it_is_back(desk: Desk) -> None:
    desk.clear()
    made = desk.yun("instance", "create", "web", "--image", "tiny", "--flavor", "tiny", "--floating-ip",
                    "--key", f"{desk.key}.pub")  # fmt: skip
    identifier, address = made["id"], made["floating_ips"][0]
    volume = desk.yun("volume", "create", "data", "--size", "256M")
    desk.yun("pool", "create", "second", SECOND, check=False)
    file = next(h for h in heads(desk, f"{STATE}/pool") if h != disk_of(desk, identifier))
    desk.host.run("qemu-io", "-f", "qcow2", "-c", f"write -P 0x78 0 {DATA}M", f"{STATE}/pool/heads/{file}")
    until(lambda: desk.ssh(address, "hostname"), 120)
    desk.yun("volume", "attach", "data", identifier)
    until(lambda: desk.ssh(address, "grep -c vdb /proc/partitions"), 20)
    process = desk.process(identifier)
    desk.ssh(
        address,
        "n=0; while :; do n=$((n+1)); echo $n | dd of=/dev/vdb bs=512 seek=409600 conv=notrunc,fsync; usleep 50000; "
        "done >/dev/null 2>&1 &",
    )

    def written() -> int:
        """What the guest wrote last, read from its disk."""
        found = desk.ssh(address, "dd if=/dev/vdb bs=512 skip=409600 count=1 iflag=direct 2>/dev/null | head -n 1")
        return int(found.strip("\0 \n") or 0)

    with slow(desk, identifier, 4):
        moving = desk.yun("volume", "move", "data", "second", "--no-wait")
        until(lambda: in_the_middle(desk, identifier), 60)
    desk.signal_cloud("KILL")
    before = until(written, 10)
    assert in_the_middle(desk, identifier), "QEMU copies on, and is not done"
    desk.up()
    desk.host.run("virsh", "blockjob", identifier, "vdb", "--bandwidth", "200", check=False)
    desk.settle()
    done = desk.yun("operation", "show", moving["operation"]["id"])
    assert (done["state"], done["result"]["effect"]) == ("succeeded", "live"), done
    assert jobs(desk, identifier) == []
    assert (heads(desk, SECOND), file in heads(desk, f"{STATE}/pool")) == ({file}, False)
    assert f"{SECOND}/heads/{file}" in desk.host.run("virsh", "domblklist", identifier)
    assert f"{SECOND}/heads/{file}" in desk.host.run("virsh", "domblklist", identifier, "--inactive")
    assert desk.process(identifier) == process
    until(lambda: written() > before, 20)

    cancelled(desk, identifier, file)
    assert desk.process(identifier) == process
    last = written()
    until(lambda: written() > last, 20)
    desk.ssh(address, "killall sh; sync")
    desk.yun("instance", "stop", identifier, "--force")
    content(desk, f"{SECOND}/heads/{file}")
    desk.clear()
    for word in ("delete", "purge"):
        desk.yun(*(("volume", word, volume["id"]) if word == "delete" else ("trash", word, "data", "--yes")))
    assert heads(desk, SECOND) == set()


def disk_of(desk: Desk, identifier: str) -> str:
    """The name of the file that the machine boots from."""
    listed = desk.host.run("virsh", "domblklist", identifier)
    return next(line.split()[1].rpartition("/")[2] for line in listed.splitlines() if line.strip().startswith("vda"))


def cancelled(desk: Desk, identifier: str, file: str) -> None:
    """On the way back a person thinks better of it: the machine goes on with the file it had."""
    with slow(desk, identifier, 4):
        moving = desk.yun("volume", "move", "data", "default", "--no-wait")
        until(lambda: in_the_middle(desk, identifier), 60)
    desk.yun("operation", "cancel", moving["operation"]["id"], check=False)
    desk.settle()
    assert desk.yun("operation", "show", moving["operation"]["id"])["state"] == "cancelled"
    assert jobs(desk, identifier) == []
    assert file not in heads(desk, f"{STATE}/pool")
    assert f"{SECOND}/heads/{file}" in desk.host.run("virsh", "domblklist", identifier)
    assert desk.yun("volume", "show", "data")["pool"] == "second"


def content(desk: Desk, path: str) -> None:
    """What was on the disk before it was copied twice is on it still."""
    said = desk.host.run("qemu-io", "-f", "qcow2", "-c", f"read -P 0x78 0 {DATA}M", path)
    assert "failed" not in said.lower(), said
    assert "bytes read" not in said or "Pattern" not in said, said
    assert desk.host.run("qemu-img", "check", "-q", path, check=False).strip() == ""
