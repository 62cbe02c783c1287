"""How much a disk may do each second: what can be asked for, what of it is kept, and how it is said. Pure.

The names are libvirt's: ``total_iops_sec``, ``…_max`` for a burst, ``…_max_length`` for its seconds. A row keeps a dict
of what is not 0, with the ``group_name`` where disks share their budget.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.drivers.hypervisor.disk import NO_LIMITS

KINDS: dict[str, Message] = {
    "total_iops": _("requests"), "read_iops": _("reads"), "write_iops": _("writes"),
    "total_bytes": _("bytes"), "read_bytes": _("bytes read"), "write_bytes": _("bytes written"),
}  # fmt: skip
"""What can be limited, in the order of the page; ``…_sec`` is the rate."""
NAMES = tuple(NO_LIMITS.rates)
"""All numbers that there are."""
MOST = 10**15
"""The hypervisor's own most."""
LONGEST = 86_400
GROUP = "group_name"
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def checked(asked: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    """What a row keeps of these numbers and this group (empty: none). Raises `Invalid` naming each bad field."""
    wrong: dict[str, Message] = {}
    known = NO_LIMITS.rates
    for name, value in asked.items():
        if name not in known:
            wrong[name[:40]] = _("one of {names}", names=", ".join(known))
        elif isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
            wrong[name] = _("{least} to {most}", least=0, most=MOST)
    if group and not _GROUP.fullmatch(group):
        wrong["limit_group"] = _("at most 32 letters, digits, - and _, the first no sign")
    if not wrong:
        values = {**known, **asked}
        for kind in KINDS:
            wrong |= _contradictions(kind, values)
        for what in ("iops", "bytes"):
            if _limited(values, f"total_{what}"):
                both = [k for k in (f"read_{what}", f"write_{what}") if _limited(values, k)]
                wrong |= {f"{k}_sec": _("not together with a total") for k in both}
    if wrong:
        raise Invalid(_("A disk cannot be limited like that."), fields=wrong)
    kept = {name: int(asked[name]) for name in known if asked.get(name)}
    return {**kept, GROUP: group} if group and kept else kept


def as_stored(known: Mapping[str, Any]) -> dict[str, Any]:
    """What a row keeps of limits that a machine came with."""
    kept = {name: value for name, value in known.items() if value}
    return kept if rates(kept) else {}


def _contradictions(kind: str, values: Mapping[str, int]) -> dict[str, Message]:
    rate, burst, length = (values[f"{kind}_sec{part}"] for part in ("", "_max", "_max_length"))
    if burst and not rate:
        return {f"{kind}_sec_max": _("only with a limit")}
    if burst and burst < rate:
        return {f"{kind}_sec_max": _("at least the limit itself: {least}", least=rate)}
    if length and not burst:
        return {f"{kind}_sec_max_length": _("only with a burst")}
    if length and (length > LONGEST or burst * length > MOST):
        return {f"{kind}_sec_max_length": _("{least} to {most}", least=1, most=min(LONGEST, MOST // burst))}
    return {}


def _limited(values: Mapping[str, int], kind: str) -> bool:
    return values[f"{kind}_sec"] > 0


def rates(stored: Mapping[str, Any]) -> dict[str, int]:
    """The numbers of a row, without the group."""
    return {name: value for name, value in stored.items() if name != GROUP}


def group_of(stored: Mapping[str, Any]) -> str:
    """The group of a row; empty where its disk has a budget of its own."""
    return str(stored.get(GROUP, ""))


def texts(stored: Mapping[str, Any]) -> list[Message]:
    """Each limit of a row as a person reads it."""
    said = []
    for kind, what in KINDS.items():
        rate = stored.get(f"{kind}_sec", 0)
        if not rate:
            continue
        burst, length = stored.get(f"{kind}_sec_max", 0), stored.get(f"{kind}_sec_max_length", 0) or 1
        words = {"what": what, "rate": _amount(kind, rate)}
        said.append(
            _("{what}: {rate}/s, up to {burst}/s for {seconds} s", **words, burst=_amount(kind, burst), seconds=length)
            if burst else _("{what}: {rate}/s", **words)
        )  # fmt: skip
    return said


def _amount(kind: str, value: int) -> str:
    return format_size(value) if kind.endswith("bytes") else str(value)
