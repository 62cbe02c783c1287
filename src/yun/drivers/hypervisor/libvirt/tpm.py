"""What the emulated TPMs of domains keep: libvirt has a folder for each, whose files swtpm replaces as a whole."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from uuid import UUID

from yun.base.errors import DriverError
from yun.base.messages import _

STATES = Path("/var/lib/libvirt/swtpm")
KEPT = "*.permall"
"""What outlives a TPM's power: its keys, what it stores, its counters. Registers and locks are not copied."""


def discard(states: Path, uuid: str) -> None:
    """Remove what the domain's TPM kept, and what was left of a copy for it."""
    folder = _folder(states, uuid)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(_part(folder), ignore_errors=True)


def copy(states: Path, source: str, target: str) -> bool:
    """The folder of ``target`` is there and whole, with the owners and rights of the original's. It appears by one
    renaming, so that a death before leaves nothing that libvirt would take for a TPM's state.

    swtpm writes beside its file and renames: whatever moment a running TPM is copied at, it is of one piece.
    """
    old, new = _folder(states, source), _folder(states, target)
    try:
        if new.exists():
            return True
        files = sorted(old.rglob(KEPT))
        if not files:
            return False
        part = _part(new)
        shutil.rmtree(part, ignore_errors=True)
        _like(old, part)
        for file in files:
            for above in reversed(file.relative_to(old).parents):
                if not (part / above).exists():
                    _like(old / above, part / above)
            _copy_file(file, part / file.relative_to(old))
        for folder in (*(p for p in part.rglob("*") if p.is_dir()), part):
            _sync(folder)
        part.rename(new)
        _sync(new.parent)
    except OSError as error:
        raise DriverError(
            _("The TPM cannot be copied: {reason}", reason=error.strerror or str(error)), private=str(error)
        ) from error
    return True


def _folder(states: Path, uuid: str) -> Path:
    return states / str(UUID(uuid))


def _part(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.part")


def _like(old: Path, new: Path) -> None:
    """A folder with the owner and the rights of another."""
    new.mkdir()
    facts = old.stat()
    os.chown(new, facts.st_uid, facts.st_gid)
    new.chmod(stat.S_IMODE(facts.st_mode))


def _copy_file(old: Path, new: Path) -> None:
    with old.open("rb") as source, new.open("xb") as target:
        facts = os.fstat(source.fileno())
        os.fchown(target.fileno(), facts.st_uid, facts.st_gid)
        os.fchmod(target.fileno(), stat.S_IMODE(facts.st_mode))
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
