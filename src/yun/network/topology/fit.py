"""How wide a text is, near enough to never draw over what stands beside it."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

NARROW, WIDE = set("iljtfrI.,:;'|!()[] -"), set("mwMW@%—…")


@lru_cache(maxsize=20_000)
def width(text: str, size: float, mono: bool = False) -> float:
    """Pixels that ``text`` takes at a font size, rather too many than too few."""
    total = 0.0
    for letter in text:
        if unicodedata.east_asian_width(letter) in "WF":
            total += 1.0
        elif unicodedata.combining(letter):
            continue
        elif mono:
            total += 0.625
        elif letter in NARROW:
            total += 0.4
        elif letter in WIDE:
            total += 1.0
        else:
            total += 0.72 if letter.isupper() else 0.62
    return total * size


@lru_cache(maxsize=20_000)
def fit(text: str, room: float, size: float, mono: bool = False) -> str:
    """``text``, or as much of it as fits into ``room`` pixels with an ellipsis at its end."""
    if width(text, size, mono) <= room:
        return text
    kept = text
    while kept and width(kept + "…", size, mono) > room:
        kept = kept[:-1]
    return kept.rstrip() + "…"
