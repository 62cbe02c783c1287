"""What each verb asks of a role: declared once beside a room's tables, asked by `Context.may`.

A permission is named ``noun.verb`` like the operation, the route and the command it guards.
"""

from __future__ import annotations

from dataclasses import dataclass

RANK = {"reader": 1, "member": 2, "admin": 3}


@dataclass(frozen=True)
class Need:
    """``role`` at least, in the thing's project (``scope='project'``), in the cloud (``'cloud'``), or
    simply to be logged in (``'self'``: a person's own keys, tokens and settings)."""

    role: str
    scope: str = "project"


NEEDS: dict[str, Need] = {}


def declare(noun: str, scope: str = "project", /, **verbs: str) -> None:
    """Declare the verbs of a noun with the role each needs: ``declare("instance", list="reader", …)``."""
    for verb, role in verbs.items():
        if role not in RANK:
            raise ValueError(role)
        NEEDS[f"{noun}.{verb}"] = Need(role, scope)


def required(permission: str) -> Need:
    """What a permission asks; an undeclared one is a bug (``KeyError``), never a free pass."""
    return NEEDS[permission]
