"""The words of the tus protocol 1.0.0 (core, creation, checksum, expiration, termination). Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from yun.base.errors import Conflict, Invalid
from yun.base.messages import _

VERSION = "1.0.0"
CONTENT_TYPE = "application/offset+octet-stream"
EXTENSIONS = "creation,expiration,termination,checksum"
ALGORITHMS = ("sha256", "sha1", "sha512", "md5")
BASE = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
NUMBERS = ("min_disk_bytes", "min_memory_mib")


def speaks(version: str | None) -> bool:
    """Whether the client speaks our version, or says none (a plain HTTP client)."""
    return version in (None, VERSION)


def number(text: str | None, header: str) -> int:
    """A length or offset. Raises `Invalid`."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(
            _("The header {header} must be a number of bytes.", header=header), fields={header: _("a number of bytes")}
        )
    return int(text)


def metadata(header: str | None) -> dict[str, str]:
    """``key base64,key base64`` as a dictionary. Raises `Invalid`."""
    found: dict[str, str] = {}
    for pair in (header or "").split(","):
        key, _space, value = pair.strip().partition(" ")
        if not key:
            continue
        try:
            found[key] = base64.b64decode(value.strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            right = _("names and base64 values, separated by commas")
            raise Invalid(_("The header Upload-Metadata cannot be read."), fields={"Upload-Metadata": right}) from error
    return found


def wanted(values: dict[str, str]) -> tuple[dict[str, Any], str]:
    """What an upload's metadata ask for: the arguments of a `NewImage`, and the file's name."""
    given = dict(values)
    filename = given.pop("filename", "")
    for noise in ("filetype", "type", "relativePath", "contentType"):
        given.pop(noise, None)
    out: dict[str, Any] = {"name": given.pop("name", "") or filename.rpartition(".")[0] or filename}
    for key in ("visibility", "format", "checksum"):
        if value := given.pop(key, ""):
            out[key] = value
    if "compress" in given:
        out["compress"] = _boolean("compress", given.pop("compress"))
    properties: dict[str, Any] = {}
    for key, value in given.items():
        if key in NUMBERS:
            properties[key] = number(value, key)
        elif key == "cloud_init":
            properties[key] = _boolean(key, value)
        else:
            properties[key] = value
    return out | {"properties": properties}, filename


def _boolean(key: str, value: str) -> bool:
    if value.lower() not in BOOLEANS:
        raise Invalid(_("{field} is yes or no.", field=key), fields={key: _("true or false")})
    return BOOLEANS[value.lower()]


@dataclass(frozen=True)
class Checksum:
    """What a piece must add up to."""

    algorithm: str
    digest: bytes


def checksum(header: str | None) -> Checksum | None:
    """``sha256 base64`` of a piece, None where the client sends none. Raises `Invalid`."""
    if not header:
        return None
    algorithm, _space, value = header.strip().partition(" ")
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        digest = b""
    if algorithm not in ALGORITHMS or len(digest) != hashlib.new(algorithm).digest_size:
        names = ", ".join(ALGORITHMS)
        right = _("one of {names} and a base64 value", names=names)
        raise Invalid(_("The header Upload-Checksum cannot be used."), fields={"Upload-Checksum": right})
    return Checksum(algorithm, digest)


def expires(moment: datetime) -> str:
    """A moment as HTTP writes it."""
    return format_datetime(moment, usegmt=True)


def wrong_offset(have: int, said: int) -> Conflict:
    """The answer to a piece that does not follow what is there."""
    return Conflict(
        _("The upload stands at byte {have}, not at {said}.", have=have, said=said),
        hint=_("Ask where it stands and go on from there."),
        details={"offset": have},
    )
