"""What of a port's packets is recorded, in a few words: ``tcp host 10.1.0.7 port 80``. Pure.

A filter is words between spaces, ``and`` between them where one likes: a protocol, ``host ADDRESS``, ``net RANGE``,
``port NUMBER``, each at most once. All must fit. Nothing else is let through to the recorder.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from yun.base.errors import Invalid
from yun.base.messages import Message, _

PROTOCOLS = ("tcp", "udp", "icmp", "icmp6", "arp", "ip", "ip6")
PORTED = ("tcp", "udp")
LONGEST = 200


def words_of(text: str) -> tuple[str, ...]:
    """The recorder's words of a filter; none for everything. Raises `Invalid` naming ``filter``."""
    if len(text) > LONGEST:
        raise _wrong(_("The filter is too long."))
    words = iter(text.lower().split())
    terms: dict[str, tuple[str, ...]] = {}
    for word in words:
        if word == "and":
            continue
        kind, term = _term(word, words)
        if kind in terms:
            raise _wrong(_("The filter says {word} twice.", word=kind))
        terms[kind] = term
    protocol = terms.get("protocol", ("",))[0]
    if "port" in terms and protocol and protocol not in (*PORTED, "ip", "ip6"):
        raise _wrong(_("{protocol} has no ports.", protocol=protocol))
    found: list[str] = []
    for kind in ("protocol", "host", "net", "port"):
        if kind in terms:
            found += (["and"] if found else []) + list(terms[kind])
    return tuple(found)


def _term(word: str, rest: Iterator[str]) -> tuple[str, tuple[str, ...]]:
    if word in PROTOCOLS:
        return "protocol", (word,)
    if word not in ("host", "net", "port"):
        raise _wrong(_("The filter does not know {word}.", word=word[:40]))
    value = next(rest, "")
    if word == "port":
        if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 65535):
            raise _wrong(_("{value} is not a port.", value=value[:40] or "–"))
        return "port", ("port", str(int(value)))
    try:
        clean = str(ipaddress.ip_address(value)) if word == "host" else str(ipaddress.ip_network(value))
    except ValueError as error:
        raise _wrong(_("{value} is not what {word} needs.", value=value[:60] or "–", word=word)) from error
    if "%" in clean:  # a scope is a name of this host's links
        raise _wrong(_("{value} is not what {word} needs.", value=value[:60], word=word))
    return word, (word, clean)


def _wrong(message: Message) -> Invalid:
    right = _("such as tcp host 10.1.0.7 port 80; empty for everything")
    return Invalid(message, fields={"filter": right})
