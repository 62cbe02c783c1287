"""Guests' memory on real libvirt and QEMU beyond the contract: firmware, TPM, a full disk, a guest that outruns."""

from __future__ import annotations

import hashlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.drivers.hypervisor.contract import until
from tests.real.hypervisor_room import LibvirtRoom
from yun.base.errors import DriverError
from yun.base.ids import as_uuid, new_id
from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.libvirt.memory import freezing
from yun.drivers.hypervisor.port import DomainSpec, NicSpec, Power

pytestmark = pytest.mark.real
SIZE = 96 << 20
COUNTER = "(n=0; while :; do n=$((n+1)); echo $n >/run/mem/n; sleep 0.05; done) >/dev/null 2>&1 </dev/null &"


@pytest.fixture(scope="module")
def room() -> Iterator[LibvirtRoom]:
    made = LibvirtRoom()
    try:
        made.boot_tiny(memory_mib=256, firmware="uefi", nvram=str(made.folder / "uefi.nvram"), board=Board(tpm=True))
        until(lambda: made.driver.state(made.booted).agent, 90)
        made.note(made.booted, "begun")
        made.inside(made.booted, COUNTER)
        yield made
    finally:
        made.close()


def _count(room: LibvirtRoom, uuid: str) -> int:
    return int(room.inside(uuid, "cat /run/mem/n").strip() or 0)


def _say(text: str) -> None:
    sys.stderr.write(f"\n{text}")


def _onto(room: LibvirtRoom, spec: DomainSpec, frozen: str) -> DomainSpec:
    """The machine with a new file on the frozen one."""
    head = room.head_on(frozen, SIZE)
    return replace(spec, disks=tuple(replace(d, path=head) if d.slot == "vda" else d for d in spec.disks))


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_a_uefi_guest_with_a_tpm_and_a_cd_goes_on_in_place_and_as_another(room: LibvirtRoom) -> None:
    spec, uuid = room.booted_spec, room.booted
    cd = room.cd("word")
    assert room.driver.change_medium(uuid, "sdg", cd, force=False)
    spec = replace(spec, disks=tuple(replace(d, path=cd) if d.slot == "sdg" else d for d in spec.disks))
    room.inside(uuid, "mkdir -p /cd; mount -t iso9660 -o ro /dev/sr0 /cd")
    frozen = room.driver.disks(uuid)["vda"].path
    memory = room.memory()
    tpm, nvram = room.tpm(uuid), _digest(spec.nvram)
    pause = room.driver.freeze_with_memory(uuid, {"vda": room.head_on(frozen, SIZE)}, memory)
    at = _count(room, uuid)
    _say(f"256 MiB UEFI guest: paused for {pause} ms; image of {Path(memory).stat().st_size >> 20} MiB")
    assert pause is not None
    assert pause < 2000
    until(lambda: _count(room, uuid) > at + 20)
    room.inside(uuid, "echo lost >/root/after; sync")
    room.driver.destroy(uuid)
    # What firmware and TPM keep goes back to that moment, too, whatever became of it since.
    Path(spec.nvram).write_bytes(b"\0" * Path(spec.nvram).stat().st_size)
    now = replace(_onto(room, spec, frozen), genid=as_uuid(new_id("ins")))
    begun = time.monotonic()
    room.driver.wake(now, memory)
    until(lambda: room.driver.state(uuid).agent)
    _say(f"woken in place: the agent answers after {time.monotonic() - begun:.2f} s")
    assert at - 20 <= _count(room, uuid) < at + 200
    assert room.inside(uuid, "cat /cd/word; ls /root/after 2>/dev/null") == "word"
    assert room.tpm(uuid) == tpm
    assert _digest(spec.nvram) == nvram
    _goes_on_as_another(room, _onto(room, spec, frozen), memory, at)
    room.driver.discard_memory(memory)
    assert not list(room.folder.glob(f"{Path(memory).name}*"))


def _goes_on_as_another(room: LibvirtRoom, spec: DomainSpec, memory: str, at: int) -> None:
    """Beside the first one, which runs; with firmware and TPM of its own that know the same."""
    identifier, nvram = new_id("ins"), _digest(spec.nvram)
    fork = replace(
        spec, uuid=as_uuid(identifier), name=identifier, genid=as_uuid(new_id("ins")),
        nvram=spec.nvram + "2", serial_socket=spec.serial_socket + "2", serial_log=spec.serial_log + "2",
    )  # fmt: skip
    begun = time.monotonic()
    room.driver.wake(fork, memory, paused=True)
    assert room.driver.state(fork.uuid).power is Power.PAUSED
    room.driver.resume(fork.uuid)
    until(lambda: room.driver.state(fork.uuid).agent)
    _say(f"woken as another: the agent answers after {time.monotonic() - begun:.2f} s")
    assert at - 20 <= _count(room, fork.uuid) < at + 200
    assert room.tpm(fork.uuid) == room.tpm(room.booted)
    assert _digest(fork.nvram) == nvram
    assert not list(room.folder.glob(f"{Path(memory).name}.for-*"))
    for each in (fork.uuid, room.booted):
        assert room.inside(each, "echo still >/root/x; sync; cat /root/x").strip() == "still"
    room.driver.destroy(fork.uuid)
    room.driver.start(fork.uuid)
    assert room.driver.state(fork.uuid).power is Power.RUNNING, "its definition starts, too"
    room.driver.destroy(fork.uuid)
    room.driver.undefine(fork.uuid)


