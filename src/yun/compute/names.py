"""Names of instances and flavors, host names of guests: what is accepted, and what follows from a name."""

from __future__ import annotations

import re
import unicodedata

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.naming import no_option

NAME_LENGTH = 100
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ID = re.compile(r"[a-z]{3}_[0-9a-z]{26}")


def check_name(name: str, *, field: str = "name") -> str:
    """The name as it is kept: trimmed, in Unicode's composed form.

    Any script, spaces and punctuation are welcome. Raises `Invalid` for an empty or long name, slashes, control
    and invisible characters, a hyphen at its beginning, and what looks like an id.
    """
    name = unicodedata.normalize("NFC", name.strip())
    right = _("1 to {most} characters, no slash and no control character", most=NAME_LENGTH)
    if not name:
        raise Invalid(_("A name is needed."), fields={field: right})
    if len(name) > NAME_LENGTH:
        raise Invalid(
            _("The name is {length} characters long; at most {most} are allowed.", length=len(name), most=NAME_LENGTH),
            fields={field: right},
        )
    if any(c in "/\\" for c in name) or any(_invisible(c) for c in name):
        raise Invalid(_("The name contains a character that names cannot have."), fields={field: right})
    if _ID.fullmatch(name):
        raise Invalid(_("The name looks like an id."), fields={field: _("a name that does not look like an id")})
    return no_option(name, field)


def _invisible(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") and char != "\u200d"


def is_id(reference: str, prefix: str) -> bool:
    """Whether a reference is an id with this prefix, not a name."""
    return bool(_ID.fullmatch(reference)) and reference.startswith(prefix + "_")


def check_hostname(hostname: str) -> str:
    """The host name in lower case. Raises `Invalid` for anything that is not one RFC 1123 label."""
    lowered = hostname.strip().lower()
    if not _HOSTNAME.fullmatch(lowered):
        raise Invalid(
            _("{hostname} is not a host name.", hostname=hostname[:80]),
            fields={"hostname": _("1 to 63 letters, digits and hyphens, not beginning or ending with a hyphen")},
        )
    return lowered


def hostname_for(name: str, instance_id: str) -> str:
    """A host name that resembles the name as far as ASCII goes; else one made of the id's end."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:63].strip("-")
    return slug or "vm-" + instance_id[-8:]


def check_description(text: str) -> str:
    """The description as it is kept. Raises `Invalid` beyond 1000 characters."""
    if len(text) > 1000:
        raise Invalid(_("The description is too long."), fields={"description": _("at most 1000 characters")})
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t\r" for c in text):
        raise Invalid(
            _("The description contains a control character."), fields={"description": _("text and line breaks")}
        )
    return text.strip()
