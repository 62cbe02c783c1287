"""Whether the wall clock can be trusted with what cannot be taken back: emptying the trash, throwing uploads away.

A host whose clock jumps ahead would find everything's time over at once. So the time of each look is kept beside the
ticks of a clock that nobody can set; what the one gained on the other is a jump.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.clock import Clock
from yun.storage.model import ClockMark, TrashItem

MARK = "trash"
TOLERANCE = timedelta(minutes=5)
AWAY = timedelta(days=1)
SETTLED = timedelta(hours=1)
BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Which start of the host this is: its ticks begin anew with each. Empty where it does not say."""
    try:
        return BOOT.read_text(encoding="ascii").strip()[:40]
    except OSError:
        return ""


def jump(session: Session, clock: Clock) -> timedelta:
    """How far the wall clock has moved beyond what is credible since the last look; nothing where it is credible.

    Within one start of a host the ticks say how much time has passed. Across two of them, or two hosts, up to a day is
    believed. Before the first look the newest thing in the trash says what time it was.
    """
    mark, now = session.get(ClockMark, MARK), clock.now()
    if mark is None:
        newest = session.scalar(sa.select(sa.func.max(TrashItem.trashed_at)))
        return _incredible(now - newest, AWAY) if newest is not None else timedelta()
    passed = timedelta(seconds=clock.monotonic() - mark.ticks)
    if mark.boot != boot_id() or passed < timedelta():
        return _incredible(now - mark.seen_at, AWAY)
    return _incredible(now - mark.seen_at - passed, TOLERANCE)


def _incredible(moved: timedelta, most: timedelta) -> timedelta:
    return moved if abs(moved) > most else timedelta()


def time_is_settled(session: Session, clock: Clock) -> bool:
    """Whether the wall clock has not jumped since the last look, nor within the hour before it."""
    mark = session.get(ClockMark, MARK)
    since = mark.unsettled_since if mark is not None else None
    return not jump(session, clock) and (since is None or clock.now() - since >= SETTLED)
