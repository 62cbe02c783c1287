"""What names, properties, addresses and checksums of images may look like. Pure: the clean value, or `Invalid`."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.naming import no_option
from yun.base.units import TIB, format_size
from yun.images.model import ARCHITECTURES, FIRMWARES, FORMATS, HARDWARE, Visibility

NAME_LENGTH = 100
MAX_DISK = 64 * TIB
MAX_MEMORY_MIB = 16 * 1024 * 1024
_ID = re.compile(r"[a-z]{3}_[0-9a-z]{26}")
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}")
_DIGEST = {"sha256": 64, "sha512": 128, "sha384": 96, "sha1": 40, "md5": 32}
WEAK = ("sha1", "md5")


def _refuse(field: str, message: Message, right: Message) -> Invalid:
    return Invalid(message, fields={field: right})


def check_name(text: str, field: str = "name") -> str:
    """The name as it is kept: trimmed, composed, any script; no slash, no control character, no hyphen
    at its beginning, not like an id."""
    name = unicodedata.normalize("NFC", str(text).strip())
    right = _("1 to {most} characters, no slash and no control character", most=NAME_LENGTH)
    if not name:
        raise _refuse(field, _("A name is needed."), right)
    if len(name) > NAME_LENGTH:
        message = _(
            "The name is {length} characters long; at most {most} are allowed.", length=len(name), most=NAME_LENGTH
        )
        raise _refuse(field, message, right)
    bad = any(c in "/\\" or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in name)
    if bad:
        raise _refuse(field, _("The name contains a character that names cannot have."), right)
    if _ID.fullmatch(name):
        raise _refuse(field, _("The name looks like an id."), _("a name that does not look like an id"))
    return no_option(name, field)


def is_id(reference: str, prefix: str) -> bool:
    """Whether a reference is an id with this prefix, not a name."""
    return bool(_ID.fullmatch(reference)) and reference.startswith(prefix + "_")


def _description(value: Any) -> str:
    text = str(value).strip()
    if len(text) > 1000 or any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t\r" for c in text):
        raise _refuse("description", _("The description cannot be used."), _("at most 1000 characters of text"))
    return text


def _one_of(field: str, known: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in known:
            right = _("one of {names}", names=", ".join(known))
            raise _refuse(field, _("{field} cannot be {value}.", field=field, value=str(value)[:40]), right)
        return str(value)

    return check


def _number(field: str, most: int, sizes: bool) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            limit = format_size(most) if sizes else str(most)
            raise _refuse(
                field, _("{field} cannot be {value}.", field=field, value=str(value)[:40]), _("0 to {most}", most=limit)
            )
        return value

    return check


def _word(field: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = str(value).strip()
        if text and not _WORD.fullmatch(text):
            raise _refuse(
                field, _("{field} cannot be {value}.", field=field, value=text[:40]),
                _("up to 40 letters, digits, spaces and . _ + -"),
            )  # fmt: skip
        return text

    return check


def _user(value: Any) -> str:
    text = str(value).strip()
    if text and not _USER.fullmatch(text):
        right = _("a Linux user name such as debian, or nothing")
        raise _refuse("default_user", _("{value} is not a user name.", value=text[:40]), right)
    return text


def _boolean(field: str) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise _refuse(field, _("{field} is yes or no.", field=field), _("true or false"))
        return value

    return check


PROPERTIES: dict[str, Callable[[Any], Any]] = {
    "name": check_name,
    "description": _description,
    "min_disk_bytes": _number("min_disk_bytes", MAX_DISK, sizes=True),
    "min_memory_mib": _number("min_memory_mib", MAX_MEMORY_MIB, sizes=False),
    "firmware": _one_of("firmware", FIRMWARES),
    "hardware": _one_of("hardware", HARDWARE),
    "os": _word("os"),
    "os_version": _word("os_version"),
    "default_user": _user,
    "architecture": _one_of("architecture", ARCHITECTURES),
    "cloud_init": _boolean("cloud_init"),
}

check_visibility = _one_of("visibility", tuple(Visibility))
check_format = _one_of("format", FORMATS)


def check_properties(values: dict[str, Any]) -> dict[str, Any]:
    """Each known property with its clean value. Raises `Invalid` for an unknown one or a bad value."""
    for field in values:
        if field not in PROPERTIES:
            known = _("one of {names}", names=", ".join(sorted(PROPERTIES)))
            raise _refuse(field[:40], _("{field} cannot be changed here.", field=field[:40]), known)
    return {field: PROPERTIES[field](value) for field, value in values.items()}


def check_checksum(text: str) -> str:
    """``ALGORITHM:HEX`` in lower case; without an algorithm its length tells. Empty stays empty."""
    value = text.strip().lower()
    if not value:
        return ""
    name, _colon, digits = value.rpartition(":")
    if not name:
        name = next((n for n, length in _DIGEST.items() if length == len(digits)), "")
    if name not in _DIGEST or name in WEAK or len(digits) != _DIGEST[name] or not re.fullmatch("[0-9a-f]+", digits):
        right = _("a SHA-256, SHA-384 or SHA-512 checksum in hexadecimal")
        raise _refuse("checksum", _("This is not a usable checksum."), right)
    return f"{name}:{digits}"


def check_address(text: str, *, private: bool) -> str:
    """An http or https address of a file. ``private`` lets addresses of this machine and its networks pass.

    Names are looked up only when the download connects, and the addresses found are held against `allowed` again.
    """
    right = _("an address such as https://example.org/image.qcow2")
    value = text.strip()
    if len(value) > 2000 or any(c <= " " or c == "\x7f" for c in value):
        raise _refuse("url", _("This is not an address."), right)
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _refuse("url", _("This is not an address."), right) from error
    if parts.scheme not in ("http", "https") or not host:
        raise _refuse("url", _("Only http and https addresses can be fetched."), right)
    if parts.username is not None or parts.password is not None:
        raise _refuse("url", _("The address contains a password; it would be kept and shown."), right)
    if not private and not _literal_allowed(host):
        raise _refuse(
            "url",
            _("{host} lies in a private network; only administrators may fetch from there.", host=host[:80]),
            right,
        )
    return value


def _literal_allowed(host: str) -> bool:
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return False
    try:
        return allowed(host)
    except ValueError:
        return True


def allowed(address: str) -> bool:
    """Whether an IP address lies in the public internet. Raises ``ValueError`` for what is no IP address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return bool(found.is_global and not found.is_multicast and (mapped is None or mapped.is_global))
