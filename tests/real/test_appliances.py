"""Whole machines out and in again with the real disk tool: every byte of every disk is the same."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.compute.conftest import Lab
from tests.images.ova import Wanted, manifest, ovf, tar
from yun.base.config import Settings
from yun.compute import service
from yun.drivers.bundle import Drivers
from yun.drivers.volume.directory import DirectoryStore
from yun.first import prepare, settle
from yun.identity.service import default_project
from yun.images import service as images
from yun.images.appliance.folder import pack
from yun.images.model import Upload
from yun.operations.intent import Subject
from yun.operations.model import State
from yun.operations.service import submit
from yun.storage.model import Attachment, Head, Volume
from yun.worker import build, fake_drivers

pytestmark = pytest.mark.real
MIB = 1024**2


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that the hypervisor's user could pass, too."""
    path = Path(tempfile.mkdtemp(prefix="yun-ova-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def lab(home: Path) -> Iterator[Lab]:
    """A cloud whose disks are real files and whose machines and networks are in memory."""
    fakes = fake_drivers()
    host = replace(fakes.on("any"), volume=DirectoryStore())
    cloud = build(Settings(state_dir=home, fake=True), Drivers(network=fakes.network, connect=lambda _h: host))
    cloud.database.create()
    prepare(cloud)
    cloud.engine.nudge("host.tend", Subject("host", "local", "local"))
    cloud.engine.drain()
    assert settle(cloud)
    cloud.engine.drain()
    with cloud.database.read() as session:
        project_id = default_project(session).id
    yield Lab(cloud, project_id)
    cloud.drivers.close()
    cloud.database.close()


def disk(path: Path, seed: int, form: str, *options: str) -> bytes:
    """A disk of 24 MiB with data of its own, holes and an odd end, in a format; the file's bytes."""
    raw = path.with_suffix(".raw")
    block = hashlib.sha256(bytes([seed])).digest() * 32768  # 1 MiB
    with raw.open("wb") as file:
        file.write(b"\xeb\x63\x90".ljust(510, b"\0") + b"\x55\xaa" + block)
        file.seek(17 * MIB + 4096)
        file.write(block[:300000])
        file.truncate(24 * MIB)
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", form, *options, str(raw), str(path)], check=True
    )
    return path.read_bytes()


def raw_digest(path: str, home: Path) -> str:
    """The SHA-256 of what a guest would read from a disk file."""
    out = home / "look.raw"
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, str(out)], check=True)
    with out.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bring(lab: Lab, source: Path, name: str) -> Any:
    """Upload and import; the operation as it ended."""
    with lab.asking() as ctx:
        row = images.begin_upload(
            ctx, images.NewImage(name), length=source.stat().st_size, filename=source.name, purpose="appliance"
        )
        shutil.copy(source, row.path)
        identifier = submit(ctx, service.import_appliance(ctx, row, service.ImportWish(name=name))).id
    lab.drain()
    return lab.operation(identifier)


def digests(lab: Lab, name: str, home: Path) -> list[str]:
    """What is in each disk of an instance, by slot."""
    instance_id = lab.row(name).id
    volumes = [a.volume_id for a in sorted(lab.rows(Attachment), key=lambda a: a.slot) if a.instance_id == instance_id]
    paths = {h.volume_id: h.path for h in lab.rows(Head)}
    return [raw_digest(paths[v], home) for v in volumes]


def three(home: Path) -> dict[str, bytes]:
    """Three disks as three makers write them."""
    return {
        "d1.vmdk": disk(home / "d1.vmdk", 1, "vmdk", "-o", "subformat=streamOptimized"),
        "d2.vmdk": disk(home / "d2.vmdk", 2, "vmdk"),
        "d3.qcow2": disk(home / "d3.qcow2", 3, "qcow2"),
    }


