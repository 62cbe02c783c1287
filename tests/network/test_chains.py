"""Service chains: whose traffic goes through whom, what the engine is told, what is refused, and failing machines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.db import Database
from yun.base.errors import Conflict, Invalid, YunError
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.drivers.network.fake import World
from yun.network import rows, service
from yun.network.model import Port, Router, ServiceChain, ServiceChainHop
from yun.network.service import ChainChanges, NewChain, NewHop, NewNetwork, NewSubnet
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.intent import Intent, Subject
from yun.operations.model import Notice

NETS = {"s1": "10.1.0.0/24", "in": "10.11.0.0/24", "out": "10.12.0.0/24", "mid": "10.13.0.0/24"}


class Room:
    """The networks of a chain, machines behind it, and functions with two cards."""

    def __init__(self, do: Do, asking: Asking, plugged: Callable[..., Port], database: Database, world: World) -> None:
        self.do, self.asking, self.plugged, self.database, self.world = do, asking, plugged, database, world
        for name, cidr in NETS.items():
            do(partial(self.net, name=name, cidr=cidr))
        self.web = plugged("web", network="s1")
        self.fw = self.function("fw", "in", "out")

    @staticmethod
    def net(ctx: Any, name: str, cidr: str) -> Intent:
        return service.create_network(ctx, NewNetwork(name, subnet=NewSubnet(cidr, name=name)))

    def function(self, name: str, *networks: str) -> list[Port]:
        instance = new_id("ins")
        found = []
        for network in networks:
            self.plugged(name, network=network, instance_id=instance)
        with self.database.read() as session:
            found = service.ports_of(session, instance)
            by_network = {service.subnets_of(session, p.network_id)[0].name: p for p in found}
        return [by_network[n] for n in networks]

    def wish(self, *hops: list[Port], **more: Any) -> NewChain:
        return NewChain("c1", "s1", [NewHop(h[0].id, h[-1].id) for h in hops or (self.fw,)], **more)

    def make(self, *hops: list[Port], **more: Any) -> Any:
        return self.do(lambda ctx: service.create_chain(ctx, self.wish(*hops, **more)))

    def change(self, **what: Any) -> Any:
        return self.do(lambda ctx: service.update_chain(ctx, service.get_chain(ctx, "c1"), ChainChanges(**what)))

    def refusal(self, make: Callable[[Any], Intent]) -> YunError:
        with pytest.raises(YunError) as caught, self.asking() as ctx:
            make(ctx)
        return caught.value

    def said(self, make: Callable[[Any], Intent]) -> str:
        with self.asking() as ctx:
            return "\n".join(e.render("en") for e in make(ctx).effects)

    def told(self) -> list[Any]:
        """What the engine knows of chains."""
        return [chain for router in self.world.routers.values() for chain in router.chains]

    def hops(self) -> list[tuple[str, str]]:
        (chain,) = self.told()
        return [(h.inner, h.outer) for h in chain.hops]

    def status(self) -> str:
        with self.asking() as ctx:
            chain = service.get_chain(ctx, "c1")
            return service.status_of(chain, service.hops_of(ctx.session, chain))


@pytest.fixture
def room(do: Do, asking: Asking, plugged: Callable[..., Port], database: Database, world: World) -> Room:
    return Room(do, asking, plugged, database, world)


def test_a_chain_is_told_to_the_engine_and_opens_its_ports_alone(room: Room) -> None:
    room.make()
    (chain,) = room.told()
    router = next(r for r in room.world.routers.values() if r.chains)
    leg = next(i for i in router.interfaces if i.address == "10.1.0.1/24")
    assert (chain.leg, chain.cidr, chain.protocol, chain.ports) == (leg.id, "10.1.0.0/24", None, None)
    assert room.hops() == [(room.fw[0].address, room.fw[1].address)]
    assert {p.id for p in room.world.ports.values() if p.passes_on} == {p.id for p in room.fw}
    assert room.status() == "working"


def test_it_says_beforehand_whose_traffic_goes_through_whom(room: Room) -> None:
    said = room.said(lambda ctx: service.create_chain(ctx, room.wish()))
    assert "s1 (10.1.0.0/24)" in said
    assert f"fw ({room.fw[0].address} / {room.fw[1].address})" in said
    assert "Behind it are: web." in said
    assert "port security" in said
    assert "nothing passes" in said
    assert room.told() == []


def test_undo_takes_a_new_chain_away_and_brings_a_deleted_one_back(room: Room) -> None:
    made = room.make()
    room.do(lambda ctx: operations.undo(ctx, made.id))
    assert room.told() == []
    assert not any(p.passes_on for p in room.world.ports.values())
    room.make()
    gone = room.do(lambda ctx: service.delete_chain(ctx, service.get_chain(ctx, "c1")))
    assert room.told() == []
    room.do(lambda ctx: operations.undo(ctx, gone.id))
    assert room.hops() == [(room.fw[0].address, room.fw[1].address)]


def test_everything_of_it_changes_and_comes_back_by_undo(room: Room) -> None:
    one = room.function("one", "mid")
    room.make(protocol="tcp", port_min=80)
    assert room.told()[0].ports == (80, 80)
    hops = [NewHop(room.fw[0].id, room.fw[1].id), NewHop(one[0].id)]
    done = room.change(name="c1", hops=hops, protocol="udp", port_min=53, port_max=60, on_failure="bypass")
    (chain,) = room.told()
    assert (chain.protocol, chain.ports, len(chain.hops)) == ("udp", (53, 60), 2)
    assert chain.hops[1].inner == chain.hops[1].outer == one[0].address
    assert room.world.ports[one[0].id].passes_on
    room.do(lambda ctx: operations.undo(ctx, done.id))
    (chain,) = room.told()
    assert (chain.protocol, chain.ports, len(chain.hops)) == ("tcp", (80, 80), 1)
    assert not room.world.ports[one[0].id].passes_on
    room.change(protocol="any")
    assert room.told()[0].protocol is None


def test_a_function_whose_card_is_gone_blocks(room: Room) -> None:
    room.make()
    subject = Subject("instance", str(room.fw[0].instance_id), "fw")
    gone = room.do(lambda ctx: Intent("test.unplug", _("Unplug"), subject, {"port_ids": [room.fw[0].id]}))
    (chain,) = room.told()
    assert chain.hops == ()
    assert room.status() == "blocking"
    room.do(lambda ctx: operations.undo(ctx, gone.id))
    assert room.hops() == [(room.fw[0].address, room.fw[1].address)]


def test_a_function_that_does_not_run_is_left_out_where_that_is_wished(room: Room, engine: Engine) -> None:
    one = room.function("one", "mid")
    room.make(room.fw, one, on_failure="bypass")
    assert len(room.told()[0].hops) == 2
    dark(room, engine, room.fw[1], True)
    assert room.hops() == [(one[0].address, one[0].address)]
    assert room.status() == "bypassing"
    dark(room, engine, one[0], True)
    assert room.told() == []
    dark(room, engine, room.fw[1], False)
    dark(room, engine, one[0], False)
    assert len(room.told()[0].hops) == 2
    assert room.status() == "working"


def test_nothing_goes_around_one_that_does_not_run_otherwise(room: Room, engine: Engine) -> None:
    room.make()
    dark(room, engine, room.fw[1], True)
    assert room.hops() == [(room.fw[0].address, room.fw[1].address)]
    assert room.status() == "blocking"
    said = room.said(lambda ctx: service.update_chain(
        ctx, service.get_chain(ctx, "c1"), ChainChanges(on_failure="bypass")
    ))  # fmt: skip
    assert "left out until it runs: fw" in said


def test_operators_are_told_while_it_blocks_and_no_longer(room: Room, engine: Engine, database: Database) -> None:
    def told() -> list[str]:
        with database.read() as session:
            notices = session.scalars(sa.select(Notice).where(Notice.key.startswith("network.chain_blocks.")))
            return [Message.from_json(n.message).render("en") for n in notices]

    room.make()
    assert told() == []
    dark(room, engine, room.fw[1], True)
    assert told() == ["The service chain c1 lets nothing through: fw does not run."]
    done = room.change(on_failure="bypass")
    assert told() == []
    room.do(lambda ctx: operations.undo(ctx, done.id))
    assert len(told()) == 1
    gone = room.do(lambda ctx: service.delete_chain(ctx, service.get_chain(ctx, "c1")))
    assert told() == []
    room.do(lambda ctx: operations.undo(ctx, gone.id))
    assert len(told()) == 1
    dark(room, engine, room.fw[1], False)
    assert told() == []


def dark(room: Room, engine: Engine, port: Port, value: bool) -> None:
    """The port's card is out, or wired again."""
    (room.world.dark.add if value else room.world.dark.discard)(port.id)
    room.world.nudge(port.id)
    engine.drain()


