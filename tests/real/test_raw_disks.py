"""Raw disks on real files and real libvirt: whatever a guest writes into one is its data and nothing else.

The guest's part is played by the test: it writes a qcow2's header, made by qemu-img, to the start of the disk. That
header names a file of the host, and the kernel tells whether anybody ever opens that.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.real.test_copies_broken import MIB, Place, ground, place, start  # noqa: F401
from yun.base.messages import _
from yun.compute import service
from yun.images import service as images
from yun.network import service as network
from yun.operations.intent import Intent, Subject
from yun.operations.model import Operation, State
from yun.operations.service import submit, undo
from yun.storage import service as storage
from yun.storage.model import Head, Layer, Volume, VolumeState

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
SIZE = 16 * MIB
IN_OPEN = 0x20


@contextmanager
def never_opened(path: Path) -> Iterator[None]:
    """Fails where any process opens the file meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watch >= 0
    try:
        assert libc.inotify_add_watch(watch, str(path).encode(), IN_OPEN) >= 0
        yield
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
    finally:
        os.close(watch)


def plain(path: str | Path, format: str) -> str:
    """The SHA-256 of the disk in a file that is of this format."""
    out = Path(f"{path}.plain")
    subprocess.run(["qemu-img", "convert", "-U", "-f", format, "-O", "raw", str(path), str(out)], check=True)
    found = hashlib.sha256(out.read_bytes()).hexdigest()
    out.unlink()
    return found


class Desk:
    """The machine ``web`` and its raw disk ``data``."""

    def __init__(self, place: Place) -> None:  # noqa: F811
        self.place = place
        self.secret = place.home / "secret.raw"
        self.secret.write_bytes(b"SECRET! " * (2 * MIB))
        self.wanted = ""

    def do(self, verb: Any, of: str, /, **values: Any) -> Operation:
        """Ask a verb of a volume, or of the machine ``web``; it succeeds."""

        def ask(ctx: Any) -> Any:
            subject = service.get(ctx, "web") if of == "web" else storage.get_volume(ctx, of)
            return verb(ctx, subject, **values)

        done = self.place.ask(ask)
        assert done.state == State.SUCCEEDED, done.error
        return done

    def write_header(self) -> None:
        """What a hostile guest does to its disk; the rest of it is noise."""
        evil = self.place.home / "evil.qcow2"
        base = ["-b", str(self.secret), "-F", "raw"]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *base, str(evil), str(SIZE)], check=True)
        with open(self.head().path, "r+b") as file:
            file.write(evil.read_bytes())
            file.seek(8 * MIB)
            file.write(os.urandom(MIB))
        content = Path(self.head().path).read_bytes()
        assert (len(content), content[:4]) == (SIZE, b"QFI\xfb")
        self.wanted = hashlib.sha256(content).hexdigest()
        guessed = subprocess.run(["qemu-img", "info", "-U", self.head().path], check=True, capture_output=True)
        assert str(self.secret).encode() in guessed.stdout, "who guesses believes it"

    def head(self, name: str = "data") -> Head:
        """The file of a volume."""
        return self.place.head(name)

    def holds(self, name: str = "data") -> None:
        """The volume's disk is to the byte what the guest wrote, and is what its row says."""
        head = self.head(name)
        assert plain(head.path, head.format) == self.wanted, name

    def told(self, name: str = "data", machine: str = "web") -> tuple[str, str, list[tuple[str, str]]]:
        """What the running machine takes the disk for: file, format, and the files and formats below it."""
        xml = ET.fromstring(self.place.room.host.run("virsh", "dumpxml", self.place.lab.row(machine).uuid))
        path = self.head(name).path
        disk = next(d for d in xml.iterfind("./devices/disk") if d.find("source").get("file") == path)  # type: ignore[union-attr]
        assert disk.find("mirror") is None
        below = []
        for each in disk.iter("backingStore"):
            if each.find("source") is not None:
                below.append((each.find("source").get("file", ""), each.find("format").get("type", "")))  # type: ignore[union-attr]
        return path, disk.find("driver").get("type", ""), below  # type: ignore[union-attr]

    def reconcile(self) -> None:
        """What is on the disk is what the rows say."""
        intent = Intent("storage.reconcile", _("Compare"), Subject("periodic", "storage.reconcile"), quiet=True)
        with self.place.lab.asking() as ctx:  # what found nothing to write leaves no operation behind
            submit(ctx, intent)
        self.place.lab.drain()
        assert {v.state for v in self.place.lab.rows(Volume)} == {VolumeState.AVAILABLE}
        assert {x.state for x in self.place.lab.rows(Layer)} <= {"active"}

    def export(self, done: Operation) -> Any:
        """What became of an export."""
        with self.place.lab.asking() as ctx:
            return images.get_export(ctx, (done.result or {})["value"]["export_id"])


@pytest.fixture
def desk(place: Place) -> Desk:  # noqa: F811
    start(place)
    made = Desk(place)
    made.do(service.add_disk, "web", size_bytes=SIZE, name="data", format="raw")
    assert made.told() == (made.head().path, "raw", [])
    assert os.stat(made.head().path).st_blocks * 512 < MIB, "it is sparse"
    made.write_header()
    return made


