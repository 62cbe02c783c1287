"""What all names have in common, whatever they name. Pure."""

from __future__ import annotations

import re

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


NUMBER = re.compile(r"\{n(?::0?([1-9]))?\}")


def numbered(pattern: str, count: int, *, most: int, field: str = "name") -> list[str]:
    """``count`` names: ``{n}`` stands for the number, ``{n:02d}``-like with leading zeros; without one the number is
    added where there are several. Not checked as names yet. Raises `Invalid` for a count that is not from 1 to
    ``most``, and for a number that is not written like that."""
    if not 1 <= count <= most:
        raise Invalid(
            _("{count} at once are not possible.", count=count), fields={"count": _("1 to {most}", most=most)}
        )
    pattern = re.sub(r"\{n:(0?[1-9])d\}", r"{n:\1}", pattern)
    if count > 1 and "{n" in NUMBER.sub("", pattern):
        raise Invalid(
            _("The number in a name is not written like that."),
            fields={field: _("{plain} for the number, {zeros} with leading zeros", plain="{n}", zeros="{n:02d}")},
        )
    if count > 1 and not NUMBER.search(pattern):
        pattern = f"{pattern.strip()}-{{n}}"
    return [NUMBER.sub(lambda found, n=n: f"{n:0{found[1] or 1}d}", pattern) for n in range(1, count + 1)]  # type: ignore[misc]
