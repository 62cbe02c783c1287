"""The query language of lists, as SQL: ``state:running tag:web memory>4G name~class -host:node2 "free text"``.

A word is free text, or a field, an operator and a value; a minus before it turns it round. Every word must hold. Which
fields there are, and what they may be compared with, is said by each list in a table of `Field`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import parse_size

Condition = sa.ColumnElement[bool]
Make = Callable[[Session, str, str], Condition]
"""From a session, an operator and a value to a condition."""

LONGEST = 1000
SAME = (":", "=", "!=")
TEXT = (":", "=", "!=", "~")
ORDER = (":", "=", "!=", ">", ">=", "<", "<=")
WIDE = str.maketrans("：＝～＜＞！", ":=~<>!")
"""The signs of operators as Chinese keyboards write them."""
_SIGNS = "".join(map(chr, WIDE))
_OPERATOR = rf"[!！][=＝]|[>＞][=＝]|[<＜][=＝]|[:=~<>{_SIGNS.replace('！', '')}]"
_WORD = re.compile(rf'(-?)(?:([a-z_]+)({_OPERATOR}))?(?:"([^"]*)("?)|([^\s"]+))', re.IGNORECASE)
_UNFINISHED = re.compile(rf'(?:^|(?<=\s))(-?)([a-z_]+)({_OPERATOR})([^\s"]*)$', re.IGNORECASE)
_AGE = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|w)", re.IGNORECASE | re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Term:
    """One word of a query; an empty ``field`` is free text. ``word`` is how it was written, ``position`` where it
    begins: the first character is 1."""

    field: str
    value: str
    negative: bool = False
    operator: str = ":"
    word: str = ""
    position: int = 1


@dataclass(frozen=True)
class Field:
    """What a list can be searched by: the operators it takes, what a value looks like, and its condition; ``choices``
    are the words it knows, where it knows a few."""

    operators: Sequence[str]
    make: Make
    choices: Sequence[str] = ()


Fields = Mapping[str, Field]


def parse(query: str, fields: Fields) -> list[Term]:
    """The terms of a query. Raises `Invalid` for a field that the list does not know, an operator that the field does
    not take, or a field with nothing in its quotes, with the word and its place; ``q`` is the field at fault. One that
    is too long is refused: cut off, it would find more than was asked for."""
    if len(query) > LONGEST:
        longest = _("at most {most} characters", most=LONGEST)
        raise Invalid(_("The search is too long."), fields={"q": longest})
    terms = []
    for found in _words(query):
        minus, name, operator, quoted, closed, bare = found.groups()
        name, value, operator = (name or "").lower(), quoted or bare or "", (operator or ":").translate(WIDE)
        term = Term(name, value, bool(minus), operator, found[0], found.start() + 1)
        if name and name not in fields:
            error = _wrong(_("The list cannot be searched by {field}.", field=name), ", ".join(sorted(fields)))
            error.hint = _("To look for the text itself, put it in quotes.")
            raise _at(term, error)
        if name and operator not in fields[name].operators:
            wrong = _("{field} cannot be compared like that.", field=name)
            raise _at(term, _wrong(wrong, " ".join(fields[name].operators)))
        if name and not value and closed:
            raise _at(term, _wrong(_("{field} is held against nothing.", field=name), f"{name}:web"))
        if value:
            terms.append(term)
    return terms


def asks_nothing(query: str) -> bool:
    """Whether a query finds everything because it says nothing at all."""
    return not any(found[4] or found[6] for found in _words(query))


def _words(query: str) -> Iterator[re.Match[str]]:
    return _WORD.finditer(query.replace("\0", " "))


def conditions(
    session: Session, query: str, fields: Fields, text: Callable[[Session, str], Condition]
) -> list[Condition]:
    """What a row must fulfil to match every term of ``query``; ``text`` makes the condition of free text. Raises
    `Invalid` with the word that means nothing and its place."""
    found = []
    for term in parse(query, fields):
        operator = "=" if term.operator == "!=" else term.operator
        try:
            one = fields[term.field].make(session, operator, term.value) if term.field else text(session, term.value)
        except Invalid as error:
            raise _at(term, error) from error
        turned = term.negative != (term.operator == "!=")
        # What is empty is not so either: a machine on no host is a machine that is not on node2.
        found.append(sa.not_(sa.func.coalesce(one, sa.false())) if turned else one)
    return found


def _at(term: Term, error: Invalid) -> Invalid:
    """The error of one word, with the word and its place before the reason."""
    return Invalid(
        _("{word} (at character {position}): {reason}", word=term.word[:60], position=term.position,
          reason=error.message),
        fields=error.fields, hint=error.hint, details={"word": term.word, "position": term.position},
    )  # fmt: skip


def asks_for(query: str, fields: Fields, name: str, value: str) -> bool:
    """Whether a term wants ``value`` of the field ``name``, such as the state ``trashed``."""
    return any(
        t.field == name and value in t.value.lower().split(",") and t.operator != "!=" and not t.negative
        for t in parse(query, fields)
    )


def finished(query: str, fields: Fields) -> str:
    """``query`` with the word that is still being typed made whole: of a field with a few words, such as ``state:r``,
    all that begin so; a field without a value asks for nothing yet. A query that is whole comes back as it is."""
    found = last_word(query, fields)
    if found is None:
        return query
    before, term = found
    if not term.value:
        return before
    *whole, begun = term.value.lower().split(",")
    meant = [*whole, *(word for word in fields[term.field].choices if word.startswith(begun))]
    minus = "-" if term.negative else ""
    return f"{before}{minus}{term.field}{term.operator}{','.join(meant)}" if len(meant) > len(whole) else query


def last_word(query: str, fields: Fields) -> tuple[str, Term] | None:
    """What stands before the word that is still being typed, and that word; None where the query is whole. Its value
    may be empty."""
    last = _UNFINISHED.search(query)
    if last is None or last[2].lower() not in fields:
        return None
    minus, name, operator, value = last.groups()
    return query[: last.start()], Term(name.lower(), value, bool(minus), operator.translate(WIDE), last[0])


# ── kinds of fields ──


def text(column: Any) -> Field:
    """A text: ``:`` and ``~`` find a part of it, whatever the case; ``=`` the whole."""

    def make(_session: Session, operator: str, value: str) -> Condition:
        found: Condition = column == value if operator == "=" else column.icontains(value, autoescape=True)
        return found

    return Field(TEXT, make)


def contains(value: str, *columns: Any) -> Condition:
    """Free text: any of these columns contains it, whatever the case."""
    return sa.or_(*(column.icontains(value, autoescape=True) for column in columns))


def choice(column: Any, known: Sequence[str]) -> Field:
    """One of a few words, or several of them with commas. Raises `Invalid` for others."""

    def make(_session: Session, _operator: str, value: str) -> Condition:
        wanted = value.lower().replace("，", ",").split(",")
        for word in wanted:
            if word not in known:
                raise _wrong(_("It cannot be {word}.", word=word[:40] or "–"), ", ".join(known))
        found: Condition = column.in_(wanted)
        return found

    return Field(SAME, make, tuple(known))


def same(make: Callable[[Session, str], Condition]) -> Field:
    """A field that is so or not so, by a condition of one's own."""
    return Field(SAME, lambda session, _operator, value: make(session, value))


