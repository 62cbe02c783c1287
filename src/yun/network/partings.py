"""What a project was given by itself goes with it: its default network, subnet, router and security group."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.identity.holdings import Given, give
from yun.identity.model import Project
from yun.network import rows, steps
from yun.network.model import TRASHED, Network, NetworkDefault, Router, SecurityGroup, Subnet
from yun.operations.engine import submit_quiet
from yun.operations.flow import Op, step
from yun.operations.intent import Subject

CLOUD = Subject("network", "cloud")
KINDS: dict[str, tuple[str, Any]] = {
    "network": ("network", Network), "security_group": ("group", SecurityGroup), "router": ("router", Router),
}  # fmt: skip
"""What the engine knows of it, under the engine's word."""


def _given(project_id: str) -> dict[str, sa.Select[Any]]:
    """The things by noun, whatever their state: ids."""
    network = sa.select(Network.id).where(
        Network.project_id == project_id, Network.name == "default", Network.external.is_(False)
    )
    return {
        "network": network,
        "subnet": sa.select(Subnet.id).where(Subnet.network_id.in_(network), Subnet.name == "default"),
        "router": sa.select(Router.id).where(Router.project_id == project_id, Router.name == "default"),
        "security_group": sa.select(SecurityGroup.id).where(
            SecurityGroup.project_id == project_id, SecurityGroup.is_default.is_(True)
        ),
        "network_default": sa.select(NetworkDefault.project_id).where(NetworkDefault.project_id == project_id),
    }


def count(session: Session, project_id: str) -> dict[str, int]:
    """How many rows of which table a project was given."""
    return {noun: len(session.scalars(query).all()) for noun, query in _given(project_id).items()}


def put_away(op: Op, session: Session, project_id: str) -> list[list[str]]:
    """The things lie in the trash; returns (noun, id) of what went. The engine follows at once."""
    gone: list[list[str]] = []
    for noun, query in _given(project_id).items():
        if noun not in KINDS:
            continue
        for identifier in session.scalars(query).all():
            if went := rows.trash(session, noun, identifier, op.clock.now()):
                rows.tell(session, noun, identifier, "deleted")
                gone += went
    if gone:
        submit_quiet(session, op.settings, "network.reconcile", CLOUD)
    return gone


def bring_back(op: Op, session: Session, things: list[list[str]]) -> None:
    """The things are out of the trash. The engine follows at once."""
    rows.restore(session, things)
    for noun, identifier in things:
        if noun in KINDS:
            rows.tell(session, noun, identifier, "restored")
    if things:
        submit_quiet(session, op.settings, "network.reconcile", CLOUD)


@step(retries=0)
def settle(op: Op) -> None:
    """The engine no longer has what went with its project; what came back with one, the comparison makes again."""
    with op.read() as session:
        gone = _gone(session)
    if not gone:
        return
    try:
        have = op.drivers.network.inventory()
        steps.bring(op, [(kind, identifier) for kind, identifier in gone if identifier in have[kind]])
    except DriverError as error:
        if not error.retryable:
            raise


def _gone(session: Session) -> list[tuple[str, str]]:
    """What lies in the trash of deleted projects, as (kind, id)."""
    found: list[tuple[str, str]] = []
    for kind, model in KINDS.values():
        query = sa.select(model.id).join(Project, Project.id == model.project_id)
        query = query.where(Project.deleted_at.is_not(None), model.state == TRASHED)
        found += [(kind, identifier) for identifier in session.scalars(query)]
    return found


give(
    "network",
    Given(count, put_away, bring_back, _("The project's default network, router and security group go with it.")),
)
