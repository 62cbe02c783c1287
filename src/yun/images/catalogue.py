"""Upstream cloud images that can be pulled by name; read from ``catalogue.toml`` beside this file."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import parse_size

FILE = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True)
class Entry:
    """An image that its makers publish: where, how to check it, and what it needs and is.

    ``checksum`` is the address of a list of ``algorithm`` checksums; ``compression`` is empty or ``xz``.
    """

    name: str
    title: str
    os: str
    os_version: str
    default_user: str
    url: str
    checksum: str
    algorithm: str
    min_disk_bytes: int
    min_memory_mib: int
    architecture: str = "x86_64"
    firmware: str = "bios"
    compression: str = ""

    @property
    def filename(self) -> str:
        """The file's name in the list of checksums."""
        return PurePosixPath(urlsplit(self.url).path).name

    @property
    def properties(self) -> dict[str, Any]:
        """The image's properties."""
        return {
            "os": self.os, "os_version": self.os_version, "default_user": self.default_user,
            "architecture": self.architecture, "firmware": self.firmware, "cloud_init": True,
            "min_disk_bytes": self.min_disk_bytes, "min_memory_mib": self.min_memory_mib,
        }  # fmt: skip


@cache
def entries() -> dict[str, Entry]:
    """The whole catalogue by name."""
    found = {}
    for name, raw in tomllib.loads(FILE.read_text(encoding="utf-8")).items():
        least = parse_size(raw.pop("min_disk"))
        found[name] = Entry(name=name, min_disk_bytes=least, **raw)
    return found


def entry(name: str) -> Entry:
    """The entry of that name, or `Invalid` with the names there are."""
    if name not in entries():
        raise Invalid(
            _("The catalogue has no image {name}.", name=name[:60]),
            fields={"catalogue": _("one of {names}", names=", ".join(entries()))},
        )
    return entries()[name]


def find_checksum(listing: str, filename: str, algorithm: str) -> str | None:
    """The checksum of ``filename`` in a list as GNU, BSD or Alpine write it, as ``ALGORITHM:HEX``."""
    length = {"sha256": 64, "sha512": 128}[algorithm]
    digits = rf"[0-9a-fA-F]{{{length}}}"
    bsd = re.compile(rf"^{algorithm} ?\((.+)\) ?= ?({digits})$", re.IGNORECASE)
    gnu = re.compile(rf"^({digits}) [ *]?(\S.*)$")
    lines = [line.strip() for line in listing.splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        if (match := bsd.match(line)) and PurePosixPath(match[1]).name == filename:
            return f"{algorithm}:{match[2].lower()}"
        if (match := gnu.match(line)) and PurePosixPath(match[2].strip()).name == filename:
            return f"{algorithm}:{match[1].lower()}"
    if len(lines) == 1 and re.fullmatch(digits, lines[0]):
        return f"{algorithm}:{lines[0].lower()}"
    return None
