"""Keeping an eye on the wall clock before anything is removed because its time is over."""

from __future__ import annotations

from sqlalchemy.orm import Session

from yun.base.clock import Clock
from yun.base.messages import _
from yun.operations.events import raise_notice, resolve_notice
from yun.operations.intent import Subject
from yun.storage.model import ClockMark
from yun.storage.service.clock import MARK, boot_id, jump, time_is_settled

NOTICE = "clock-jump"


def watch_clock(session: Session, clock: Clock) -> bool:
    """Note the time; whether it can be trusted. A jump is told, and an hour without another one settles it."""
    moved, settled, now = jump(session, clock), time_is_settled(session, clock), clock.now()
    mark = session.get(ClockMark, MARK)
    if mark is None:
        mark = ClockMark(id=MARK, seen_at=now, ticks=0.0, boot="")
        session.add(mark)
    mark.seen_at, mark.ticks, mark.boot = now, clock.monotonic(), boot_id()
    if moved:
        mark.unsettled_since = now
        raise_notice(
            session, NOTICE, subject=Subject("trash", MARK), level="error",
            message=_(
                "The clock moved by {hours} hours at once: nothing is removed from the trash before it has stood right "
                "for an hour.",
                hours=round(moved.total_seconds() / 3600, 1),
            ),
            hint=_("Check the time of the host. What should go at once can be purged by hand."),
        )  # fmt: skip
    elif settled:
        mark.unsettled_since = None
        resolve_notice(session, NOTICE)
    session.flush()
    return settled
