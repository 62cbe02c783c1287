"""The networks' journaled steps: bring the engine in line with the rows, plug ports, keep, trash and restore things.

The engine follows the rows: a step first writes them, then has the engine made so. Since undos run in reverse order,
a flow that changes rows begins with `follow_undo`, whose undo comes last and brings the engine after the rows again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.drivers.network.faults import Missing
from yun.network import rows
from yun.network.model import ACTIVE, DOWN, TRASHED, UP, FloatingIp, LoadBalancer, Network, Port, SecurityRule
from yun.network.service import balancing, look
from yun.network.service.groups import rule_values
from yun.network.service.ports import forget_ports
from yun.network.spec import SPECS
from yun.network.steps import hops
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject

ORDER = tuple(SPECS)
ROUNDS = 10
AT_ONCE = 500
TOGETHER = 50
"""Things that the engine is told of in one transaction: meanwhile other changes of it wait."""
PATIENCE = 2000
"""Tries of an engine that is away, half a minute between the later ones: a night. What waits says so, and is done when
the engine is back; who will not wait cancels it."""


def bring(op: Op, targets: Iterable[Iterable[str]]) -> None:
    """The engine has each target (kind, id) as its rows say, or not at all; made in order, removed in reverse."""
    wanted = [(kind, identifier) for kind, identifier in targets]
    wanted += _hanging(op, wanted)
    try:
        _make_so(op, wanted)
    except Missing:
        beside = _networks_beside(op, wanted)
        if not beside:
            raise
        # A router has a leg in a network whose own operation still waits for its turn: the rows are there, so the
        # engine can have it now.
        _make_so(op, [*beside, *wanted])


def _make_so(op: Op, wanted: list[tuple[str, str]]) -> None:
    in_order = [(k, i) for kind in ORDER for k, i in dict.fromkeys(wanted) if k == kind]
    made: set[tuple[str, str]] = set()
    for start in range(0, len(in_order), TOGETHER):
        made |= _apply(op, in_order[start : start + TOGETHER])
    for kind, identifier in reversed(in_order):
        if (kind, identifier) not in made:
            _remove(op, kind, identifier)


def _networks_beside(op: Op, wanted: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The networks in which the routers among the targets have legs, but for those that are targets themselves."""
    routers = [identifier for kind, identifier in wanted if kind == "router"]
    with op.read() as session:
        found = {leg.network_id for router in routers for leg in look.legs_of(session, router)}
    return [("network", n) for n in sorted(found) if ("network", n) not in wanted]


