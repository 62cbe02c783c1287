"""Typed, prefixed, time-ordered ids such as ``ins_01k9…``; never reused.

The part after the prefix is a 128-bit ULID (48 bits of milliseconds, 80 random bits) in lower-case Crockford
base 32, so it is also a UUID: `as_uuid` gives the form that libvirt and OVN want.
"""

from __future__ import annotations

import os
import time
import uuid

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """A fresh id, ``prefix`` + ``_`` + 26 characters; ids of later milliseconds sort after earlier ones."""
    value = (int(time.time() * 1000) & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    return prefix + "_" + "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def as_uuid(identifier: str) -> str:
    """The UUID of an id, in its usual text form. Raises ``ValueError`` where the text is not an id."""
    text = identifier.rpartition("_")[2]
    if len(text) != 26:
        raise ValueError(identifier)
    value = 0
    for char in text:
        value = value << 5 | ALPHABET.index(char)
    return str(uuid.UUID(int=value & (1 << 128) - 1))


def from_uuid(prefix: str, text: str) -> str:
    """The id whose `as_uuid` is ``text``."""
    value = uuid.UUID(text).int
    return prefix + "_" + "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
