"""Forms as they were typed, for endpoints that parse them themselves."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends
from starlette.datastructures import FormData
from starlette.requests import Request

from yun.base.errors import Invalid
from yun.base.messages import _


async def _typed(request: Request) -> FormData:
    return await request.form(max_fields=2000)


Typed = Annotated[FormData, Depends(_typed)]
"""A form's fields as they were typed, for endpoints that parse them themselves."""


def words(form: FormData, name: str) -> tuple[str, ...]:
    """All texts that a form carries under ``name``, without empty ones."""
    return tuple(v for v in form.getlist(name) if isinstance(v, str) and v.strip())


def word(form: FormData, name: str) -> str | None:
    """The text under ``name`` with no space around it; None where it is empty."""
    value = form.get(name)
    return value.strip() or None if isinstance(value, str) else None


def listed(text: str) -> list[str]:
    """The words of a text, between commas of either language or spaces."""
    return [part for part in re.split(r"[,，\s]+", text) if part]


def ticked(form: FormData, name: str) -> bool:
    """Whether a box was ticked."""
    return form.get(name) not in (None, "", "false")


def number(form: FormData, name: str) -> int | None:
    """The whole number under ``name``, None where it is empty. Raises `Invalid`."""
    value = word(form, name)
    if value is None:
        return None
    if not re.fullmatch(r"-?\d{1,18}", value):
        raise Invalid(_("{value} is not a whole number.", value=value[:40]), fields={name: _("a whole number")})
    return int(value)
