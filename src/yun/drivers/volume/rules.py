"""The rules of a pool that both stores keep: where files lie, what may stand on what, which sizes are sound. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath

from yun.base.errors import DriverError, Invalid
from yun.base.messages import _
from yun.base.units import format_size
from yun.drivers.volume import faults
from yun.drivers.volume.inspection import refuse
from yun.drivers.volume.port import FOLDERS, FileFacts

BASES = ("layers", "heads")
"""Where files lie that others may stand on."""
FORBIDDEN = ("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")


def folder_of(path: str) -> str | None:
    """The pool's directory that a file lies directly in (``layers``), or None."""
    place = PurePosixPath(path)
    sound = place.is_absolute() and ".." not in place.parts and os.path.normpath(path) == path
    return place.parent.name if sound and place.parent.name in FOLDERS else None


def pool_of(path: str) -> str | None:
    """The directory of the pool that a file would lie in, or None."""
    return str(PurePosixPath(path).parent.parent) if folder_of(path) else None


def check_pool_path(path: str) -> None:
    """Pass for a directory that may become a pool. Raises `Invalid`."""
    right = _("an absolute path such as /srv/yun, outside of the system's own directories")
    sound = path.startswith("/") and os.path.normpath(path) == path and all(c.isprintable() for c in path)
    inside = any(path == f or (f != "/" and path.startswith(f + "/")) for f in FORBIDDEN)
    if not sound or inside or "," in path or len(path) > 200:
        raise Invalid(_("{path} cannot be a pool's directory.", path=path[:200]), fields={"path": right})


def check_references(path: str, backing: str, *, data_file: bool) -> None:
    """Pass where a file refers to nothing, or to a frozen file of its own pool. Raises `Invalid`.

    A head that was frozen keeps its place in ``heads``: a file that machines' definitions name never moves.
    """
    if data_file:
        raise refuse(path, _("its data lie in another file"))
    if not backing:
        return
    pool = pool_of(path)
    inside = pool is not None and folder_of(path) in ("heads", "layers")
    if not inside or pool_of(backing) != pool or folder_of(backing) not in BASES or backing == path:
        raise refuse(path, _("it stands on another file ({backing})", backing=backing[:200]))


def check_base(path: str, base: str, writable: bool | None, virtual: int, size: int, *, live: bool = False) -> None:
    """Pass where a head of ``size`` may stand on ``base``; ``writable`` is None for a missing one. Only a ``live``
    base may be writable: the caller freezes it before anything is written to what stands on it."""
    if pool_of(base) != pool_of(path) or folder_of(base) not in BASES or base == path:
        raise faults.outside(base)
    if writable is None:
        raise faults.missing(base)
    if writable and not live:
        raise faults.writable_base(base)
    check_growth(virtual, size)


def check_merge(top: FileFacts, base: FileFacts, chain: Sequence[str]) -> None:
    """Pass for two qcow2 of which one stands on the other. Raises `DriverError`."""
    for facts in (top, base):
        if facts.format != "qcow2":
            raise DriverError(_("The file {name} is no qcow2 file.", name=os.path.basename(facts.path)))
    if base.path not in chain[1:]:
        raise DriverError(_("The file {name} does not stand on the other.", name=os.path.basename(top.path)))


def check_growth(virtual: int, size: int) -> None:
    """Pass where a disk of ``virtual`` bytes may become ``size``. Raises `Invalid` for a shrink."""
    if size < virtual:
        least = format_size(virtual)
        raise Invalid(
            _("A disk cannot shrink from {old} to {new}.", old=least, new=format_size(size)),
            fields={"size_bytes": _("{least} or more", least=least)},
        )


def check_made_as(path: str, format: str, found: str) -> None:
    """Pass where a file is what it was made as (empty: nobody knows). Raises `Invalid`."""
    if format and format != found:
        raise refuse(path, _("it was made as {format}, and it is {found}", format=format, found=found))


def check_kind(path: str, format: str, backing: str | None) -> None:
    """Pass where a file of this format can stand on ``backing``: a raw one cannot say of anything that it does."""
    if format == "raw" and backing:
        raise refuse(path, _("a raw file stands on nothing"))


def check_same(path: str, same: bool) -> None:
    """Pass where the file that is there already is the wanted one."""
    if not same:
        raise faults.occupied(path)
