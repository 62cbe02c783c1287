"""What all names have in common, whatever they name. Pure."""

from __future__ import annotations

from yun.base.errors import Invalid
from yun.base.messages import _


def no_option(name: str, field: str = "name") -> str:
    """The name, as long as no command takes it for an option. Raises `Invalid` for one that begins with a hyphen.

    For names that are given now: what has such a name already keeps it.
    """
    if name.startswith("-"):
        raise Invalid(
            _("A name cannot begin with a hyphen: commands would take it for an option."),
            fields={field: _("a name that begins with another character")},
        )
    return name
