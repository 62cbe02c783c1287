"""Reachability knows service chains, and static routes that lead to machines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.network.conftest import Asking, Do
from tests.network.test_chains import Room, dark
from yun.base.db import Database
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import Port, Router
from yun.network.service import NewNetwork, NewSubnet, PortChanges
from yun.network.service.reach import Answer, Question, of_ports, reach
from yun.operations.engine import Engine


@pytest.fixture
def room(do: Do, asking: Asking, plugged: Callable[..., Port], database: Database, world: World) -> Room:
    return Room(do, asking, plugged, database, world)


@pytest.fixture
def can(asking: Asking) -> Callable[..., Answer]:
    def ask(source: str, target: str, protocol: str | None = None, port: int | None = None) -> Answer:
        with asking() as ctx:
            return reach(ctx, Question(source, target, protocol, port))

    return ask


def steps(answer: Answer) -> str:
    return "\n".join(s.text.render("en") for s in answer.steps)


LEADS = "The service chain c1 leads it through fw; what they let through, Yun does not know."


def test_it_says_through_whom_traffic_goes_both_ways_and_out(room: Room, can: Any) -> None:
    other = room.plugged("other", network="mid")
    assert can("web", "other").ok
    room.make()
    for answer in (can("web", "other"), can("other", "web"), can("web", "anywhere")):
        assert answer.ok
        assert LEADS in steps(answer)
    inside = room.plugged("inside", network="in")
    for answer in (can("web", "inside"), can("inside", "web"), can("other", "inside")):
        assert answer.ok
        assert "c1" not in steps(answer)
    beside = room.plugged("beside", network="out")
    assert LEADS in steps(can("beside", "web"))
    assert {other.hostname, inside.hostname, beside.hostname} == {"other", "inside", "beside"}


def test_while_a_machine_of_it_does_not_run_nothing_passes_or_it_is_left_out(
    room: Room, can: Any, engine: Engine
) -> None:
    room.plugged("other", network="mid")
    room.make()
    dark(room, engine, room.fw[1], True)
    answer = can("web", "other", "tcp", 80)
    assert not answer.ok
    assert answer.verdict.code == "chain"
    assert answer.text.render("en").endswith("The service chain c1 lets nothing through now: fw does not run.")
    room.change(on_failure="bypass")
    answer = can("web", "other", "tcp", 80)
    assert answer.ok
    assert "The service chain c1 is left out now: fw does not run." in steps(answer)


def test_a_chain_for_some_ports_stops_only_those(room: Room, can: Any, engine: Engine) -> None:
    room.plugged("other", network="mid")
    room.make(protocol="tcp", port_min=80, port_max=90)
    assert LEADS in steps(can("web", "other", "tcp", 85))
    assert "c1" not in steps(can("web", "other", "tcp", 22))
    assert "c1" not in steps(can("web", "other", "ping"))
    dark(room, engine, room.fw[0], True)
    assert not can("web", "other", "tcp", 85).ok
    assert can("web", "other", "tcp", 91).ok
    answer = can("web", "other")
    assert answer.ok
    said = [p if isinstance(p, str) else p.render("en") for p in answer.passes]
    assert "TCP 0-79" in " ".join(said)
    assert "TCP 91-65535" in " ".join(said)


def test_what_a_machine_reads_of_itself_names_the_chain(room: Room, asking: Asking) -> None:
    room.make()
    with asking() as ctx:
        found = of_ports(ctx.session, [room.web, room.fw[0]])
    assert [m.render("en") for m in found[room.web.id].notes] == [
        "What it exchanges through its router goes through fw, by the service chain c1."
    ]
    assert [m.render("en") for m in found[room.fw[0].id].notes] == [
        "It passes on what others send, for a service chain: no group filters it."
    ]


def test_a_static_route_to_a_machine_leads_on_where_its_port_security_lets_it(room: Room, can: Any) -> None:
    def far(ctx: Any) -> Any:
        subnet = NewSubnet("10.50.0.0/24", name="far", routed=False)
        return service.create_network(ctx, NewNetwork("far", subnet=subnet))

    room.do(far)
    relay = room.function("relay", "out", "far")
    target = room.plugged("target", network="far")
    with room.asking() as ctx:
        router = service.list_of(ctx, Router).items[0].id
    assert can("web", "target").verdict.code == "no_route"
    room.do(lambda ctx: service.add_route(ctx, service.get_router(ctx, router), "10.50.0.0/24", relay[0].address))
    room.do(partial(open_up, port=relay[0]))
    answer = can("web", "target")
    assert answer.verdict.code == "forwarder"
    assert "port security lets only its own addresses" in steps(answer)
    room.do(partial(open_up, port=relay[1]))
    answer = can("web", "target")
    assert "hands it to relay; whether that sends it on, Yun does not know" in steps(answer)
    assert answer.verdict.code == "no_way_back"
    assert target.hostname == "target"


def test_a_default_route_through_a_machine_is_a_way_out_that_it_alone_knows(
    room: Room, can: Any, engine: Engine
) -> None:
    def inner(ctx: Any) -> Any:
        subnet = NewSubnet("10.60.0.0/24", name="deep", routed=False)
        return service.create_network(ctx, NewNetwork("deep", subnet=subnet))

    room.do(inner)
    room.do(lambda ctx: service.create_router(ctx, service.NewRouter("r9", external=False)))
    room.do(lambda ctx: service.add_interface(ctx, service.get_router(ctx, "r9"), service.get_subnet(ctx, "deep")))
    room.plugged("lonely", network="deep")
    fire = room.plugged("fire", network="deep")
    answer = can("lonely", "anywhere")
    assert answer.verdict.code == "no_gateway"
    room.do(lambda ctx: service.add_route(ctx, service.get_router(ctx, "r9"), "0.0.0.0/0", fire.address))
    answer = can("lonely", "anywhere")
    assert answer.ok
    assert "hands it to fire; whether that sends it on, Yun does not know" in steps(answer)
    with room.asking() as ctx:
        port = service.get_port(ctx, "lonely")
        told = [m.render("en") for m in of_ports(ctx.session, [port])[port.id].outside]
    assert "The router r9 hands it to fire; whether that sends it on, Yun does not know." in told
    dark(room, engine, fire, True)
    assert can("lonely", "anywhere").verdict.code == "forwarder"


def open_up(ctx: Any, port: Port) -> Any:
    return service.update_port(ctx, service.get_port(ctx, port.id), PortChanges(port_security=False))