def _hanging(op: Op, wanted: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What stands on the targets: load balancers, which know their members' ports and their router's networks, and the
    routers that hand traffic to a port as a hop of a service chain."""
    ports, routers = ([i for kind, i in wanted if kind == k] for k in ("port", "router"))
    if not ports and not routers:
        return []
    with op.read() as session:
        found = [("router", i) for i in sorted(hops.routers(session, ports))]
        if session.scalar(sa.select(LoadBalancer.id).where(LoadBalancer.state == ACTIVE).limit(1)) is not None:
            these = {*balancing.balancers_of_ports(session, ports), *balancing.balancers_of_routers(session, routers)}
            found += [("balancer", i) for i in sorted(these)]
    return [thing for thing in found if thing not in wanted]


def _apply(op: Op, things: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """The engine has the things as their rows say, all of them at once; returns those that it should have at all.

    Rows may change while the engine works, by somebody else's operation: whoever applies looks again afterwards, so
    the last one to apply has seen everything.
    """
    told: dict[tuple[str, str], Any] = {}
    for _round in range(ROUNDS):
        before = op.written
        with op.read() as session:
            wanted = {(kind, i): SPECS[kind](session, i) for kind, i in things}
        fresh = [(t[0], spec) for t, spec in wanted.items() if spec is not None and spec != told.get(t)]
        told = wanted
        if fresh:
            op.drivers.network.apply(fresh)
        if not fresh or (before is not None and op.written == before):
            break
    return {thing for thing, spec in told.items() if spec is not None}


def _remove(op: Op, kind: str, identifier: str) -> None:
    """The engine has the thing no more, unless somebody's rows came to want it while it was being removed."""
    getattr(op.drivers.network, f"remove_{kind}")(identifier)
    _apply(op, [(kind, identifier)])


def follow_after_undo(op: Op, output: Any, targets: list[list[str]]) -> None:
    """The rows are as they were; now the engine is too."""
    bring(op, targets)


@step(undo=follow_after_undo, retries=PATIENCE, brief=True)
def follow_undo(op: Op, targets: list[list[str]]) -> None:
    """Nothing yet: its undo brings the engine in line after the rows have been put back."""


@step(retries=PATIENCE, brief=True)
def follow(op: Op, targets: list[list[str]]) -> None:
    """The engine has the targets as their rows say."""
    bring(op, targets)


# ── tags ──


def _retag(op: Op, session: Session, network_id: str, tags: list[str]) -> list[str]:
    network = session.get_one(Network, network_id)
    before, network.tags = list(network.tags), tags
    emit(
        session, "network.updated", subject=Subject("network", network.id, network.name),
        project_id=network.project_id, operation_id=op.id,
    )  # fmt: skip
    return before


def _untag(op: Op, session: Session, output: Any, network_id: str, tags: list[str]) -> None:
    if output is not None and session.get(Network, network_id) is not None:
        _retag(op, session, network_id, output)


@tx_step(undo=_untag)
def tag(op: Op, session: Session, network_id: str, tags: list[str]) -> list[str]:
    """The network has these tags; returns those it had. The engine knows nothing of them."""
    return _retag(op, session, network_id, tags)


# ── ports ──


def unplug_again(op: Op, output: Any, port_id: str, host_id: str) -> None:
    """The port is no longer in the engine; its row, address and MAC stay."""
    set_port(op, port_id, plugged=False, state=DOWN)
    bring(op, [("port", port_id), *_routers(op, [port_id])])


@step(undo=unplug_again, retries=PATIENCE)
def plug_port(op: Op, port_id: str, host_id: str) -> dict[str, Any]:
    """The engine has the port, pinned to the host, in its groups; returns what its card needs."""
    set_port(op, port_id, plugged=True, host_id=host_id, state=DOWN)
    targets = [("port", port_id), *floating_routers(op, port_id)]
    try:
        bring(op, targets)
    except DriverError as error:
        if error.retryable:
            raise
        # The operation that makes its network or a group of it may still wait for its turn: the rows are there, so
        # the engine can have them now.
        bring(op, [*_below(op, port_id), *targets])
    with op.read() as session:
        port = session.get_one(Port, port_id)
        return {"mac": port.mac, "address": port.address, "uuid": port.uuid}


def _below(op: Op, port_id: str) -> list[tuple[str, str]]:
    """What a port stands on in the engine: its network and its groups."""
    with op.read() as session:
        port = session.get_one(Port, port_id)
        return [("network", port.network_id), *(("group", g.id) for g in look.groups_of(session, port_id))]


def plug_again(op: Op, output: Any, port_id: str) -> None:
    """The port is out of the trash, and in the engine again if it was."""
    was = output or {}
    with op.read() as session:
        port = session.get(Port, port_id)
    if port is None:
        return
    plugged = was.get("plugged", port.host_id is not None)
    set_port(op, port_id, plugged=plugged, state=DOWN)
    bring(op, [("port", port_id), *floating_routers(op, port_id)])


@step(undo=plug_again, retries=PATIENCE)
def unplug_port(op: Op, port_id: str) -> dict[str, Any]:
    """The port lies in the trash: out of the engine, while address, MAC and floating IP stay reserved for it."""
    with op.read() as session:
        port = session.get(Port, port_id)
        # One that lies in the trash already was laid there by an earlier try of this step.
        tried = port is not None and port.state == TRASHED and port.host_id is not None
        was = {"plugged": bool(port and (port.plugged or tried))}
    set_port(op, port_id, plugged=False, state=TRASHED)
    bring(op, [("port", port_id), *floating_routers(op, port_id)])
    return was


@step(retries=PATIENCE)
def purge_ports(op: Op, instance_id: str) -> list[str]:
    """The instance's ports are gone for good: rows, reservations and engine; floating IPs are loose. No undo."""
    with op.read() as session:
        ids = [p.id for p in look.ports_of(session, instance_id)]
    routers = _routers(op, ids)
    with op.write() as session:
        forget_ports(session, instance_id)
    bring(op, [*(("port", i) for i in ids), *routers])
    return ids


def drop_ports(op: Op, session: Session, output: Any, instance_id: str) -> None:
    """The ports that came with the instance have no rows any more."""
    for floating_id in forget_ports(session, instance_id):
        if floating_id in (output or {}).get("floating", []):
            rows.forget(session, "floating_ip", floating_id)


@tx_step(undo=drop_ports)
def keep_ports(op: Op, session: Session, instance_id: str) -> dict[str, Any]:
    """Nothing yet: the rows came with the operation. Its undo forgets them, and the floating IPs that came along.

    First of the network's steps in a creation, so that its undo is the last.
    """
    ports = look.ports_of(session, instance_id)
    floating = look.floating_of(session, [p.id for p in ports])
    return {"ports": [p.id for p in ports], "floating": [f.id for f in floating.values()]}


def set_port(op: Op, port_id: str, **values: Any) -> None:
    """The port's row has these values; told where one is new."""
    with op.write() as session:
        port = session.get(Port, port_id)
        if port is None or all(getattr(port, k) == v for k, v in values.items()):
            return
        for name, value in values.items():
            setattr(port, name, value)
        port.trashed_at = op.clock.now() if port.state == TRASHED else None
        tell_port(session, port)


def tell_port(session: Session, port: Port) -> None:
    """Emit what a port is now."""
    data = {"state": port.state, "instance_id": port.instance_id, "address": port.address}
    emit(session, "port.changed", subject=Subject("port", port.id, port.address), project_id=port.project_id, data=data)


@step(retries=0, brief=True)
def look_at_ports(op: Op, port_ids: list[str]) -> list[str]:
    """Rows say whether their ports are up; returns the ids of those that changed."""
    up = op.drivers.network.ports_up(port_ids)
    wrong: list[str] = []
    with op.read() as session:
        for start in range(0, len(port_ids), AT_ONCE):
            known = sa.select(Port.id, Port.state).where(Port.id.in_(port_ids[start : start + AT_ONCE]))
            found = session.execute(known.where(Port.state != TRASHED))
            wrong += [i for i, state in found if state != (UP if up.get(i) else DOWN)]
    if wrong:
        with op.write() as session:
            for port in (session.get(Port, i) for i in wrong):
                if port is not None and port.state != TRASHED:
                    port.state = UP if up.get(port.id) else DOWN
                    tell_port(session, port)
            followers = hops.noticed(session, wrong)
        bring(op, followers)
    return wrong


# ── floating IPs ──


def take_floating_ip_back(op: Op, output: Any, floating_ip_id: str) -> None:
    """The address leads nowhere; the floating IP, which came with the operation, has no row any more."""
    with op.write() as session:
        floating = session.get(FloatingIp, floating_ip_id)
        port_id = floating.port_id if floating else (output or {}).get("port_id")
        if floating is not None:
            floating.port_id, floating.inner_address = None, None
    if port_id:
        bring(op, _routers(op, [port_id]))
    with op.write() as session:
        rows.forget(session, "floating_ip", floating_ip_id)


@step(undo=take_floating_ip_back, retries=PATIENCE)
def apply_floating_ip(op: Op, floating_ip_id: str) -> dict[str, Any]:
    """The engine leads the address to its (plugged) port. Its undo takes the floating IP away altogether."""
    with op.read() as session:
        floating = session.get_one(FloatingIp, floating_ip_id)
        found = {"port_id": floating.port_id, "address": floating.address}
    if found["port_id"]:
        bring(op, _routers(op, [str(found["port_id"])]))
    return found


def _routers(op: Op, port_ids: list[str]) -> list[tuple[str, str]]:
    with op.read() as session:
        ports = (session.get(Port, i) for i in port_ids)
        subnets = {subnet for p in ports if p is not None for subnet, _address in look.places_of(session, p)}
        found = (look.router_of(session, s) for s in subnets)
        return [("router", i) for i in sorted({r.id for r in found if r is not None})]


def floating_routers(op: Op, port_id: str) -> list[tuple[str, str]]:
    """The router of the port, where a floating IP leads to it: its translation depends on the port."""
    with op.read() as session:
        if not look.floating_of(session, [port_id]):
            return []
    return _routers(op, [port_id])


# ── rows that come, go and change ──


def forget(op: Op, session: Session, output: Any, noun: str, identifier: str) -> None:
    """The thing, and what came with it, has no row any more."""
    rows.forget(session, noun, identifier)


@tx_step(undo=forget)
def keep(op: Op, session: Session, noun: str, identifier: str) -> None:
    """The thing that came with the operation is there for good."""
    rows.tell(session, noun, identifier, "created")


def forget_all(op: Op, session: Session, output: Any, things: list[list[str]]) -> None:
    """The things, and what came with them, have no row any more; the last one goes first."""
    for noun, identifier in reversed(things):
        rows.forget(session, noun, identifier)


@tx_step(undo=forget_all)
def keep_all(op: Op, session: Session, things: list[list[str]]) -> None:
    """The things (noun, id) that came with the operation are there for good."""
    for noun, identifier in things:
        rows.tell(session, noun, identifier, "created")


def restore(op: Op, session: Session, output: Any, noun: str, identifier: str) -> None:
    """The thing is out of the trash, and what went with it."""
    rows.restore(session, output or [[noun, identifier]])
    rows.tell(session, noun, identifier, "restored")


@tx_step(undo=restore)
def trash(op: Op, session: Session, noun: str, identifier: str) -> list[list[str]]:
    """The thing lies in the trash, with what hangs on it; returns what went."""
    gone = rows.trash(session, noun, identifier, op.clock.now())
    rows.tell(session, noun, identifier, "deleted")
    return gone


def unadd_rule(op: Op, session: Session, output: Any, group_id: str, values: dict[str, Any]) -> None:
    """The rule is not there."""
    rows.delete_rule(session, group_id, values["id"])


@tx_step(undo=unadd_rule)
def add_rule(op: Op, session: Session, group_id: str, values: dict[str, Any]) -> str:
    """The rule is there; returns its id."""
    rows.insert_rule(session, group_id, values)
    return str(values["id"])


def unremove_rule(op: Op, session: Session, output: Any, group_id: str, rule_id: str) -> None:
    """The rule is there again, as it was."""
    if output:
        rows.insert_rule(session, group_id, output)


@tx_step(undo=unremove_rule)
def remove_rule(op: Op, session: Session, group_id: str, rule_id: str) -> dict[str, Any] | None:
    """The rule is not there; returns what it was."""
    rule = session.get(SecurityRule, rule_id)
    values = rule_values(rule) if rule else None
    rows.delete_rule(session, group_id, rule_id)
    return values


def relink(op: Op, session: Session, output: Any, floating_ip_id: str, port_id: str | None) -> None:
    """The address leads where it led before."""
    was = output or {}
    rows.link(session, floating_ip_id, was.get("before"), was.get("inner"))


@tx_step(undo=relink)
def link(op: Op, session: Session, floating_ip_id: str, port_id: str | None) -> dict[str, Any]:
    """The address leads to the port, or nowhere; returns where it led before."""
    return rows.link(session, floating_ip_id, port_id)
