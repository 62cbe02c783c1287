"""Files that appear whole or not at all: written beside their place, synced, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from yun.base.errors import DriverError, YunError
from yun.base.messages import _
from yun.drivers.volume import faults

FROZEN, HEAD, THAWED = 0o444, 0o600, 0o644
PASSABLE = 0o711
PART = ".part"


def part_of(path: str) -> str:
    """Where a file grows before it is finished: a hidden name in the same directory."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}{PART}")


@contextlib.contextmanager
def whole(path: str, mode: int = HEAD) -> Iterator[str]:
    """Yield the name to write to; afterwards the file is at ``path`` with ``mode``, on the disk for good. When the
    body raises, nothing is left."""
    part = part_of(path)
    with translated(path):
        remove(part)
        try:
            yield part
            settle(part, mode)
            os.rename(part, path)
            sync_folder(path)
        except BaseException:
            remove(part)
            raise


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn the system's errors into the house's."""
    try:
        yield
    except OSError as error:
        raise of_system(error, path) from error


def of_system(error: OSError, path: str) -> YunError:
    """What a system error on a file means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return faults.disk_full(path)
    if error.errno == errno.ENOENT:
        return faults.missing(path)
    retryable = error.errno in (errno.EIO, errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT)
    reason = os.strerror(error.errno or 0)
    return DriverError(
        _("The file {name}: {reason}", name=os.path.basename(path), reason=reason), retryable=retryable, private=path
    )


def settle(path: str, mode: int) -> None:
    """Give a file its mode and bring its bytes to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fchmod(handle, mode)
        os.fsync(handle)
    finally:
        os.close(handle)


def takes_direct(path: str) -> bool:
    """Whether the file system can write a file past its memory; tries it with ``path``, which is not there before nor
    afterwards."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC, HEAD))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    finally:
        remove(path)
    return True


def sync_folder(path: str) -> None:
    """Bring the name of a file to the disk."""
    handle = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: str) -> bool:
    """The file is gone; whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def give_to_hypervisor(path: str) -> None:
    """Let QEMU's user own a file that only it (and root) may read; without root it stays ours."""
    if os.geteuid() != 0:
        return
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam("libvirt-qemu")
        os.chown(path, user.pw_uid, user.pw_gid)


def closed_parent(path: str) -> str | None:
    """The nearest directory above that another user cannot pass, or None."""
    for parent in Path(path).parents:
        with contextlib.suppress(OSError):
            if not parent.stat().st_mode & 0o001:
                return str(parent)
    return None
