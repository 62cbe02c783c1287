"""Settings as people write them in one line each, for the command: rules, backends, routes, peers."""

from __future__ import annotations

from typing import Any

from yun.base.errors import Invalid
from yun.base.messages import Message, _

RULE = _("such as: allow in tcp 80,443 from 10.0.0.0/8")
BACKEND = _("such as web-1:8080, or api=10.0.0.7:8080")
ROUTE = _("such as www.example.org/api=api")
PEER = _("such as laptop=KEY@10.99.0.2/32")


def rule(text: str) -> dict[str, Any]:
    """``allow|deny [any|in|out|self] [PROTOCOL [PORTS]] [from RANGE] [to RANGE]``."""
    words = text.split()
    made: dict[str, Any] = {"action": words.pop(0) if words else ""}
    if words and words[0] in ("any", "in", "out", "self"):
        made["way"] = words.pop(0)
    if words and words[0] not in ("from", "to"):
        made["protocol"] = words.pop(0)
    if words and words[0] not in ("from", "to"):
        made["ports"] = words.pop(0)
    for name, side in (("from", "source"), ("to", "destination")):
        if len(words) >= 2 and words[0] == name:
            made[side] = words[1]
            words = words[2:]
    if made["action"] not in ("allow", "deny") or words:
        raise _wrong("rule", text, RULE)
    return made


def backend(text: str) -> dict[str, Any]:
    """``[GROUP=]TARGET[:PORT]``; an IPv6 address stands in brackets."""
    group, equals, rest = text.rpartition("=")
    made: dict[str, Any] = {"group": group} if equals else {}
    if rest.startswith("["):
        target, _bracket, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    else:
        target, _colon, port = rest.partition(":")
    made["target"] = target
    if port:
        made["port"] = port
    if not target or (port and not port.isdecimal()):
        raise _wrong("backend", text, BACKEND)
    return made


def route(text: str) -> dict[str, Any]:
    """``[HOST][/PATH]=GROUP``."""
    what, equals, group = text.rpartition("=")
    host, slash, path = what.partition("/")
    if not equals or not group:
        raise _wrong("route", text, ROUTE)
    return {"host": host, "path": slash + path, "group": group}


def peer(text: str) -> dict[str, Any]:
    """``NAME=KEY@RANGE[,RANGE…]``."""
    name, equals, rest = text.partition("=")
    key, at, ranges = rest.rpartition("@")
    if not equals or not at:
        raise _wrong("peer", text, PEER)
    return {"name": name, "public_key": key, "addresses": [r for r in ranges.split(",") if r]}


def _wrong(field: str, text: str, right: Message) -> Invalid:
    return Invalid(_("{value} cannot be understood.", value=text[:60]), fields={field: right})
