"""The comparison of the network engine, and of the hosts' switches, with the rows: what drifted is mended and told.

At the start and after a reconnection everything is compared; between, what somebody wrote to, and a share of all that
comes round, so that at any size a comparison without findings costs little.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.ids import from_uuid
from yun.base.log import logger
from yun.base.messages import _
from yun.hosts.service import local_host
from yun.network import steps
from yun.network.defaults import everything
from yun.network.model import Port, PortSecurityGroup
from yun.network.spec import SPECS
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step
from yun.operations.intent import Subject
from yun.operations.model import OPEN, Notice, Operation, OperationSubject

log = logger(__name__)
Thing = tuple[str, str]

CLOUD = Subject("network", "cloud")
SHARE = 200  # how many things are compared in any case, at each time others
CHUNK = 50  # how many at once: meanwhile other changes of the engine wait
LISTED = 10  # how many are named to a person
KEPT = 100  # how many are named in the event
SHOWN = timedelta(days=1)  # how long a notice of what has been mended already stays
DRIFT, LEFTOVERS = NOTICES = ("network.drift", "network.leftovers")
ID = re.compile(r"\b[a-z]{3}_[0-9a-z]{26}\b")


@dataclass
class Findings:
    """What was not as it should be: missing things, those that differ with what of them, and leftovers of ours.

    ``busy`` are ids that an open operation is about: what is amiss with those is its work, not drift.
    """

    missing: set[Thing] = field(default_factory=set)
    differing: dict[Thing, tuple[str, ...]] = field(default_factory=dict)
    extra: set[Thing] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)

    def told(self, things: Iterable[Thing]) -> list[Thing]:
        """The things that nobody is at work on."""
        return sorted(t for t in things if t[1] not in self.busy)


@step(retries=0)
def compare(op: Op) -> dict[str, Any] | None:
    """The engine has what it should, leftovers of ours are gone, ports' rows say whether they are up; drift is told.

    The inventory is read before the rows: whatever the engine had then has a row, unless nobody wants it any more.
    """
    try:
        found, wanted = _look(op)
        steps.bring(op, sorted({*found.missing, *found.differing}))
        steps.bring(op, sorted(found.extra))
        changed = steps.look_at_ports(op, sorted(i for k, i in wanted if k == "port"))
    except DriverError as error:
        if not error.retryable:
            raise
        log.info("the comparison waits for the network engine: %s", error)  # the host's page tells operators
        return None
    _tell(op, found)
    report = {
        "mended": len(found.missing) + len(found.differing), "removed": len(found.extra), "ports": len(changed or []),
    }  # fmt: skip
    return report if any(report.values()) else None


def _look(op: Op) -> tuple[Findings, set[Thing]]:
    engine = op.drivers.network
    suspects = engine.suspects()
    have = engine.inventory()
    with op.read() as session:
        wanted = {(k, i) for k, i in everything(session, ports=True)}
        found = Findings(busy=_busy(session, op))
        found.missing = {(k, i) for k, i in wanted if i not in have[k]}
        found.extra = {(k, i) for k, ids in have.items() for i in ids if (k, i) not in wanted}
        # What was made anew is empty: whatever stands on it or is in it is looked at too.
        renewed = {t for t in found.missing if t[0] != "port"}
        grouped = sa.select(PortSecurityGroup.port_id).where(
            PortSecurityGroup.group_id.in_([i for k, i in renewed if k == "group"])
        )
        suspects = suspects if suspects is None else suspects | {("port", i) for i in session.scalars(grouped)}
    steps.bring(op, sorted(renewed))
    if suspects is None or any(i not in found.busy for _kind, i in renewed):
        found.differing = differing(op, wanted - renewed - found.missing)
    else:
        share = _share(sorted(wanted), op.clock.now().timestamp())
        found.differing = differing(op, (wanted & {*suspects, *share}) - renewed - found.missing)
    if found.differing:  # rows may have changed between the look at them and the look at the engine
        found.differing = differing(op, found.differing)
    return found, wanted


def _share(things: list[Thing], now: float) -> list[Thing]:
    """Another part of all things at every minute."""
    parts = -(-len(things) // SHARE) or 1
    start = int(now // 60) % parts * SHARE
    return things[start : start + SHARE]


def differing(op: Op, things: Collection[Thing]) -> dict[Thing, tuple[str, ...]]:
    """Which of the things the engine does not have as their rows say, and in what they differ."""
    found: dict[Thing, tuple[str, ...]] = {}
    for kind, spec_of in SPECS.items():
        ids = sorted(i for k, i in things if k == kind)
        for start in range(0, len(ids), CHUNK):
            with op.read() as session:
                specs = {i: spec for i in ids[start : start + CHUNK] if (spec := spec_of(session, i)) is not None}
            told = op.drivers.network.differing(kind, specs)
            found |= {(kind, identifier): columns for identifier, columns in told.items()}
    return found


def _busy(session: Session, op: Op) -> set[str]:
    """Ids that open operations are about: their subjects, what their arguments name, and the ports of those."""
    open_ones = sa.and_(Operation.state.in_(OPEN), Operation.id != op.id, Operation.quiet.is_(False))
    subjects = sa.select(OperationSubject.id).join(Operation, Operation.seq == OperationSubject.seq).where(open_ones)
    ids = set(session.scalars(subjects))
    for keys, arguments in session.execute(sa.select(Operation.keys, Operation.arguments).where(open_ones)):
        ids.update(ID.findall(json.dumps([keys, arguments])))
    return ids | set(session.scalars(sa.select(Port.id).where(Port.instance_id.in_(ids)))) if ids else ids


def _tell(op: Op, found: Findings) -> None:
    """Operators learn what had drifted; what they were told of earlier is not shown for ever."""
    missing, extra = found.told(found.missing), found.told(found.extra)
    drifted = dict.fromkeys(missing, ("missing",)) | {t: found.differing[t] for t in found.told(found.differing)}
    with op.read() as session:
        since = op.clock.now() - SHOWN
        old = list(session.scalars(sa.select(Notice.key).where(Notice.key.in_(NOTICES), Notice.created_at < since)))
    if not (drifted or extra or old):
        return
    with op.write() as session:
        for key in old:
            resolve_notice(session, key)
        if drifted:
            _tell_drift(session, drifted)
        if extra:
            listed = ", ".join(f"{kind} {identifier}" for kind, identifier in extra[:LISTED])
            message = _(
                "{count} {count:leftover was|leftovers were} removed from the network engine: {list}.",
                count=len(extra), list=listed,
            )
            hint = _("Nothing is lost: nobody had them any more.")
            raise_notice(session, LEFTOVERS, subject=CLOUD, message=message, hint=hint, level="info")
        if drifted or extra:
            told = "; ".join(f"{k} {i}: {', '.join(c)}" for (k, i), c in sorted(drifted.items())[:LISTED])
            log.warning("mended in the network engine: %s (%s); removed: %s", len(drifted), told, len(extra))
            data = {
                "mended": [[*t, *c] for t, c in sorted(drifted.items())[:KEPT]], "removed": extra[:KEPT],
                "counts": {"mended": len(drifted), "removed": len(extra)},
            }  # fmt: skip
            emit(session, "network.mended", subject=CLOUD, data=data)


def _tell_drift(session: Session, drifted: dict[Thing, tuple[str, ...]]) -> None:
    listed = ", ".join(f"{k} {i} ({', '.join(c)})" for (k, i), c in sorted(drifted.items())[:LISTED])
    message = _(
        "{count} {count:thing|things} in the network engine had drifted and {count:was|were} mended: {list}.",
        count=len(drifted), list=listed,
    )  # fmt: skip
    hint = _(
        "Somebody else writes to OVN's northbound database, or it was lost or replaced by an older copy, or "
        "Yun was updated."
    )
    raise_notice(session, DRIFT, subject=CLOUD, message=message, hint=hint, level="info")


@step(retries=0, brief=True)
def sweep(op: Op) -> list[str]:
    """Ports that a machine's sudden end left behind in this host's switch are gone; returns their ids.

    Only those are ours whose interface id belongs to a port that has a row: another user of the switch keeps his.
    """
    try:
        with op.read() as session:
            machine = op.drivers.on(local_host(session).id).machine
        stale = {uuid: _port_id(uuid) for uuid in machine.stale_ports()}
        if not stale:
            return []
        with op.read() as session:
            ours = set(session.scalars(sa.select(Port.id).where(Port.id.in_([i for i in stale.values() if i]))))
        removed = machine.remove_stale_ports([uuid for uuid, identifier in stale.items() if identifier not in ours])
    except DriverError as error:
        log.info("ports left behind are looked for later: %s", error)
        return []
    gone = sorted(i for uuid in removed if (i := stale.get(uuid)))
    if gone:
        with op.write() as session:
            emit(session, "network.swept", subject=CLOUD, data={"ports": gone})
    return gone


def _port_id(uuid: str) -> str | None:
    try:
        return from_uuid(Port.PREFIX, uuid)
    except ValueError:
        return None
