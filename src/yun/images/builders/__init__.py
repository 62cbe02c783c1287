"""Images we build ourselves from distribution packages: ``tiny`` (20 MB, seconds) and ``debian-12`` (cloud-init).

A build is kept by the digest of all that goes into it (our files and the packages' versions), so the same build is
made once. Builds run on Debian for x86-64 and fetch through the host's own apt sources.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yun.base.errors import Invalid, Unavailable
from yun.base.messages import _
from yun.base.units import MIB
from yun.images.builders import debian, tiny
from yun.images.builders.packages import Archive, Package
from yun.images.builders.tools import Tick, require

Make = Callable[[Archive, list[Package], Path, Path, Tick], None]


@dataclass(frozen=True)
class Builder:
    """A recipe: tools and files it needs on the host, its packages, how it is made, and what the image is like."""

    name: str
    tools: tuple[str, ...]
    files: Mapping[str, str]
    parts: Callable[[Archive], list[Package]]
    make: Make
    properties: Mapping[str, Any]


BUILDERS: dict[str, Builder] = {
    "tiny": Builder(
        "tiny", tiny.TOOLS, tiny.FILES, tiny.parts, tiny.make,
        {
            "os": "linux", "os_version": "1", "default_user": "root", "architecture": "x86_64", "cloud_init": True,
            "firmware": "bios", "min_disk_bytes": tiny.SIZE_MIB * MIB, "min_memory_mib": 96,
        },
    ),
    "debian-12": Builder(
        "debian-12", debian.TOOLS, debian.FILES, debian.parts, debian.make,
        {
            "os": "debian", "os_version": "12", "default_user": "debian", "architecture": "x86_64", "cloud_init": True,
            "firmware": "bios", "min_disk_bytes": debian.SIZE_MIB * MIB, "min_memory_mib": 384,
        },
    ),
}  # fmt: skip


def builder(name: str) -> Builder:
    """The recipe of that name, or `Invalid` with the names there are."""
    if name not in BUILDERS:
        raise Invalid(
            _("There is no recipe {name}.", name=name[:60]),
            fields={"recipe": _("one of {names}", names=", ".join(sorted(BUILDERS)))},
        )
    return BUILDERS[name]


def build(name: str, cache: Path, tick: Tick) -> Path:
    """Build the image ``name``, or find it in ``cache``; return the read-only qcow2 file there.

    ``tick`` is called several times a second and may raise to cancel: nothing half made is left behind then.
    Raises `Unavailable` saying what is missing: a tool, a package, the network, space.
    """
    recipe = builder(name)
    if platform.machine() != "x86_64":
        raise Unavailable(_("Images can be built on x86-64 hosts only."))
    require(recipe.tools, recipe.files)
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / f"{name}.lock", tick):
        archive = Archive(cache, tick)
        packages = recipe.parts(archive)
        target = cache / f"{name}-{_digest(packages)}.qcow2"
        if target.exists():
            return target
        for left in cache.glob(f"{name}-work-*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=f"{name}-work-", dir=cache) as folder:
            work = Path(folder)
            (work / "work").mkdir()
            recipe.make(archive, packages, work / "work", work / "image.qcow2", tick)
            (work / "image.qcow2").chmod(0o444)
            os.replace(work / "image.qcow2", target)
        for old in cache.glob(f"{name}-*.qcow2"):
            if old != target:
                old.unlink()
        return target


@contextmanager
def _alone(path: Path, tick: Tick) -> Iterator[None]:
    """One build of a name at a time in one cache; what a killed build left is then nobody's."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                tick()
                time.sleep(0.2)
        yield


def _digest(packages: list[Package]) -> str:
    """What a build depends on: our own files here, and the packages."""
    total = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(p for p in here.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        total.update(str(path.relative_to(here)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    for package in packages:
        total.update(f"{package.file} {package.digest}\n".encode())
    return total.hexdigest()[:32]
