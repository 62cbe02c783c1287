"""What the commands of this room have in common: the noun itself, addresses of things, sizes as people write them."""

from __future__ import annotations

import click

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import parse_size
from yun.web.command import Group


@click.group("instance", cls=Group, help=_("Instances: virtual machines."))
def instance() -> None:
    """Instances."""


def at(reference: str, *rest: str) -> str:
    """The address of an instance, or of something below it."""
    from urllib.parse import quote

    return "/".join(["/instances", quote(reference, safe=""), *rest])


def size_of(text: str, field: str, unit: str) -> int:
    """A size as people write it, in bytes; a bare number counts in ``unit``. Ends the command naming ``field``."""
    from yun.web.command import failure

    try:
        return int(parse_size(text, field=field, default_unit=unit))
    except Invalid as error:
        raise failure(error.message, "invalid", _("Say a size such as 10G or 512M.")) from error
