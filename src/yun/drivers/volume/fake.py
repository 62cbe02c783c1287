"""A volume store in memory that passes the real one's contract: for tests and for `yun dev`.

`VolumeWorld` is the disk: it outlives any process, so a test that "kills" the cloud hands the same world to the next
one. Files outside of its pools are looked up on the real disk, so that uploads work in `yun dev` too.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.volume import faults, foreign, rules
from yun.drivers.volume.inspection import check_size, sniff
from yun.drivers.volume.port import FINISHED, FileFacts, HeadFormat, OutFormat, PoolFacts, Progress

CLUSTERS = 196608
"""What an empty qcow2 takes."""
SECTORS = 4096
"""What an empty raw file takes."""


@dataclass
class FakeFile:
    """A file of the world. ``content`` stands for its bytes: equal contents are equal files. ``header`` is the file
    that a qcow2 header names which the guest of a raw one wrote to its start: who guesses what it is believes that."""

    format: str
    virtual: int
    content: str
    length: int = CLUSTERS
    backing: str = ""
    writable: bool = True
    truncated: bool = False
    mtime_ns: int = 1
    header: str = ""

    def stamp(self) -> None:
        """It was just written to: the time of a frozen file tells what is in it, so that equal ones are equally old."""
        self.mtime_ns = 1 + zlib.crc32(f"{self.content}:{self.backing}".encode())


@dataclass
class VolumeWorld:
    """One host's disk with levers for what goes wrong. Thread-safe.

    ``away`` makes every call fail retryably; ``faults`` maps a method to the errors its next calls raise
    instead of working, ``lost`` to those they raise after their work is done;
    ``slow`` maps a method to the seconds it takes; ``calls`` counts the calls that got through.
    """

    capacity: int = 1024**5
    files: dict[str, FakeFile] = field(default_factory=dict)
    pools: set[str] = field(default_factory=set)
    away: bool = False
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    lost: dict[str, list[Exception]] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fail(self, method: str, times: int = 1, *, retryable: bool = False, after: bool = False) -> None:
        """Let the next ``times`` calls of ``method`` fail; ``after`` does the work and loses the answer."""
        with self.lock:
            errors = [DriverError(_("The disk failed on purpose."), retryable=retryable) for _n in range(times)]
            (self.lost if after else self.faults).setdefault(method, []).extend(errors)

    def fill(self) -> None:
        """Let the disk be full from now on."""
        with self.lock:
            self.capacity = self.used()

    def used(self) -> int:
        """Bytes that all files take."""
        return sum(f.length for f in self.files.values())

    def snapshot(self) -> dict[str, Any]:
        """Everything as plain values, equal where two worlds are equal."""
        with self.lock:
            return {"pools": sorted(self.pools), "files": {p: asdict(self.files[p]) for p in sorted(self.files)}}


class FakeVolumeStore:
    """The driver on top of a world."""

    def __init__(self, world: VolumeWorld | None = None) -> None:
        self.world = world or VolumeWorld()

    @contextmanager
    def _call(self, method: str) -> Iterator[dict[str, FakeFile]]:
        world = self.world
        if seconds := world.slow.get(method):
            time.sleep(seconds)
        with world.lock:
            if world.away:
                raise DriverError(_("The storage does not answer."), retryable=True)
            if waiting := world.faults.get(method):
                raise waiting.pop(0)
            world.calls[method] += 1
            yield world.files
            if waiting := world.lost.get(method):
                raise waiting.pop(0)

    def _room(self, need: int, path: str) -> None:
        if self.world.used() + need > self.world.capacity:
            raise faults.disk_full(path)

    def _pool_of(self, path: str) -> str:
        pool = rules.pool_of(path)
        if pool is None or pool not in self.world.pools:
            raise faults.outside(path)
        return pool

    def prepare_pool(self, path: str) -> None:
        with self._call("prepare_pool"):
            rules.check_pool_path(path)
            self.world.pools.add(path)

    def remove_pool(self, path: str) -> None:
        with self._call("remove_pool") as files:
            if not any(rules.pool_of(p) == path for p in files):
                self.world.pools.discard(path)

    def pool_facts(self, path: str) -> PoolFacts:
        with self._call("pool_facts") as files:
            if path not in self.world.pools:
                raise faults.no_pool(path)
            used = sum(f.length for p, f in files.items() if rules.pool_of(p) == path)
            capacity, free = self.world.capacity, max(self.world.capacity - self.world.used(), 0)
            return PoolFacts(path, capacity, free, used, writable=True)

    def inspect(self, path: str, format: str = "") -> FileFacts:
        with self._call("inspect") as files:
            if (file := files.get(path)) is None:
                return _real_facts(path)
            if file.truncated:
                raise faults.damaged(path)
            if file.header and format != "raw":
                rules.check_references(path, file.header, data_file=False)
            form, backing = ("raw", "") if format == "raw" else (file.format, file.backing)
            rules.check_made_as(path, format, form)
            rules.check_references(path, backing, data_file=False)
            check_size(path, file.virtual)
            return FileFacts(
                path, True, form, file.virtual, file.length, backing, file.writable, "", file.length, file.mtime_ns
            )

    def glance(self, path: str, format: str = "") -> FileFacts:
        return self.inspect(path, format)

    def measure(self, path: str, *, source_format: str = "") -> int:
        facts = self.inspect(path, "raw" if source_format == "raw" else "")
        with self._call("measure") as files:
            if not facts.exists:
                raise faults.missing(path)
            return sum(files[p].length for p in self._chain(path)) if path in files else facts.length + CLUSTERS

    def _chain(self, path: str) -> list[str]:
        chain = [path]
        while backing := self.world.files[chain[-1]].backing:
            if backing not in self.world.files:
                raise faults.missing(backing)
            chain.append(backing)
        return chain

    def usage(self, pool: str) -> dict[str, int]:
        with self._call("usage") as files:
            if pool not in self.world.pools:
                raise faults.no_pool(pool)
            mine = {p: f for p, f in files.items() if rules.pool_of(p) == pool and rules.folder_of(p) == "heads"}
            return {p: f.length for p, f in sorted(mine.items()) if f.writable}

    def list_files(self, pool: str, folders: Sequence[str] = FINISHED) -> list[str]:
        with self._call("list_files") as files:
            if pool not in self.world.pools:
                raise faults.no_pool(pool)
            return sorted(p for p in files if rules.pool_of(p) == pool and rules.folder_of(p) in folders)

    def unwritten(self, path: str) -> bool:
        with self._call("unwritten") as files:
            file = files.get(path)
            base = files.get(file.backing) if file is not None else None
            return file is not None and base is not None and file.content == f"on:{base.content}:{file.virtual}"

    def create_head(
        self, path: str, *, size: int, backing: str | None, backing_format: str = "qcow2", live: bool = False,
        format: HeadFormat = "qcow2",
    ) -> None:  # fmt: skip
        with self._call("create_head") as files:
            self._pool_of(path)
            check_size(path, size)
            rules.check_kind(path, format, backing)
            base = files.get(backing) if backing else None
            if backing:
                writable, virtual = (base.writable, base.virtual) if base else (None, 0)
                rules.check_base(path, backing, writable, virtual, size, live=live)
                rules.check_made_as(backing, backing_format, base.format if base else "")
            if (there := files.get(path)) is not None:
                same = there.format == format and there.backing == (backing or "")
                rules.check_same(path, same and there.virtual >= size and there.writable)
                return
            length = SECTORS if format == "raw" else CLUSTERS
            self._room(length, path)
            content = f"empty:{size}" if base is None else f"on:{base.content}:{size}"
            files[path] = FakeFile(format, size, content, length, backing=backing or "")

    def freeze(self, path: str, into: str) -> None:
        with self._call("freeze") as files:
            if self._pool_of(into) != self._pool_of(path):
                raise faults.outside(into)
            if into in files:
                if path != into:
                    files.pop(path, None)
            elif path in files:
                files[into] = files.pop(path)
            else:
                raise faults.missing(path)
            files[into].writable = False

    def protect(self, path: str) -> None:
        with self._call("protect") as files:
            self._pool_of(path)
            if path not in files:
                raise faults.missing(path)
            files[path].writable = False

    def convert(
        self, source: str, target: str, *, format: OutFormat, progress: Progress, compress: bool = False,
        source_format: str = "", alone: bool = False,
    ) -> None:  # fmt: skip
        facts = self.inspect(source, "raw" if source_format == "raw" else "")
        if not facts.exists:
            raise faults.missing(source)
        progress(0.0)
        with self._call("convert") as files:
            self._pool_of(target)
            if target in files and not files[target].writable:
                raise faults.frozen(target)
            need = self._length(source, facts)
            content = files[source].content if source in files else _hash(source)
        progress(0.5)
        with self.world.lock:
            self._room(need, target)
            same = content if content.startswith(f"{format}:") else f"{format}:{content}"  # a copy of a copy is as good
            header = files[source].header if source in files and format == "raw" else ""
            files[target] = FakeFile(format, facts.virtual_bytes, same, need, header=header)
        try:
            progress(1.0)
        except BaseException:
            with self.world.lock:
                files.pop(target, None)
            raise

    def bundle(self, target: str, members: Sequence[tuple[str, bytes | str]], progress: Progress) -> int:
        progress(0.0)
        with self._call("bundle") as files:
            self._pool_of(target)
            missing = [s for _n, s in members if isinstance(s, str) and s not in files]
            if missing:
                raise faults.missing(missing[0])
            need = 1024 + sum(len(s) if isinstance(s, bytes) else files[s].length for _n, s in members)
            self._room(need - sum(files[s].length for _n, s in members if isinstance(s, str)), target)
            content = ",".join(
                f"{n}:{hashlib.sha256(s).hexdigest() if isinstance(s, bytes) else files.pop(s).content}"
                for n, s in members
            )
            files[target] = FakeFile("tar", need, content, need)
        try:
            progress(1.0)
        except BaseException:
            with self.world.lock:
                files.pop(target, None)
            raise
        return need

    def _length(self, source: str, facts: FileFacts) -> int:
        if source in self.world.files:
            return max(self.world.files[p].length for p in self._chain(source))
        return max(facts.length, CLUSTERS)

    def flatten(self, path: str, base: str, progress: Progress, *, base_format: str = "qcow2") -> None:
        progress(0.0)
        with self._call("flatten") as files:
            self._pool_of(path)
            if path not in files:
                raise faults.missing(path)
            if not files[path].writable:
                raise faults.frozen(path)
            if base and base not in self._chain(path):
                raise faults.missing(base)
            rules.check_made_as(base, base_format, files[base].format if base else base_format)
            files[path].backing = base
        progress(1.0)

    def stand_again(
        self, path: str, backing: str, backing_format: str = "qcow2", *, frozen: bool = False
    ) -> None:  # fmt: skip
        with self._call("stand_again") as files:
            self._pool_of(path)
            for needed in (path, backing):
                if needed not in files:
                    raise faults.missing(needed)
            if not (files[path].writable or frozen):
                raise faults.frozen(path)
            files[path].backing = backing
            files[path].writable = not frozen
            if frozen:
                files[path].stamp()

    def thaw(self, path: str) -> None:
        facts = self.inspect(path)
        with self._call("thaw") as files:
            self._pool_of(path)
            if not facts.exists:
                raise faults.missing(path)
            if facts.format != "qcow2":
                raise faults.frozen(path)
            files[path].writable = True

    def merge(self, path: str, into: str, progress: Progress) -> None:
        top, base = self.inspect(path), self.inspect(into)
        for facts in (top, base):
            if not facts.exists:
                raise faults.missing(facts.path)
        progress(0.0)
        with self._call("merge") as files:
            if self._pool_of(path) != self._pool_of(into):
                raise faults.outside(into)
            rules.check_merge(top, base, self._chain(path))
            self._room(files[path].length, path)
        progress(0.5)
        with self.world.lock:
            upper, lower = files[path], files.pop(into)
            files[path] = FakeFile(
                "qcow2", upper.virtual, upper.content, max(upper.length, lower.length), lower.backing, False
            )
            files[path].stamp()
        progress(1.0)

    def trace(self, path: str, format: str) -> list[FileFacts]:
        with self._call("trace") as files:
            if path not in files:
                return foreign.trace(path, format) if os.path.exists(path) else [FileFacts(path, exists=False)]
            chain: list[FileFacts] = []
            while path:
                file = files.get(path)
                if file is None:
                    chain.append(FileFacts(path, exists=False))
                    break
                chain.append(
                    FileFacts(
                        path, True, file.format, file.virtual, file.length, file.backing, file.writable, "",
                        file.length, file.mtime_ns,
                    )
                )  # fmt: skip
                path = file.backing
            return chain

    def discard(self, path: str) -> None:
        with self._call("discard") as files:
            files.pop(path, None)

    def grow(self, path: str, size: int, *, format: str = "", adopted: str = "") -> None:
        if not adopted:
            self.inspect(path, format)
        with self._call("grow") as files:
            if not adopted:
                self._pool_of(path)
            if path not in files:
                raise faults.missing(path)
            if not files[path].writable:
                raise faults.frozen(path)
            check_size(path, size)
            rules.check_growth(files[path].virtual, size)
            files[path].virtual = size

    def digest(self, path: str, progress: Progress) -> str:
        progress(0.0)
        with self._call("digest") as files:
            if path in files:
                file = files[path]
                found = hashlib.sha256(f"{file.format}:{file.content}".encode()).hexdigest()
            elif os.path.exists(path):
                found = _hash(path)
            else:
                raise faults.missing(path)
        progress(1.0)
        return found

    def check(self, path: str) -> list[str]:
        with self._call("check") as files:
            if path not in files:
                if os.path.exists(path):
                    return []
                raise faults.missing(path)
            return ["the file is shorter than it must be"] if files[path].truncated else []

    def delete(self, path: str) -> None:
        with self._call("delete") as files:
            self._pool_of(path)
            files.pop(path, None)

    def write_seed(self, path: str, files: dict[str, bytes]) -> None:
        with self._call("write_seed") as there:
            self._pool_of(path)
            self._room(68 * 1024, path)
            content = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
            there[path] = FakeFile("iso", 68 * 1024, content, 68 * 1024)


def _real_facts(path: str) -> FileFacts:
    """What a file of the real disk is, by its first bytes alone."""
    if not os.path.exists(path):
        return FileFacts(path, exists=False)
    header, status = sniff(path), os.stat(path)
    rules.check_references(path, header.backing, data_file=header.external_data)
    writable = bool(status.st_mode & 0o222)
    virtual = header.virtual_bytes or status.st_size
    return FileFacts(
        path, True, header.format, virtual, status.st_blocks * 512, "", writable, "", status.st_size, status.st_mtime_ns
    )


def _hash(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


