"""Copies of disks that end badly, on real files and real libvirt: the disk fills up, QEMU is killed, the cloud dies.

Machines boot nothing: what copies their disks is QEMU itself. Whatever ended the copy, the source is the same to the
byte, no half copy is left, the operation says why, and asking again works.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab
from tests.images.ova import Wanted, manifest, ovf, tar
from tests.real.hypervisor_room import LibvirtRoom
from yun.base.config import Settings
from yun.compute import service
from yun.drivers.bundle import Drivers
from yun.drivers.hypervisor.libvirt import copying
from yun.drivers.volume.directory import DirectoryStore
from yun.first import prepare, settle
from yun.identity.service import default_project
from yun.images import service as images
from yun.images.model import Image, Upload
from yun.operations import service as operations
from yun.operations.intent import Subject
from yun.operations.model import Operation, OperationKey, State
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Attachment, Head, Layer, Pool, Volume
from yun.worker import build, fake_drivers

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
MIB = 1024**2
SPEED = 4 * MIB
"""How fast a copy may be where something is to happen in its middle."""


class Store(DirectoryStore):
    """A store before whose next large copy something happens."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Callable[[], None]] = []

    def convert(self, *args: Any, **values: Any) -> None:
        while self.before:
            self.before.pop()()
        super().convert(*args, **values)


class Place:
    """The default pool on a small disk of its own, the pool ``wide`` on the host's, and machines on real libvirt."""

    def __init__(self, home: Path, lab: Lab, room: LibvirtRoom, store: Store) -> None:
        self.home, self.lab, self.room, self.store = home, lab, room, store
        self.stuffing = home / "pool" / "incoming" / ".stuffing.part"

    def fill(self, free: int = 2 * MIB) -> None:
        """Somebody else writes to the small disk until only so much is left."""
        space = os.statvfs(self.home / "pool")
        self.stuffing.write_bytes(b"\0" * (space.f_bavail * space.f_frsize - free))

    def empty(self) -> None:
        """And takes it away again."""
        self.stuffing.unlink(missing_ok=True)

    def bring(self, name: str) -> Operation:
        """A stopped machine of an OVA with one disk that is full of data; it has no card and boots nothing."""
        raw, path = self.home / "disk.raw", self.home / "d1.qcow2"
        raw.write_bytes(b"\xeb\x63\x90".ljust(510, b"\0") + b"\x55\xaa" + os.urandom(24 * MIB - 512))
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(path)], check=True)
        wanted = Wanted(files={path.name: path.read_bytes()}, capacity="24", units="byte * 2^20", nics=(), memory="64")
        files = {"vm.ovf": ovf(wanted), **wanted.files}
        source = tar([("vm.ovf", files["vm.ovf"]), ("vm.mf", manifest(files)), *wanted.files.items()])
        with self.lab.asking() as ctx:
            row = images.begin_upload(
                ctx, images.NewImage(name), length=len(source), filename="vm.ova", purpose="appliance"
            )
            Path(row.path).write_bytes(source)
        return self.take(row.id, name)

    def take(self, upload_id: str, name: str) -> Operation:
        """Make a machine of what was uploaded."""
        wish = service.ImportWish(name=name)
        return self.ask(lambda ctx: service.import_appliance(ctx, images.get_upload(ctx, upload_id), wish))

    def ask(self, verb: Callable[[Any], Any]) -> Operation:
        """Do it; the operation as it ended."""
        with self.lab.asking() as ctx:
            identifier = submit(ctx, verb(ctx)).id
        self.lab.drain()
        return self.lab.operation(identifier)

    def move(self, name: str, pool: str) -> Operation:
        """Ask for a move and wait for its end."""
        return self.ask(lambda ctx: service.move(ctx, storage.get_volume(ctx, name), pool))

    def head(self, name: str) -> Head:
        """Where a machine's only disk lies."""
        volume = next(v for v in self.lab.rows(Volume) if v.name == name)
        return next(h for h in self.lab.rows(Head) if h.volume_id == volume.id)

    def content(self, name: str) -> str:
        """The SHA-256 of what a guest reads from a machine's disk."""
        out = self.home / "look.raw"
        subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", self.head(name).path, str(out)], check=True)
        return digest(out)

    def plugged(self, name: str) -> str:
        """The file that the running machine writes to; no copy of it is under way."""
        xml = ET.fromstring(self.room.host.run("virsh", "dumpxml", self.lab.row(name).uuid))
        assert xml.find("./devices/disk/mirror") is None, "a copy is under way"
        source = xml.find("./devices/disk[@device='disk']/source")
        assert source is not None
        return source.get("file", "")

    def files(self, pool: str = "pool") -> set[str]:
        """Every disk file of a pool, also half ones."""
        return {
            str(p) for f in ("heads", "layers", "incoming") for p in (self.home / pool / f).iterdir()
            if p != self.stuffing
        }  # fmt: skip


