"""Steps of routers: legs and routes that came with an operation, that go, and settings that change."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.network import addresses, rows
from yun.network.model import ACTIVE, TRASHED, Router, RouterInterface, RouterRoute
from yun.network.service import balancing, look
from yun.network.steps import PATIENCE, bring
from yun.operations.flow import Op, step, tx_step

PARTS: dict[str, Any] = {"interface": RouterInterface, "route": RouterRoute}
Targets = list[list[str]]


def withdraw(op: Op, output: Any, noun: str, identifier: str, targets: Targets) -> None:
    """What came with the operation has no row any more, and the engine follows."""
    with op.write() as session:
        rows.forget(session, noun, identifier)
    bring(op, targets)


@step(undo=withdraw, retries=PATIENCE)
def follow_new(op: Op, noun: str, identifier: str, targets: Targets) -> None:
    """The engine has what came with the operation. After `keep`, whose undo takes the row away where the operation
    was cancelled before it came this far."""
    bring(op, targets)


def withdraw_all(op: Op, output: Any, things: Targets, targets: Targets) -> None:
    """What came with the operation has no row any more, and the engine follows."""
    with op.write() as session:
        for noun, identifier in reversed(things):
            rows.forget(session, noun, identifier)
    bring(op, targets)


@step(undo=withdraw_all, retries=PATIENCE)
def follow_all(op: Op, things: Targets, targets: Targets) -> None:
    """The engine has all that came with the operation, in one transaction. After `keep_all`, as `follow_new` after
    `keep`."""
    bring(op, targets)


def _tell(session: Session, router_id: str, at: Any) -> None:
    """A router whose parts changed has changed: its revision moves on."""
    router = session.get(Router, router_id)
    if router is not None:
        router.updated_at = at
        session.flush()
        rows.tell(session, "router", router_id, "updated")


def _drop(op: Op, session: Session, router_id: str, part: str, identifier: str) -> None:
    row = session.get(PARTS[part], identifier)
    if row is not None:
        addresses.give_back(session, identifier)
        session.delete(row)
        session.flush()
        _tell(session, router_id, op.clock.now())


def drop_part(op: Op, session: Session, output: Any, router_id: str, part: str, identifier: str) -> None:
    """The leg or route that came with the operation has no row any more."""
    _drop(op, session, router_id, part, identifier)


@tx_step(undo=drop_part)
def keep_part(op: Op, session: Session, router_id: str, part: str, identifier: str) -> None:
    """The leg or route that came with the operation is there for good."""
    _tell(session, router_id, op.clock.now())


def withdraw_part(op: Op, output: Any, router_id: str, part: str, identifier: str) -> None:
    """The leg or route that came with the operation has no row any more, and the engine follows."""
    with op.write() as session:
        leg = session.get(RouterInterface, identifier)
        # Load balancers of the subnet are found by the router's legs, and this one is about to go.
        hanging = balancing.in_subnet(session, leg.subnet_id) if leg is not None else []
        targets = [["router", router_id], *(["balancer", b.id] for b in hanging)]
        _drop(op, session, router_id, part, identifier)
    bring(op, targets)


@step(undo=withdraw_part, retries=PATIENCE)
def follow_part(op: Op, router_id: str, part: str, identifier: str) -> None:
    """The router in the engine has the leg or route."""
    bring(op, [["router", router_id]])


def restore_leg(op: Op, session: Session, output: Any, router_id: str, interface_id: str) -> None:
    """The leg is out of the trash."""
    rows.restore(session, [["router_interface", interface_id]])
    _tell(session, router_id, op.clock.now())


@tx_step(undo=restore_leg)
def trash_leg(op: Op, session: Session, router_id: str, interface_id: str) -> None:
    """The leg lies in the trash; its address and MAC stay reserved."""
    row = session.get(RouterInterface, interface_id)
    if row is not None and row.state == ACTIVE:
        row.state, row.trashed_at = TRASHED, op.clock.now()
        session.flush()
        _tell(session, router_id, op.clock.now())


def unremove_route(op: Op, session: Session, output: Any, router_id: str, route_id: str) -> None:
    """The route is there again."""
    if output and session.get(RouterRoute, route_id) is None and session.get(Router, router_id) is not None:
        session.add(RouterRoute(**output))
        session.flush()
        _tell(session, router_id, op.clock.now())


@tx_step(undo=unremove_route)
def remove_route(op: Op, session: Session, router_id: str, route_id: str) -> dict[str, Any] | None:
    """The route is not there; returns what it was."""
    row = session.get(RouterRoute, route_id)
    if row is None:
        return None
    was = {"id": row.id, "router_id": row.router_id, "destination": row.destination, "next_hop": row.next_hop}
    _drop(op, session, router_id, "route", route_id)
    return was


def _set(session: Session, noun: str, identifier: str, values: dict[str, Any]) -> dict[str, Any] | None:
    row = session.get(rows.MODELS[noun], identifier)
    if row is None:
        return None
    if noun == "router" and values.get("name", row.name) != row.name:
        look.refuse_taken(session, Router, values["name"], project_id=row.project_id)
    before = {name: getattr(row, name) for name in values}
    if before == values:
        return before
    for name, value in values.items():
        setattr(row, name, value)
    session.flush()
    rows.tell(session, noun, identifier, "updated")
    return before


def set_back(op: Op, session: Session, output: Any, noun: str, identifier: str, values: dict[str, Any]) -> None:
    """The settings are as they were."""
    if output:
        _set(session, noun, identifier, output)


@tx_step(undo=set_back)
def change(op: Op, session: Session, noun: str, identifier: str, values: dict[str, Any]) -> dict[str, Any] | None:
    """The thing has these settings; returns those it had."""
    return _set(session, noun, identifier, values)


def follow_back(
    op: Op, output: Any, noun: str, identifier: str, before: dict[str, Any] | None, targets: Targets
) -> None:
    """The settings are as they were, in the engine too. Raises `Conflict` where somebody has the name by now."""
    if before:
        with op.write() as session:
            _set(session, noun, identifier, before)
    bring(op, targets)


@step(undo=follow_back, retries=PATIENCE)
def follow_change(op: Op, noun: str, identifier: str, before: dict[str, Any] | None, targets: Targets) -> None:
    """The engine has the thing with its new settings; ``before`` are those it had."""
    bring(op, targets)