def test_a_full_disk_leaves_the_guest_at_work_and_no_file(room: LibvirtRoom) -> None:
    small = room.folder / "small"
    small.mkdir(mode=0o711)
    room.host.run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small))
    before, at = room.driver.disks(room.booted), _count(room, room.booted)
    head = room.head_on(before["vda"].path, before["vda"].size)
    with pytest.raises(DriverError) as caught:
        room.driver.freeze_with_memory(room.booted, {"vda": head}, str(small / "memory"))
    assert "No space left" in caught.value.message.render("en")
    assert not caught.value.retryable
    assert room.driver.disks(room.booted) == before
    assert room.driver.state(room.booted).power is Power.RUNNING
    assert room.host.run("ls", "-A", str(small)) == ""
    until(lambda: _count(room, room.booted) > at)
    room.driver.freeze_with_memory(room.booted, {}, memory := room.memory())
    room.driver.discard_memory(memory)


def test_a_guest_that_outruns_the_writing_is_held_and_goes_on(
    room: LibvirtRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rush in (0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2):
        monkeypatch.setattr(freezing, "RUSH_SECONDS", rush)
        memory = room.memory()
        room.driver.freeze_with_memory(room.booted, {}, memory)
        assert room.driver.state(room.booted).power is Power.RUNNING
        assert room.driver.memory_facts(memory) is not None
        room.driver.discard_memory(memory)


def test_a_machine_that_grew_goes_on_with_its_cards(room: LibvirtRoom) -> None:
    card = NicSpec("52:54:00:01:02:03", as_uuid(new_id("prt")))
    spec = room.spec(memory_mib=64, nics=(card,), board=Board(memory_max_mib=256, max_vcpus=2, serial_ports=2))
    uuid, memory = room.made(spec, running=True), room.memory()
    room.driver.set_vcpus(uuid, 2)
    second = NicSpec("52:54:00:01:02:04", as_uuid(new_id("prt")))
    room.driver.attach_nic(uuid, second)
    room.driver.freeze_with_memory(uuid, {}, memory)
    room.driver.destroy(uuid)
    facts = room.driver.memory_facts(memory)
    assert facts is not None
    assert (facts.vcpus, facts.memory_mib, facts.macs) == (2, 64, (card.mac, second.mac))
    grown = replace(spec, vcpus=2, nics=(replace(card, link_up=False, port_uuid=as_uuid(new_id("prt"))), second))
    assert room.driver.unfit(spec, memory) is not None
    assert room.driver.unfit(grown, memory) is None
    room.driver.wake(grown, memory)
    assert room.driver.nics(uuid)[card.mac].port_uuid == grown.nics[0].port_uuid
    assert not room.driver.nics(uuid)[card.mac].link_up
    assert room.driver.nics(uuid)[second.mac].link_up
    room.driver.destroy(uuid)
    room.driver.discard_memory(memory)


@pytest.mark.parametrize("after", [0.03, 0.08, 0.15])
def test_a_daemon_that_dies_meanwhile_loses_neither_guest_nor_disks(room: LibvirtRoom, after: float) -> None:
    before = room.driver.disks(room.booted)["vda"]
    head, memory = room.head_on(before.path, before.size), room.memory()
    told: list[BaseException | float | None] = []

    def freeze() -> None:
        try:
            told.append(room.driver.freeze_with_memory(room.booted, {"vda": head}, memory))
        except DriverError as error:
            told.append(error)

    thread = threading.Thread(target=freeze)
    thread.start()
    time.sleep(after)
    room.signal_libvirtd(signal.SIGKILL)
    thread.join(60)
    room.start_daemons()
    until(lambda: _ready(room), 30)
    if isinstance(told[0], DriverError):
        assert told[0].retryable
    else:
        assert room.driver.memory_facts(memory) is not None
    now = room.driver.disks(room.booted)["vda"].path
    assert now in (before.path, head)
    until(lambda: room.driver.state(room.booted).power is Power.RUNNING)
    at = _count(room, room.booted)
    until(lambda: _count(room, room.booted) > at)
    room.driver.discard_memory(memory)
    _say(f"killed after {after} s: {told[0]}; on its {'old' if now == before.path else 'new'} file")


def _ready(room: LibvirtRoom) -> bool:
    try:
        return room.driver.state(room.booted).agent
    except DriverError:
        return False
