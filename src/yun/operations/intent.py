"""An intent: what a verb would do, as one frozen value that is either shown or submitted, so both always agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.db import Row
from yun.base.errors import Conflict
from yun.base.messages import Message, _


@dataclass(frozen=True)
class Subject:
    """A thing by kind (``instance``), id and the name a person knows it by."""

    kind: str
    id: str
    name: str = ""


USER = "/user"
"""At the end of a subject's kind: one who only uses the thing. Users do not stand in each other's way of undoing, but
in that of what made or changed the thing."""


@dataclass(frozen=True)
class Key:
    """A lock by position: an operation runs when fewer than ``slots`` older open ones name ``key``."""

    key: str
    slots: int = 1


def unchanged(row: Row) -> Callable[[Session], None]:
    """For the ``still`` of an instant intent whose values were made of what a row has: raises `Conflict` where somebody
    else has changed the row since. PostgreSQL lets two read it before either may write."""
    table, identifier, seen = type(row), row.id, row.revision

    def check(session: Session) -> None:
        now = session.scalar(sa.select(table.revision).where(table.id == identifier))
        if now is not None and now != seen:
            raise Conflict(
                _("This was changed by somebody else in the meantime."), hint=_("Load it again and repeat your change.")
            )

    return check


@dataclass(frozen=True)
class Intent:
    """The whole of a change before it happens.

    ``arguments`` (JSON) become the flow's keyword arguments. ``keys`` default to the exclusive key of the subject.
    ``effects`` … ``capacity`` are what a person wants to know first; ``back`` and ``back_destroys`` what he wants to
    know before it is undone. ``still`` raises where what it was made of has changed, asked when nobody else can change
    it any more (`unchanged`); ``write`` adds rows in the commit that accepts the operation. ``deadline`` is in seconds.
    ``transparent``: changes nothing lasting, so it never stands in the way of undoing something older. ``undoes`` names
    the operation that counts as undone once this one has succeeded. ``quiet``: leaves no trace when it returns nothing.
    ``instant``: pure database work, done inside `submit` when its keys are free.
    """

    kind: str
    title: Message
    subject: Subject
    arguments: dict[str, Any] = field(default_factory=dict)
    project_id: str | None = None
    keys: tuple[Key, ...] = ()
    subjects: tuple[Subject, ...] = ()
    effects: tuple[Message, ...] = ()
    restarts: tuple[Message, ...] = ()
    destroys: tuple[Message, ...] = ()
    depends: tuple[Message, ...] = ()
    capacity: tuple[Message, ...] = ()
    back: tuple[Message, ...] = ()
    back_destroys: tuple[Message, ...] = ()
    still: Callable[[Session], None] | None = None
    write: Callable[[Session], None] | None = None
    undoable: bool = True
    no_undo: Message | None = None
    deadline: float = 600.0
    transparent: bool = False
    quiet: bool = False
    instant: bool = False
    undoes: str | None = None

    @property
    def all_keys(self) -> tuple[Key, ...]:
        """The keys it will hold."""
        return self.keys or (Key(f"{self.subject.kind}:{self.subject.id}"),)

    @property
    def all_subjects(self) -> tuple[Subject, ...]:
        """The subject and whatever else it touches, each once."""
        seen = {(s.kind, s.id): s for s in (*self.subjects, self.subject)}
        return tuple(seen.values())

    def describe(self) -> dict[str, Any]:
        """The parts for a person, unrendered: stored with the operation."""
        return {
            "effects": [m.to_json() for m in self.effects],
            "restarts": [m.to_json() for m in self.restarts],
            "destroys": [m.to_json() for m in self.destroys],
            "depends": [m.to_json() for m in self.depends],
            "capacity": [m.to_json() for m in self.capacity],
            **({"back": [m.to_json() for m in self.back]} if self.back else {}),
            **({"back_destroys": [m.to_json() for m in self.back_destroys]} if self.back_destroys else {}),
            **({"undoes": self.undoes} if self.undoes else {}),
        }

    def render(self, locale: str, *, now: datetime, undo_days: float) -> dict[str, Any]:
        """The preview in a language: title, effects, restarts, destroys, depends, capacity, undo."""
        if self.undoable:
            until = now + timedelta(days=undo_days)
            undo = {
                "possible": True,
                "until": until.isoformat(),
                "text": _("Can be undone for {days:g} days.", days=undo_days).render(locale),
            }
        else:
            why = self.no_undo or _("This cannot be undone.")
            undo = {"possible": False, "until": None, "text": why.render(locale)}
        return {
            "dry_run": True,
            "kind": self.kind,
            "title": self.title.render(locale),
            "subject": {"kind": self.subject.kind, "id": self.subject.id, "name": self.subject.name},
            "effects": [m.render(locale) for m in self.effects],
            "restarts": [m.render(locale) for m in self.restarts],
            "destroys": [m.render(locale) for m in self.destroys],
            "depends": [m.render(locale) for m in self.depends],
            "capacity": [m.render(locale) for m in self.capacity],
            "undo": undo,
        }
