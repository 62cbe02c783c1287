"""The verbs of recordings: capture a port's packets, stop, delete; and reading a port's counters."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Unavailable
from yun.base.ids import new_id
from yun.base.messages import _
from yun.base.units import format_size
from yun.identity.service.audit import Entry, record
from yun.network import capture_filter, checks
from yun.network.model import COMPLETE, RECORDING, TRASHED, Capture, Port, PortSample
from yun.network.service import look
from yun.operations.intent import Intent, Subject

MIB = 1 << 20
MOST_SECONDS, MOST_BYTES, LEAST_BYTES = 600, 100 * MIB, 64 * 1024
AT_ONCE = 8
"""Recordings of one host at the same time."""
KEPT = timedelta(days=1)
MOST_KEPT = 20
"""Recordings that a project may have, so that they never fill its host's disk."""
HISTORY = timedelta(hours=1)
ROWS = 200_000
RATES = ("bytes_in", "packets_in", "dropped_in", "bytes_out", "packets_out", "dropped_out")


def capture(
    ctx: Context, port: Port, *, filter: str = "", seconds: int = 60, max_bytes: int = 10 * MIB
) -> Intent:
    """Record a port's packets into a file, for ``seconds`` or up to ``max_bytes``; the file is kept for a day.

    Raises `Invalid` naming fields, `Conflict` where the port is on no host, is being recorded, or its host has enough
    to do.
    """
    ctx.may("port.capture", port.project_id)
    words = capture_filter.words_of(filter)
    checks.number(seconds, 1, MOST_SECONDS, "seconds")
    checks.number(max_bytes, LEAST_BYTES, MOST_BYTES, "max_bytes")
    if port.state == TRASHED or not port.plugged or port.host_id is None:
        raise Conflict(
            _("The port {name} is on no host now.", name=look.title_of(port)), hint=_("Start its instance first.")
        )
    running = sa.select(Capture.port_id).where(Capture.state == RECORDING, Capture.host_id == port.host_id)
    busy = list(ctx.session.scalars(running))
    if port.id in busy:
        raise Conflict(
            _("The packets of {name} are being recorded already.", name=look.title_of(port)),
            hint=_("Wait until that has ended, or stop it."),
        )
    if len(busy) >= AT_ONCE:
        raise Conflict(_("Its host records {count} ports already, which is the most.", count=len(busy)))
    mine = sa.select(sa.func.count()).select_from(Capture).where(Capture.project_id == port.project_id)
    if (ctx.session.scalar(mine) or 0) >= MOST_KEPT:
        raise Conflict(
            _("The project keeps {count} recordings, which is the most.", count=MOST_KEPT),
            hint=_("Delete those that are no longer needed: yun capture list."),
        )
    row = Capture(
        id=new_id(Capture.PREFIX), project_id=port.project_id, port_id=port.id, port_name=look.title_of(port),
        host_id=port.host_id, filter=" ".join(words), seconds=seconds, max_bytes=max_bytes,
        made_by=ctx.actor.name, state=RECORDING,
    )  # fmt: skip
    what = _("those that fit: {filter}", filter=row.filter) if words else _("all of them")
    return Intent(
        kind="port.capture",
        title=_("Record packets of port {name}", name=look.title_of(port)),
        subject=Subject("capture", row.id, row.port_name),
        project_id=port.project_id,
        arguments={"capture_id": row.id},
        effects=(
            _("Its packets are recorded, {what}, for {seconds} s or up to {size}.", what=what, seconds=seconds,
              size=format_size(max_bytes)),
            _("Whoever administers the project can read what its machine sends and receives."),
            _("The file is kept for a day."),
        ),
        back=(_("The recording ends and its file is deleted."),),
        write=lambda session: session.add(row),
    )  # fmt: skip


def stop_capture(ctx: Context, row: Capture) -> Intent:
    """The recording ends now; what it has stays. Raises `Conflict` where it has ended."""
    ctx.may("capture.stop", row.project_id)
    look.must_allow(row, "stop")
    return Intent(
        kind="capture.stop",
        title=_("Stop recording packets of port {name}", name=row.port_name),
        subject=Subject("capture", row.id, row.port_name),
        project_id=row.project_id,
        arguments={"capture_id": row.id},
        effects=(_("The recording ends; what it has so far stays."),),
        undoable=False,
        no_undo=_("A recording that has ended does not go on."),
    )


def delete_capture(ctx: Context, row: Capture) -> Intent:
    """The recording ends, and its file is deleted for good."""
    ctx.may("capture.delete", row.project_id)
    return Intent(
        kind="capture.delete",
        title=_("Delete the recording of port {name}", name=row.port_name),
        subject=Subject("capture", row.id, row.port_name),
        project_id=row.project_id,
        arguments={"capture_id": row.id},
        destroys=(_("The file is deleted for good."),),
        undoable=False,
        no_undo=_("Recorded packets are kept nowhere else."),
    )


def get_capture(ctx: Context, reference: str) -> Capture:
    """A recording by id."""
    return look.get(ctx, Capture, reference)


def capture_file(ctx: Context, row: Capture) -> os.stat_result:
    """What the file of a finished recording is like. Raises `Conflict` before, `Unavailable` where it cannot be
    read."""
    ctx.may("capture.download", row.project_id)
    if row.state != COMPLETE:
        raise Conflict(_("The recording has not ended."), hint=_("Wait until it has, or stop it."))
    try:
        return os.stat(row.path)
    except OSError as error:
        raise Unavailable(_("The recording cannot be read."), private=str(error)) from error


def note_download(into: Session, ctx: Context, row: Capture) -> None:
    """Write down for the audit who took the packets, in the transaction ``into``."""
    who = Subject("capture", row.id, row.port_name)
    record(into, ctx.clock.now(), Entry("capture.download", ctx.actor, ctx.address, who, project_id=row.project_id))


def interval(settings_seconds: float, ports: int) -> float:
    """Seconds between two measurements: as set, and longer with many ports, so that the history stays small."""
    return max(settings_seconds, HISTORY.total_seconds() * ports / ROWS)


def port_metrics(ctx: Context, port: Port) -> dict[str, Any]:
    """The last hour of a port, oldest first: counters (``total``) and, per second since the point before, rates.

    Rates are None in the first point after its card was plugged. ``in`` is what its machine receives.
    """
    ctx.may("port.metrics", port.project_id)
    since = ctx.clock.now() - HISTORY
    query = sa.select(PortSample).where(PortSample.port_id == port.id, PortSample.at >= since)
    points = list(_points(ctx.session.scalars(query.order_by(PortSample.at))))
    return {"port_id": port.id, "points": points, "now": points[-1] if points and port.plugged else None}


def _points(samples: Iterable[PortSample]) -> Iterable[dict[str, Any]]:
    before: PortSample | None = None
    for sample in samples:
        point: dict[str, Any] = {"at": sample.at.isoformat(), "total": {n: getattr(sample, n) for n in RATES}}
        seconds = (sample.at - before.at).total_seconds() if before is not None else 0.0
        anew = before is None or any(getattr(sample, n) < getattr(before, n) for n in RATES)
        for name in RATES:
            known = before is not None and not anew and seconds > 0
            point[name] = (getattr(sample, name) - getattr(before, name)) / seconds if known else None
        yield point
        before = sample