@pytest.mark.parametrize(
    ("wish", "field", "word"),
    [
        ({"subnet": "nowhere"}, None, "nowhere"),
        ({"hops": []}, "hops", "1 to 8"),
        ({"hops": ["web"]}, "hops", "network of the subnet itself"),
        ({"hops": ["in", "in"]}, "hops", "both in the subnet"),
        ({"hops": ["in,mid2"]}, "hops", "two machines"),
        ({"hops": ["alone"]}, "hops", "in no machine"),
        ({"protocol": "icmp"}, "protocol", "icmp"),
        ({"port_min": 80}, "protocol", "Only TCP and UDP"),
        ({"protocol": "tcp", "port_min": 80, "port_max": 70}, "port_max", "before it begins"),
        ({"protocol": "tcp", "port_max": 70}, "port_min", "no beginning"),
        ({"protocol": "tcp", "port_min": 0}, "port_min", "0"),
        ({"on_failure": "explode"}, "on_failure", "explode"),
        ({"name": ""}, "name", ""),
    ],
)
def test_what_cannot_be_is_refused_by_the_field(room: Room, wish: dict[str, Any], field: str | None, word: str) -> None:
    other = room.function("other", "mid")
    room.do(lambda ctx: service.create_port(ctx, service.NewPort(network="mid", hostname="alone")))
    known = {"in": room.fw[0].id, "mid2": other[0].id}

    def hop(text: str) -> NewHop:
        inner, _comma, outer = text.partition(",")
        return NewHop(known.get(inner, inner), known.get(outer, outer) or None)

    base: dict[str, Any] = {"name": "c1", "subnet": "s1", "hops": ["in"]}
    asked = {**base, **wish}
    asked["hops"] = [hop(h) for h in asked["hops"]]
    fault = room.refusal(lambda ctx: service.create_chain(ctx, NewChain(**asked)))
    assert word in str(fault)
    if field is not None:
        assert isinstance(fault, Invalid)
        assert field in fault.fields
    assert room.told() == []


