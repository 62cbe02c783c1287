"""The store in memory keeps the contract, and its levers do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drivers.volume.contract import VolumeContract, layer, quiet
from yun.base.errors import DriverError, Invalid, NoCapacity
from yun.base.units import GIB, MIB
from yun.drivers.volume.fake import FakeVolumeStore, VolumeWorld


class FakeRoom:
    def __init__(self) -> None:
        self.world = VolumeWorld()
        self.store = FakeVolumeStore(self.world)
        self.pool = "/srv/pool"
        self.store.prepare_pool(self.pool)

    def truncate(self, path: str) -> None:
        self.world.files[path].truncated = True

    def write(self, path: str) -> None:
        self.world.files[path].content += "+written"

    def unprotect(self, path: str) -> None:
        self.world.files[path].writable = True

    def write_header(self, path: str, naming: str) -> None:
        self.world.files[path].header = naming

    def lose(self, path: str) -> None:
        del self.world.files[path]

    def everything(self) -> set[str]:
        return set(self.world.files)


@pytest.fixture
def room() -> FakeRoom:
    return FakeRoom()


class TestFakeVolumeStore(VolumeContract):
    """The whole contract."""


def test_the_world_survives_its_driver(room: FakeRoom) -> None:
    path = layer(room)
    assert FakeVolumeStore(room.world).inspect(path).exists


def test_ordered_faults_come_once_and_a_store_that_is_away_comes_back(room: FakeRoom) -> None:
    room.world.fail("create_head", 2, retryable=True)
    path = f"{room.pool}/heads/a.qcow2"
    for _n in range(2):
        with pytest.raises(DriverError) as caught:
            room.store.create_head(path, size=GIB, backing=None)
        assert caught.value.retryable
    room.store.create_head(path, size=GIB, backing=None)
    room.world.away = True
    with pytest.raises(DriverError):
        room.store.inspect(path)
    room.world.away = False
    assert room.store.inspect(path).exists


def test_a_full_disk_refuses_and_leaves_nothing(room: FakeRoom) -> None:
    base = layer(room)
    before = room.world.snapshot()
    room.world.fill()
    with pytest.raises(NoCapacity):
        room.store.create_head(f"{room.pool}/heads/a.qcow2", size=GIB, backing=base)
    with pytest.raises(NoCapacity):
        room.store.convert(base, f"{room.pool}/incoming/a.qcow2", format="qcow2", progress=quiet)
    assert room.world.snapshot() == before


def test_a_real_file_outside_is_looked_at_and_copied_in(room: FakeRoom, tmp_path: Path) -> None:
    raw, text = tmp_path / "a.raw", tmp_path / "a.txt"
    raw.write_bytes(b"\0" * MIB)
    text.write_text("I am a disk, believe me. " * 1000)
    assert room.store.inspect(str(raw)).format == "raw"
    room.store.convert(str(raw), f"{room.pool}/incoming/a.qcow2", format="qcow2", progress=quiet)
    assert room.store.inspect(f"{room.pool}/incoming/a.qcow2").virtual_bytes == MIB
    with pytest.raises(Invalid):
        room.store.convert(str(text), f"{room.pool}/incoming/t.qcow2", format="qcow2", progress=quiet)
