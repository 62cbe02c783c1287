"""The storage room on a real pool: qemu-img, modes, full disks, and files that somebody spoils behind our back."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.storage.conftest import Cloud, make_cloud
from tests.storage.test_layers import adopt
from tests.storage.test_volumes import planned, volume
from yun.base.config import Settings
from yun.base.db import Database
from yun.base.ids import new_id
from yun.base.units import GIB, MIB
from yun.drivers.volume.directory import DirectoryStore
from yun.drivers.volume.fake import VolumeWorld
from yun.storage import service
from yun.storage.model import Head, Layer, LayerState, Volume, VolumeState

pytestmark = pytest.mark.real


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="yun-storage-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """SQLite alone: what is tried here does not depend on the database."""
    made = Database(f"sqlite:///{tmp_path / 'yun.db'}")
    made.create()
    yield made
    made.close()


@pytest.fixture
def cloud(database: Database, settings: Settings, home: Path) -> Cloud:
    return make_cloud(database, replace(settings, state_dir=home), DirectoryStore(), VolumeWorld())


def image(cloud: Cloud, home: Path, content: bytes = b"guest", size: int = 64 * MIB) -> str:
    """A finished qcow2 with something in it, in the pool's ``incoming``."""
    raw, path = home / "source.raw", f"{cloud.pool.path}/incoming/{new_id('img')}.qcow2"
    raw.write_bytes(content.ljust(MIB, b"\0"))
    os.truncate(raw, size)
    cloud.store.convert(str(raw), path, format="qcow2", progress=lambda _f: None)
    return path


def test_a_disk_on_an_image_reads_as_the_image_and_writes_nowhere_else(cloud: Cloud, home: Path) -> None:
    done = adopt(cloud, image(cloud, home))
    assert done.state == "succeeded", done.error
    layer = cloud.all(Layer)[0]
    assert stat.S_IMODE(os.stat(layer.path).st_mode) == 0o444
    before = Path(layer.path).read_bytes()
    planned(cloud, layer.id, size=GIB)
    head = cloud.all(Head)[0]
    qemu_io(head.path, "read -P 0x67 0 1", "write -P 0x41 0 1M", "read -P 0x41 0 1M")
    assert Path(layer.path).read_bytes() == before
    cloud.tend("storage.reconcile")
    assert cloud.notices() == set()


def test_a_disk_that_was_deleted_and_brought_back_has_its_data(cloud: Cloud) -> None:
    made = volume(cloud, size=64 * MIB)
    qemu_io(cloud.all(Head)[0].path, "write -P 0x42 0 1M")
    done = cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, made.id)))
    assert cloud.undo(done.id).state == "succeeded"
    qemu_io(cloud.all(Head)[0].path, "read -P 0x42 0 1M")


def test_the_same_image_twice_is_one_file(cloud: Cloud, home: Path) -> None:
    first = adopt(cloud, image(cloud, home), "image:a")
    second = adopt(cloud, image(cloud, home), "image:b")
    assert first.result["value"]["layer_id"] == second.result["value"]["layer_id"]
    assert len(cloud.store.list_files(cloud.pool.path)) == 1
    assert os.listdir(f"{cloud.pool.path}/incoming") == []


