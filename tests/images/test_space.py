"""The pool's disk is never filled: not by what unpacks to more than it seems, nor by many who each fit alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.images.conftest import GIB, MIB, ImageCloud, disk
from tests.images.test_uploads import add, begin
from yun.base.errors import DriverError, NoCapacity
from yun.base.messages import _
from yun.drivers.volume.fake import FakeVolumeStore
from yun.drivers.volume.port import FileFacts, PoolFacts, Progress
from yun.images import receive, service, space
from yun.images.model import Export, Image, Upload
from yun.images.service import NewImage
from yun.operations.model import State
from yun.storage.model import Pool

Web = Callable[..., TestClient]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Nothing here depends on the kind of database."""
    return f"sqlite:///{tmp_path / 'yun.db'}"


class Bombs(FakeVolumeStore):
    """A disk on which every copy takes ``bomb`` bytes, however small its source; and which others fill
    while it copies."""

    bomb = 0
    crowded = False
    away = False

    def measure(self, path: str, *, source_format: str = "") -> int:
        return self.bomb or super().measure(path, source_format=source_format)

    def glance(self, path: str, format: str = "") -> FileFacts:
        seen = super().glance(path, format)
        return replace(seen, virtual_bytes=max(seen.virtual_bytes, self.bomb)) if seen.exists else seen

    def pool_facts(self, path: str) -> PoolFacts:
        if self.away:
            raise DriverError(_("The storage does not answer."), retryable=True)
        return super().pool_facts(path)

    def convert(self, source: str, target: str, *, progress: Progress, **options: Any) -> None:
        def report(part: float) -> None:
            progress(part)
            if self.crowded:
                self.world.capacity = GIB // 2

        super().convert(source, target, progress=report, **options)


@pytest.fixture
def store() -> FakeVolumeStore:
    made = Bombs()
    made.world.capacity = 10 * GIB
    return made


def reserve(cloud: ImageCloud, size: int) -> None:
    with cloud.database.write() as session:
        session.execute(sa.update(Pool).values(reserve_bytes=size))


def test_a_small_file_with_a_huge_disk_in_it_is_refused_before_anything_is_copied(cloud: ImageCloud) -> None:
    cloud.store.bomb = 11 * GIB
    done = cloud.bring("bomb")
    assert done.state == State.FAILED
    assert done.error["code"] == "no_capacity"
    assert cloud.store.world.calls["convert"] == 0
    assert (cloud.images(), cloud.incoming()) == ({}, [])


def test_the_reserve_is_no_room_for_a_copy(cloud: ImageCloud) -> None:
    reserve(cloud, 9 * GIB)
    cloud.store.bomb = 2 * GIB
    assert cloud.bring("bomb").state == State.FAILED
    cloud.store.bomb = GIB // 2
    assert cloud.bring("small").state == State.SUCCEEDED


def test_an_export_that_does_not_fit_is_refused_before_anything_is_copied(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    copied = cloud.store.world.calls["convert"]
    cloud.store.bomb = 11 * GIB
    for form in ("raw", "qcow2"):
        done = cloud.do(lambda ctx, f=form: service.export(ctx, service.get(ctx, "mine"), format=f))
        assert done.state == State.FAILED
    assert cloud.store.world.calls["convert"] == copied
    assert cloud.rows(Export) == 0


def test_a_copy_is_stopped_when_others_have_filled_the_disk_to_its_reserve(
    cloud: ImageCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "LOOK_SECONDS", 0.0)
    reserve(cloud, GIB)
    cloud.store.crowded = True
    done = cloud.bring("mine")
    assert done.state == State.FAILED
    assert done.error["code"] == "no_capacity"
    assert "reserve" in done.error["message"]["text"]
    assert (cloud.images(), cloud.incoming()) == ({}, [])


def test_a_look_at_the_disk_that_fails_stops_no_copy(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    with cloud.database.read() as session:
        pool = session.scalars(sa.select(Pool)).one()
    seen: list[float] = []

    class Op:
        clock = cloud.clock
        drivers = cloud.engine.drivers

    cloud.store.away = True
    space.watched(Op(), pool, seen.append)(0.5)  # type: ignore[arg-type]
    assert seen == [0.5]


def test_uploads_that_are_still_to_come_are_promised_their_room(cloud: ImageCloud, web: Web) -> None:
    client = web()
    free = 500 * GIB
    first = begin(client, free - 100, name="first")
    assert first.status_code == 201
    assert begin(client, 101, name="second").status_code == 507
    with cloud.asking() as ctx, pytest.raises(NoCapacity):
        service.begin_upload(ctx, NewImage("second"), length=101)
    assert add(client, first.json()["id"], 0, b"x" * 50).status_code == 204
    assert begin(client, 151, name="second").status_code == 507
    assert begin(client, 150, name="second").status_code == 201


def test_a_preview_of_an_upload_counts_it_once(cloud: ImageCloud, web: Web) -> None:
    headers = {
        "Tus-Resumable": "1.0.0", "Upload-Length": str(400 * GIB), "Upload-Metadata": "name bWluZQ==",
    }  # fmt: skip
    answer = web().post("/image-uploads", headers=headers, params={"dry_run": "true"})
    assert answer.status_code == 200, answer.text
    assert cloud.rows(Upload) == cloud.rows(Image) == 0


async def pieces(count: int) -> AsyncIterator[bytes]:
    """A stream of so many MiB."""
    for _n in range(count):
        yield b"x" * MIB


def test_an_upload_waits_where_it_stands_before_it_touches_the_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "a.part")
    real, left = os.fstatvfs, [4]

    def fewer(descriptor: int) -> os.statvfs_result:
        values = list(real(descriptor))
        left[0] -= 1
        values[1], values[4] = 1, left[0] * MIB  # f_frsize, f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "fstatvfs", fewer)
    piece = receive.Piece(path, 0, 10 * MIB, reserve=2 * MIB)
    with pytest.raises(NoCapacity):
        asyncio.run(receive.receive(piece, pieces(10)))
    have = os.path.getsize(path)
    assert 0 < have <= 3 * MIB
    with pytest.raises(NoCapacity):
        asyncio.run(receive.receive(receive.Piece(path, have, 10 * MIB, reserve=2 * MIB), pieces(1)))
    assert os.path.getsize(path) == have


def test_an_upload_is_kept_alive_while_bytes_come(
    cloud: ImageCloud, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "ALIVE_SECONDS", 0.0)
    called = []

    async def alive() -> None:
        called.append(True)

    path = cloud.settings.state_dir / "a.part"
    asyncio.run(receive.receive(receive.Piece(str(path), 0, 3 * MIB), pieces(3), alive))
    assert len(called) == 3
    content = disk(3 * MIB)
    upload = begin(web(), len(content), name="mine").json()["id"]
    assert add(web(), upload, 0, content).status_code == 204


def test_a_piece_that_begins_keeps_the_upload_for_another_day(cloud: ImageCloud, web: Web) -> None:
    upload = begin(web(), 100, name="mine").json()["id"]
    with cloud.database.write() as session:
        soon = session.get_one(Upload, upload).expires_at = cloud.clock.now()
    assert add(web(), upload, 50, b"wrong offset").status_code == 409
    with cloud.database.read() as session:
        assert (session.get_one(Upload, upload).expires_at - soon).total_seconds() > 86000
