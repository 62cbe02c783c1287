"""Sizes as typed integers and their text: bytes, MiB, GiB; IEC units only."""

from __future__ import annotations

import math
import re
from typing import NewType

from yun.base.errors import Invalid
from yun.base.messages import _

Bytes = NewType("Bytes", int)
MiB = NewType("MiB", int)

KIB = 1024
MIB = 1024**2
GIB = 1024**3
TIB = 1024**4
PIB = 1024**5

_SUFFIX = {"": 1, "b": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB, "p": PIB}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([bkmgtp]?)(?:i?b)?\s*", re.IGNORECASE)


def parse_size(text: str | int, *, field: str = "size", default_unit: str = "b") -> Bytes:
    """Bytes from ``10G``, ``10 GiB``, ``512M`` or a number; a bare number counts ``default_unit``.

    Units are powers of 1024. Raises `Invalid` naming ``field`` for anything else.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return Bytes(text * _SUFFIX[default_unit])
    found = _SIZE.fullmatch(str(text))
    if found:
        number, unit = found.groups()
        size = float(number) * _SUFFIX[(unit or default_unit).lower()]
        if math.isfinite(size):  # several hundred digits are no number of bytes
            return Bytes(int(size))
    wrong, said = _("a size such as 10G or 512M"), str(text).strip()
    raise Invalid(
        _("{value} is not a size.", value=said[:40]) if said else _("A size is needed."), fields={field: wrong}
    )


def format_size(size: float) -> str:
    """Bytes for a person: ``1.5 GiB``, ``96 MiB``, ``0 B``."""
    for unit, factor in (("PiB", PIB), ("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(size) >= factor:
            value = size / factor
            return f"{value:.0f} {unit}" if value >= 100 or value == int(value) else f"{value:.1f} {unit}"
    return f"{size:.0f} B"
