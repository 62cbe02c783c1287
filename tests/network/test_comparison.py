"""The comparison of the engine with the rows: what it looks at, what it mends, what it tells, what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.db import Database
from yun.base.ids import as_uuid
from yun.drivers.host.fake import FakeMachine
from yun.drivers.network.fake import FakeNetworkEngine, World
from yun.network import comparison, service
from yun.network.model import Port
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.intent import Subject
from yun.operations.model import Event, Notice, Operation, State

pytestmark = pytest.mark.usefixtures("cloud")


def compare(engine: Engine) -> None:
    engine.nudge("network.reconcile", Subject("network", "cloud"))
    engine.drain()


def news(database: Database, kind: str) -> list[dict[str, Any]]:
    with database.read() as session:
        return [dict(e.data) for e in session.scalars(sa.select(Event).where(Event.kind == kind).order_by(Event.seq))]


def test_what_drifted_is_put_right_and_told_with_what_of_it_differed(
    engine: Engine, world: World, plugged: Callable[..., Port], database: Database
) -> None:
    port = plugged(floating=True)
    before = world.snapshot()
    world.ports[port.id] = replace(world.ports[port.id], mac="52:54:00:00:00:99", groups=())
    router = next(iter(world.routers.values()))
    world.routers[router.id] = replace(router, nat=())
    compare(engine)
    assert world.snapshot() == before
    told = news(database, "network.mended")
    assert told == [
        {
            "mended": [["port", port.id, "mac", "groups"], ["router", router.id, "nat"]], "removed": [],
            "counts": {"mended": 2, "removed": 0},
        }
    ]  # fmt: skip
    with database.read() as session:
        notice = session.get_one(Notice, "network.drift")
        assert f"port {port.id} (mac, groups)" in notice.message["params"]["list"]


def test_only_what_differs_is_applied(engine: Engine, world: World, plugged: Callable[..., Port]) -> None:
    ports = [plugged(f"m{n}") for n in range(3)]
    world.ports[ports[1].id] = replace(world.ports[ports[1].id], hostname="other")
    world.calls.clear()
    compare(engine)
    assert {k: n for k, n in world.calls.items() if k.startswith("apply_")} == {"apply_port": 1}
    world.calls.clear()
    compare(engine)
    assert not [k for k in world.calls if k.startswith("apply_")]


def test_what_an_open_operation_is_about_is_its_work_and_no_drift(
    engine: Engine, world: World, asking: Asking, database: Database
) -> None:
    with asking() as ctx:
        operations.submit(ctx, service.create_group(ctx, "web"))
    compare_only(engine)
    assert news(database, "network.mended") == []
    engine.drain()
    assert [g.name for g in world.groups.values()].count("web") == 1


def compare_only(engine: Engine) -> None:
    """The comparison runs while an operation that was submitted before waits."""
    with engine.database.write() as session:
        waiting = list(session.scalars(sa.select(Operation.seq).where(Operation.state == "queued")))
        session.execute(sa.update(Operation).where(Operation.seq.in_(waiting)).values(ready=False))
    compare(engine)
    with engine.database.write() as session:
        session.execute(sa.update(Operation).where(Operation.seq.in_(waiting)).values(ready=True))


def test_rows_that_change_between_the_two_looks_are_no_drift(
    engine: Engine, world: World, plugged: Callable[..., Port], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = plugged()
    differing = FakeNetworkEngine.differing
    once: list[str] = []

    def meanwhile(self: FakeNetworkEngine, kind: str, specs: Any) -> Any:
        """A change of the port ends, rows and engine, after its spec was made and before the engine is asked."""
        if kind == "port" and not once:
            once.append(port.id)
            with database.write() as session:
                session.get_one(Port, port.id).hostname = "renamed"
            world.ports[port.id] = replace(world.ports[port.id], hostname="renamed")
        return differing(self, kind, specs)

    monkeypatch.setattr(FakeNetworkEngine, "differing", meanwhile)
    compare(engine)
    assert once
    assert news(database, "network.mended") == []
    assert world.ports[port.id].hostname == "renamed"


def test_between_whole_comparisons_only_suspects_and_a_share_are_looked_at(
    engine: Engine, world: World, plugged: Callable[..., Port], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = sorted(plugged(f"m{n}").id for n in range(4))
    looked: list[str] = []
    differing = FakeNetworkEngine.differing

    def watch(self: FakeNetworkEngine, kind: str, specs: Any) -> Any:
        looked.extend(specs)
        return differing(self, kind, specs)

    monkeypatch.setattr(FakeNetworkEngine, "differing", watch)
    monkeypatch.setattr(FakeNetworkEngine, "suspects", lambda _self: {("port", ports[2]), ("port", "prt_gone")})
    monkeypatch.setattr(comparison, "SHARE", 0)
    monkeypatch.setattr(comparison, "_share", lambda _things, _now: [])
    world.ports[ports[2]] = replace(world.ports[ports[2]], hostname="a")
    world.ports[ports[3]] = replace(world.ports[ports[3]], hostname="b")
    compare(engine)
    assert set(looked) == {ports[2]}
    assert (world.ports[ports[2]].hostname, world.ports[ports[3]].hostname) == ("m2", "b")


@pytest.mark.parametrize("count", [0, 1, 200, 201, 7000])
def test_in_turn_everything_is_looked_at_whatever_the_clock_says(count: int) -> None:
    things = [("port", f"prt_{n:05}") for n in range(count)]
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    minutes = -(-count // comparison.SHARE) or 1
    seen = {t for m in range(minutes) for t in comparison._share(things, start + 60 * m)}
    assert seen == set(things)
    for jumped in (0.0, -1e9, 4e9):  # clocks of 1970, before it, and of the next century
        assert len(comparison._share(things, jumped)) <= comparison.SHARE


def test_what_was_lost_wholly_is_made_again_with_all_that_stood_on_it(
    engine: Engine, world: World, plugged: Callable[..., Port], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged(floating=True)
    before = world.snapshot()
    monkeypatch.setattr(FakeNetworkEngine, "suspects", lambda _self: set())
    lost = next(n for n in world.networks.values() if n.physical is None and world.ports)
    FakeNetworkEngine(world).remove_network(lost.id)
    world.routers.update({k: replace(r, nat=()) for k, r in world.routers.items()})
    compare(engine)
    assert world.snapshot() == before


def test_a_notice_of_what_was_mended_goes_after_a_day(engine: Engine, world: World, database: Database) -> None:
    network = next(iter(world.networks.values()))
    world.networks[network.id] = replace(network, name="strange")
    compare(engine)
    compare(engine)
    with database.write() as session:
        session.get_one(Notice, "network.drift").created_at = datetime.now(UTC) - timedelta(days=2)
    compare(engine)
    with database.read() as session:
        assert session.get(Notice, "network.drift") is None


def test_ports_left_behind_in_the_switch_are_removed_where_they_are_ours(
    engine: Engine, machine: FakeMachine, plugged: Callable[..., Port], database: Database
) -> None:
    mine, living = plugged("gone"), plugged("living")
    theirs, strange = as_uuid("prt_01k9zzzzzzzzzzzzzzzzzzzzzz"), "not-a-uuid"
    machine.ports = {mine.uuid: False, living.uuid: True, theirs: False, strange: False}
    compare(engine)
    assert machine.ports == {living.uuid: True, theirs: False, strange: False}
    assert news(database, "network.swept") == [{"ports": [mine.id]}]


def test_an_open_vswitch_that_is_away_is_no_failure_of_the_comparison(
    engine: Engine, machine: FakeMachine, world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yun.drivers.network.faults import away

    def fail() -> list[str]:
        raise away("ovs-vsctl timed out")

    monkeypatch.setattr(machine, "stale_ports", fail)
    compare(engine)
    with database.read() as session:
        assert session.scalar(sa.select(Operation.id).where(Operation.kind == "network.reconcile")) is None


def test_a_change_waits_for_an_engine_that_stays_away_long(do: Do, world: World, database: Database) -> None:
    world.fail("apply_group", times=30, retryable=True)
    done = do(lambda ctx: service.create_group(ctx, "late"))
    waits = [e for e in news(database, "operation.waiting") if e["id"] == done.id]
    assert len(waits) == 30
    assert all(e["seconds"] > 0 and e["error"]["message"] for e in waits)
    assert "late" in {g.name for g in world.groups.values()}


def test_what_is_taken_back_waits_for_the_engine_too_and_is_not_stuck(
    do: Do, world: World, plugged: Callable[..., Port], database: Database
) -> None:
    before = world.snapshot()
    world.fail("apply_router", times=2)
    world.fail("remove_port", times=30, retryable=True)
    with pytest.raises(sa.exc.NoResultFound):  # its rows are gone too
        plugged("never", floating=True, state=State.FAILED)
    assert world.snapshot() == before


def test_an_undo_that_somebody_asks_for_waits_for_the_engine_too(do: Do, world: World, database: Database) -> None:
    done = do(lambda ctx: service.create_group(ctx, "brief"))
    before = world.snapshot()
    world.fail("remove_group", times=40, retryable=True)
    do(lambda ctx: operations.undo(ctx, done.id))
    assert "brief" not in {g.name for g in world.groups.values()}
    assert len(before["group"]) == len(world.groups) + 1
    assert len(news(database, "operation.waiting")) == 40
