"""Images on real directories with the real disk tool: every format, real lies, export, and a built image that boots."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.conftest import HOME, MIB, ROOT, ImageCloud, disk, make_cloud
from tests.images.test_uploads import Server  # noqa: F401
from tests.real.test_images_boot import Guest, key, overlay, seed  # noqa: F401
from yun.base.config import Settings
from yun.base.db import Database
from yun.drivers.volume.directory import DirectoryStore
from yun.images import service
from yun.images.service import NewImage
from yun.operations.model import State
from yun.storage.model import Layer

pytestmark = pytest.mark.real


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that the hypervisor's user could pass, too."""
    import shutil
    import tempfile

    path = Path(tempfile.mkdtemp(prefix="yun-images-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def cloud(home: Path) -> Iterator[ImageCloud]:
    database = Database(f"sqlite:///{home / 'yun.db'}")
    database.create()
    cache = os.environ.get("YUN_TEST_IMAGES")
    if cache:
        (home / "builds").symlink_to(cache)
    yield make_cloud(database, Settings(state_dir=home), DirectoryStore(), home / "pool")
    database.close()


def tool(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def bring(cloud: ImageCloud, name: str, path: Path, **options: object) -> object:
    new = NewImage(name, **options)  # type: ignore[arg-type]
    return cloud.do(lambda ctx: service.import_file(ctx, new, str(path)), actor=ROOT)


def info(path: str) -> dict[str, object]:
    return json.loads(subprocess.check_output(["qemu-img", "info", "-U", "--output=json", path]))


@pytest.mark.parametrize("form", ["raw", "qcow2", "vmdk", "vdi", "vhdx", "vpc"])
def test_every_format_becomes_the_same_disk(cloud: ImageCloud, home: Path, form: str) -> None:
    content = disk(8 * MIB, b"the same") + b"tail".ljust(512, b"!") + bytes(8 * MIB - 512)
    (home / "disk.raw").write_bytes(content)
    file = home / f"disk.{form}"
    if form != "raw":
        tool("convert", "-f", "raw", "-O", form, home / "disk.raw", file)
    operation = bring(cloud, form, file)
    assert operation.state == State.SUCCEEDED, operation.error
    image = cloud.image(form)
    assert (image.state, image.format) == ("active", form)
    (layer,) = cloud.layers()
    assert info(layer)["format"] == "qcow2"
    assert os.stat(layer).st_mode & 0o777 == 0o444
    assert Path(layer).stem == hashlib.sha256(Path(layer).read_bytes()).hexdigest()
    tool("convert", "-O", "raw", layer, home / "back.raw")
    assert (home / "back.raw").read_bytes()[: len(content)] == content
    assert cloud.incoming() == []


def test_internal_snapshots_and_names_are_left_behind(cloud: ImageCloud, home: Path) -> None:
    (home / "disk.raw").write_bytes(disk())
    tool("convert", "-f", "raw", "-O", "qcow2", home / "disk.raw", home / "disk.qcow2")
    tool("snapshot", "-c", "secret-name", home / "disk.qcow2")
    assert bring(cloud, "mine", home / "disk.qcow2").state == State.SUCCEEDED
    (layer,) = cloud.layers()
    assert "snapshots" not in info(layer)
    assert b"secret-name" not in Path(layer).read_bytes()


def test_real_lies_are_refused_and_leave_nothing(cloud: ImageCloud, home: Path) -> None:
    lies = []
    for backing in ("/etc/shadow", "/etc/hostname"):
        lies.append(home / f"backing{len(lies)}.qcow2")
        tool("create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", "raw", lies[-1], "1M")
    lies.append(home / "data.qcow2")
    tool("create", "-q", "-f", "qcow2", "-o", f"data_file={home / 'outside.raw'}", lies[-1], "1M")
    lies.append(home / "extents.vmdk")
    tool("create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", lies[-1], "1M")
    lies.append(home / "cut.qcow2")
    tool("create", "-q", "-f", "qcow2", "-o", "preallocation=full", lies[-1], "4M")
    os.truncate(lies[-1], 300_000)
    lies.append(home / "huge.qcow2")
    tool("create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", lies[-1], "1024T")
    lies.append(home / "words.txt")
    lies[-1].write_text("root:x:0:0::/root:/bin/sh\n" * 40)
    lies.append(home / "empty")
    lies[-1].touch()
    for number, lie in enumerate(lies):
        operation = bring(cloud, f"lie {number}", lie)
        assert operation.state == State.FAILED, lie
        assert operation.error["code"] in ("invalid", "driver_error"), (lie, operation.error)
        assert cloud.images() == {}
        assert cloud.incoming() == []
        assert cloud.layers() == []
        assert cloud.rows(Layer) == 0


def test_an_export_is_the_same_disk_in_both_formats(cloud: ImageCloud, home: Path) -> None:
    content = disk(4 * MIB, b"out")
    (home / "disk.raw").write_bytes(content)
    bring(cloud, "mine", home / "disk.raw")
    for form in ("raw", "qcow2"):
        done = cloud.do(lambda ctx, f=form: service.export(ctx, service.get(ctx, "mine"), format=f))
        assert done.state == State.SUCCEEDED, done.error
        result = done.result["value"]
        path = cloud.pool_path / "incoming" / f"{result['export_id']}.{form}"
        assert path.stat().st_size == result["size_bytes"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == result["sha256"]
        tool("convert", "-f", form, "-O", "raw", path, home / "back.raw")
        assert (home / "back.raw").read_bytes() == content


def test_an_export_is_downloaded_by_the_command(cloud: ImageCloud, home: Path) -> None:
    import threading

    import uvicorn

    from tests.images.conftest import make_app
    from yun.images.upload_client import download
    from yun.web.client import Client, Target

    (home / "disk.raw").write_bytes(disk(4 * MIB, b"download"))
    bring(cloud, "mine", home / "disk.raw")
    result = cloud.do(lambda ctx: service.export(ctx, service.get(ctx, "mine"), format="raw")).result["value"]
    server = uvicorn.Server(uvicorn.Config(make_app(cloud), host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        client = Client(Target(f"http://127.0.0.1:{port}", "member"))
        target = home / "out.raw"
        download(client, result["export_id"], target, result["sha256"])
        assert target.read_bytes() == disk(4 * MIB, b"download")
        address = f"/image-exports/{result['export_id']}/file"
        part = client.send("GET", address, headers={"Range": "bytes=0-99"})
        assert (part.status_code, part.content) == (206, target.read_bytes()[:100])
        client.close()
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def test_a_pool_that_is_not_mounted_is_told_and_nothing_is_written_beside_it(cloud: ImageCloud, home: Path) -> None:
    import shutil

    (home / "disk.raw").write_bytes(disk())
    shutil.rmtree(cloud.pool_path)
    operation = bring(cloud, "mine", home / "disk.raw")
    assert operation.state in (State.FAILED, State.UNDOING, State.STUCK)
    assert not cloud.pool_path.exists()


def test_a_tiny_image_built_by_the_cloud_boots_from_its_layer(cloud: ImageCloud, home: Path, key: Path) -> None:  # noqa: F811
    operation = cloud.do(lambda ctx: service.build(ctx, "tiny", NewImage("tiny", visibility="public")), actor=ROOT)
    assert operation.state == State.SUCCEEDED, operation.error
    image = cloud.image("tiny")
    assert (image.project_id, image.default_user, image.min_disk_bytes) == (HOME, "root", 96 * MIB)
    (layer,) = cloud.layers()
    public = key.with_suffix(".pub").read_text().strip()
    cd = seed(home / "seed.iso", {
        "meta-data": "instance-id: ins_1\nlocal-hostname: built\n",
        "user-data": f"#cloud-config\nssh_authorized_keys:\n- {public}\n",
    })  # fmt: skip
    guest = Guest(home, overlay(home / "head.qcow2", Path(layer), "1G"), cd)
    try:
        guest.wait_for("TINY-READY built", 90)
        guest.wait_for("TINY-IP eth0", 30)
        assert guest.ssh("hostname", key=key) == "built"
    finally:
        guest.stop()
