"""A disk file becomes a volume: looked at, checked, promised, copied; what is no disk or lies leaves nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.images.conftest import HOME, MIB, ROOT, ImageCloud, disk, qcow2
from tests.images.ova import tar, vmdk
from tests.images.test_deaths import Reaper, die_and_go_on
from tests.images.test_uploads import add, begin
from yun.images import service
from yun.images.model import Image, Upload
from yun.images.service import NewImage
from yun.operations import service as operations
from yun.operations.model import Operation, State
from yun.storage import service as storage
from yun.storage.model import Head, Pool, Volume

Web = Callable[..., TestClient]
NOISE = hashlib.shake_256(b"noise").digest(MIB)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Nothing here depends on the kind of database."""
    return f"sqlite:///{tmp_path / 'yun.db'}"


def send(client: TestClient, content: bytes, **said: str) -> httpx.Response:
    """Upload a whole file as a volume; the answer to its last piece."""
    began = begin(client, len(content), **{"purpose": "volume", "name": "data", "filename": "data.img", **said})
    assert began.status_code == 201, began.text
    return add(client, began.json()["id"], 0, content)


def volumes(cloud: ImageCloud) -> dict[str, Volume]:
    """All volumes by name."""
    with cloud.database.read() as session:
        return {row.name: row for row in session.scalars(sa.select(Volume))}


def heads(cloud: ImageCloud) -> list[str]:
    """The files of volumes on the disk."""
    return [p for p in cloud.store.list_files(str(cloud.pool_path)) if "/heads/" in p]


def nothing_left(cloud: ImageCloud) -> None:
    """As if nothing had been uploaded."""
    assert (volumes(cloud), heads(cloud), cloud.incoming()) == ({}, [], [])
    assert [cloud.rows(t) for t in (Upload, Image, Head)] == [0, 0, 0]


@pytest.mark.parametrize("content", [disk(3 * MIB, b"mine"), qcow2(8 * MIB)], ids=["raw", "qcow2"])
def test_a_disk_file_becomes_a_volume_as_large_as_its_disk(cloud: ImageCloud, web: Web, content: bytes) -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    answer = send(web(), content, checksum=f"sha256:{sha256}", description="数据盘")
    assert answer.status_code == 204, answer.text
    operation = cloud.operation(answer.headers["Yun-Operation"])
    assert operation.kind == "volume.upload"
    cloud.engine.drain()
    done = cloud.operation(operation.id)
    assert done.state == State.SUCCEEDED, done.error
    made = volumes(cloud)["data"]
    assert (made.state, made.size_bytes, made.description) == (
        "available", 3 * MIB if content[:3] != b"QFI" else 8 * MIB, "数据盘"
    )
    assert (done.result or {})["value"]["sha256"] == sha256
    assert made.used_bytes > 0
    assert (cloud.incoming(), cloud.rows(Upload), cloud.rows(Image)) == ([], 0, 0)
    assert len(heads(cloud)) == 1


def test_its_undo_puts_it_into_the_trash(cloud: ImageCloud, web: Web) -> None:
    operation = cloud_done(cloud, send(web(), disk()))
    undone = cloud.do(lambda ctx: operations.undo(ctx, operation.id))
    assert undone.state == State.SUCCEEDED, undone.error
    assert volumes(cloud)["data"].state == "trashed"


def cloud_done(cloud: ImageCloud, answer: httpx.Response) -> Operation:
    """The operation of an upload that has ended, once it has ended too."""
    cloud.engine.drain()
    return cloud.operation(answer.headers["Yun-Operation"])


@pytest.mark.parametrize(
    ("content", "said", "words"),
    [
        (qcow2(backing=b"/etc/shadow"), {}, "stands on another file"),
        (qcow2(incompatible=4), {}, "another file"),
        (b"hello" * 1000, {}, "text file"),
        (NOISE, {}, "does not look like a disk"),
        (disk(), {"format": "vmdk"}, "not"),
        (disk(), {"checksum": "sha256:" + "0" * 64}, "checksum"),
        (tar([("a.ovf", b"<x/>"), ("a.vmdk", vmdk())]), {}, "whole machine"),
        (bytes(32769) + b"CD001".ljust(4096, b"\0"), {}, "CD"),
    ],
    ids=["backing", "data-file", "text", "noise", "other-format", "checksum", "ova", "iso"],
)
def test_what_is_no_disk_or_lies_is_refused_and_leaves_nothing(
    cloud: ImageCloud, web: Web, content: bytes, said: dict[str, str], words: str
) -> None:
    failed = cloud_done(cloud, send(web(), content, **said))
    assert failed.state == State.FAILED
    assert words in str(failed.error)
    nothing_left(cloud)


