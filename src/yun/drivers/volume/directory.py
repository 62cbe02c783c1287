"""Pools as directories on a file system of this host: qcow2 files made by qemu-img, moved and protected by us."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
from collections.abc import Sequence
from typing import Any

from yun.base.errors import DriverError, Invalid
from yun.base.messages import _
from yun.drivers.volume import atomic, bundle, faults, foreign, rules
from yun.drivers.volume.inspection import (
    Header,
    check_size,
    cluster_size,
    maps_nothing,
    printable,
    refuse,
    sniff,
)
from yun.drivers.volume.port import FINISHED, FOLDERS, FileFacts, HeadFormat, OutFormat, PoolFacts, Progress
from yun.drivers.volume.tool import image, image_json, image_progress

MARK = ".yun-pool"
CHUNK = 4 * 1024**2
CHECK_SECONDS = 600.0
QEMU_NAME = {"iso": "raw"}


class DirectoryStore:
    """The real `VolumeStore` of this host; ``timeout`` bounds each call that does not copy, in seconds."""

    def __init__(self, *, timeout: float = 30.0) -> None:
        self.timeout = timeout

    # pools -------------------------------------------------------------------------------------------------

    def prepare_pool(self, path: str) -> None:
        rules.check_pool_path(path)
        with atomic.translated(path):
            os.makedirs(path, mode=0o755, exist_ok=True)
            mark = os.path.join(path, MARK)
            if not os.path.exists(mark) and set(os.listdir(path)) - {"lost+found"}:
                raise Invalid(
                    _("The directory {path} is not empty and is no pool.", path=path),
                    fields={"path": _("an empty directory, or a pool")},
                )
            if os.geteuid() == 0 and (closed := atomic.closed_parent(path)):
                why = _("The hypervisor cannot reach {path}: {closed} is closed to others.", path=path, closed=closed)
                raise Invalid(
                    why,
                    fields={"path": _("a directory that other users can pass, such as one below /var/lib or /srv")},
                )
            os.chmod(path, atomic.PASSABLE)
            for name in FOLDERS:
                folder = os.path.join(path, name)
                os.makedirs(folder, exist_ok=True)
                os.chmod(folder, atomic.PASSABLE if name != "incoming" else 0o700)
            with open(mark, "a", encoding="ascii"):
                pass
            atomic.sync_folder(mark)

    def remove_pool(self, path: str) -> None:
        with atomic.translated(path):
            if not os.path.exists(os.path.join(path, MARK)):
                return
            if any(os.listdir(os.path.join(path, n)) for n in FOLDERS if os.path.isdir(os.path.join(path, n))):
                return
            for name in FOLDERS:
                if os.path.isdir(os.path.join(path, name)):
                    os.rmdir(os.path.join(path, name))
            atomic.remove(os.path.join(path, MARK))
            if not os.listdir(path):
                os.rmdir(path)

    def pool_facts(self, path: str) -> PoolFacts:
        if not os.path.exists(os.path.join(path, MARK)):
            raise faults.no_pool(path)
        with atomic.translated(path):
            space = os.statvfs(path)
            used = 0
            for name in FOLDERS:
                with os.scandir(os.path.join(path, name)) as entries:
                    used += sum(e.stat(follow_symlinks=False).st_blocks * 512 for e in entries if e.is_file())
            size, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
            return PoolFacts(path, size, free, used, os.access(os.path.join(path, "heads"), os.W_OK))

    def list_files(self, pool: str, folders: Sequence[str] = FINISHED) -> list[str]:
        if not os.path.exists(os.path.join(pool, MARK)):
            raise faults.no_pool(pool)
        found = []
        with atomic.translated(pool):
            for name in folders:
                with os.scandir(os.path.join(pool, name)) as entries:
                    found += [e.path for e in entries if not (e.name.startswith(".") and e.name.endswith(atomic.PART))]
        return sorted(found)

    def usage(self, pool: str) -> dict[str, int]:
        if not os.path.exists(os.path.join(pool, MARK)):
            raise faults.no_pool(pool)
        found = {}
        with atomic.translated(pool), os.scandir(os.path.join(pool, "heads")) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # it went meanwhile
                    status = entry.stat(follow_symlinks=False)
                    if status.st_mode & 0o222 and not entry.name.startswith("."):
                        found[entry.path] = status.st_blocks * 512
        return found

    # looking -----------------------------------------------------------------------------------------------

    def inspect(self, path: str, format: str = "") -> FileFacts:
        return self._look(path, format, by_tool=True)

    def glance(self, path: str, format: str = "") -> FileFacts:
        return self._look(path, format, by_tool=False)

    def unwritten(self, path: str) -> bool:
        seen = self.glance(path)
        with atomic.translated(path):
            return seen.exists and seen.format == "qcow2" and bool(seen.backing) and maps_nothing(path)

    def _look(self, path: str, format: str, *, by_tool: bool) -> FileFacts:
        with atomic.translated(path):
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                return FileFacts(path, exists=False)
            if not stat.S_ISREG(status.st_mode):
                raise refuse(path, _("it is not a regular file"))
            header = sniff(path) if format != "raw" else Header("raw", status.st_size)
        rules.check_made_as(path, format, header.format)
        rules.check_references(path, header.backing, data_file=header.external_data)
        virtual = self._vetted(path, header) if by_tool else header.virtual_bytes
        writable = bool(status.st_mode & 0o222)
        used = status.st_blocks * 512
        return FileFacts(
            path, True, header.format, virtual, used, header.backing, writable, "", status.st_size, status.st_mtime_ns
        )

    def _vetted(self, path: str, header: Header) -> int:
        """The virtual size as the tool sees it, once it agrees with what the header said about other files."""
        if header.format in ("raw", "iso"):
            check_size(path, header.virtual_bytes)
            return header.virtual_bytes
        answer = image_json(
            ["info", "-U", "-f", header.format, "--", path], path=path, timeout=self.timeout
        )  # fmt: skip
        named = answer.get("full-backing-filename") or answer.get("backing-filename") or ""
        data = (answer.get("format-specific") or {}).get("data") or {}
        extents = [e.get("filename", path) for e in data.get("extents", []) if isinstance(e, dict)]
        if named != header.backing:
            raise refuse(path, _("it stands on another file ({backing})", backing=printable(str(named))[:200]))
        if "data-file" in data or any(e != path for e in extents):
            raise refuse(path, _("its data lie in another file"))
        virtual = int(answer.get("virtual-size", 0))
        check_size(path, virtual)
        if header.format == "qcow2" and virtual != header.virtual_bytes:
            raise refuse(path, _("its header is damaged or lies"))
        return virtual

    def _present(self, path: str, format: str = "") -> FileFacts:
        facts = self.inspect(path, format)
        if not facts.exists:
            raise faults.missing(path)
        return facts

    def _told(self, path: str, source_format: str) -> FileFacts:
        """What a file is: as its machine was told, else as is found by looking."""
        if not source_format:
            return self._ours(path) or self._present(path)
        chain = foreign.trace(path, source_format)
        if not chain[-1].exists:
            raise faults.missing(chain[-1].path)
        return chain[0]

    def _ours(self, path: str) -> FileFacts | None:
        """What a pool's finished file is by its header, which was held against the tool when it came into the house;
        None for any other, and for one of which only the tool can tell."""
        if rules.folder_of(path) not in rules.BASES:
            return None
        seen = self.glance(path)
        return seen if seen.exists and seen.virtual_bytes else None

    def measure(self, path: str, *, source_format: str = "") -> int:
        facts = self._told(path, source_format)
        answer = image_json(["measure", "-U", "-O", "qcow2", *_source(facts)], path=path, timeout=self.timeout)
        return int(answer.get("required", 0))

    def digest(self, path: str, progress: Progress) -> str:
        seen, found = 0, hashlib.sha256()
        with atomic.translated(path), open(path, "rb", buffering=0) as file:
            length = max(os.fstat(file.fileno()).st_size, 1)
            while chunk := file.read(CHUNK):
                found.update(chunk)
                seen += len(chunk)
                progress(min(seen / length, 1.0))
        return found.hexdigest()

    def check(self, path: str) -> list[str]:
        try:
            facts = self._present(path)
        except Invalid as error:
            return [error.message.render("en")]
        if facts.format != "qcow2":
            return []
        try:
            answer = self._checked(path)
        except Invalid as error:
            return [error.message.render("en")]
        found = []
        for key in ("corruptions", "check-errors"):
            if count := answer.get(key):
                found.append(f"{key}: {count}")
        if answer.get("image-end-offset", 0) >= facts.length + cluster_size(path):
            found.append("the file is shorter than it must be")
        return found

    def _checked(self, path: str) -> dict[str, Any]:
        try:
            return image_json(["check", "-U", "-f", "qcow2", "--", path], path=path, timeout=CHECK_SECONDS)
        except DriverError as error:
            if not error.retryable:
                return {"corruptions": 1}
            raise

    # writing -----------------------------------------------------------------------------------------------

    def _place(self, path: str) -> str:
        """The pool that a path lies in; refuses any other path."""
        pool = rules.pool_of(path)
        if pool is None or not os.path.exists(os.path.join(pool, MARK)):
            raise faults.outside(path)
        return pool

    def create_head(
        self, path: str, *, size: int, backing: str | None, backing_format: str = "qcow2", live: bool = False,
        format: HeadFormat = "qcow2",
    ) -> None:  # fmt: skip
        self._place(path)
        check_size(path, size)
        rules.check_kind(path, format, backing)
        base: list[str] = []
        if backing:
            # Its header was held against the tool when it came into the house.
            under = self.glance(backing, backing_format)
            if under.exists and not under.virtual_bytes:
                under = self.inspect(backing, backing_format)
            writable = under.writable if under.exists else None
            rules.check_base(path, backing, writable, under.virtual_bytes, size, live=live)
            # A backing that a machine has open must not be opened by a second program: its header was read above.
            base = [*(["-u"] if live else []), "-b", backing, "-F", backing_format]
        if os.path.lexists(path):
            there = self.inspect(path, "raw" if format == "raw" else "")
            same = there.format == format and there.backing == (backing or "")
            rules.check_same(path, same and there.virtual_bytes >= size and there.writable)
            return
        with atomic.whole(path, atomic.HEAD) as part:
            image(
                ["create", "-q", "-f", format, *base, "--", part, str(size)], path=path, timeout=self.timeout
            )  # fmt: skip

    def freeze(self, path: str, into: str) -> None:
        if self._place(path) != self._place(into):
            raise faults.outside(into)
        with atomic.translated(path):
            if os.path.lexists(into):
                atomic.settle(into, atomic.FROZEN)
                if path != into:
                    atomic.remove(path)
                return
            atomic.settle(path, atomic.FROZEN)
            os.rename(path, into)
            atomic.sync_folder(into)
            atomic.sync_folder(path)

    def protect(self, path: str) -> None:
        self._place(path)
        with atomic.translated(path):
            atomic.settle(path, atomic.FROZEN)

    def convert(
        self, source: str, target: str, *, format: OutFormat, progress: Progress, compress: bool = False,
        source_format: str = "", alone: bool = False,
    ) -> None:  # fmt: skip
        self._place(target)
        facts = self._told(source, source_format)
        if os.path.lexists(target) and not os.lstat(target).st_mode & 0o222:
            raise faults.frozen(target)
        squeeze = ["-c"] if compress and format == "qcow2" else []
        squeeze += ["-o", "subformat=streamOptimized"] if format == "vmdk" else []
        with atomic.whole(target, atomic.HEAD) as part:
            share = [] if alone else ["-U"]
            # Past the memory: the disk writes while there is still to be read, not only once all has been read.
            past = ["-t", "none"] if not squeeze and atomic.takes_direct(part) else []
            command = ["convert", "-p", *share, *past, *_source(facts)[:2], "-O", format, *squeeze, "--", source, part]
            image_progress(command, path=target, progress=progress)

    def bundle(self, target: str, members: Sequence[tuple[str, bytes | str]], progress: Progress) -> int:
        for _name, source in members:
            if isinstance(source, str):
                self._place(source)
        self._place(target)
        with atomic.whole(target, atomic.HEAD) as part:
            return bundle.write(part, members, progress)

    def flatten(self, path: str, base: str, progress: Progress, *, base_format: str = "qcow2") -> None:
        self._place(path)
        facts = self._present(path)
        if not facts.writable or rules.folder_of(path) != "heads":
            raise faults.frozen(path)
        if facts.backing == base:
            return
        onto = ["-b", base, "-F", self._present(base, base_format).format] if base else ["-b", ""]
        image_progress(["rebase", "-p", "-f", facts.format, *onto, "--", path], path=path, progress=progress)
        with atomic.translated(path):
            atomic.settle(path, atomic.HEAD)

    def stand_again(
        self, path: str, backing: str, backing_format: str = "qcow2", *, frozen: bool = False
    ) -> None:  # fmt: skip
        self._place(path)
        facts = self._present(path)
        if not (facts.writable or frozen) or rules.folder_of(path) not in rules.BASES or facts.format != "qcow2":
            raise faults.frozen(path)
        form = self._present(backing, backing_format).format
        with atomic.translated(path):
            atomic.settle(path, atomic.HEAD if not frozen else atomic.THAWED)
        try:
            words = ["rebase", "-u", "-f", "qcow2", "-b", backing, "-F", form, "--", path]
            image(words, path=path, timeout=self.timeout)
        finally:
            with atomic.translated(path):
                atomic.settle(path, atomic.HEAD if not frozen else atomic.FROZEN)

    def thaw(self, path: str) -> None:
        self._place(path)
        if self._present(path).format != "qcow2":
            raise faults.frozen(path)
        with atomic.translated(path):
            atomic.settle(path, atomic.THAWED)

    def merge(self, path: str, into: str, progress: Progress) -> None:
        if self._place(path) != self._place(into):
            raise faults.outside(into)
        top, base = self._present(path), self._present(into)
        rules.check_merge(top, base, [each.path for each in self.trace(path, "qcow2")])
        try:
            for each in (path, into):
                self.thaw(each)
            command = ["commit", "-p", "-d", "-f", "qcow2", "-b", into, "--", path]
            image_progress(command, path=path, progress=lambda part: progress(part * 0.6))
            self._agree(path, into, progress)
            atomic.settle(into, atomic.FROZEN)
            os.rename(into, path)
            atomic.sync_folder(path)
            atomic.sync_folder(into)
        except OSError as error:
            raise atomic.of_system(error, path) from error
        finally:
            for each in (path, into):
                with contextlib.suppress(OSError):
                    atomic.settle(each, atomic.FROZEN)

    def _agree(self, path: str, into: str, progress: Progress) -> None:
        """Pass where both files show the same; raises `DriverError`."""
        if found := self.check(into):
            raise faults.differ(path, "; ".join(found))
        told = ["compare", "-p", "-U", "-f", "qcow2", "-F", "qcow2", "--", path, into]
        try:
            image_progress(told, path=path, progress=lambda part: progress(0.6 + part * 0.4))
        except DriverError as error:
            if error.retryable:
                raise
            raise faults.differ(path, error.private or "") from error

    def trace(self, path: str, format: str) -> list[FileFacts]:
        return foreign.trace(path, format)

    def discard(self, path: str) -> None:
        foreign.discard(path)

    def grow(self, path: str, size: int, *, format: str = "", adopted: str = "") -> None:
        if adopted:
            foreign.grow(path, size, adopted, timeout=self.timeout)
            return
        self._place(path)
        facts = self._present(path, format)
        if not facts.writable or rules.folder_of(path) != "heads":
            raise faults.frozen(path)
        check_size(path, size)
        rules.check_growth(facts.virtual_bytes, size)
        if size == facts.virtual_bytes:
            return
        image(["resize", "-q", "-f", facts.format, "--", path, str(size)], path=path, timeout=self.timeout)
        with atomic.translated(path):
            atomic.settle(path, atomic.HEAD)

    def delete(self, path: str) -> None:
        self._place(path)
        with atomic.translated(path):
            # Nobody waits for the disk: after a power cut the file may be there once more, as one that nobody knows.
            atomic.remove(atomic.part_of(path))
            atomic.remove(path)

    def write_seed(self, path: str, files: dict[str, bytes]) -> None:
        self._place(path)
        content = seed(files)
        with atomic.whole(path, 0o400) as part:
            with open(part, "xb") as file:
                os.fchmod(file.fileno(), 0o400)
                file.write(content)
            atomic.give_to_hypervisor(part)


def seed(contents: dict[str, bytes]) -> bytes:
    """An ISO 9660 image with Joliet and Rock Ridge names, labelled ``cidata``, as cloud-init looks for it."""
    import pycdlib

    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, content) in enumerate(sorted(contents.items())):
        iso.add_fp(io.BytesIO(content), len(content), f"/F{number:07d}.;1", rr_name=name, joliet_path="/" + name)
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


def _source(facts: FileFacts) -> list[str]:
    """How qemu-img is told of a file: always with the format that was found, never left to guess."""
    return ["-f", QEMU_NAME.get(facts.format, facts.format), "--", facts.path]
