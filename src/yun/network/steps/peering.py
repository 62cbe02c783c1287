"""Steps of peerings: consent given, taken back, and given again by undo, with both routers following."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.network import rows
from yun.network.model import ACTIVE, REQUESTED, TRASHED, NetworkPeering
from yun.network.steps import PATIENCE, bring
from yun.operations.flow import Op, step, tx_step

Targets = list[list[str]]


def _tell(session: Session, row: NetworkPeering, what: str) -> None:
    session.flush()
    rows.tell(session, "network_peering", row.id, what)


def _unaccept(session: Session, peering_id: str) -> None:
    row = session.get(NetworkPeering, peering_id)
    if row is not None and row.state == ACTIVE:
        row.state, row.peer_agreed, row.peer_router_id = REQUESTED, False, None
        _tell(session, row, "changed")


def unaccept(op: Op, session: Session, output: Any, peering_id: str, router_id: str) -> None:
    """It is a request again."""
    _unaccept(session, peering_id)


@tx_step(undo=unaccept)
def accept(op: Op, session: Session, peering_id: str, router_id: str) -> None:
    """Both sides agree. Raises `Conflict` where the request is gone."""
    row = session.get(NetworkPeering, peering_id)
    if row is None or row.state == TRASHED:
        raise Conflict(_("This request is gone: the other side took it back."))
    row.state, row.peer_agreed, row.peer_router_id = ACTIVE, True, router_id
    _tell(session, row, "changed")


def follow_unaccept(op: Op, output: Any, peering_id: str, targets: Targets) -> None:
    """It is a request again, and nothing flows."""
    with op.write() as session:
        _unaccept(session, peering_id)
    bring(op, targets)


@step(undo=follow_unaccept, retries=PATIENCE)
def follow_accept(op: Op, peering_id: str, targets: Targets) -> None:
    """The routers of both sides reach each other."""
    bring(op, targets)


Was = dict[str, Any]


def _revive(session: Session, peering_id: str, asker: bool, was: Was | None) -> None:
    row = session.get(NetworkPeering, peering_id)
    if row is None or not was or (row.agreed if asker else row.peer_agreed) == was["consent"]:
        return
    if was["other"] and not (row.peer_agreed if asker else row.agreed):
        raise Conflict(_("The other side has ended it too: ask for a new peering."))
    if asker:
        row.agreed = was["consent"]
    else:
        row.peer_agreed = was["consent"]
    row.state = was["state"]
    if row.state != TRASHED:
        row.trashed_at = None
    _tell(session, row, "restored")


def revive(op: Op, session: Session, output: Was | None, peering_id: str, asker: bool) -> None:
    """This side agrees again."""
    _revive(session, peering_id, asker, output)


@tx_step(undo=revive)
def end(op: Op, session: Session, peering_id: str, asker: bool) -> Was | None:
    """This side agrees no longer; returns how it was."""
    row = session.get(NetworkPeering, peering_id)
    if row is None:
        return None
    was = {
        "state": row.state, "consent": row.agreed if asker else row.peer_agreed or row.state == REQUESTED,
        "other": row.peer_agreed if asker else row.agreed,
    }  # fmt: skip
    if asker:
        row.agreed = False
    else:
        row.peer_agreed = False
    if row.state != TRASHED:
        row.state, row.trashed_at = TRASHED, op.clock.now()
    _tell(session, row, "deleted")
    return was


def follow_revive(op: Op, output: Any, peering_id: str, asker: bool, was: Was | None, targets: Targets) -> None:
    """This side agrees again, in the engine too. Raises `Conflict` where the other side has ended it meanwhile."""
    with op.write() as session:
        _revive(session, peering_id, asker, was)
    bring(op, targets)


@step(undo=follow_revive, retries=PATIENCE)
def follow_end(op: Op, peering_id: str, asker: bool, was: Was | None, targets: Targets) -> None:
    """Nothing flows between the two routers."""
    bring(op, targets)
