"""Writing a tar of files that are thrown away as they go in."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Sequence
from typing import IO

from yun.drivers.volume.port import Progress

USTAR_LIMIT = 8 * 1024**3
"""No file in a tar of the oldest, most widely read kind is as large."""


class _Watched:
    """A file that tells how much of it was read."""

    def __init__(self, file: IO[bytes], begun: int, total: int, progress: Progress) -> None:
        self.file, self.seen, self.total, self.progress = file, begun, max(total, 1), progress
        self.told = 0

    def read(self, count: int = -1) -> bytes:
        """The next bytes."""
        data = self.file.read(count)
        self.seen += len(data)
        if self.seen - self.told > 4 * 1024**2:
            self.told = self.seen
            self.progress(min(self.seen / self.total, 1.0))
        return data


def write(path: str, members: Sequence[tuple[str, bytes | str]], progress: Progress) -> int:
    """Write the tar; each source file is removed once its bytes are in. Returns the tar's length."""
    sizes = [len(source) if isinstance(source, bytes) else os.path.getsize(source) for _name, source in members]
    form = tarfile.USTAR_FORMAT if max(sizes, default=0) < USTAR_LIMIT else tarfile.GNU_FORMAT
    begun, moment = 0, int(time.time())
    with tarfile.open(path, mode="w", format=form) as tar:
        for (name, source), size in zip(members, sizes, strict=True):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = size, moment, 0o644
            with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
                tar.addfile(info, _Watched(file, begun, sum(sizes), progress))
            begun += size
            if isinstance(source, str):
                os.unlink(source)
    progress(1.0)
    return os.path.getsize(path)
