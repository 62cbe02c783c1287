"""Filters of the templates: sizes, times, states, and small pictures of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from yun.base.messages import Message, _
from yun.base.units import MIB, format_size

# state → (colour of the house, icon); the word is the state's own translation.
STATES: dict[str, tuple[str, str]] = {
    "running": ("green", "player-play"),
    "active": ("green", "circle-check"),
    "up": ("green", "circle-check"),
    "complete": ("green", "circle-check"),
    "recording": ("blue", "activity"),
    "succeeded": ("green", "circle-check"),
    "attached": ("green", "circle-check"),
    "available": ("green", "circle-check"),
    "stopped": ("secondary", "player-stop"),
    "down": ("red", "circle-x"),
    "paused": ("yellow", "player-pause"),
    "trashed": ("secondary", "trash"),
    "queued": ("secondary", "clock"),
    "requested": ("yellow", "clock"),
    "cancelled": ("secondary", "ban"),
    "undone": ("secondary", "arrow-back-up"),
    "abandoned": ("secondary", "ban"),
    "unknown": ("secondary", "help-circle"),
    "building": ("blue", "loader"),
    "uploading": ("blue", "upload"),
    "importing": ("blue", "loader"),
    "starting": ("blue", "loader"),
    "undoing": ("blue", "loader"),
    "degraded": ("yellow", "alert-triangle"),
    "stuck": ("red", "alert-triangle"),
    "crashed": ("red", "alert-triangle"),
    "error": ("red", "alert-triangle"),
    "failed": ("red", "circle-x"),
    "unresponsive": ("red", "alert-triangle"),
    "missing": ("red", "circle-x"),
    "damaged": ("red", "alert-triangle"),
    "unreachable": ("red", "plug-connected-x"),
    "online": ("green", "circle-check"),
    "offline": ("red", "circle-x"),
    "working": ("green", "circle-check"),
    "blocking": ("red", "ban"),
    "bypassing": ("yellow", "alert-triangle"),
    "outdated": ("yellow", "clock"),
    "waiting": ("blue", "loader"),
    "silent": ("red", "plug-connected-x"),
    "faulty": ("red", "alert-triangle"),
}

STATE_WORDS = (
    _("running"), _("active"), _("up"), _("complete"), _("recording"),
    _("succeeded"), _("attached"), _("available"), _("stopped"), _("down"),
    _("paused"), _("trashed"), _("queued"), _("cancelled"), _("undone"), _("abandoned"), _("unknown"), _("building"),
    _("uploading"), _("importing"), _("starting"), _("undoing"), _("degraded"), _("stuck"), _("crashed"), _("error"),
    _("failed"), _("unresponsive"), _("missing"), _("damaged"), _("unreachable"), _("online"), _("offline"),
    _("requested"), _("working"), _("blocking"), _("bypassing"),
)  # fmt: skip


def state_look(state: str) -> tuple[str, str]:
    """Colour and icon of a state."""
    return STATES.get(str(state), ("secondary", "circle"))


def size(value: float | None) -> str:
    """Bytes for a person; – for None."""
    return "–" if value is None else format_size(value)


def mib(value: float | None) -> str:
    """MiB for a person."""
    return "–" if value is None else format_size(value * MIB)


def percent(part: float | None) -> str:
    """A part of one as whole per cents."""
    return "–" if part is None else f"{part * 100:.0f}\u202f%"


def moment(value: datetime | str | None) -> datetime | None:
    """A time that came as a row's value or as JSON."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.astimezone(UTC) if value else None


UNITS = (
    (31557600, _("{count} y ago"), _("in {count} y")),
    (2629800, _("{count} mo ago"), _("in {count} mo")),
    (86400, _("{count} d ago"), _("in {count} d")),
    (3600, _("{count} h ago"), _("in {count} h")),
    (60, _("{count} min ago"), _("in {count} min")),
)


def relative(value: datetime | str | None, locale: str, now: datetime | None = None) -> str:
    """How long ago, or in how long, in one unit."""
    at = moment(value)
    if at is None:
        return "–"
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    for length, past, future in UNITS:
        count = int(abs(seconds) // length)
        if count:
            return Message((past if seconds > 0 else future).text, {"count": count}).render(locale)
    return (_("just now") if seconds >= -5 else _("in a moment")).render(locale)


def when(value: datetime | str | None, locale: str) -> Markup:
    """A ``<time>`` element: relative, the exact one on hover; the page's script keeps it fresh."""
    at = moment(value)
    if at is None:
        return Markup("–")
    exact = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    text = relative(at, locale)
    return Markup('<time datetime="{}" title="{}" data-when>{}</time>').format(at.isoformat(), exact, text)


def duration(seconds: float | None) -> str:
    """Seconds as ``1 h 05 min``, ``12.3 s``."""
    if seconds is None:
        return "–"
    seconds = max(seconds, 0.0)  # clocks of two processes may differ a little
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60):02d} s"
    if minutes < 60 * 24:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"


def sparkline(values: Sequence[float | None], *, top: float | None = None, width: int = 80, height: int = 20) -> Markup:
    """A small SVG line of ``values`` from 0 to ``top`` (their greatest by default); nothing where there are too few."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    if len(known) < 2:
        return Markup('<span class="text-secondary">–</span>')
    ceiling = top or max(known) or 1.0
    step = width / (len(values) - 1)
    points = " ".join(
        f"{i * step:.1f},{height - 1 - min(max(v / ceiling, 0.0), 1.0) * (height - 2):.1f}"
        for i, v in enumerate(values)
        if v is not None and math.isfinite(v)
    )
    return Markup(
        '<svg class="sparkline" width="{w}" height="{h}" viewBox="0 0 {w} {h}" aria-hidden="true">'
        '<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    ).format(w=width, h=height, points=points)


def text(value: Any, locale: str) -> str:
    """A `Message`, a stored message or plain text, in a language."""
    if isinstance(value, Message):
        return value.render(locale)
    if isinstance(value, dict) and "text" in value:
        return Message.from_json(value).render(locale)
    return "" if value is None else str(value)
