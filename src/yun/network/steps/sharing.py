"""Steps of shared networks."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.network import rows
from yun.network.model import Network, NetworkShare
from yun.network.service.sharing import refuse_users
from yun.operations.flow import Op, tx_step


def _on(session: Session, network_id: str, project_id: str) -> None:
    if session.get(NetworkShare, (network_id, project_id)) is None and session.get(Network, network_id) is not None:
        session.add(NetworkShare(network_id=network_id, project_id=project_id))
        session.flush()
        rows.tell(session, "network", network_id, "shared", with_project=project_id)


def _off(session: Session, network_id: str, project_id: str) -> None:
    """Raises `Conflict` where the project uses the network by now."""
    found = session.get(NetworkShare, (network_id, project_id))
    if found is not None:
        refuse_users(session, session.get_one(Network, network_id), project_id)
        session.delete(found)
        session.flush()
        rows.tell(session, "network", network_id, "unshared", with_project=project_id)


def _share_back(op: Op, session: Session, output: Any, network_id: str, project_id: str) -> None:
    _off(session, network_id, project_id)


@tx_step(undo=_share_back)
def share(op: Op, session: Session, network_id: str, project_id: str) -> None:
    """The project may use the network."""
    _on(session, network_id, project_id)


def _unshare_back(op: Op, session: Session, output: Any, network_id: str, project_id: str) -> None:
    _on(session, network_id, project_id)


@tx_step(undo=_unshare_back)
def unshare(op: Op, session: Session, network_id: str, project_id: str) -> None:
    """The project may use the network no more."""
    _off(session, network_id, project_id)