def exact(*columns: Any) -> Field:
    """One of these columns is exactly the value."""
    return same(lambda _session, value: sa.or_(*(column == value for column in columns)))


def tag(column: Any) -> Field:
    """A list of texts (JSON) that has the value."""

    def make(session: Session, value: str) -> Condition:
        if session.get_bind().dialect.name == "sqlite":
            each = sa.func.json_each(column).table_valued("value", name="each_tag")
            return sa.exists(sa.select(sa.literal(1)).select_from(each).where(each.c.value == value))
        return sa.cast(column, postgresql.JSONB).contains([value])

    return same(make)


def flag(column: Any) -> Field:
    """Yes or no."""

    def make(_session: Session, _operator: str, value: str) -> Condition:
        answer = {"yes": True, "true": True, "no": False, "false": False}.get(value.lower())
        if answer is None:
            raise _wrong(_("{value} is neither yes nor no.", value=value[:40]), "yes, no")
        found: Condition = column.is_(answer)
        return found

    return Field(SAME, make)


def number(column: Any, *, unit: int = 0) -> Field:
    """A number; with ``unit`` (bytes that one of the column counts) a size such as 4G, where a bare one counts MiB."""

    def make(_session: Session, operator: str, value: str) -> Condition:
        if unit:
            count = parse_size(value, field="q", default_unit="m") / unit
        else:
            if not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", value):
                raise no_number(value)
            count = float(value)
        return compared(column, operator, count)

    return Field(ORDER, make)


def moment(column: Any) -> Field:
    """A point in time: a date (``2026-11-25``, with a time after ``T``; UTC), or an age such as ``7d``, ``12h``: then
    ``>`` means older. ``:`` and ``=`` with a date mean that day."""

    def make(_session: Session, operator: str, value: str) -> Condition:
        age = _AGE.fullmatch(value)
        if age is not None:
            try:
                at = datetime.now(UTC) - timedelta(seconds=float(age[1]) * _SECONDS[age[2].lower()])
            except OverflowError as error:
                raise _no_moment(value) from error
            turned = {">": "<", ">=": "<=", "<": ">", "<=": ">=", ":": ">="}.get(operator, ">=")
            return compared(column, turned, at)
        try:
            at = datetime.fromisoformat(value)
            at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
            next_day = at + timedelta(days=1)
        except (ValueError, OverflowError) as error:
            raise _no_moment(value) from error
        if operator in SAME:
            return sa.and_(column >= at, column < next_day)
        return compared(column, operator, at)

    return Field(ORDER, make)


def compared(column: Any, operator: str, value: object) -> Condition:
    """The column against a value by one of `ORDER`'s operators."""
    made: dict[str, Callable[[], Condition]] = {
        ":": lambda: column == value, "=": lambda: column == value, ">": lambda: column > value,
        ">=": lambda: column >= value, "<": lambda: column < value, "<=": lambda: column <= value,
    }  # fmt: skip
    return made[operator]()


def no_number(value: str) -> Invalid:
    """The error of a value that should have been a number."""
    return _wrong(_("{value} is not a number.", value=value[:40]), "4")


def _no_moment(value: str) -> Invalid:
    return _wrong(_("{value} is neither a date nor an age.", value=value[:40]), "2026-11-25, 7d, 12h")


def _wrong(message: Message, right: str) -> Invalid:
    return Invalid(message, fields={"q": _("one of {names}", names=right)})
