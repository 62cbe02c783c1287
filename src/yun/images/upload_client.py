"""The command's side of uploads and downloads: in pieces, with progress, going on where they broke off."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import httpx

from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.images import tus
from yun.images.appliance.folder import Packed
from yun.web.client import Client
from yun.web.command import Failure, failure, say
from yun.web.output import preview, wait_for

PIECE = 64 * MIB
READ = MIB
TRIES = 8
DONE = (200, 201, 204)


def metadata(body: dict[str, Any]) -> str:
    """The image's properties as the header ``Upload-Metadata``."""
    pairs = []
    for key, value in body.items():
        text = {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        pairs.append(f"{key} {base64.b64encode(text.encode()).decode()}")
    return ",".join(pairs)


def upload(client: Client, file: Path, body: dict[str, Any]) -> None:
    """Upload a file and wait until it is an image or a volume. An unfinished upload of the same file under the same
    name goes on."""
    length = file.stat().st_size
    headers = _announced(file, length, body)
    if client.options.dry_run:
        plan = client.send("POST", "/image-uploads", headers=headers, params={"dry_run": "true"}).json()
        preview(plan)
        return
    address = _unfinished(client, file.name, length, body) or _begin(client, headers)
    operation_id = _send(client, address, file, length)
    assert operation_id is not None
    operation = client.get(f"/operations/{operation_id}")
    if client.options.wait:
        operation = wait_for(client, operation)
    client.told({"operation": operation, f"{operation['subject']['kind']}_id": operation["subject"]["id"]}, operation)


def upload_appliance(client: Client, file: Path | Packed) -> str:
    """Upload an OVA, or the files of an OVF as one, and leave it for an import; the upload's id. One that is there
    already, or in part, is used."""
    length, name = file.stat().st_size if isinstance(file, Path) else file.length, file.stem
    body = {"name": name, "purpose": "appliance"}
    identifier = _unfinished(client, file.name, length, body) or _begin(client, _announced(file, length, body))
    _send(client, identifier, file, length, kept=True)
    return identifier


def _announced(file: Path | Packed, length: int, body: dict[str, Any]) -> dict[str, str]:
    wanted = metadata(body | {"filename": file.name})
    return {"Tus-Resumable": tus.VERSION, "Upload-Length": str(length), "Upload-Metadata": wanted}


def _unfinished(client: Client, filename: str, length: int, body: dict[str, Any]) -> str | None:
    for row in client.get("/image-uploads")["items"]:
        same = row["filename"] == filename and row["length_bytes"] == length and row["name"] == body["name"]
        if same and row["purpose"] == body.get("purpose", "image"):
            going = _("Going on with an upload of {time}: {have} of {all} are there.", time=row["created_at"][:16],
                      have=format_size(row["offset_bytes"]), all=format_size(length))  # fmt: skip
            click.echo(say(going), err=True)
            return str(row["id"])
    return None


def _begin(client: Client, headers: dict[str, str]) -> str:
    return str(client.send("POST", "/image-uploads", headers=headers).json()["id"])


def _opened(file: Path | Packed) -> BinaryIO:
    return file.open("rb") if isinstance(file, Path) else file.open()


def _send(client: Client, identifier: str, file: Path | Packed, length: int, *, kept: bool = False) -> str | None:
    """Send pieces until all has come; returns the import's operation, None for one that is ``kept`` for later. Waits
    longer after each failure in a row."""
    path, failures = f"/image-uploads/{identifier}", 0
    with _opened(file) as source, _Bar(length) as bar:
        while True:
            try:
                state = client.http.head(path, headers={"Tus-Resumable": tus.VERSION})
                if state.is_error:
                    client.get(path)
                at = int(state.headers["Upload-Offset"])
                if at == length and (operation := state.headers.get("Yun-Operation")):
                    return str(operation)
                if at == length and kept:
                    return None
                at, operation = _piece(client, path, source, at, length, bar)
                failures = 0
                if operation:
                    return operation
            except httpx.TransportError as error:
                failures += 1
                if failures > TRIES:
                    raise failure(
                        _("The upload broke off: {reason}", reason=str(error) or type(error).__name__), "unavailable",
                        _("Give the same command again: it goes on where it stood."),
                    ) from error  # fmt: skip
                time.sleep(min(0.5 * 2**failures, 20.0))


def _piece(client: Client, path: str, source: Any, at: int, length: int, bar: Any) -> tuple[int, str | None]:
    source.seek(at)
    digest = hashlib.sha256()
    left = min(PIECE, length - at)
    for _n in range(-(-left // READ)):
        digest.update(source.read(min(READ, left - _n * READ)))
    source.seek(at)

    def chunks() -> Iterator[bytes]:
        sent = 0
        while sent < left and (block := source.read(min(READ, left - sent))):
            yield block
            sent += len(block)
            bar(at + sent)

    headers = {
        "Tus-Resumable": tus.VERSION, "Upload-Offset": str(at), "Content-Type": tus.CONTENT_TYPE,
        "Content-Length": str(left),
        "Upload-Checksum": "sha256 " + base64.b64encode(digest.digest()).decode(),
    }  # fmt: skip
    response = client.http.patch(path, headers=headers, content=chunks())
    if response.status_code in DONE:
        return int(response.headers["Upload-Offset"]), response.headers.get("Yun-Operation")
    problem = response.json() if response.content else {"detail": f"HTTP {response.status_code}"}
    if response.status_code in (409, 460) and "offset" in (problem.get("details") or {"offset": 0}):
        return at, None
    raise Failure(problem)


def download(client: Client, export_id: str, target: Path, sha256: str) -> None:
    """Fetch a finished copy into ``target``; a broken connection goes on. Raises `Failure` for a wrong checksum."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    address, failures = f"/image-exports/{export_id}/file", 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            with client.http.stream("GET", address, headers=headers) as response:
                if response.is_error:
                    response.read()
                    raise Failure(response.json())
                total = have + int(response.headers.get("content-length", 0))
                again = response.status_code == 206
                with part.open("r+b" if again else "wb") as file, _Bar(total) as bar:
                    file.seek(have if again else 0)
                    for chunk in response.iter_raw(READ):
                        if chunk == bytes(len(chunk)):  # a raw disk's empty parts take no room here either
                            file.seek(len(chunk), os.SEEK_CUR)
                        else:
                            file.write(chunk)
                        bar(file.tell())
                    file.truncate()
            break
        except httpx.TransportError as error:
            failures += 1
            if failures > TRIES:
                raise failure(_("The download broke off: {reason}", reason=str(error)), "unavailable") from error
            time.sleep(min(0.5 * 2**failures, 20.0))
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise failure(_("The checksum is wrong: the file is damaged, or not the one that was meant."), "failed")
    os.replace(part, target)


class _Bar:
    """A progress bar on stderr for bytes, only where somebody sees it."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.progress: Any = None

    def __enter__(self) -> _Bar:
        import sys

        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

            shape = (BarColumn(bar_width=30), DownloadColumn(binary_units=True), TransferSpeedColumn())
            self.progress = Progress(*shape, console=Console(stderr=True), transient=True)
            self.progress.start()
            self.task = self.progress.add_task("", total=self.total)
        return self

    def __call__(self, done: int) -> None:
        if self.progress is not None:
            self.progress.update(self.task, completed=done)

    def __exit__(self, *_error: object) -> None:
        if self.progress is not None:
            self.progress.stop()
