"""QEMU killed right after it has pulled a disk's base files into it: what it knew alone is lost, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.hypervisor.contract import until
from tests.real.hypervisor_room import LibvirtRoom
from yun.base.units import MIB
from yun.drivers.hypervisor.port import DiskSpec, Power

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
SIZE = 64


@pytest.fixture
def room() -> Iterator[LibvirtRoom]:
    made = LibvirtRoom()
    yield made
    made.close()


def qemu_io(path: str, words: str) -> str:
    said = subprocess.run(["qemu-io", "-f", "qcow2", "-c", words, path], check=False, capture_output=True, text=True)
    assert said.returncode == 0 or "verification failed" in said.stdout, said.stderr
    return said.stdout


def holds(path: str) -> bool:
    return "Pattern verification failed" not in qemu_io(path, f"read -P 90 0 {SIZE}M")


@pytest.mark.parametrize("flushed", [True, False])
def test_a_pulled_disk_outlives_its_process_once_it_is_flushed_and_else_by_what_it_stood_on(
    room: LibvirtRoom, flushed: bool
) -> None:
    base = room.blank_disk(SIZE * MIB)
    qemu_io(base, f"write -P 90 0 {SIZE}M")
    head = room.head_on(base, SIZE * MIB)
    uuid = room.machine(running=True, disks=(DiskSpec("vda", head),))
    room.driver.begin_pull(uuid, "vda", "")
    until(lambda: room.driver.pull_state(uuid, "vda") is None)
    assert room.backing_of(head) == ""
    if flushed:
        room.driver.flush_disk(uuid, "vda")
    room.crash(uuid)
    until(lambda: room.driver.state(uuid).power not in (Power.RUNNING, Power.PAUSED))
    if flushed:
        assert holds(head)
        return
    assert not holds(head), "QEMU flushes by itself now: nobody needs to ask it any more"
    subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", base, "-F", "qcow2", head], check=True)
    assert holds(head)
    assert Path(base).stat().st_size > 0
