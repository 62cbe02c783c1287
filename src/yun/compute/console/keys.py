"""Keys: names and characters to Linux key codes, as a US keyboard has them.

What cannot be typed on a US keyboard (Chinese, accents) cannot be pasted as keystrokes, and a guest that is set to
another layout reads other characters: the panel says so beside the field.
"""

from __future__ import annotations

from collections.abc import Sequence

from yun.base.errors import Invalid
from yun.base.messages import _

MOST_TEXT = 1000
MOST_KEYS = 8
SHIFT = 42

KEYS = {
    "escape": 1, "backspace": 14, "tab": 15, "enter": 28, "ctrl": 29, "shift": 42, "alt": 56, "space": 57,
    "capslock": 58, "print": 99, "right-ctrl": 97, "right-alt": 100, "home": 102, "up": 103, "pageup": 104,
    "left": 105, "right": 106, "end": 107, "down": 108, "pagedown": 109, "insert": 110, "delete": 111, "pause": 119,
    "super": 125, "menu": 127, "f11": 87, "f12": 88, **{f"f{n}": 58 + n for n in range(1, 11)},
}  # fmt: skip

_PLAIN = ((2, "1234567890-="), (16, "qwertyuiop[]"), (30, "asdfghjkl;'`"), (43, "\\zxcvbnm,./"))
_SHIFTED = ((2, "!@#$%^&*()_+"), (16, "QWERTYUIOP{}"), (30, 'ASDFGHJKL:"~'), (43, "|ZXCVBNM<>?"))
TYPED: dict[str, tuple[int, ...]] = {
    " ": (57,), "\n": (28,), "\t": (15,),
    **{char: (first + place,) for first, row in _PLAIN for place, char in enumerate(row)},
    **{char: (SHIFT, first + place) for first, row in _SHIFTED for place, char in enumerate(row)},
}  # fmt: skip


def strokes(text: str) -> list[tuple[int, ...]]:
    """The keys to press together for each character of ``text``. Raises `Invalid` for what no key types."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MOST_TEXT:
        raise Invalid(
            _("The text is longer than {most} characters.", most=MOST_TEXT),
            fields={"text": _("at most {most} characters at a time", most=MOST_TEXT)},
        )
    strange = [char for char in dict.fromkeys(text) if char not in TYPED]
    if strange:
        raise Invalid(
            _("A US keyboard has no keys for {characters}.", characters=" ".join(strange[:10])),
            hint=_("Copy such text over SSH, or through the serial console, which takes any text."),
            fields={"text": _("letters, digits and signs of a US keyboard")},
        )
    return [TYPED[char] for char in text]


def combination(names: Sequence[str]) -> list[int]:
    """The key codes of a combination such as ``["ctrl", "alt", "delete"]``. Raises `Invalid` for unknown names."""
    codes = []
    for name in names:
        code = KEYS.get(name.lower()) or (TYPED.get(name.lower(), (0,))[0] if len(name) == 1 else 0)
        if not code:
            raise Invalid(
                _("There is no key {name}.", name=name[:40]),
                fields={"keys": _("letters, digits, or one of {names}", names=", ".join(sorted(KEYS)))},
            )
        codes.append(code)
    if not 1 <= len(codes) <= MOST_KEYS:
        raise Invalid(
            _("A combination has 1 to {most} keys.", most=MOST_KEYS),
            fields={"keys": _("1 to {most} names of keys", most=MOST_KEYS)},
        )
    return codes