def overwrite(path: str) -> None:
    with open(path, "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"x" * 100)


def replace_by_text(path: str) -> None:
    length = os.path.getsize(path)
    os.unlink(path)
    Path(path).write_bytes(b"hello " * (length // 6) + b"!" * (length % 6))


SPOILS: dict[str, tuple[Callable[[str], Any], LayerState]] = {
    "deleted": (os.unlink, LayerState.MISSING),
    "truncated": (lambda p: os.truncate(p, 100_000), LayerState.DAMAGED),
    "emptied": (lambda p: os.truncate(p, 0), LayerState.DAMAGED),
    "overwritten": (overwrite, LayerState.DAMAGED),
    "replaced": (replace_by_text, LayerState.DAMAGED),
}


@pytest.mark.parametrize("how", SPOILS)
def test_a_layer_spoilt_behind_our_back_is_noticed_and_mended_by_the_same_image(
    cloud: Cloud, home: Path, how: str
) -> None:
    adopt(cloud, image(cloud, home))
    layer = cloud.all(Layer)[0]
    os.chmod(layer.path, 0o644)
    spoil, state = SPOILS[how]
    spoil(layer.path)
    cloud.tend("storage.reconcile")
    assert cloud.all(Layer)[0].state == state
    assert f"layer:{layer.id}" in cloud.notices()
    again = adopt(cloud, image(cloud, home), "image:again")
    assert again.state == "succeeded", again.error
    assert again.result["value"]["layer_id"] == layer.id
    assert cloud.all(Layer)[0].state == LayerState.ACTIVE
    assert cloud.store.digest(layer.path, lambda _f: None) == layer.digest
    cloud.tend("storage.reconcile")
    assert f"layer:{layer.id}" not in cloud.notices()


def test_a_layer_made_writable_is_read_only_again(cloud: Cloud, home: Path) -> None:
    adopt(cloud, image(cloud, home))
    layer = cloud.all(Layer)[0]
    os.chmod(layer.path, 0o666)
    cloud.tend("storage.reconcile")
    assert stat.S_IMODE(os.stat(layer.path).st_mode) == 0o444
    assert cloud.all(Layer)[0].state == LayerState.ACTIVE


def test_a_change_of_owner_as_the_hypervisor_makes_it_is_no_damage(cloud: Cloud, home: Path) -> None:
    adopt(cloud, image(cloud, home))
    os.chown(cloud.all(Layer)[0].path, 64055, 64055)
    cloud.tend("storage.reconcile")
    assert cloud.notices() == set()


def test_a_head_rebased_behind_our_back_is_noticed(cloud: Cloud, home: Path) -> None:
    layer_id = adopt(cloud, image(cloud, home)).result["value"]["layer_id"]
    planned(cloud, layer_id, size=GIB)
    head = cloud.all(Head)[0]
    subprocess.run(["qemu-img", "rebase", "-u", "-b", "", head.path], check=True, capture_output=True)
    cloud.tend("storage.reconcile")
    assert cloud.all(Volume)[0].state == VolumeState.DAMAGED
    rebase = ["qemu-img", "rebase", "-u", "-b", cloud.all(Layer)[0].path, "-F", "qcow2", head.path]
    subprocess.run(rebase, check=True, capture_output=True)
    cloud.tend("storage.reconcile")
    assert cloud.all(Volume)[0].state == VolumeState.AVAILABLE


def test_a_strangers_file_is_told_and_stays(cloud: Cloud) -> None:
    stranger = Path(cloud.pool.path) / "heads" / "letter.txt"
    stranger.write_text("mine")
    cloud.tend("storage.reconcile")
    assert cloud.notices() == {f"pool-unknown:{cloud.pool.id}"}
    assert stranger.read_text() == "mine"


def test_a_disk_that_fills_up_fails_the_operation_and_leaves_nothing(cloud: Cloud, home: Path) -> None:
    """The pool's books are older than the disk's: the disk has the last word."""
    small = home / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0755", "yun-test", str(small)], check=True)
    try:
        made = cloud.do(lambda ctx: service.create_pool(ctx, name="small", path=str(small / "pool")))
        assert made.state == "succeeded", made.error
        space = os.statvfs(small)
        (small / "stuffing").write_bytes(b"\0" * (space.f_bavail * space.f_frsize))
        change = service.PoolChanges(reserve_bytes=0)
        cloud.do(lambda ctx: service.update_pool(ctx, "small", change))
        done = cloud.do(lambda ctx: service.create_volume(ctx, name="v", size_bytes=MIB, pool="small"))
        assert done.state == "failed"
        assert done.error is not None
        assert done.error["code"] == "no_capacity"
        assert cloud.all(Volume) == []
        assert os.listdir(small / "pool" / "heads") == []
        cloud.tend("pool.tend")
        small_pool = next(p for p in cloud.all(type(cloud.pool)) if p.name == "small")
        assert f"pool-full:{small_pool.id}" in cloud.notices()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_purge_leaves_nothing_on_the_disk(cloud: Cloud, home: Path) -> None:
    layer_id = adopt(cloud, image(cloud, home)).result["value"]["layer_id"]
    volume_id = planned(cloud, layer_id, size=GIB)
    cloud.toy("toy.drop", layer_id=layer_id, holder="image:a")
    cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, volume_id)))
    cloud.do(lambda ctx: service.purge(ctx, service.get_item(ctx, volume_id)))
    left = [p for p in Path(cloud.pool.path).rglob("*") if p.is_file() and p.name != ".yun-pool"]
    assert left == []


def qemu_io(path: str, *commands: str) -> None:
    """Run commands on a disk; reads with a pattern fail where the pattern is not there."""
    words = [w for c in commands for w in ("-c", c)]
    done = subprocess.run(["qemu-io", "-f", "qcow2", *words, path], check=True, capture_output=True, text=True)
    assert "failed" not in done.stdout.lower(), done.stdout