def digest(path: str | Path) -> str:
    """SHA-256 of a file as it lies there."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def ground() -> Iterator[tuple[Path, LibvirtRoom]]:
    """A directory with a small disk in it, which libvirt's private host sees, too."""
    home = Path(tempfile.mkdtemp(prefix="yun-copies-", dir="/var/tmp"))
    home.chmod(0o755)
    (home / "pool").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m,mode=0755", "yun-test", str(home / "pool")], check=True)
    try:
        room = LibvirtRoom()
        yield home, room
        room.close()
    finally:
        subprocess.run(["umount", "-l", str(home / "pool")], check=True)
        shutil.rmtree(home)


@pytest.fixture
def place(ground: tuple[Path, LibvirtRoom]) -> Iterator[Place]:
    """A fresh cloud on that ground, with the machine ``web``; everything is gone afterwards."""
    home, room = ground
    made = open_cloud(home, room)
    cloud = made.lab.cloud
    cloud.database.create()
    prepare(cloud)
    cloud.engine.nudge("host.tend", Subject("host", "local", "local"))
    cloud.engine.drain()
    assert settle(cloud)
    cloud.engine.drain()
    with cloud.database.read() as session:
        made.lab.project_id = default_project(session).id
    for change in (
        lambda ctx: storage.update_pool(ctx, "default", storage.PoolChanges(reserve_bytes=0)),
        lambda ctx: storage.create_pool(ctx, name="wide", path=str(home / "wide")),
    ):
        assert made.ask(change).state == State.SUCCEEDED
    brought = made.bring("web")
    assert brought.state == State.SUCCEEDED, brought.error
    yield made
    for uuid in room.host.run("virsh", "list", "--all", "--uuid").split():
        room.host.run("virsh", "destroy", uuid, check=False)
        room.host.run("virsh", "undefine", uuid, check=False)
    cloud.database.close()
    for each in (*(home / "pool").iterdir(), *home.glob("yun.db*"), home / "wide"):
        shutil.rmtree(each) if each.is_dir() else each.unlink()


def open_cloud(home: Path, room: LibvirtRoom) -> Place:
    """A process of the cloud: real disks and machines, networks in memory."""
    fakes, store = fake_drivers(), Store()
    host = replace(fakes.on("any"), volume=store, hypervisor=room.driver)
    cloud = build(Settings(state_dir=home, fake=True), Drivers(network=fakes.network, connect=lambda _h: host))
    return Place(home, RealLab(cloud, ""), room, store)


class RealLab(Lab):
    """A lab whose machines are no world in memory."""

    def drain(self) -> None:
        self.cloud.engine.drain()


def start(place: Place, name: str = "web") -> None:
    """Switch it on."""
    done = place.ask(lambda ctx: service.start(ctx, service.get(ctx, name)))
    assert done.state == State.SUCCEEDED, done.error


def full(done: Operation) -> None:
    """It failed, and says that a disk is full."""
    assert done.state == State.FAILED
    assert done.error is not None
    assert done.error["code"] == "no_capacity", done.error
    assert "full" in done.error["message"]["text"], done.error


