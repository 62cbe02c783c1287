"""Making disk images out of directories with unprivileged tools: no loop device, no nbd, no mount."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from yun.base.units import MIB
from yun.images.builders.tools import Tick, run

CHUNK = MIB


def sparse(path: Path, mebibytes: int) -> Path:
    """An empty file of the given length that takes no space."""
    with path.open("wb") as file:
        file.truncate(mebibytes * MIB)
    return path


def partition(disk: Path, table: str, tick: Tick) -> None:
    """Write the partition table that the sfdisk script ``table`` describes."""
    run(["sfdisk", "-q", disk], tick=tick, feed=table.encode())


def fat(path: Path, mebibytes: int, label: str, files: Mapping[str, Path | bytes], tick: Tick) -> Path:
    """A FAT file system with ``files`` (path inside → content); parent directories are made."""
    sparse(path, mebibytes)
    run(["mkfs.vfat", "-n", label, "--invariant", path], tick=tick)
    folders = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    for folder in sorted(folders):
        run(["mmd", "-i", path, f"::/{folder}"], tick=tick)
    for name, content in files.items():
        if isinstance(content, bytes):
            run(["mcopy", "-i", path, "-", f"::/{name}"], tick=tick, feed=content)
        else:
            run(["mcopy", "-i", path, content, f"::/{name}"], tick=tick)
    return path


def ext4(path: Path, mebibytes: int, label: str, tree: Path, tick: Tick) -> Path:
    """An ext4 file system holding a copy of ``tree``, everything owned by root inside."""
    sparse(path, mebibytes)
    command: list[str | Path] = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", label, "-d", tree, path]
    if os.geteuid() != 0:
        command = ["unshare", "-r", *command]
    run(command, tick=tick)
    return path


def place(part: Path, disk: Path, mebibyte: int) -> None:
    """Copy ``part`` into ``disk`` at an offset in MiB; holes stay holes."""
    with part.open("rb") as source, disk.open("r+b") as target:
        offset = mebibyte * MIB
        while block := source.read(CHUNK):
            if block.count(0) != len(block):
                target.seek(offset)
                target.write(block)
            offset += len(block)


def boot_code(disk: Path, code: bytes) -> None:
    """Write boot code into the first 440 bytes; the partition table behind them stays."""
    with disk.open("r+b") as file:
        file.write(code[:440])


def patched_grub(core: bytes, boot: bytes, sector: int) -> tuple[bytes, bytes]:
    """GRUB's core and boot sector for a core that lies raw at ``sector``: what grub-bios-setup would write."""
    first, rest = bytearray(boot), bytearray(core)
    struct.pack_into("<Q", rest, 0x1F4, sector + 1)
    struct.pack_into("<Q", first, 0x5C, sector)
    first[0x66:0x68] = b"\x90\x90"  # boot from the drive the BIOS names
    return bytes(rest), bytes(first)


def compressed(disk: Path, target: Path, tick: Tick) -> None:
    """Write a raw disk as compressed qcow2."""
    run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=64k", disk, target], tick=tick)


def cpio(tree: Path) -> bytes:
    """A newc archive of ``tree``, owned by root, in a stable order."""
    out = bytearray()
    paths = sorted(tree.rglob("*"))
    for inode, path in enumerate(paths, start=1):
        status = path.lstat()
        data = b""
        if path.is_symlink():
            data = os.readlink(path).encode()
        elif path.is_file():
            data = path.read_bytes()
        out += _record(inode, status.st_mode, data, str(path.relative_to(tree)))
    return bytes(out + _record(0, 0, b"", "TRAILER!!!"))


def _record(inode: int, mode: int, data: bytes, name: str) -> bytes:
    raw = name.encode() + b"\0"
    numbers = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
    head = b"070701" + b"".join(f"{n:08x}".encode() for n in numbers) + raw
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def overlay(source: Path, target: Path) -> None:
    """Copy packaged guest files over a tree: what begins with ``#!`` is executable, whatever the package's mode."""
    for path in sorted(source.rglob("*")):
        place_at = target / path.relative_to(source)
        if path.is_dir():
            place_at.mkdir(parents=True, exist_ok=True)
            continue
        place_at.parent.mkdir(parents=True, exist_ok=True)
        place_at.unlink(missing_ok=True)
        data = path.read_bytes()
        place_at.write_bytes(data)
        place_at.chmod(0o755 if data.startswith(b"#!") else 0o644)


def install(source: Path, target: Path, mode: int = 0o755) -> None:
    """Copy one file, following links, with the given mode."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copyfile(source.resolve(), target)
    target.chmod(mode)


def words(path: Path) -> list[str]:
    """The words of a list file; ``#`` begins a comment."""
    lines: Iterable[str] = path.read_text().splitlines()
    return [word for line in lines for word in line.partition("#")[0].split()]
