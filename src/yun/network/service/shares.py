"""Who sees and uses networks of other projects. Pure reading."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.network.model import ALL, Network, NetworkShare, Subnet


def shared_to(projects: list[str]) -> sa.Select[Any]:
    """The ids of the networks that are shared with one of the projects, or with all."""
    return sa.select(NetworkShare.network_id).where(NetworkShare.project_id.in_([*projects, ALL]))


def usable(session: Session, network: Network, project_id: str) -> bool:
    """Whether machines of the project may be on the network."""
    if network.project_id in (None, project_id):
        return True
    return session.scalar(shared_to([project_id]).where(NetworkShare.network_id == network.id).limit(1)) is not None


def projects_of(ctx: Context) -> list[str]:
    """The projects for which the actor asks: the context's own, or all where he has a role."""
    return [ctx.project_id] if ctx.project_id is not None else [p for p in ctx.actor.roles if p != ALL]


def condition(ctx: Context, model: type[Any]) -> sa.ColumnElement[bool] | None:
    """What makes a row of ``model`` visible because its network is shared; None where nothing of it can be."""
    column = {Network: Network.id, Subnet: Subnet.network_id}.get(model)
    return None if column is None else column.in_(shared_to(projects_of(ctx)))


def shown(ctx: Context, row: Any) -> bool:
    """Whether the row exists for the actor because its network is shared with a project of his."""
    network_id = row.id if isinstance(row, Network) else row.network_id if isinstance(row, Subnet) else None
    if network_id is None:
        return False
    mine = [p for p in ctx.actor.roles if p != ALL]
    query = shared_to(mine).where(NetworkShare.network_id == network_id)
    return bool(mine) and ctx.session.scalar(query.limit(1)) is not None


def shares_of(session: Session, network_ids: list[str]) -> dict[str, list[str]]:
    """Network id → the projects it is shared with, ``*`` for all."""
    query = sa.select(NetworkShare.network_id, NetworkShare.project_id)
    query = query.where(NetworkShare.network_id.in_(network_ids)).order_by(NetworkShare.created_at)
    found: dict[str, list[str]] = {}
    for network_id, project_id in session.execute(query):
        found.setdefault(network_id, []).append(project_id)
    return found
