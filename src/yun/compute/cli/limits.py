"""Limits of disks as they are typed: ``read-iops=500``, or with a burst and its seconds ``total-bytes=10M:40M:5``."""

from __future__ import annotations

from collections.abc import Sequence

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import parse_size
from yun.compute.limits import KINDS
from yun.web.command import failure

LIMIT_HELP = _("Such as read-iops=500 or total-bytes=10M, with a burst and its seconds: 10M:40M:5. May be repeated.")
PARTS = ("", "_max", "_max_length")


def limits_of(told: Sequence[str]) -> dict[str, int]:
    """What was said, by the names of the API. Ends the command where it cannot be read."""
    found: dict[str, int] = {}
    for text in told:
        kind, _equals, numbers = text.partition("=")
        name = kind.strip().lower().replace("-", "_")
        typed = numbers.split(":")
        if name not in KINDS or len(typed) > len(PARTS):
            known = ", ".join(k.replace("_", "-") for k in KINDS)
            raise failure(
                _("{value} is no limit.", value=text[:60]), "invalid",
                _("Say KIND=RATE or KIND=RATE:BURST:SECONDS; the kinds are {names}.", names=known),
            )  # fmt: skip
        for part, number in zip(PARTS, typed, strict=False):
            found[f"{name}_sec{part}"] = _number(number, in_bytes=name.endswith("bytes") and part != "_max_length")
    return found


def _number(text: str, *, in_bytes: bool) -> int:
    try:
        if in_bytes:
            return int(parse_size(text, field="limit"))
        return int(text)
    except (Invalid, ValueError) as error:
        raise failure(
            _("{value} is no number.", value=text[:60]), "invalid",
            _("Requests and seconds are plain numbers; bytes may have a unit, such as 10M."),
        ) from error  # fmt: skip
