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


def check_pool_path(path: str) -> str:
    """A directory as a pool's place: absolute, without detours. Whether it can be one, the host says."""
    if not path.startswith("/") or os.path.normpath(path) != path or not path.isprintable() or len(path) > 200:
        raise Invalid(
            _("{path} cannot be a pool's directory.", path=path[:200]),
            fields={"path": _("an absolute path such as /srv/yun")},
        )
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
