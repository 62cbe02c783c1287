"""Uploads by the tus protocol: pieces, resume, checksums, and everything a broken client sends."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.images.conftest import MIB, ImageCloud, disk
from yun.images import receive, tus
from yun.images.model import Image, Upload
from yun.operations.model import Operation, State
from yun.web.client import Client, Target
from yun.web.command import Failure, Shell

Web = Callable[..., TestClient]
UP = "/image-uploads"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Nothing here depends on the kind of database."""
    return f"sqlite:///{tmp_path / 'yun.db'}"


PATCH = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


def meta(**values: str) -> str:
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in values.items())


def begin(client: TestClient, length: int, **values: str) -> httpx.Response:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length), "Upload-Metadata": meta(**values)}
    return client.post(UP, headers=headers)


def add(client: TestClient, upload: str, at: int, data: bytes, **headers: str) -> httpx.Response:
    return client.patch(f"{UP}/{upload}", content=data, headers=PATCH | {"Upload-Offset": str(at)} | headers)


def stands_at(client: TestClient, upload: str) -> int:
    answer = client.head(f"{UP}/{upload}", headers={"Tus-Resumable": "1.0.0"})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"])


def test_a_file_in_three_pieces_becomes_an_image(cloud: ImageCloud, web: Web) -> None:
    client, content = web(), disk(3 * MIB, b"three")
    answer = begin(
        client, len(content), name="mine", filename="mine.raw", os="debian", min_memory_mib="256", cloud_init="false"
    )
    assert answer.status_code == 201, answer.text
    upload = answer.json()["id"]
    assert answer.headers["Location"] == f"/api/v1/image-uploads/{upload}"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert "GMT" in answer.headers["Upload-Expires"]
    at = 0
    for piece in (content[:MIB], content[MIB : MIB + 7], content[MIB + 7 :]):
        assert stands_at(client, upload) == at
        answer = add(client, upload, at, piece)
        assert answer.status_code == 204, answer.text
        at += len(piece)
        assert int(answer.headers["Upload-Offset"]) == at
    operation = cloud.operation(answer.headers["Yun-Operation"])
    assert operation.kind == "image.import"
    cloud.engine.drain()
    image = cloud.image("mine")
    assert image.id == answer.headers["Yun-Image"]
    assert (image.state, image.source, image.source_name) == ("active", "upload", "mine.raw")
    assert (image.os, image.min_memory_mib, image.cloud_init) == ("debian", 256, False)
    assert image.checksum == hashlib.sha256(content).hexdigest()
    assert cloud.incoming() == []
    assert stands_at(client, upload) == len(content)
    assert add(client, upload, len(content), b"").status_code == 204
    assert add(client, upload, 0, content).status_code == 409


def test_options_tell_what_is_spoken(web: Web) -> None:
    answer = web().options(UP)
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert {"creation", "checksum"} <= set(answer.headers["Tus-Extension"].split(","))
    assert "sha1" in answer.headers["Tus-Checksum-Algorithm"]


def test_a_wrong_offset_is_refused_and_says_where_it_stands(web: Web) -> None:
    client = web()
    upload = begin(client, MIB, name="x").json()["id"]
    assert add(client, upload, 0, bytes(100)).status_code == 204
    for at in (0, 50, 101, 10**12):
        answer = add(client, upload, at, bytes(100))
        assert answer.status_code == 409
        assert answer.json()["details"] == {"offset": 100}
    assert stands_at(client, upload) == 100


def test_more_than_announced_is_refused_and_what_fits_is_kept_out(web: Web, cloud: ImageCloud) -> None:
    client = web()
    upload = begin(client, 1000, name="x").json()["id"]
    answer = add(client, upload, 0, bytes(1001))
    assert answer.status_code == 422
    assert stands_at(client, upload) <= 1000
    assert cloud.rows(Operation) == 0