def test_a_subnet_has_one_chain_and_no_hop_stands_behind_another_one(room: Room) -> None:
    room.make()
    fault = room.refusal(lambda ctx: service.create_chain(ctx, NewChain("c2", "s1", [NewHop(room.fw[0].id)])))
    assert isinstance(fault, Conflict)
    assert "c1" in str(fault)
    fault = room.refusal(lambda ctx: service.create_chain(ctx, NewChain("c2", "in", [NewHop(room.fw[1].id)])))
    assert "Hops of the service chain c1 stand in this subnet" in str(fault)
    inner = room.function("inner", "s1")
    other = room.refusal(lambda ctx: service.create_chain(ctx, NewChain("c2", "mid", [NewHop(inner[0].id)])))
    assert "protected by the service chain c1" in str(other)


def test_one_function_serves_two_subnets_and_its_ports_stay_open_for_the_second(room: Room) -> None:
    room.do(partial(room.net, name="s2", cidr="10.2.0.0/24"))
    room.make()
    room.do(lambda ctx: service.create_chain(ctx, NewChain("c2", "s2", [NewHop(room.fw[0].id, room.fw[1].id)])))
    assert {c.cidr for c in room.told()} == {"10.1.0.0/24", "10.2.0.0/24"}
    room.do(lambda ctx: service.delete_chain(ctx, service.get_chain(ctx, "c1")))
    assert [c.cidr for c in room.told()] == ["10.2.0.0/24"]
    assert room.world.ports[room.fw[0].id].passes_on


def test_what_a_chain_uses_is_not_deleted_and_the_chain_is_named(room: Room) -> None:
    room.make()
    with room.asking() as ctx:
        router = next(r for r in service.list_of(ctx, Router).items)
    for make in (
        lambda ctx: service.delete_router(ctx, service.get_router(ctx, router.id)),
        lambda ctx: service.remove_interface(
            ctx, service.get_router(ctx, router.id),
            service.interface_of(ctx.session, service.get_router(ctx, router.id), "s1"),
        ),
        lambda ctx: service.remove_interface(
            ctx, service.get_router(ctx, router.id),
            service.interface_of(ctx.session, service.get_router(ctx, router.id), "out"),
        ),
    ):
        fault = room.refusal(make)
        assert isinstance(fault, Conflict)
        assert "c1" in str(fault)


def test_a_chain_of_another_project_is_not_there(room: Room, projects: tuple[str, str]) -> None:
    room.make()
    with room.asking(project=projects[1]) as ctx:
        assert service.list_of(ctx, ServiceChain).items == []


def test_what_lay_in_the_trash_is_forgotten_with_its_hops(room: Room, database: Database) -> None:
    made = room.make()
    room.do(lambda ctx: service.delete_chain(ctx, service.get_chain(ctx, "c1")))
    with database.write() as session:
        rows.forget(session, "service_chain", made.subject_id)
        assert session.get(ServiceChain, made.subject_id) is None
        assert session.scalars(sa.select(ServiceChainHop)).all() == []
