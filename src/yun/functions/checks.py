"""Checking what people typed into settings: each returns the clean value or raises `Invalid` naming field and row."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from yun.base.errors import Invalid
from yun.base.messages import Message, _

LAST_PORT = 65535
MOST_PORTS = 15
_PART = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_NAME = re.compile(r"[\w](?:[\w .@-]{0,58}[\w])?")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")


PARTS = (
    _("rule"), _("backend"), _("route"), _("peer"), _("action"), _("way"), _("protocol"), _("ports"), _("source"),
    _("destination"), _("note"), _("target"), _("port"), _("group"), _("host"), _("path"), _("name"), _("public_key"),
    _("addresses"),
)  # fmt: skip
"""What rows of lists and their parts are called, as they are called in settings."""


class Place:
    """Where a value stands: the field, and for one of a list its number (from 1) and part."""

    def __init__(self, field: str, number: int = 0, part: str = "") -> None:
        self.field, self.number, self.part = field, number, part

    def at(self, part: str) -> Place:
        """Another part of the same row."""
        return Place(self.field, self.number, part)

    def wrong(self, message: Message, right: Message) -> Invalid:
        """The error for a value here."""
        if self.number:
            right = _("row {number}, {part}: {right}", number=self.number, part=_(self.part), right=right)
        return Invalid(message, fields={self.field: right})


def only(given: Any, allowed: Sequence[str], place: Place) -> Mapping[str, Any]:
    """A mapping with no other keys than ``allowed``."""
    if not isinstance(given, Mapping):
        raise place.wrong(_("This is no group of settings."), _("names and values"))
    strange = [str(name)[:40] for name in given if name not in allowed]
    if strange:
        known = _("only {names}", names=", ".join(allowed))
        raise place.wrong(_("There is no setting {name}.", name=strange[0]), known)
    return given


def rows(given: Mapping[str, Any], field: str, most: int) -> list[Any]:
    """The list under ``field``, at most ``most`` long; none where it is left out."""
    found = given.get(field)
    if found is None:
        return []
    if not isinstance(found, list | tuple):
        raise Place(field).wrong(_("This is no list."), _("a list"))
    if len(found) > most:
        raise Place(field).wrong(_("This is too much."), _("at most {most}", most=most))
    return list(found)


def text(value: Any) -> str:
    """A short text without what surrounds it; empty for None and for what is no text."""
    return value.strip()[:300] if isinstance(value, str) else ""


def choice(value: Any, choices: Sequence[str], place: Place) -> str:
    """One of some words; the first where nothing is said."""
    if value in (None, ""):
        return choices[0]
    if not isinstance(value, str) or value not in choices:
        raise place.wrong(
            _("{value} is not possible here.", value=str(value)[:40]), _("one of {names}", names=", ".join(choices))
        )
    return value


def flag(value: Any, place: Place, *, default: bool) -> bool:
    """True or false."""
    if value is None:
        return default
    if not isinstance(value, bool):
        raise place.wrong(_("{value} is not possible here.", value=str(value)[:40]), _("true or false"))
    return value


def number(value: Any, low: int, high: int, place: Place) -> int:
    """A whole number in a range."""
    right = _("{low} to {high}", low=low, high=high)
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value, re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise place.wrong(_("{value} is not possible here.", value=str(value)[:40]), right)
    return value


def port(value: Any, place: Place) -> int:
    """A port."""
    return number(value, 1, LAST_PORT, place)


def ports(value: Any, place: Place) -> str:
    """Ports and ranges of them, ``80,443,8000-8100``; empty for all."""
    clean = str(value).replace(" ", "") if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if value is None or value == "":
        return ""
    parts = clean.split(",")
    right = _("ports such as 80,443 or 8000-8100; at most {most}", most=MOST_PORTS)
    spans: list[tuple[int, int]] = []
    for part in parts:
        match = _PART.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= LAST_PORT:
            raise place.wrong(_("{value} are no ports.", value=str(value)[:40]), right)
        spans.append((first, last))
    if len(spans) > MOST_PORTS:
        raise place.wrong(_("These are too many ports."), right)
    spans.sort()
    for (_first, last), (first, _last) in pairwise(spans):
        if first <= last:
            raise place.wrong(_("The port {port} is named twice.", port=first), _("each port once"))
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)


def cidr(value: Any, place: Place, *, empty: bool = False) -> str:
    """A range of addresses of one family; a single address is a range of one."""
    if value in (None, "") and empty:
        return ""
    try:
        found = ipaddress.ip_network(text(value))
    except ValueError as error:
        raise place.wrong(
            _("{value} is not a range of addresses.", value=str(value)[:60]), _("such as 10.0.0.0/24 or 10.0.0.7")
        ) from error
    return str(found)


def address(value: Any) -> str | None:
    """A single address that a machine can have; None where the text is none."""
    try:
        found = ipaddress.ip_address(text(value))
    except ValueError:
        return None
    return None if found.is_unspecified or found.is_multicast or "%" in str(found) else str(found)


def name(value: Any, place: Place) -> str:
    """A name of one line that people choose."""
    clean = text(value)
    if not _NAME.fullmatch(clean):
        right = _("1 to 60 letters, digits, spaces and . _ @ - between them")
        raise place.wrong(_("{value} cannot be a name.", value=clean[:60]), right)
    return clean


def host(value: Any, place: Place) -> str:
    """A host name or address; empty where nothing is said."""
    clean = text(value).lower()
    if not clean:
        return ""
    if not _HOST.fullmatch(clean) and address(clean) is None:
        raise place.wrong(_("{value} is no host name.", value=clean[:60]), _("such as www.example.org"))
    return clean