def test_a_damaged_piece_is_thrown_away_and_can_be_sent_again(web: Web) -> None:
    client, data = web(), os.urandom(5000)
    upload = begin(client, 2 * len(data), name="x").json()["id"]
    for algorithm in ("sha1", "sha256"):
        right = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
        at = stands_at(client, upload)
        bad = add(client, upload, at, data[:-1] + bytes([data[-1] ^ 1]), **{"Upload-Checksum": f"{algorithm} {right}"})
        assert bad.status_code == 460
        assert stands_at(client, upload) == at
        assert add(client, upload, at, data, **{"Upload-Checksum": f"{algorithm} {right}"}).status_code == 204


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Length": "-1"}, 422),
        ({"Upload-Length": "ten"}, 422),
        ({"Upload-Length": "0"}, 422),
        ({"Upload-Length": str(10 * 1024**5)}, 422),
        ({"Upload-Length": "9" * 400}, 422),
        ({}, 422),
        ({"Upload-Length": "10", "Tus-Resumable": "0.2.2"}, 412),
        ({"Upload-Length": "10", "Upload-Metadata": "name !!!"}, 422),
        ({"Upload-Length": "10", "Upload-Metadata": meta(filename="x.img", colour="red")}, 422),
        ({"Upload-Length": "10", "Upload-Metadata": meta(name="a/b")}, 422),
        ({"Upload-Length": "10", "Upload-Metadata": meta(name="x", min_disk_bytes="10 PB")}, 422),
        ({"Upload-Length": "10", "Upload-Metadata": meta(name="x", visibility="public")}, 403),
        ({"Upload-Length": "10", "Upload-Metadata": "name /w=="}, 422),
    ],
)  # fmt: skip
def test_a_bad_beginning_is_refused_and_leaves_no_upload(
    cloud: ImageCloud, web: Web, headers: dict[str, str], status: int
) -> None:
    answer = web().post(UP, headers={"Upload-Metadata": meta(name="x")} | headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert cloud.rows(Upload) == 0


def test_a_piece_of_another_type_or_without_an_offset_is_refused(web: Web) -> None:
    client = web()
    upload = begin(client, 100, name="x").json()["id"]
    assert client.patch(f"{UP}/{upload}", content=b"x", headers={"Upload-Offset": "0"}).status_code == 415
    assert client.patch(f"{UP}/{upload}", content=b"x", headers=PATCH).status_code == 422
    assert add(client, upload, 0, b"x", **{"Upload-Checksum": "crc32 AAAA"}).status_code == 422
    assert stands_at(client, upload) == 0


def test_an_upload_belongs_to_whoever_began_it(web: Web) -> None:
    upload = begin(web(), 100, name="x").json()["id"]
    for who, status in (("stranger", 404), ("reader", 404), ("nobody", 401)):
        client = web(who)
        assert client.head(f"{UP}/{upload}").status_code == status
        assert add(client, upload, 0, b"x").status_code == status
        assert client.delete(f"{UP}/{upload}").status_code == status
    assert web("reader").post(UP, headers={"Upload-Length": "5", "Upload-Metadata": meta(name="y")}).status_code == 403
    assert web().head(f"{UP}/upl_nothing").status_code == 404
    assert stands_at(web(), upload) == 0


def test_an_upload_can_be_dropped_and_its_bytes_go(cloud: ImageCloud, web: Web) -> None:
    client = web()
    upload = begin(client, 100, name="x").json()["id"]
    add(client, upload, 0, b"abc")
    assert cloud.incoming() == [f"{upload}.part"]
    assert client.delete(f"{UP}/{upload}", headers={"Tus-Resumable": "1.0.0"}).status_code == 204
    assert cloud.incoming() == []
    assert client.head(f"{UP}/{upload}").status_code == 404


def test_a_preview_of_an_upload_leaves_nothing(cloud: ImageCloud, web: Web) -> None:
    headers = {"Upload-Length": "1000", "Upload-Metadata": meta(name="x")}
    answer = web().post(UP, headers=headers, params={"dry_run": "true"})
    assert answer.status_code == 200
    assert answer.json()["dry_run"] is True
    assert cloud.rows(Upload) == cloud.rows(Image) == 0


def test_a_refused_file_is_gone_with_its_image(cloud: ImageCloud, web: Web) -> None:
    client, text = web(), b"just some words\n" * 64
    upload = begin(client, len(text), name="words").json()["id"]
    answer = add(client, upload, 0, text)
    cloud.engine.drain()
    operation = cloud.operation(answer.headers["Yun-Operation"])
    assert operation.state == State.FAILED
    assert cloud.images() == {}
    assert cloud.incoming() == []


def test_a_name_taken_meanwhile_is_told_at_the_end_and_the_bytes_are_kept(cloud: ImageCloud, web: Web) -> None:
    client, content = web(), disk()
    upload = begin(client, len(content), name="mine").json()["id"]
    cloud.bring("mine", disk(text=b"first"))
    assert add(client, upload, 0, content).status_code == 409
    assert stands_at(client, upload) == len(content)
    with cloud.asking() as ctx:
        ctx.session.execute(sa.update(Image).values(name="other"))
    assert add(client, upload, len(content), b"").status_code == 204
    cloud.engine.drain()
    assert cloud.image("mine").state == "active"


def test_forgotten_uploads_are_thrown_away(cloud: ImageCloud, web: Web) -> None:
    client = web()
    kept, old = (begin(client, 100, name=n).json()["id"] for n in ("kept", "old"))
    for upload in (kept, old):
        add(client, upload, 0, b"abc")
    with cloud.database.write() as session:
        row = session.get_one(Upload, old)
        row.expires_at -= timedelta(hours=25)
    from yun.operations.intent import Subject

    cloud.engine.nudge("image.tidy", Subject("periodic", "image.tidy", "image.tidy"))
    cloud.engine.drain()
    assert cloud.incoming() == [f"{kept}.part"]
    assert client.head(f"{UP}/{old}").status_code == 404


def test_two_writers_at_once_are_told_apart(tmp_path: Path) -> None:
    """The second one is refused while the first is still sending; the file is the first one's."""

    async def run() -> bytes:
        gate, path = asyncio.Event(), str(tmp_path / "part")

        async def slow():  # type: ignore[no-untyped-def]
            yield b"one"
            await gate.wait()
            yield b"two"

        async def quick():  # type: ignore[no-untyped-def]
            yield b"bad"

        first = asyncio.create_task(receive.receive(receive.Piece(path, 0, 6), slow()))
        await asyncio.sleep(0.2)
        with pytest.raises(receive.Conflict):
            await receive.receive(receive.Piece(path, 0, 6), quick())
        gate.set()
        assert await first == 6
        return Path(path).read_bytes()

    assert asyncio.run(run()) == b"onetwo"


def test_a_client_that_goes_away_leaves_what_it_had_sent_unless_it_promised_a_checksum(tmp_path: Path) -> None:
    async def broken():  # type: ignore[no-untyped-def]
        yield b"abc"
        raise receive.ClientDisconnect

    path = tmp_path / "part"
    assert asyncio.run(receive.receive(receive.Piece(str(path), 0, 9), broken())) == 3
    promised = tus.Checksum("sha1", b"x" * 20)
    with pytest.raises(receive.ClientDisconnect):
        asyncio.run(receive.receive(receive.Piece(str(path), 3, 9, promised), broken()))
    assert path.read_bytes() == b"abc"


SERVER = """
import sys, signal, uvicorn
from pathlib import Path
from tests.images.conftest import *
from tests.images import conftest as c
from yun.base.db import Database
from yun.base.config import Settings
state = Path(sys.argv[1])
database = Database(f"sqlite:///{state / 'yun.db'}")
settings = Settings(state_dir=state, fake=True)
store = c.FakeVolumeStore()
if (state / "yun.db").exists() and (state / "made").exists():
    store.prepare_pool(str(state / "pool"))
    local = c.HostDrivers(hypervisor=None, volume=store, machine=None)
    engine = c.Engine(database, c.Drivers(network=None, connect=lambda _h: local), settings)
    cloud = c.ImageCloud(database, settings, store, engine, state / "pool", "", c.SystemClock())
else:
    database.create()
    cloud = c.make_cloud(database, settings, store, state / "pool")
    (state / "made").touch()
cloud.engine.start()
uvicorn.run(c.make_app(cloud), host="127.0.0.1", port=int(sys.argv[2]), log_level="error", timeout_graceful_shutdown=1)
cloud.engine.stop()
"""


class Server:
    """The images' API in a process of its own, that can be ended and started again."""

    def __init__(self, state: Path) -> None:
        self.state = state
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        root = Path(__file__).parent.parent.parent
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(self.state), str(self.port)], cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
        )  # fmt: skip
        for _try in range(200):
            try:
                httpx.get(self.url, trust_env=False)
                return
            except httpx.TransportError:
                assert self.process.poll() is None
                time.sleep(0.1)
        raise AssertionError("no server")

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(timeout=30)