def test_a_raw_file_that_looks_like_nothing_is_taken_where_that_is_said(cloud: ImageCloud, web: Web) -> None:
    done = cloud_done(cloud, send(web(), NOISE, format="raw"))
    assert done.state == State.SUCCEEDED, done.error


def test_a_disk_larger_than_the_pool_may_promise_is_refused_once_that_is_known(cloud: ImageCloud, web: Web) -> None:
    with cloud.database.write() as session:
        session.execute(sa.update(Pool).values(overcommit=0.001))  # 500 MiB of 500 GiB
    failed = cloud_done(cloud, send(web(), qcow2(600 * MIB, l1_size=2)))
    assert failed.error is not None
    assert failed.error["code"] == "no_capacity"
    nothing_left(cloud)


def test_a_disk_that_fills_up_while_it_is_copied_ends_it_with_the_reason(cloud: ImageCloud, web: Web) -> None:
    from yun.drivers.volume import faults

    cloud.store.world.faults["convert"] = [faults.disk_full("/x")]
    failed = cloud_done(cloud, send(web(), disk()))
    assert failed.error is not None
    assert failed.error["code"] == "no_capacity"
    nothing_left(cloud)


@pytest.mark.parametrize(
    ("who", "said", "status"),
    [
        ("reader", {}, 403), ("member", {"name": "a/b"}, 422), ("member", {"pool": "nowhere"}, 404),
        ("member", {"purpose": "nonsense"}, 422),
    ],
)  # fmt: skip
def test_what_can_be_known_before_is_refused_before_a_byte_has_come(
    cloud: ImageCloud, web: Web, who: str, said: dict[str, str], status: int
) -> None:
    answer = begin(web(who), MIB, **{"purpose": "volume", "name": "data", **said})
    assert answer.status_code == status, answer.text
    nothing_left(cloud)


def test_a_name_that_a_volume_has_is_refused_before_and_after(cloud: ImageCloud, web: Web) -> None:
    client = web()
    first = begin(client, len(disk()), purpose="volume", name="data").json()["id"]
    second = begin(client, len(disk()), purpose="volume", name="data").json()["id"]
    assert add(client, first, 0, disk()).status_code == 204
    cloud.engine.drain()
    assert add(client, second, 0, disk()).status_code == 409
    assert begin(client, MIB, purpose="volume", name="data").status_code == 409
    assert len(volumes(cloud)) == 1


def test_its_preview_says_what_becomes_of_it(cloud: ImageCloud, web: Web) -> None:
    pairs = {"purpose": "volume", "name": "data"}
    header = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in pairs.items())
    answer = web().post(
        "/image-uploads", params={"dry_run": "true"}, headers={"Upload-Length": str(MIB), "Upload-Metadata": header}
    )
    assert answer.json()["kind"] == "volume.upload", answer.text
    nothing_left(cloud)


@pytest.mark.parametrize("fails", [False, True], ids=["succeeding", "failing"])
def test_it_ends_well_wherever_the_process_dies(cloud: ImageCloud, fails: bool) -> None:
    reaper, deaths = Reaper(cloud.database), 0

    def ask(ctx: Any) -> Any:
        new = NewImage("data")
        upload = service.begin_upload(ctx, new, length=MIB, purpose="volume")
        Path(upload.path).parent.mkdir(parents=True, exist_ok=True)
        Path(upload.path).write_bytes(disk())
        return service.upload_volume(ctx, upload)

    for nth in range(1, 100):
        if fails:
            cloud.store.world.faults.clear()
            cloud.store.world.fail("convert", times=9)
        operation, died = die_and_go_on(cloud, reaper, ask, nth)
        if fails:
            assert operation.state == State.FAILED
        else:
            assert operation.state == State.SUCCEEDED, operation.error
            cloud.do(lambda ctx, o=operation: operations.undo(ctx, o.id), actor=ROOT, project=HOME)
            gone = cloud.do(lambda ctx: storage.purge(ctx, storage.get_item(ctx, "data")), actor=ROOT)
            assert gone.state == State.SUCCEEDED, gone.error
        nothing_left(cloud)
        deaths += died
        if not died:
            break
    assert deaths > 8
