"""The store of real directories: the contract on qemu-img, and what only a real file system can do wrong."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.volume.contract import Stop, VolumeContract, layer, quiet
from tests.drivers.volume.test_inspection import qcow2
from yun.base.errors import DriverError, Invalid, NoCapacity
from yun.base.units import GIB, MIB
from yun.drivers.volume.directory import DirectoryStore

pytestmark = pytest.mark.real


class RealRoom:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = DirectoryStore()
        self.pool = str(home / "pool")
        self.store.prepare_pool(self.pool)

    def truncate(self, path: str) -> None:
        os.truncate(path, 100_000)

    def write(self, path: str) -> None:
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 64k", path], check=True, capture_output=True)

    def unprotect(self, path: str) -> None:
        os.chmod(path, 0o644)

    def write_header(self, path: str, naming: str) -> None:
        with open(path, "r+b") as file:
            file.write(qcow2(backing=naming.encode()))

    def lose(self, path: str) -> None:
        os.unlink(path)

    def everything(self) -> set[str]:
        found = (Path(folder) / n for folder, _dirs, names in os.walk(self.pool) for n in names)
        return {str(p) for p in found if p.name != ".yun-pool"}


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="yun-volume-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def room(home: Path) -> RealRoom:
    return RealRoom(home)


@pytest.fixture
def small_room(home: Path) -> Iterator[RealRoom]:
    """A pool on a file system of 16 MiB."""
    disk = home / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0755", "yun-test", str(disk)], check=True)
    try:
        yield RealRoom(disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def tool(*arguments: str) -> str:
    return subprocess.run(["qemu-img", *arguments], check=True, capture_output=True, text=True).stdout


def filled(path: Path, size: int, *, base: str | None = None) -> str:
    """A raw file of random bytes, or a qcow2 head that holds ``size`` of them."""
    with path.open("wb") as file:
        for _n in range(size // MIB):
            file.write(os.urandom(MIB))
    if base:
        command = f"write -q -s {path} 0 {size}"
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, base], check=True, capture_output=True)
    return str(path)


class TestDirectoryStore(VolumeContract):
    """The whole contract."""


def test_modes_let_the_hypervisor_in_and_keep_others_out(room: RealRoom) -> None:
    base, head, sow = layer(room), f"{room.pool}/heads/h.qcow2", f"{room.pool}/seeds/s.iso"
    room.store.create_head(head, size=GIB, backing=base)
    room.store.write_seed(sow, {"meta-data": b"a", "user-data": b"password: x"})
    modes = {p: stat.S_IMODE(os.stat(p).st_mode) for p in (base, head, sow, room.pool, f"{room.pool}/incoming")}
    assert modes == {base: 0o444, head: 0o600, sow: 0o400, room.pool: 0o711, f"{room.pool}/incoming": 0o700}


def test_a_directory_that_the_hypervisor_cannot_reach_is_refused(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Invalid) as caught:
        DirectoryStore().prepare_pool(str(closed / "pool"))
    assert str(closed) in caught.value.message.render("en")


def test_a_directory_with_strangers_files_does_not_become_a_pool(home: Path) -> None:
    (home / "letter.txt").write_text("mine")
    with pytest.raises(Invalid):
        DirectoryStore().prepare_pool(str(home))
    assert os.listdir(home) == ["letter.txt"]


def test_removing_a_pool_never_removes_a_strangers_file(room: RealRoom) -> None:
    stranger = Path(room.pool) / "heads" / "stranger.txt"
    stranger.write_text("mine")
    room.store.remove_pool(room.pool)
    assert stranger.read_text() == "mine"


def test_a_pool_whose_disk_is_not_mounted_is_said_to_be_none(small_room: RealRoom) -> None:
    subprocess.run(["umount", str(small_room.home)], check=True)
    try:
        with pytest.raises(DriverError):
            small_room.store.pool_facts(small_room.pool)
        with pytest.raises(DriverError):
            small_room.store.create_head(f"{small_room.pool}/heads/a.qcow2", size=GIB, backing=None)
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "yun-test", str(small_room.home)], check=True)


def test_a_full_disk_while_copying_leaves_nothing_and_says_so(small_room: RealRoom, home: Path) -> None:
    source = filled(home / "big.raw", 24 * MIB)
    with pytest.raises(NoCapacity) as caught:
        small_room.store.convert(source, f"{small_room.pool}/incoming/c.qcow2", format="qcow2", progress=quiet)
    assert "full" in caught.value.message.render("en")
    assert caught.value.hint is not None
    assert small_room.everything() == set()


def test_a_full_disk_while_making_a_head_or_a_seed_leaves_nothing(small_room: RealRoom) -> None:
    stuffing = small_room.home / "stuffing"
    room = os.statvfs(small_room.home)
    stuffing.write_bytes(b"\0" * (room.f_bavail * room.f_frsize))
    with pytest.raises(NoCapacity):
        small_room.store.create_head(f"{small_room.pool}/heads/a.qcow2", size=GIB, backing=None)
    with pytest.raises(NoCapacity):
        small_room.store.write_seed(f"{small_room.pool}/seeds/a.iso", {"meta-data": b"a"})
    assert small_room.everything() == set()
    stuffing.unlink()
    small_room.store.create_head(f"{small_room.pool}/heads/a.qcow2", size=GIB, backing=None)


def test_a_copy_carries_the_whole_chain_and_both_are_sound(room: RealRoom, home: Path) -> None:
    base, head = layer(room, size=8 * MIB), f"{room.pool}/heads/h.qcow2"
    room.store.create_head(head, size=8 * MIB, backing=base)
    data = filled(home / "data", 2 * MIB, base=head)
    out = f"{room.pool}/incoming/out.raw"
    room.store.convert(head, out, format="raw", progress=quiet)
    with open(out, "rb") as copy, open(data, "rb") as original:
        assert copy.read(2 * MIB) == original.read()
    assert room.store.check(head) == []


def test_cancelling_a_long_copy_ends_the_process_at_once(room: RealRoom, home: Path) -> None:
    source, target = filled(home / "long.raw", 64 * MIB), f"{room.pool}/incoming/c.qcow2"
    begun = time.monotonic()

    def stop(_fraction: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        room.store.convert(source, target, format="qcow2", progress=stop, compress=True)
    assert time.monotonic() - begun < 5
    assert room.everything() == set()


def test_what_a_killed_copy_left_is_replaced_and_deleted(room: RealRoom) -> None:
    base, target = layer(room), f"{room.pool}/incoming/c.qcow2"
    rest = Path(room.pool) / "incoming" / ".c.qcow2.part"
    rest.write_bytes(b"half")
    room.store.convert(base, target, format="qcow2", progress=quiet)
    assert not rest.exists()
    rest.write_bytes(b"half")
    room.store.delete(target)
    assert room.everything() == {base}


def test_a_head_in_use_can_be_looked_at_and_not_grown(room: RealRoom) -> None:
    head = f"{room.pool}/heads/h.qcow2"
    room.store.create_head(head, size=GIB, backing=None)
    user = subprocess.Popen(["qemu-io", "-f", "qcow2", head], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert user.stdin is not None
    assert user.stdout is not None
    try:
        user.stdin.write(b"length\n")
        user.stdin.flush()
        user.stdout.read(8)
        assert room.store.inspect(head).virtual_bytes == GIB
        with pytest.raises(DriverError) as caught:
            room.store.grow(head, 2 * GIB)
        assert "in use" in caught.value.message.render("en")
        room.store.convert(head, f"{room.pool}/incoming/c.qcow2", format="qcow2", progress=quiet)
    finally:
        user.stdin.close()
        user.wait()
        user.stdout.close()


@pytest.mark.parametrize("kind", ["vmdk", "vdi", "vhdx", "vpc", "raw", "qcow2"])
def test_each_format_is_found_whatever_it_is_called_and_taken_in(room: RealRoom, home: Path, kind: str) -> None:
    source, target = str(home / "image.txt"), f"{room.pool}/incoming/c.qcow2"
    tool("create", "-q", "-f", kind, source, "64M")
    facts = room.store.inspect(source)
    assert facts.format == kind
    assert 64 * MIB <= facts.virtual_bytes < 65 * MIB
    room.store.convert(source, target, format="qcow2", progress=quiet)
    assert room.store.inspect(target).virtual_bytes == facts.virtual_bytes


def test_an_image_that_stands_on_another_file_is_refused_and_nothing_of_that_file_is_copied(
    room: RealRoom, home: Path
) -> None:
    secret = home / "secret"
    secret.write_bytes(b"root:secret".ljust(MIB, b"\0"))
    for place in (home / "evil.qcow2", Path(room.pool) / "incoming" / "evil.qcow2"):
        tool("create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(place))
        for call in (
            lambda p=place: room.store.inspect(str(p)),
            lambda p=place: room.store.measure(str(p)),
            lambda p=place: room.store.convert(
                str(p), f"{room.pool}/incoming/c.qcow2", format="qcow2", progress=quiet
            ),
        ):
            with pytest.raises(Invalid) as caught:
                call()
            assert str(secret) in caught.value.message.render("en")
    for place in (home / "hand.qcow2", Path(room.pool) / "heads" / "hand.qcow2"):
        place.write_bytes(qcow2(backing=b"/etc/shadow"))
        with pytest.raises(Invalid) as caught:
            room.store.inspect(str(place))
        assert "/etc/shadow" in caught.value.message.render("en")


def test_an_image_whose_data_lie_in_another_file_is_refused(room: RealRoom, home: Path) -> None:
    outside = home / "data.raw"
    tool("create", "-q", "-f", "qcow2", "-o", f"data_file={outside},data_file_raw=on", str(home / "e.qcow2"), "1M")
    with pytest.raises(Invalid):
        room.store.inspect(str(home / "e.qcow2"))
    tool("create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", str(home / "flat.vmdk"), "1M")
    with pytest.raises(Invalid):
        room.store.inspect(str(home / "flat.vmdk"))


def test_a_qcow2_inside_of_a_raw_disk_stays_a_raw_disk(room: RealRoom, home: Path) -> None:
    """A guest may write a qcow2 header to its raw disk; a head is read as what its row says, a stranger by magic."""
    base, head = layer(room, size=8 * MIB), f"{room.pool}/heads/h.qcow2"
    room.store.create_head(head, size=8 * MIB, backing=base)
    (home / "data").write_bytes(qcow2(backing=b"/etc/shadow")[:MIB].ljust(MIB, b"\0"))
    command = f"write -q -s {home / 'data'} 0 {MIB}"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, head], check=True, capture_output=True)
    assert room.store.inspect(head).backing == base
    room.store.convert(head, f"{room.pool}/incoming/c.qcow2", format="qcow2", progress=quiet)


def test_a_symbolic_link_is_no_disk(room: RealRoom) -> None:
    base = layer(room)
    os.symlink(base, f"{room.pool}/heads/link.qcow2")
    with pytest.raises(Invalid):
        room.store.inspect(f"{room.pool}/heads/link.qcow2")
    assert not room.store.inspect(base).writable


def test_the_seed_reads_back_as_cloud_init_wants_it(room: RealRoom) -> None:
    import pycdlib

    path = f"{room.pool}/seeds/s.iso"
    long = "# 你好\n".encode() * 100_000
    room.store.write_seed(path, {"meta-data": b"instance-id: i\n", "user-data": long, "network-config": b"a: 2\n"})
    iso = pycdlib.PyCdlib()
    iso.open(path)
    assert iso.pvd.volume_identifier.strip() == b"cidata"
    with iso.open_file_from_iso(joliet_path="/user-data") as file:
        assert file.read() == long
    iso.close()


def test_heads_are_made_from_many_threads_on_one_layer(room: RealRoom) -> None:
    base = layer(room)
    errors: list[Exception] = []

    def make(number: int) -> None:
        try:
            room.store.create_head(f"{room.pool}/heads/{number}.qcow2", size=GIB, backing=base)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=make, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(room.store.list_files(room.pool)) == 13


def test_a_tool_that_hangs_is_given_up(room: RealRoom) -> None:
    path = layer(room)
    with pytest.raises(DriverError) as caught:
        DirectoryStore(timeout=0.0001).inspect(path)
    assert caught.value.retryable


def test_a_small_file_that_holds_a_large_disk_is_measured_by_its_disk(room: RealRoom, home: Path) -> None:
    source, bomb = home / "full.raw", str(home / "bomb.qcow2")
    source.write_bytes(b"A" * (64 * MIB))
    command = ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", str(source), bomb]
    subprocess.run(command, check=True, capture_output=True)
    assert os.path.getsize(bomb) < MIB
    assert room.store.measure(bomb) >= 64 * MIB


def test_a_backing_file_whose_name_cannot_be_shown_is_refused_before_any_tool(room: RealRoom, home: Path) -> None:
    evil = home / "evil-name.qcow2"
    evil.write_bytes(qcow2(backing=b"a\0\xff\xfe/x"))
    with pytest.raises(Invalid) as caught:
        room.store.inspect(str(evil))
    assert caught.value.message.render("en").isprintable()
