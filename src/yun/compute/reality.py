"""What a look at the hypervisor means for an instance's row: the new state, why, and what to mend. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from yun.compute.model import OnCrash, State

MENDS = 3
WINDOW = timedelta(minutes=10)
ASKED_INSIDE = ("shutdown",)
PULLED = ("destroyed",)
CRASHED = ("crashed", "failed", "daemon", "panicked")
HOST_REBOOT = "host_reboot"
MISSING = "missing"
GAVE_UP = "gave_up"


@dataclass(frozen=True)
class Seen:
    """What the hypervisor says of a domain: `Power` as text, its reason, whether the guest agent is connected."""

    power: str
    reason: str = "unknown"
    agent: bool = False


@dataclass(frozen=True)
class Known:
    """What the row says, and the instance's policies. ``same_boot`` is whether the host is still in the boot in
    which the machine last ran; ``mended_at`` when it was last brought back."""

    state: str
    reason: str = ""
    agent: bool = False
    on_crash: str = OnCrash.RESTART
    autostart: bool = True
    same_boot: bool = True
    mended_at: Sequence[datetime] = ()


@dataclass(frozen=True)
class Verdict:
    """The row's new truth, the event that tells it, and what is to be done about it."""

    state: str
    reason: str
    agent: bool
    event: str = ""
    define: bool = False
    start: bool = False


def judge(known: Known, seen: Seen, now: datetime) -> Verdict | None:
    """What follows from a look; None where the row is right and nothing is to be mended."""
    if known.state not in (State.RUNNING, State.PAUSED, State.STOPPED, State.CRASHED, State.ERROR):
        return None
    if seen.power in ("running", "paused"):
        return _up(known, seen)
    down = _down(known, seen, now)
    return None if down == Verdict(known.state, known.reason, known.agent) else down


def _up(known: Known, seen: Seen) -> Verdict | None:
    if known.state == seen.power:
        if known.agent == seen.agent:
            return None
        return Verdict(known.state, known.reason, seen.agent, "instance.agent")
    if seen.power == "paused":
        return Verdict(State.PAUSED, seen.reason, seen.agent, "instance.paused")
    event = "instance.resumed" if known.state == State.PAUSED else "instance.started"
    return Verdict(State.RUNNING, seen.reason, seen.agent, event)


def _down(known: Known, seen: Seen, now: datetime) -> Verdict:
    gone = seen.power == MISSING
    if known.state in (State.RUNNING, State.PAUSED):
        state, reason = _fall(known, seen)
        event = "instance.crashed" if state == State.CRASHED else "instance.stopped"
    else:
        state, reason, event = known.state, known.reason, "instance.lost" if gone else ""
    start = _wants_start(known, reason)
    if start and len([t for t in known.mended_at if now - t < WINDOW]) >= MENDS:
        start, reason, event = False, GAVE_UP, "instance.gave_up"
    return Verdict(state, reason, False, event or ("instance.mending" if start else ""), define=gone, start=start)


def _fall(known: Known, seen: Seen) -> tuple[str, str]:
    if seen.power == MISSING:
        return (State.STOPPED, MISSING) if known.same_boot else (State.STOPPED, HOST_REBOOT)
    if not known.same_boot:
        return State.STOPPED, HOST_REBOOT
    if seen.power == "crashed" or seen.reason in CRASHED:
        return State.CRASHED, seen.reason if seen.reason in CRASHED else "crashed"
    if seen.reason in (*ASKED_INSIDE, *PULLED):
        return State.STOPPED, seen.reason
    return State.STOPPED, HOST_REBOOT


def _wants_start(known: Known, reason: str) -> bool:
    if reason == HOST_REBOOT:
        return known.autostart
    return reason in (*CRASHED, *PULLED, MISSING) and known.on_crash == OnCrash.RESTART
