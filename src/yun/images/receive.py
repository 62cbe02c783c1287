"""Taking in the pieces of an upload: appended to its file as they come, so that what has come stays."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect

from yun.base.errors import Conflict, Invalid, NoCapacity, Unavailable, YunError
from yun.base.messages import _
from yun.base.units import MIB
from yun.images import tus
from yun.images.faults import FULL, not_written

SYNC_EVERY = 64 * MIB
GATHER = MIB
ALIVE_SECONDS = 300.0
Alive = Callable[[], Awaitable[object]]


class ChecksumMismatch(Invalid):
    """A piece was damaged on the way; it has been thrown away and can be sent again."""

    code = "checksum_mismatch"


@dataclass(frozen=True)
class Piece:
    """Where a piece goes: the upload's file, the offset the client says, the whole length, its checksum, and how many
    bytes of the disk must stay free."""

    path: str
    offset: int
    length: int
    checksum: tus.Checksum | None = None
    reserve: int = 0


async def receive(piece: Piece, stream: AsyncIterator[bytes], alive: Alive | None = None) -> int:
    """Append ``stream`` to the upload's file and return how long it is then; safely on the disk.

    A client that goes away in the middle leaves what it had sent, unless it promised a checksum. No transaction and no
    thread is held while waiting for the client. ``alive`` is called every few minutes as long as bytes come. Raises
    `Conflict` for another offset or a second writer at the same time, `Invalid` for more than was announced or a wrong
    checksum, `NoCapacity` once no more than the reserve is free.
    """
    descriptor = await asyncio.to_thread(_open, piece)
    try:
        return await _append(descriptor, piece, stream, alive)
    finally:
        os.close(descriptor)


def _open(piece: Piece) -> int:
    try:
        descriptor = os.open(piece.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError as error:
        raise Unavailable(
            _("There is no pool in the directory {path}.", path=os.path.dirname(os.path.dirname(piece.path))),
            hint=_("Check that its file system is mounted."),
        ) from error
    except OSError as error:
        raise _stopped(error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                _("Somebody is adding to this upload at this moment."), hint=_("Wait a little, then go on.")
            ) from error
        have = os.fstat(descriptor).st_size
        if have != piece.offset:
            raise tus.wrong_offset(have, piece.offset)
        _refuse_reserve(descriptor, piece)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_reserve(descriptor: int, piece: Piece) -> None:
    space = os.fstatvfs(descriptor)
    if space.f_bavail * space.f_frsize < piece.reserve:
        raise _full("reserve")


async def _append(descriptor: int, piece: Piece, stream: AsyncIterator[bytes], alive: Alive | None) -> int:
    at, synced, waiting, told = piece.offset, piece.offset, bytearray(), time.monotonic()
    seen = hashlib.new(piece.checksum.algorithm) if piece.checksum else None
    try:
        async for chunk in stream:
            if at + len(waiting) + len(chunk) > piece.length:
                raise Invalid(
                    _("More came than the {length} bytes that were announced.", length=piece.length),
                    fields={"Upload-Length": _("the length of the whole file")},
                )
            waiting += chunk
            if seen:
                seen.update(chunk)
            if len(waiting) >= GATHER:
                await asyncio.to_thread(_write, descriptor, bytes(waiting), at)
                at += len(waiting)
                waiting.clear()
                _refuse_reserve(descriptor, piece)
            if alive and time.monotonic() - told > ALIVE_SECONDS:
                told = time.monotonic()
                await alive()
            if at - synced >= SYNC_EVERY:
                await asyncio.to_thread(os.fdatasync, descriptor)
                synced = at
    except ClientDisconnect:
        if piece.checksum:
            await asyncio.to_thread(os.ftruncate, descriptor, piece.offset)
            raise
    except BaseException:
        os.ftruncate(descriptor, piece.offset if piece.checksum else at)
        if not piece.checksum:
            _write(descriptor, bytes(waiting), at)
        raise
    await asyncio.to_thread(_write, descriptor, bytes(waiting), at)
    at += len(waiting)
    if seen and piece.checksum and seen.digest() != piece.checksum.digest:
        await asyncio.to_thread(os.ftruncate, descriptor, piece.offset)
        raise ChecksumMismatch(_("A piece was damaged on the way."), hint=_("Send it again."))
    await asyncio.to_thread(os.fdatasync, descriptor)
    return at


def _write(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    try:
        while view:
            written = os.pwrite(descriptor, view, at)
            view, at = view[written:], at + written
    except OSError as error:
        raise _stopped(error) from error


def _stopped(error: OSError) -> YunError:
    if error.errno in FULL:
        return _full(str(error))
    return not_written(error, "upload")


def _full(private: str) -> NoCapacity:
    return NoCapacity(
        _("The disk is full: the upload waits where it stands."),
        hint=_("Make room, then go on with the same upload."),
        private=private,
    )
