"""Images we build ourselves from distribution packages: ``tiny`` (20 MB, seconds), ``tiny-generic`` (the same with
drivers for old hardware), ``function`` (the same with nftables, HAProxy and WireGuard) and ``debian-12`` (cloud-init).

A build is kept by the digest of all that goes into it (our files and the packages' versions), so the same build is
made once. Builds run on Debian for x86-64 and fetch through the host's own apt sources.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yun.base.errors import Unavailable
from yun.base.messages import _
from yun.base.units import MIB
from yun.images.builders import debian, function, tiny
from yun.images.builders.packages import Archive, Package
from yun.images.builders.tools import Tick, require
from yun.images.faults import not_written
from yun.images.recipes import recipe as check_recipe

DIGEST = 32
Make = Callable[[Archive, list[Package], Path, Path, Tick], None]


@dataclass(frozen=True)
class Builder:
    """A recipe: the tools and files it needs on the host, its packages, and how it is made."""

    tools: tuple[str, ...]
    files: Mapping[str, str]
    parts: Callable[[Archive], list[Package]]
    make: Make


BUILDERS: dict[str, Builder] = {
    "tiny": Builder(tiny.TOOLS, tiny.FILES, tiny.parts, tiny.make),
    "tiny-generic": Builder(tiny.TOOLS, tiny.FILES, tiny.generic_parts, tiny.make),
    "function": Builder(tiny.TOOLS, tiny.FILES, function.parts, function.make),
    "debian-12": Builder(debian.TOOLS, debian.FILES, debian.parts, debian.make),
}


def build(name: str, cache: Path, tick: Tick) -> Path:
    """Build the image ``name``, or find it in ``cache``; return the read-only qcow2 file there.

    ``tick`` is called several times a second and may raise to cancel: nothing half made is left behind then.
    Raises `Unavailable` saying what is missing: a tool, a package, the network, space.
    """
    check_recipe(name)
    recipe = BUILDERS[name]
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
            try:
                recipe.make(archive, packages, work / "work", work / "image.qcow2", tick)
                (work / "image.qcow2").chmod(0o444)
                os.replace(work / "image.qcow2", target)
            except OSError as error:
                raise not_written(error, name) from error
        for old in cache.glob(f"{name}-*.qcow2"):
            if old != target and re.fullmatch(f"{name}-[0-9a-f]{{{DIGEST}}}", old.stem):
                old.unlink()
        return target


def pretend(name: str, cache: Path) -> Path:
    """An empty disk in place of a build, for a cloud on fakes."""
    check_recipe(name)
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"{name}-pretended.raw"
    with target.open("wb") as file:
        file.write(name.encode().ljust(510, b"\0") + b"\x55\xaa")
        file.truncate(16 * MIB)
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
    return total.hexdigest()[:DIGEST]
