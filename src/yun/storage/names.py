"""Names and sizes of storage: what is accepted. Pure; each returns the clean value or raises `Invalid`."""

from __future__ import annotations

import os
import re
import unicodedata

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import MIB, TIB, format_size

NAME_LENGTH = 100
LEAST, MOST = MIB, 64 * TIB
_ID = re.compile(r"[a-z]{3}_[0-9a-z]{26}")
_POOL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_WHOLE = ("/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var", "/var/lib", "/var/local")
"""Directories that others have theirs in: a pool lies below, in one of its own."""
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/lost+found", "/proc", "/run", "/sbin",
    "/sys", "/usr", "/var/cache", "/var/lock", "/var/log", "/var/mail", "/var/run", "/var/spool", "/var/lib/apt",
    "/var/lib/dbus", "/var/lib/dpkg", "/var/lib/libvirt/qemu", "/var/lib/openvswitch", "/var/lib/ovn",
    "/var/lib/postgresql", "/var/lib/systemd",
)  # fmt: skip
"""Directories that are the system's own, a service's, or in memory, with all below them."""


def is_id(reference: str, prefix: str) -> bool:
    """Whether a reference is an id with this prefix, not a name."""
    return bool(_ID.fullmatch(reference)) and reference.startswith(prefix + "_")


def check_name(text: str, field: str = "name") -> str:
    """A volume's name as it is kept: any script, trimmed, composed; no slash, nothing invisible, nothing like an id."""
    name = unicodedata.normalize("NFC", text.strip())
    bad = any(c in "/\\" or (unicodedata.category(c)[0] in "C" and c != "\u200d") or c in "\u2028\u2029" for c in name)
    if not name or len(name) > NAME_LENGTH or bad or _ID.fullmatch(name):
        right = _("1 to {most} characters, no slash and no control character", most=NAME_LENGTH)
        raise Invalid(_("A volume cannot be named like this."), fields={field: right})
    return name


def check_pool_name(text: str) -> str:
    """A pool's name: lower-case letters, digits, dots, hyphens, underscores."""
    name = text.strip()
    if not _POOL.fullmatch(name) or _ID.fullmatch(name):
        right = _("1 to 63 lower-case letters, digits, dots, hyphens and underscores")
        raise Invalid(_("A pool cannot be named like this."), fields={"name": right})
    return name


def check_pool_path(path: str, state_dir: str) -> str:
    """A directory as a pool's place: absolute, without detours, one of its own, outside of the system's directories.
    Below ``state_dir``, where Yun itself lives, it may be. Whether it can be one, the host says."""
    sound = path.startswith("/") and os.path.normpath(path) == path and path.isprintable()
    if not sound or "," in path or len(path) > 200:
        raise Invalid(
            _("{path} cannot be a pool's directory.", path=path[:200]),
            fields={"path": _("an absolute path such as /srv/yun, without a comma or a slash at its end")},
        )
    if path.startswith(state_dir + "/"):
        return path
    own = any(path == place or path.startswith(place + "/") for place in _SYSTEM)
    if own or path in _WHOLE or path == state_dir or state_dir.startswith(path + "/"):
        raise Invalid(
            _("{path} is a directory of the system's, not one for disks.", path=path) if own
            else _("{path} has others' files in it.", path=path),
            fields={"path": _("a directory of its own, such as /srv/yun")},
        )  # fmt: skip
    return path


def check_size(size: int, *, least: int = LEAST, field: str = "size_bytes") -> int:
    """A disk's size in bytes, rounded up to whole MiB. Raises `Invalid` below ``least`` and above 64 TiB."""
    if not max(least, LEAST) <= size <= MOST:
        low, high = format_size(max(least, LEAST)), format_size(MOST)
        raise Invalid(
            _("A disk of {size} is not possible.", size=format_size(size)),
            fields={field: _("{least} to {most}", least=low, most=high)},
        )
    return -(-size // MIB) * MIB
