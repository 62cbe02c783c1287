"""The sentences of what goes wrong with disk files, the same for the real store and the one in memory."""

from __future__ import annotations

import os

from yun.base.errors import DriverError, Invalid, NoCapacity
from yun.base.messages import _


def disk_full(path: str) -> NoCapacity:
    """The file system has no room for the file."""
    return NoCapacity(
        _("The disk is full: {name} could not be written.", name=os.path.basename(path)),
        hint=_("Empty the trash, delete what is not needed, or enlarge the file system of the pool."),
        private=path,
    )


def differ(path: str, why: str) -> DriverError:
    """Two files that were merged do not show the same."""
    return DriverError(
        _("The file {name} and what it was merged into do not show the same; both are left as they are.",
          name=os.path.basename(path)),
        private=f"{path}: {why}",
    )  # fmt: skip


def missing(path: str) -> DriverError:
    """A file that should be there is not."""
    return DriverError(_("The file {name} is missing from the pool.", name=os.path.basename(path)), private=path)


def frozen(path: str) -> DriverError:
    """Somebody wanted to write to a frozen file."""
    name = os.path.basename(path)
    return DriverError(_("The file {name} is frozen and is never written to.", name=name), private=path)


def outside(path: str) -> DriverError:
    """A path that is in no pool."""
    return DriverError(_("The file {name} does not lie in a pool.", name=os.path.basename(path)), private=path)


def no_pool(path: str) -> DriverError:
    """A directory that is not, or no longer, a pool: not mounted, or deleted."""
    return DriverError(
        _("There is no pool in the directory {path}.", path=path),
        hint=_("Check that its file system is mounted."),
    )


def occupied(path: str) -> DriverError:
    """Something else has the name already."""
    return DriverError(_("Another file named {name} is there already.", name=os.path.basename(path)), private=path)


def writable_base(path: str) -> DriverError:
    """A base that is not frozen."""
    return DriverError(
        _("The file {name} cannot be a base: it is not frozen.", name=os.path.basename(path)), private=path
    )


def damaged(path: str) -> Invalid:
    """A file that is no longer what it was."""
    return Invalid(_("The file {name} is damaged.", name=os.path.basename(path)), private=path)