def test_a_raw_disk_is_plugged_in_moved_and_grown_while_its_machine_runs_and_stays_raw(desk: Desk) -> None:
    with never_opened(desk.secret):
        before = desk.head().path
        moved = desk.do(service.move, "data", pool="wide")
        assert desk.told() == (desk.head().path, "raw", [])
        assert "/wide/" in desk.head().path
        desk.holds()
        desk.reconcile()
        desk.do(service.stop, "web", force=True)
        with desk.place.lab.asking() as ctx:
            undone = submit(ctx, undo(ctx, moved.id)).id
        desk.place.lab.drain()
        assert desk.place.lab.operation(undone).state == State.SUCCEEDED
        assert (desk.head().path, desk.head().format) == (before, "raw")
        desk.holds()
        start(desk.place)
        assert desk.told() == (before, "raw", [])
        desk.do(service.grow, "data", size_bytes=2 * SIZE)
        assert os.stat(before).st_size == 2 * SIZE
        desk.do(service.stop, "web", force=True)
        desk.do(service.grow, "data", size_bytes=3 * SIZE)
        assert os.stat(before).st_size == 3 * SIZE
        desk.reconcile()


def test_a_raw_disk_is_frozen_pulled_and_cloned_as_what_it_is(desk: Desk) -> None:
    with never_opened(desk.secret):
        raw = desk.head().path
        wish = service.CloneWish("linked", start=False)
        desk.do(service.clone, "web", wish=wish)
        layer = next(x for x in desk.place.lab.rows(Layer) if x.path == raw)
        assert layer.format == "raw"
        assert desk.told() == (desk.head().path, "qcow2", [(raw, "raw")])
        above = {h.volume_id for h in desk.place.lab.rows(Head) if h.layer_id == layer.id}
        linked = next(v.name for v in desk.place.lab.rows(Volume) if v.id in above and v.name != "data")
        for name in ("data", linked):
            assert desk.head(name).format == "qcow2"
            desk.holds(name)
        start(desk.place, "linked")
        assert desk.told(linked, "linked")[1:] == ("qcow2", [(raw, "raw")])
        desk.reconcile()
        desk.do(service.clone, "web", wish=service.CloneWish("whole", full=True, start=False))
        desk.holds()
        whole = next(
            v.name for v in desk.place.lab.rows(Volume) if v.name not in ("data", linked) and v.size_bytes == SIZE
        )
        desk.holds(whole)
        desk.do(service.flatten, "data", whole=True)
        assert desk.told() == (desk.head().path, "qcow2", [])
        desk.do(service.stop, "web", force=True)  # QEMU keeps part of a qcow2's tables to itself while it runs
        desk.holds()
        stop = desk.place.ask(lambda ctx: service.stop(ctx, service.get(ctx, "linked"), force=True))
        assert stop.state == State.SUCCEEDED, stop.error
        desk.do(service.flatten, linked, whole=True)
        assert desk.head(linked).layer_id is None
        desk.holds(linked)
        assert not Path(raw).exists(), "nothing stands on it any more"
        desk.reconcile()


def test_a_raw_disk_goes_out_as_what_it_is(desk: Desk) -> None:
    with never_opened(desk.secret):
        desk.do(service.stop, "web", force=True)
        desk.do(service.copy, "data", name="saved")
        assert desk.head("saved").format == "qcow2"
        desk.holds("saved")
        for form in ("raw", "qcow2"):
            made = desk.export(desk.do(service.download, "data", format=form))
            assert (made.state, made.format) == ("ready", form)
            assert plain(made.path, form) == desk.wanted
        with tarfile.open(desk.export(desk.do(service.export, "web")).path) as tar:
            name = next(n for n in tar.getnames() if n.endswith("disk2.vmdk"))
            tar.extract(name, desk.place.home)
        assert plain(desk.place.home / name, "vmdk") == desk.wanted
        assert (desk.head().format, plain(desk.head().path, "raw")) == ("raw", desk.wanted)
        start(desk.place)
        desk.do(service.copy, "data", name="again")
        desk.holds("again")
        desk.holds()
        desk.reconcile()


def test_a_machine_starts_from_a_raw_first_disk_that_is_a_copy_of_its_image(desk: Desk) -> None:
    """On IDE, which is the furthest from what machines usually have."""
    lab = desk.place.lab
    desk.do(service.stop, "web", force=True)
    desk.do(service.detach, "data")
    desk.do(service.make_image, "web", new=images.NewImage("golden"))
    disk = service.FirstDisk(bus="ide", format="raw")
    size = {"vcpus": 1, "memory_mib": 64, "disk_bytes": 64 * MIB}
    wish = service.Wish(name="first", image="golden", start=False, disk=disk, **size)  # type: ignore[arg-type]
    made = desk.place.ask(lambda ctx: service.create(ctx, wish))
    assert made.state == State.SUCCEEDED, made.error
    head = desk.head("first")
    assert (head.format, head.layer_id, os.stat(head.path).st_size) == ("raw", None, 64 * MIB)
    layer = next(x for x in lab.rows(Layer) if x.id == next(h.layer_id for h in lab.rows(Head) if h.layer_id))
    with open(head.path, "rb") as file:
        assert hashlib.sha256(file.read(layer.virtual_bytes)).hexdigest() == plain(layer.path, layer.format)
        assert not any(file.read()), "what was grown is empty"
    with lab.asking() as ctx:
        cards = [port.id for port in network.ports_of(ctx.session, service.get(ctx, "first").id)]
    for card in cards:  # its network is in memory
        desk.place.ask(lambda ctx, card=card: service.remove_nic(ctx, service.get(ctx, "first"), card))
    start(desk.place, "first")
    assert desk.told("first", "first") == (head.path, "raw", [])
    desk.reconcile()