def slowly(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """Copies under running machines take seconds, and something happens once in the middle of the next one."""
    calm, happened = copying.begin, []

    class Slow:
        def __init__(self, domain: Any) -> None:
            self.domain = domain

        def __getattr__(self, name: str) -> Any:
            return getattr(self.domain, name)

        def blockCopy(self, slot: str, xml: str, _params: None, flags: int) -> None:
            self.domain.blockCopy(slot, xml, {"bandwidth": SPEED}, flags)

    calm_state = copying.state

    def state(domain: Any, slot: str) -> Any:
        now = calm_state(domain, slot)
        if now is not None and not happened and now.done > 2 * MIB:
            assert not now.ready
            happened.append(now)
            then()
        return now

    monkeypatch.setattr(copying, "begin", lambda domain, *how: calm(Slow(domain), *how))
    monkeypatch.setattr(copying, "state", state)


# ── the disk fills up ──


def test_a_disk_that_fills_up_under_the_move_of_a_running_machine(place: Place, monkeypatch: Any) -> None:
    assert place.move("web", "wide").state == State.SUCCEEDED
    start(place)
    before, content, path = digest(place.head("web").path), place.content("web"), place.head("web").path
    slowly(monkeypatch, place.fill)
    full(place.move("web", "default"))
    assert (place.head("web").path, place.plugged("web")) == (path, path)
    assert digest(path) == before
    assert place.files() == set()
    assert not place.lab.rows(OperationKey)
    place.empty()
    monkeypatch.undo()
    again = place.move("web", "default")
    assert again.state == State.SUCCEEDED, again.error
    assert again.result["value"]["effect"] == "live"
    assert place.plugged("web") == place.head("web").path
    assert place.content("web") == content
    assert place.files("wide") == set()


def test_a_disk_that_fills_up_under_the_move_of_a_stopped_machine(place: Place) -> None:
    assert place.move("web", "wide").state == State.SUCCEEDED
    path = place.head("web").path
    before, content = digest(path), place.content("web")
    place.store.before.append(place.fill)
    full(place.move("web", "default"))
    assert place.head("web").path == path
    assert digest(path) == before
    assert place.files() == set()
    place.empty()
    assert place.move("web", "default").state == State.SUCCEEDED
    assert place.content("web") == content


@pytest.mark.parametrize("running", [False, True])
def test_a_disk_that_fills_up_under_a_full_copy(place: Place, running: bool) -> None:
    if running:
        start(place)
    content, old = place.content("web"), place.head("web").path
    before = digest(old)

    def clone(ctx: Any, name: str) -> Any:
        return service.clone(ctx, service.get(ctx, "web"), service.CloneWish(name, full=True, start=False))

    place.store.before.append(place.fill)
    full(place.ask(lambda ctx: clone(ctx, "copy")))
    assert [v.name for v in place.lab.rows(Volume)] == ["web"]
    assert place.files() == {old, place.head("web").path}, "the source stands on what was frozen, and nothing else"
    assert digest(old) == before
    assert place.content("web") == content
    if running:
        assert place.plugged("web") == place.head("web").path
    place.empty()
    again = place.ask(lambda ctx: clone(ctx, "copy"))
    assert again.state == State.SUCCEEDED, again.error
    assert place.content("copy") == content


def test_a_disk_that_is_full_before_a_linked_copy(place: Place) -> None:
    start(place)
    old, content = place.head("web").path, place.content("web")
    place.fill(free=0)
    done = place.ask(
        lambda ctx: service.clone(ctx, service.get(ctx, "web"), service.CloneWish("copy", start=False))
    )
    full(done)
    assert (place.head("web").path, place.plugged("web"), place.files()) == (old, old, {old})
    assert place.lab.rows(Layer) == []
    assert place.content("web") == content
    place.empty()
    wish = service.CloneWish("copy", start=False)
    again = place.ask(lambda ctx: service.clone(ctx, service.get(ctx, "web"), wish))
    assert again.state == State.SUCCEEDED, again.error
    assert place.content("copy") == content


def test_a_disk_that_fills_up_under_an_image_of_a_machine(place: Place) -> None:
    start(place)
    content, old = place.content("web"), place.head("web").path

    def make(ctx: Any) -> Any:
        return service.make_image(ctx, service.get(ctx, "web"), images.NewImage("golden"))

    place.store.before.append(place.fill)
    full(place.ask(make))
    assert place.files() == {old, place.head("web").path}
    assert place.content("web") == content
    place.empty()
    again = place.ask(make)
    assert again.state == State.SUCCEEDED, again.error


def test_a_disk_that_fills_up_under_an_import_of_a_machine(place: Place) -> None:
    before = place.files()
    place.store.before.append(place.fill)
    full(place.bring("two"))
    (upload,) = place.lab.rows(Upload)
    assert place.files() == {*before, upload.path}, "what was uploaded is kept for another try"
    assert [v.name for v in place.lab.rows(Volume)] == ["web"]
    place.empty()
    again = place.take(upload.id, "two")
    assert again.state == State.SUCCEEDED, again.error
    assert place.lab.rows(Upload) == []
    assert place.content("two") == digest(place.home / "disk.raw")


def test_a_disk_that_fills_up_under_an_import_of_an_image(place: Place) -> None:
    before = place.files()
    source = place.home / "source.qcow2"
    subprocess.run(
        ["qemu-img", "convert", "-O", "qcow2", str(place.home / "disk.raw"), str(source)], check=True
    )
    kept = digest(source)

    def bring(ctx: Any) -> Any:
        return images.import_file(ctx, images.NewImage("golden"), str(source))

    place.store.before.append(place.fill)
    full(place.ask(bring))
    assert place.files() == before
    assert digest(source) == kept
    assert [i.state for i in place.lab.rows(Image)] in ([], ["failed"])
    place.empty()
    again = place.ask(bring)
    assert again.state == State.SUCCEEDED, again.error


# ── QEMU or the cloud dies ──


def test_a_qemu_that_is_killed_in_the_middle_of_a_copy(place: Place, monkeypatch: Any) -> None:
    start(place)
    path, content = place.head("web").path, place.content("web")
    before, uuid = digest(path), place.lab.row().uuid
    slowly(monkeypatch, lambda: place.room.crash(uuid))
    done = place.move("web", "wide")
    assert done.state == State.FAILED
    assert "went down while its disk was copied" in str(done.error)
    assert place.head("web").path == path
    assert digest(path) == before
    assert place.files("wide") == set()
    assert not place.lab.rows(OperationKey)
    monkeypatch.undo()
    place.ask(lambda ctx: service.tend(ctx, service.get(ctx, "web")))
    again = place.move("web", "wide")
    assert again.state == State.SUCCEEDED, again.error
    assert place.content("web") == content


class Died(BaseException):
    """The process of the cloud is gone."""


def test_a_cloud_that_dies_in_the_middle_of_a_copy_goes_on_with_it(place: Place, monkeypatch: Any) -> None:
    start(place)
    path, content = place.head("web").path, place.content("web")

    def die() -> None:
        raise Died

    slowly(monkeypatch, die)
    with place.lab.asking() as ctx:
        identifier = submit(ctx, service.move(ctx, storage.get_volume(ctx, "web"), "wide")).id
    with pytest.raises(Died):
        place.lab.drain()
    monkeypatch.undo()
    job = place.room.driver.copy_state(place.lab.row().uuid, place.lab.rows(Attachment)[0].slot)
    assert job is not None, "QEMU goes on while nobody watches"
    assert not job.ready
    next_one = open_cloud(place.home, place.room)
    with next_one.lab.cloud.database.write() as session:
        session.execute(sa.update(Operation).where(Operation.node_id.is_not(None)).values(node_id="nod_dead"))
    next_one.lab.drain()
    done = next_one.lab.operation(identifier)
    assert done.state == State.SUCCEEDED, done.error
    assert done.result["value"]["effect"] == "live"
    assert next_one.plugged("web") == next_one.head("web").path != path
    assert next_one.files() == set()
    assert next_one.content("web") == content
    with next_one.lab.database.read() as session:
        assert session.get_one(Pool, next(v for v in next_one.lab.rows(Volume)).pool_id).name == "wide"
    back = next_one.ask(lambda ctx: operations.undo(ctx, identifier))
    assert back.state == State.SUCCEEDED, back.error
    assert next_one.content("web") == content
    next_one.lab.cloud.database.close()
