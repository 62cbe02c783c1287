"""Texts that a person reads: kept as English source text and parameters, rendered in a language at the face.

Each room keeps its Chinese beside it in ``zh.po``; all of them are merged into one catalogue. A message that is
stored (an operation's error, a preview's effect) is stored unrendered, so every reader gets his own language.
"""

from __future__ import annotations

import gettext
import io
import os
import re
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

LOCALES = ("en", "zh")
PACKAGE = Path(__file__).resolve().parent.parent
COMPILED = PACKAGE / "base" / "zh.mo"
FORMAT = string.Formatter()
CHINESE = re.compile(r"[\u3400-\u9fff]")
LATIN = re.compile(r"[A-Za-z0-9]")


class Numbered(string.Formatter):
    """``{count:port is|ports are}`` gives the words before the bar where the number is 1, else those after it."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """One of the two, or what `format` gives."""
        one, bar, many = format_spec.partition("|")
        if bar:
            return one if value == 1 else many
        return str(super().format_field(value, format_spec))


NUMBERED = Numbered()


@dataclass(frozen=True)
class Message:
    """An English source text with named parameters, ``str.format`` style and `Numbered`; translated when rendered."""

    text: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def render(self, locale: str = "en") -> str:
        """The text in ``locale`` (``en`` or ``zh``), parameters filled in; nested messages follow suit."""
        template = catalogue(locale).gettext(self.text) if self.text else ""
        if not self.params:
            return template
        values = {k: v.render(locale) if isinstance(v, Message) else v for k, v in self.params.items()}
        if locale != "zh":
            return NUMBERED.vformat(template, (), values) if "|" in template else template.format(**values)
        return _spaced(template, values, {k for k, v in self.params.items() if isinstance(v, Message)})

    def to_json(self) -> dict[str, Any]:
        """A JSON value that keeps source text and parameters."""
        return {"text": self.text, "params": {k: _plain(v) for k, v in self.params.items()}}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Message:
        """The message that `to_json` wrote."""
        params = {
            k: Message.from_json(v) if isinstance(v, dict) and "text" in v else v
            for k, v in value.get("params", {}).items()
        }
        return Message(value["text"], params)


def _spaced(template: str, values: Mapping[str, Any], words: Collection[str]) -> str:
    """The template filled in as Chinese is set: a space between a Chinese character and a Latin letter or a digit, and
    none between two Chinese characters where a value is one of our own ``words``; a name keeps the space before it."""
    out, own = "", None
    for literal, name, spec, conversion in FORMAT.parse(template):
        out, own = (out + literal if own is None else _joined(out, literal, own=own)), None
        if name is not None:
            value = FORMAT.convert_field(FORMAT.get_field(name, (), values)[0], conversion)
            own = name in words
            out = _joined(out, FORMAT.format_field(value, spec or ""), own=own)
    return out


def _joined(before: str, after: str, *, own: bool) -> str:
    left, right = before.rstrip(" ")[-1:], after.lstrip(" ")[:1]
    if not left or not right:
        return before + after
    if CHINESE.match(left) and CHINESE.match(right):
        return before.rstrip(" ") + after.lstrip(" ") if own else before + after
    touching = left == before[-1] and right == after[0]
    mixed = (CHINESE.match(left) and LATIN.match(right)) or (LATIN.match(left) and CHINESE.match(right))
    return f"{before} {after}" if touching and mixed else before + after


def _(text: str, **params: Any) -> Message:
    """Mark ``text`` for translation: the extraction tool and the house tests look for this call."""
    return Message(text, params)


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None.__class__) else str(value)


class Catalogue(gettext.GNUTranslations):
    """A catalogue that can also be looked through from the side of the translation."""

    _catalog: dict[Any, Any]

    def sources(self, part: str) -> list[str]:
        """The source texts whose translation contains ``part``, whatever the case."""
        wanted = part.lower()
        return [k for k, v in self._catalog.items() if isinstance(k, str) and k and wanted in str(v).lower()]


def sources_of(part: str, locale: str) -> list[str] | None:
    """The source texts that a reader of ``locale`` finds by ``part``; None where he reads the sources themselves."""
    found = catalogue(locale)
    return found.sources(part) if isinstance(found, Catalogue) else None


@cache
def catalogue(locale: str) -> gettext.NullTranslations:
    """The merged catalogue of ``locale``; English and unknown languages give the source text."""
    if locale != "zh":
        return gettext.NullTranslations()
    sources = po_files()
    newest = max((os.path.getmtime(p) for p in sources), default=0.0)
    if COMPILED.exists() and COMPILED.stat().st_mtime >= newest:
        with COMPILED.open("rb") as file:
            return Catalogue(file)
    return Catalogue(io.BytesIO(compile_catalogue()))


def po_files() -> list[Path]:
    """Every room's Chinese, in a stable order."""
    return sorted(PACKAGE.rglob("zh.po"))


def compile_catalogue() -> bytes:
    """All ``zh.po`` files merged, as the bytes of one ``.mo`` file."""
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    merged = Catalog(locale="zh", charset="utf-8")
    for path in po_files():
        with path.open("rb") as file:
            for entry in read_po(file, locale="zh"):
                if entry.id and entry.string:
                    merged.add(entry.id, entry.string)
    out = io.BytesIO()
    write_mo(out, merged)
    return out.getvalue()


def negotiate(header: str | None, chosen: str | None = None) -> str:
    """The language to answer in: the person's own choice, else the best of an ``Accept-Language`` header."""
    if chosen in LOCALES:
        return chosen
    ranked: list[tuple[float, str]] = []
    for part in (header or "").split(","):
        tag, *rest = part.strip().split(";")
        try:
            quality = next((float(r.strip()[2:]) for r in rest if r.strip().startswith("q=")), 1.0)
        except ValueError:
            quality = 0.0
        ranked.append((-quality, tag.lower()[:2]))
    return next((tag for _q, tag in sorted(ranked, key=lambda r: r[0]) if tag in LOCALES), "en")