@pytest.fixture
def server(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Server(tmp_path / "state")
    made.state.mkdir()
    made.start()
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_upload_survives_the_end_of_the_server_in_the_middle_of_a_piece(server: Server, number: int) -> None:
    content = disk(4 * MIB, os.urandom(64))
    headers = {"Authorization": "Bearer member"}
    with httpx.Client(base_url=server.url + "/api/v1", headers=headers, trust_env=False, timeout=30) as client:
        upload = client.post(
            UP, headers={"Upload-Length": str(len(content)), "Upload-Metadata": meta(name="mine")}
        ).json()["id"]

        def slowly():  # type: ignore[no-untyped-def]
            yield content[: 2 * MIB]
            time.sleep(1.0)
            server.end(number)
            yield content[2 * MIB :]

        with pytest.raises(httpx.TransportError):
            client.patch(f"{UP}/{upload}", content=slowly(), headers=PATCH | {"Upload-Offset": "0"})
    server.start()
    with httpx.Client(base_url=server.url + "/api/v1", headers=headers, trust_env=False, timeout=30) as client:
        at = int(client.head(f"{UP}/{upload}").headers["Upload-Offset"])
        assert MIB <= at < len(content)
        answer = client.patch(f"{UP}/{upload}", content=content[at:], headers=PATCH | {"Upload-Offset": str(at)})
        assert answer.status_code == 204
        for _try in range(100):
            image = client.get("/images/mine").json()
            if image["state"] == "active":
                break
            time.sleep(0.1)
        assert image["checksum"] == hashlib.sha256(content).hexdigest()


def test_the_command_uploads_and_goes_on_with_what_broke_off(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yun.images import upload_client

    content = disk(2 * MIB, b"cli")
    file = tmp_path / "my image.raw"
    file.write_bytes(content)
    monkeypatch.setattr(upload_client, "PIECE", 300_000)
    client = Client(Target(server.url, "member"), Shell(format="json"))
    headers = {"Upload-Length": str(len(content)), "Upload-Metadata": meta(name="mine", filename="my image.raw")}
    begun = client.send("POST", UP, headers=headers).json()["id"]
    client.send("PATCH", f"{UP}/{begun}", headers=PATCH | {"Upload-Offset": "0"}, content=content[:1000])
    upload_client.upload(client, file, {"name": "mine", "os": "debian", "min_memory_mib": 128})
    image = client.get("/images/mine")
    assert image["checksum"] == hashlib.sha256(content).hexdigest()
    assert client.get(UP)["items"] == []
    assert client.get(f"{UP}/{begun}")["image_id"] == image["id"]
    with pytest.raises(Failure) as error:
        upload_client.upload(client, file, {"name": "mine"})
    assert error.value.problem["status"] == 409
    client.close()
