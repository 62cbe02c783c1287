"""Volumes as real files: uploaded in every format, copied and downloaded, the content is the same to the last byte."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.images.conftest import HOME, MIB, ROOT, ImageCloud, make_cloud
from tests.real.test_images_import import home, tool  # noqa: F401
from yun.base.config import Settings
from yun.base.db import Database
from yun.compute import flows as _flows  # noqa: F401
from yun.compute import service as compute
from yun.drivers.volume.directory import DirectoryStore
from yun.hosts.model import Host
from yun.images import service as images
from yun.images.model import Export
from yun.images.service import NewImage
from yun.operations.model import State
from yun.storage import service as storage
from yun.storage.model import Head, Pool, Volume

pytestmark = pytest.mark.real
SIZE = 24 * MIB


@pytest.fixture
def cloud(home: Path) -> Iterator[ImageCloud]:  # noqa: F811
    database = Database(f"sqlite:///{home / 'yun.db'}")
    database.create()
    yield make_cloud(database, Settings(state_dir=home), DirectoryStore(), home / "pool")
    database.close()


@pytest.fixture
def raw(home: Path) -> Path:  # noqa: F811
    """A disk with a partition table's signature, noise here and there, and holes."""
    path = home / "mine.raw"
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.write(os.urandom(510) + b"\x55\xaa" + os.urandom(3 * MIB))
        file.seek(SIZE - 70000)
        file.write(os.urandom(70000))
    return path


def content(path: Path | str, format: str) -> str:
    """The SHA-256 of the disk in a file."""
    out = Path(f"{path}.plain")
    tool("convert", "-f", format, "-O", "raw", path, out)
    found = hashlib.sha256(out.read_bytes()).hexdigest()
    out.unlink()
    return found


def upload(cloud: ImageCloud, path: Path, name: str) -> Any:
    """Upload a file as a volume; the operation as it ended."""

    def ask(ctx: Any) -> Any:
        row = images.begin_upload(
            ctx, NewImage(name), length=path.stat().st_size, filename=path.name, purpose="volume"
        )
        Path(row.path).write_bytes(path.read_bytes())
        return images.upload_volume(ctx, row)

    return cloud.do(ask)


def path_of(cloud: ImageCloud, name: str) -> str:
    """Where a volume's file lies."""
    with cloud.database.read() as session:
        query = sa.select(Head.path).join(Volume, Volume.id == Head.volume_id).where(Volume.name == name)
        return str(session.scalars(query).one())


@pytest.mark.parametrize("format", ["raw", "qcow2", "vmdk", "vdi", "vhdx"])
def test_what_comes_in_is_copied_and_goes_out_is_the_same_to_the_last_byte(
    cloud: ImageCloud, raw: Path, home: Path, format: str  # noqa: F811
) -> None:
    wanted = hashlib.sha256(raw.read_bytes()).hexdigest()
    file = raw
    if format != "raw":
        file = home / f"mine.{format}"
        tool("convert", "-f", "raw", "-O", format, raw, file)
    done = upload(cloud, file, "data")
    assert done.state == State.SUCCEEDED, done.error
    assert done.result["value"]["format"] == format
    assert content(path_of(cloud, "data"), "qcow2") == wanted
    copied = cloud.do(lambda ctx: compute.copy(ctx, storage.get_volume(ctx, "data"), name="copy"))
    assert copied.state == State.SUCCEEDED, copied.error
    assert content(path_of(cloud, "copy"), "qcow2") == wanted
    with cloud.database.read() as session:
        used = {v.name: v.used_bytes for v in session.scalars(sa.select(Volume))}
    assert all(3 * MIB < each < SIZE for each in used.values()), used
    for out in ("raw", "qcow2"):
        made = cloud.do(
            lambda ctx, out=out: compute.download(ctx, storage.get_volume(ctx, "copy"), format=out)
        )
        assert made.state == State.SUCCEEDED, made.error
        with cloud.asking() as ctx:
            export = images.get_export(ctx, made.result["value"]["export_id"])
        assert content(export.path, out) == wanted
        assert made.result["value"]["sha256"] == hashlib.sha256(Path(export.path).read_bytes()).hexdigest()
        assert os.stat(export.path).st_blocks * 512 < 6 * MIB, "no more disk than is needed"
        if out == "raw":
            assert made.result["value"]["sha256"] == wanted
            assert made.result["value"]["size_bytes"] == SIZE


@pytest.fixture
def narrow(cloud: ImageCloud, home: Path) -> Iterator[str]:  # noqa: F811
    """A pool ``narrow`` on a file system of 8 MiB."""
    path = home / "narrow"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)], check=True)
    cloud.store.prepare_pool(str(path))
    with cloud.database.write() as session:
        host = session.scalars(sa.select(Host)).one()
        session.add(
            Pool(
                host_id=host.id, name="narrow", path=str(path), capacity_bytes=8 * MIB, free_bytes=8 * MIB,
                overcommit=100.0, reserve_bytes=0,
            )
        )  # fmt: skip
    yield str(path)
    subprocess.run(["umount", str(path)], check=True)