def test_three_disks_in_and_out_and_in_again_are_the_same_to_the_byte(lab: Lab, home: Path) -> None:
    wanted = Wanted(files=three(home), capacity="24", units="byte * 2^20", nics=("E1000", "virtio"), firmware="efi")
    files = {"vm.ovf": ovf(wanted), **wanted.files}
    first = home / "first.ova"
    first.write_bytes(tar([("vm.ovf", files["vm.ovf"]), ("vm.mf", manifest(files)), *wanted.files.items()]))
    done = bring(lab, first, "one")
    assert done.state == State.SUCCEEDED, done.error
    expected = [raw_digest(str(home / name), home) for name in wanted.files]
    assert digests(lab, "one", home) == expected

    with lab.asking() as ctx:
        identifier = submit(ctx, service.export(ctx, service.get(ctx, "one"))).id
    lab.drain()
    exporting = lab.operation(identifier)
    assert exporting.state == State.SUCCEEDED, exporting.error
    with lab.asking() as ctx:
        made = images.get_export(ctx, exporting.result["value"]["export_id"])
    with tarfile.open(made.path) as archive:
        assert archive.getnames() == ["one.ovf", "one.mf", "one-disk1.vmdk", "one-disk2.vmdk", "one-disk3.vmdk"]
    (home / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", made.path, "-C", str(home / "unpacked")], check=True)
    sums = subprocess.run(["sha256sum", "-c"], input=sha_lines(home / "unpacked" / "one.mf"), text=True, check=True,
                          cwd=home / "unpacked", capture_output=True).stdout  # fmt: skip
    assert sums.count(": OK") == 4
    assert os.listdir(Path(made.path).parent) == [Path(made.path).name]

    beside = pack(home / "unpacked")
    with beside.open() as source, (home / "beside.ova").open("wb") as target:
        shutil.copyfileobj(source, target)
    third = bring(lab, home / "beside.ova", "three")
    assert third.state == State.SUCCEEDED, third.error
    assert digests(lab, "three", home) == expected

    again = bring(lab, Path(made.path), "two")
    assert again.state == State.SUCCEEDED, again.error
    assert digests(lab, "two", home) == expected
    one, two = lab.row("one"), lab.row("two")
    assert (two.vcpus, two.memory_mib, two.firmware) == (one.vcpus, one.memory_mib, one.firmware)
    assert [n.model for n in lab.domain("two").spec.nics] == ["e1000", "virtio"]
    assert [d.bus for d in lab.domain("two").spec.disks] == [d.bus for d in lab.domain("one").spec.disks]


def test_an_image_goes_out_as_an_appliance_and_its_disk_comes_back_the_same(lab: Lab, home: Path) -> None:
    disk(home / "golden.qcow2", 7, "qcow2")
    expected = raw_digest(str(home / "golden.qcow2"), home)
    wish = images.NewImage("golden", {"firmware": "uefi", "hardware": "compatible", "min_memory_mib": 300})
    lab.do(lambda ctx: images.import_file(ctx, wish, str(home / "golden.qcow2")))
    done = lab.operation(lab.do(lambda ctx: images.export(ctx, images.get(ctx, "golden"), format="ova")))
    assert done.state == State.SUCCEEDED, done.error
    with lab.asking() as ctx:
        made = images.get_export(ctx, done.result["value"]["export_id"])
    assert os.listdir(Path(made.path).parent) == [Path(made.path).name]
    back = bring(lab, Path(made.path), "one")
    assert back.state == State.SUCCEEDED, back.error
    assert digests(lab, "one", home) == [expected]
    row = lab.row("one")
    assert (row.firmware, row.memory_mib) == ("uefi", 300)
    spec = lab.domain("one").spec
    assert ([d.bus for d in spec.disks], [n.model for n in spec.nics]) == (["sata"], ["e1000"])


def sha_lines(path: Path) -> str:
    """A manifest as sha256sum reads it."""
    lines = (line.removeprefix("SHA256(").split(")= ") for line in path.read_text().splitlines())
    return "".join(f"{digest}  {name}\n" for name, digest in lines)


def nothing_left(lab: Lab, home: Path) -> None:
    """No volume, no upload, no file of an import is left."""
    assert (lab.rows(Volume), lab.rows(Upload)) == ([], [])
    for folder in ("incoming", "heads", "layers"):
        assert os.listdir(home / "pool" / folder) == []


def test_a_disk_that_stands_on_a_file_of_the_host_is_refused(lab: Lab, home: Path) -> None:
    (home / "secret.raw").write_bytes(bytes(24 * MIB))
    for form, name in (("qcow2", "d1.qcow2"), ("vmdk", "d1.vmdk")):
        path = home / name
        if form == "vmdk":
            disk(home / "base.vmdk", 5, "vmdk")
        base, kind = (home / "base.vmdk", "vmdk") if form == "vmdk" else (home / "secret.raw", "raw")
        subprocess.run(["qemu-img", "create", "-q", "-f", form, "-b", str(base), "-F", kind, str(path)], check=True)
        wanted = Wanted(files={name: path.read_bytes()}, capacity="24", units="byte * 2^20")
        source = home / "bad.ova"
        source.write_bytes(tar([("vm.ovf", ovf(wanted)), *wanted.files.items()]))
        done = bring(lab, source, "bad")
        assert done.state == State.FAILED
        assert name in str(done.error)
        nothing_left(lab, home)


def test_a_disk_that_is_larger_than_it_claims_or_cut_off_is_refused(lab: Lab, home: Path) -> None:
    whole = disk(home / "d1.vmdk", 1, "vmdk", "-o", "subformat=streamOptimized")
    for content, size in ((whole, "16"), (whole[: len(whole) // 2], "24")):
        wanted = Wanted(files={"d1.vmdk": content}, capacity=size, units="byte * 2^20")
        source = home / "bad.ova"
        source.write_bytes(tar([("vm.ovf", ovf(wanted)), *wanted.files.items()]))
        done = bring(lab, source, "bad")
        assert done.state == State.FAILED, size
        nothing_left(lab, home)
