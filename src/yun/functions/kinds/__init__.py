"""The kinds of functions, each alike: check settings, say them in words, write its guest's configuration, read its
answers. Pure: nothing is asked or written here.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import yaml

from yun.base.messages import Message

ARCHIVE = "/var/lib/function/seed.tgz"


@dataclass(frozen=True)
class Surroundings:
    """What a function's configuration is made from beside its settings: how many network cards it has, the addresses
    of instances that its settings name by id, the private key of its own."""

    arms: int = 1
    addresses: Mapping[str, str] = field(default_factory=dict)
    secret: str = field(default="", repr=False)


class KindOf(Protocol):
    """What each kind knows."""

    def check(self, given: Mapping[str, Any], arms: int) -> dict[str, Any]:
        """The settings, clean and whole. Raises `Invalid` naming the field, and the row of a list."""

    def said(self, settings: Mapping[str, Any]) -> list[Message]:
        """What the settings mean, a line for each thing, for previews and for telling what changes."""

    def files(self, settings: Mapping[str, Any], around: Surroundings) -> dict[str, str]:
        """The configuration of the guest, by file."""

    def read(self, answer: str) -> dict[str, Any]:
        """What the guest told, as facts. Raises ValueError where it makes no sense."""

    def lasting(self, facts: Mapping[str, Any]) -> Any:
        """Of the facts what is news when it changes."""


def packed(kind: str, files: Mapping[str, str]) -> bytes:
    """The configuration as the guest takes it; the same files always give the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted({"kind": kind + "\n", **files}.items()):
            data = content.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o600
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(out.getvalue(), 9, mtime=0)


def digest(archive: bytes) -> str:
    """What a guest calls the configuration it has in force."""
    return hashlib.sha256(archive).hexdigest()


def user_data(archive: bytes) -> str:
    """The cloud-init user data that brings the configuration."""
    content = base64.b64encode(archive).decode()
    told = {"write_files": [{"path": ARCHIVE, "permissions": "0600", "encoding": "b64", "content": content}]}
    return "#cloud-config\n" + yaml.safe_dump(told, sort_keys=False, width=2**30)
