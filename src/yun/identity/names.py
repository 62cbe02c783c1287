"""What names, addresses and passwords may look like. Pure: each returns the clean value or raises `Invalid`."""

from __future__ import annotations

import re
import unicodedata

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.naming import no_option

LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
EMAIL = re.compile(r"[^\s@<>\"'\x00-\x20\x7f]+@[^\s@<>\"'\x00-\x20\x7f]+")
IDENTIFIER = re.compile(r"[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}")
PASSWORD_MIN = 10
PASSWORD_MAX = 1024


def _refuse(field: str, message: Message, right: Message) -> Invalid:
    return Invalid(message, fields={field: right})


def login_name(text: str, field: str = "name") -> str:
    """A user's name: lower-cased ASCII letters, digits and ``. _ - @ +``, at most 64 characters."""
    name = text.strip().lower()
    if not LOGIN.fullmatch(name) or IDENTIFIER.fullmatch(name):
        raise _refuse(
            field,
            _("{name} cannot be a user name.", name=text[:70]) if name else _("A name is needed."),
            _("1 to 64 lower-case letters, digits or . _ - @ +, beginning with a letter or digit"),
        )
    return name


def plain(text: str, field: str = "name", *, most: int = 64, empty: bool = False) -> str:
    """A text for people in any script on one line: no control characters, no slash, at most ``most`` characters; a
    name (not ``empty``) does not begin with a hyphen."""
    name = unicodedata.normalize("NFC", text).strip()
    bad = any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in name)
    ambiguous = not empty and ("/" in name or IDENTIFIER.fullmatch(name))
    if bad or ambiguous or len(name) > most or (not name and not empty):
        raise _refuse(
            field,
            _("{name} cannot be used here.", name=name[:70]) if name else _("A name is needed."),
            _("1 to {most} characters on one line, without a slash", most=most),
        )
    return name if empty else no_option(name, field)


def email(text: str, field: str = "email") -> str:
    """An address of electronic mail, or nothing."""
    value = text.strip()
    if value and (len(value) > 254 or not EMAIL.fullmatch(value)):
        wrong = _("{value} is not an e-mail address.", value=value[:70])
        raise _refuse(field, wrong, _("an address such as li@example.org"))
    return value


def role(text: str, field: str = "role") -> str:
    """One of the three roles."""
    if text not in ("reader", "member", "admin"):
        raise _refuse(field, _("There is no role {role}.", role=text[:40]), _("reader, member or admin"))
    return text


def password(text: str, name: str, field: str = "password") -> str:
    """A password that is long enough and is not the user's own name."""
    if len(text) < PASSWORD_MIN:
        raise _refuse(field, _("This password is too short."), _("at least {least} characters", least=PASSWORD_MIN))
    if len(text) > PASSWORD_MAX:
        raise _refuse(field, _("This password is too long."), _("at most {most} characters", most=PASSWORD_MAX))
    if text.strip().lower() == name or len(set(text)) < 4:
        raise _refuse(field, _("This password is too easy to guess."), _("something longer and less regular"))
    return text
