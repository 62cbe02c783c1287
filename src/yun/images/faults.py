"""What it means when a file cannot be written: one place for the errors of the operating system."""

from __future__ import annotations

import errno
import os

from yun.base.errors import DriverError, NoCapacity, YunError
from yun.base.messages import _

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def not_written(error: OSError, name: str) -> YunError:
    """`NoCapacity` for a full disk, else `DriverError` with the system's reason."""
    if error.errno in FULL:
        return disk_full(name, str(error))
    reason = os.strerror(error.errno) if error.errno else "?"
    return DriverError(_("{name} could not be written: {reason}", name=name, reason=reason), private=str(error))


def disk_full(name: str, private: str = "") -> NoCapacity:
    """The file system has no room for the file."""
    return NoCapacity(
        _("The disk is full: {name} could not be written.", name=name),
        hint=_("Empty the trash, delete what is not needed, or enlarge the file system of the pool."),
        private=private,
    )