def noise(home: Path) -> Path:  # noqa: F811
    """A disk that is as large as it looks."""
    path = home / "noise.raw"
    path.write_bytes(os.urandom(510) + b"\x55\xaa" + os.urandom(SIZE - 512))
    return path


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_disk_that_is_full_ends_a_copy_with_the_reason_and_the_source_is_unharmed(
    cloud: ImageCloud, narrow: str, home: Path, when: str, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    file = noise(home)
    assert upload(cloud, file, "data").state == State.SUCCEEDED
    if when == "while":  # nobody saw it coming: the disk itself says no
        monkeypatch.setattr("yun.images.filling.check_copy", lambda *_a, **_k: None)
    failed = cloud.do(lambda ctx: compute.copy(ctx, storage.get_volume(ctx, "data"), name="copy", pool="narrow"))
    assert failed.state == State.FAILED
    assert failed.error["code"] == "no_capacity"
    assert [p for p in Path(narrow).rglob("*") if p.is_file() and p.name != ".yun-pool"] == []
    with cloud.database.read() as session:
        assert [v.name for v in session.scalars(sa.select(Volume))] == ["data"]
    assert content(path_of(cloud, "data"), "qcow2") == hashlib.sha256(file.read_bytes()).hexdigest()
    assert cloud.store.check(path_of(cloud, "data")) == []


def test_a_disk_that_is_full_ends_an_upload_and_a_download_with_the_reason(
    cloud: ImageCloud, narrow: str, home: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    small = home / "small.qcow2"
    tool("convert", "-f", "raw", "-O", "qcow2", "-c", _zeros_but_one(home), small)
    monkeypatch.setattr("yun.images.filling.check_copy", lambda *_a, **_k: None)
    filler = Path(narrow) / "filler"
    filler.write_bytes(bytes(7 * MIB + MIB // 2))

    def ask(ctx: Any) -> Any:
        row = images.begin_upload(
            ctx, NewImage("data"), length=small.stat().st_size, filename="small.qcow2", purpose="volume", pool="narrow"
        )
        Path(row.path).write_bytes(small.read_bytes())
        return images.upload_volume(ctx, row)

    failed = cloud.do(ask)
    assert failed.state == State.FAILED
    assert failed.error["code"] == "no_capacity"
    left = sorted(p.name for p in Path(narrow).rglob("*") if p.is_file() and p.name != ".yun-pool")
    assert left == ["filler"]
    filler.unlink()
    with cloud.asking(ROOT, HOME) as ctx:
        assert storage.list_volumes(ctx).items == []
    done = cloud.do(ask)
    assert done.state == State.SUCCEEDED, done.error
    filler.write_bytes(bytes(4 * MIB))
    failed = cloud.do(lambda ctx: compute.download(ctx, storage.get_volume(ctx, "data"), format="raw"))
    assert failed.error["code"] == "no_capacity"
    assert cloud.rows(Export) == 0
    assert list((Path(narrow) / "incoming").iterdir()) == []


def _zeros_but_one(home: Path) -> Path:  # noqa: F811
    """A disk that packs to little and unpacks to 3 MiB."""
    path = home / "ones.raw"
    path.write_bytes(bytes(510) + b"\x55\xaa" + b"\1" * (3 * MIB - 512))
    return path


def test_a_raw_disk_whose_guest_wrote_a_header_into_it_is_copied_as_raw(
    cloud: ImageCloud, home: Path  # noqa: F811
) -> None:
    """Taken for what it claims to be, it would give out another's file."""
    secret = home / "secret.raw"
    secret.write_bytes(b"secret" * 200000)
    trick, plain = home / "trick.qcow2", home / "guest.raw"
    tool("create", "-f", "qcow2", "-b", secret, "-F", "raw", trick)
    plain.write_bytes(trick.read_bytes().ljust(2 * MIB, b"\0"))
    target = f"{cloud.pool_path}/heads/out.qcow2"
    cloud.store.convert(str(plain), target, format="qcow2", progress=lambda _f: None, source_format="raw")
    assert content(target, "qcow2") == hashlib.sha256(plain.read_bytes()).hexdigest()
    assert cloud.store.measure(str(plain), source_format="raw") < 4 * MIB


def test_what_a_program_still_writes_to_is_copied_by_nobody_who_asks_for_it_at_rest(
    cloud: ImageCloud, raw: Path
) -> None:
    """Such as a disk that was taken from a running machine whose bus lets go of it only at the next start."""
    assert upload(cloud, raw, "data").state == State.SUCCEEDED
    path = path_of(cloud, "data")
    with subprocess.Popen(["qemu-io", "-f", "qcow2", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(b"write 0 512\n")
        writer.stdin.flush()
        assert b"wrote" in writer.stdout.readline()
        for verb in (compute.copy, compute.download):
            failed = cloud.do(lambda ctx, verb=verb: verb(ctx, storage.get_volume(ctx, "data")))
            assert failed.state == State.FAILED
            assert "in use by a running machine" in str(failed.error)
        writer.stdin.close()
        writer.wait(timeout=30)
    done = cloud.do(lambda ctx: compute.copy(ctx, storage.get_volume(ctx, "data"), name="copy"))
    assert done.state == State.SUCCEEDED, done.error
    assert cloud.rows(Export) == 0
