"""Routers: made, changed, deleted; legs in subnets and to the outside; static routes; what is refused, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.context import Context
from yun.base.db import Database
from yun.base.errors import Conflict, Invalid, NotFound, YunError
from yun.drivers.network.fake import World
from yun.drivers.network.port import RouterSpec
from yun.network import service
from yun.network.model import Port, Reservation, Router, RouterInterface, RouterRoute
from yun.network.service import NewNetwork, NewRouter, NewSubnet
from yun.operations import service as operations
from yun.operations.intent import Intent
from yun.operations.model import State

pytestmark = pytest.mark.usefixtures("cloud")
Plugged = Callable[..., Port]


def network(name: str, cidr: str, **more: Any) -> Callable[[Context], Intent]:
    subnet = NewSubnet(cidr, name=name, routed=False, **more)
    return lambda ctx: service.create_network(ctx, NewNetwork(name, subnet=subnet))


def router(name: str = "r1", **more: Any) -> Callable[[Context], Intent]:
    return lambda ctx: service.create_router(ctx, NewRouter(name, **more))


def connect(subnet: str, name: str = "r1", address: str | None = None) -> Callable[[Context], Intent]:
    return lambda ctx: service.add_interface(
        ctx, service.get_router(ctx, name), service.get_subnet(ctx, subnet), address
    )


def disconnect(subnet: str, name: str = "r1") -> Callable[[Context], Intent]:
    def make(ctx: Context) -> Intent:
        found = service.get_router(ctx, name)
        return service.remove_interface(ctx, found, service.interface_of(ctx.session, found, subnet))

    return make


def route(destination: str, hop: str, name: str = "r1") -> Callable[[Context], Intent]:
    return lambda ctx: service.add_route(ctx, service.get_router(ctx, name), destination, hop)


def on(verb: Callable[..., Intent], **more: Any) -> Callable[[Context], Intent]:
    return lambda ctx: verb(ctx, service.get_router(ctx, "r1"), **more)


def spec(world: World, name: str = "r1") -> RouterSpec:
    return next(r for r in world.routers.values() if r.name == name)


def refused(asking: Asking, make: Callable[[Context], Any], kind: type[YunError]) -> YunError:
    with asking() as ctx, pytest.raises(kind) as caught:
        make(ctx)
    return caught.value


def test_two_networks_of_a_project_are_joined_and_apart_again(do: Do, world: World) -> None:
    do(network("a", "10.1.0.0/24"))
    do(network("b", "10.2.0.0/24"))
    do(router(external=False))
    do(connect("a"))
    joined = do(connect("b"))
    assert {leg.address for leg in spec(world).interfaces} == {"10.1.0.1/24", "10.2.0.1/24"}
    assert (spec(world).external, spec(world).routes, spec(world).nat) == (None, {}, ())
    do(lambda ctx: operations.undo(ctx, joined.id))
    assert {leg.address for leg in spec(world).interfaces} == {"10.1.0.1/24"}


def test_the_way_out_comes_and_goes_with_source_nat(do: Do, world: World) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router(external=False))
    do(connect("a"))
    do(on(service.set_gateway, address="172.31.240.77"))
    made = spec(world)
    assert made.external is not None
    assert made.external.address == "172.31.240.77/24"
    assert made.routes == {"0.0.0.0/0": "172.31.240.1"}
    assert [(n.kind, n.external, n.internal) for n in made.nat] == [("snat", "172.31.240.77", "10.1.0.0/24")]
    do(on(service.update_router, snat=False))
    assert spec(world).nat == ()
    do(on(service.update_router, snat=True))
    with_it = spec(world)
    gone = do(on(service.clear_gateway))
    assert (spec(world).external, spec(world).nat) == (None, ())
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert spec(world) == with_it


def test_what_is_taken_away_keeps_its_address_as_long_as_that_can_be_undone(
    do: Do, asking: Asking, database: Database
) -> None:
    do(router(address="172.31.240.77"))
    do(on(service.clear_gateway))
    error = refused(asking, lambda ctx: service.allocate(ctx, "172.31.240.77"), Conflict)
    assert "address" in error.fields
    with database.read() as session:
        leg = session.scalars(sa.select(RouterInterface).where(RouterInterface.state == "trashed")).one()
        assert session.scalar(sa.select(Reservation.place).where(Reservation.owner_id == leg.id)) == 77


def test_a_leg_that_lay_in_the_trash_long_enough_is_forgotten(
    do: Do, asking: Asking, database: Database
) -> None:
    from datetime import UTC, datetime, timedelta

    do(router(address="172.31.240.77"))
    do(on(service.clear_gateway))
    with database.write() as session:
        old = datetime.now(UTC) - timedelta(days=100)
        session.execute(
            sa.update(RouterInterface).where(RouterInterface.state == "trashed").values(trashed_at=old)
        )
    do(service.reconcile)
    with asking() as ctx:
        assert service.allocate(ctx, "172.31.240.77")


def test_a_second_router_gets_another_address_of_a_subnet_and_says_so(do: Do, asking: Asking, world: World) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router("r1", external=False))
    do(router("r2", external=False))
    do(connect("a", "r1"))
    with asking() as ctx:
        intent = connect("a", "r2")(ctx)
        told = " ".join(m.render("en") for m in intent.effects)
    assert "at 10.1.0.2" in told
    assert "not the subnet's gateway" in told
    do(connect("a", "r2"))
    assert [leg.address for leg in spec(world, "r2").interfaces] == ["10.1.0.2/24"]
    refused(asking, connect("a", "r1"), Conflict)
    error = refused(asking, connect("a", "r2", "10.1.0.1"), Conflict)
    assert "r2" in error.message.render("en")


def test_the_gateways_router_stays_the_way_out_whoever_came_first(do: Do, world: World, plugged: Plugged) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router("r0", external=False))
    do(connect("a", "r0", "10.1.0.9"))
    do(router("r1"))
    do(connect("a", "r1"))
    port = plugged("web", network="a", floating=True)
    assert [n.internal for n in spec(world, "r1").nat if n.kind == "dnat_and_snat"] == [port.address]
    assert spec(world, "r0").nat == ()


def test_a_gateway_address_goes_to_another_router_and_the_undo_of_the_first_waits(do: Do, world: World) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router("r1", external=False))
    do(router("r2", external=False))
    do(connect("a", "r1"))
    off = do(disconnect("a", "r1"))
    do(connect("a", "r2"))
    assert [leg.address for leg in spec(world, "r2").interfaces] == ["10.1.0.1/24"]
    with pytest.raises(Conflict):
        do(lambda ctx: operations.undo(ctx, off.id))
    do(lambda ctx: operations.undo(ctx, off.id, through=True))
    assert [leg.address for leg in spec(world, "r1").interfaces] == ["10.1.0.1/24"]
    assert spec(world, "r2").interfaces == ()


def test_overlapping_subnets_on_one_router_are_refused_by_both_names(do: Do, asking: Asking) -> None:
    do(network("a", "10.1.0.0/24"))
    do(network("b", "10.1.0.128/25"))
    do(router(external=False))
    do(connect("a"))
    error = refused(asking, connect("b"), Invalid)
    said = error.message.render("en")
    assert set(error.fields) == {"subnet"}
    assert "b (10.1.0.128/25) overlaps a (10.1.0.0/24)" in said


def test_the_outside_is_no_subnet_to_connect_and_another_projects_neither(
    do: Do, asking: Asking, projects: tuple[str, str]
) -> None:
    do(router(external=False))
    assert set(refused(asking, connect("external"), Invalid).fields) == {"subnet"}
    with asking(project=projects[1]) as ctx:
        theirs = service.get_subnet(ctx, "default").id
    assert set(refused(asking, connect(theirs), Invalid).fields) == {"subnet"}
    assert set(refused(asking, on(service.set_gateway, network="default"), Invalid).fields) == {"network"}


WRONG_ADDRESSES = ["10.1.1.1", "10.1.0.0", "10.1.0.255", "x", "fe80::1", ""]


def test_a_leg_needs_an_address_of_its_subnet(do: Do, asking: Asking) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router(external=False))
    for wrong in WRONG_ADDRESSES[:-1]:
        assert set(refused(asking, connect("a", address=wrong), Invalid).fields) == {"address"}


def test_a_subnet_without_a_gateway_is_connected_at_a_free_address(do: Do, world: World) -> None:
    do(network("a", "10.1.0.0/24", gateway=None))
    do(router(external=False))
    do(connect("a"))
    assert [leg.address for leg in spec(world).interfaces] == ["10.1.0.1/24"]


def test_static_routes_lead_to_a_next_hop_on_a_leg(do: Do, world: World, asking: Asking) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router())
    do(connect("a"))
    added = do(route("10.20.0.0/16", "10.1.0.9"))
    assert spec(world).routes == {"10.20.0.0/16": "10.1.0.9", "0.0.0.0/0": "172.31.240.1"}
    with asking() as ctx:
        gone = service.remove_route(ctx, service.get_router(ctx, "r1"), "10.20.0.0/16")
        assert "10.1.0.9" in gone.effects[0].render("en")
    do(lambda ctx: operations.undo(ctx, added.id))
    assert "10.20.0.0/16" not in spec(world).routes


WRONG_ROUTES = [
    ("destination", "nonsense", "10.1.0.9"),
    ("destination", "10.20.0.1/16", "10.1.0.9"),
    ("destination", "10.1.0.128/25", "10.1.0.9"),
    ("destination", "10.1.0.0/24", "10.1.0.9"),
    ("destination", "172.31.240.0/24", "10.1.0.9"),
    ("next_hop", "10.20.0.0/16", "10.9.0.9"),
    ("next_hop", "10.20.0.0/16", "10.1.0.1"),
    ("next_hop", "10.20.0.0/16", "10.1.0.255"),
    ("next_hop", "10.20.0.0/16", "gate"),
    ("next_hop", "2001:db8::/32", "10.1.0.9"),
]


def test_a_wrong_route_names_its_field_and_nothing_is_written(do: Do, asking: Asking, database: Database) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router())
    do(connect("a"))
    for field, destination, hop in WRONG_ROUTES:
        assert set(refused(asking, route(destination, hop), Invalid).fields) == {field}, (destination, hop)
    with database.read() as session:
        assert session.scalar(sa.select(RouterRoute.id)) is None


def test_ipv6_subnets_are_joined_and_routed_like_others(do: Do, world: World, asking: Asking) -> None:
    do(network("a", "2001:db8:a::/64"))
    do(network("b", "2001:db8:b::/64"))
    do(router())
    do(connect("a"))
    do(connect("b", address="2001:db8:b::9"))
    do(route("2001:db8:c::/48", "2001:db8:a::77"))
    made = spec(world)
    assert {leg.address for leg in made.interfaces} == {"2001:db8:a::1/64", "2001:db8:b::9/64"}
    assert made.routes == {"2001:db8:c::/48": "2001:db8:a::77", "0.0.0.0/0": "172.31.240.1"}
    assert made.nat == ()
    assert set(refused(asking, route("2001:db8:a::/80", "2001:db8:a::77"), Invalid).fields) == {"destination"}
    do(route("::/0", "2001:db8:a::77"))  # the way out carries IPv4 alone


def test_a_second_route_and_a_second_way_for_everything_are_refused(do: Do, asking: Asking, world: World) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router())
    do(connect("a"))
    do(route("10.20.0.0/16", "10.1.0.9"))
    assert "10.1.0.9" in refused(asking, route("10.20.0.0/16", "10.1.0.8"), Conflict).message.render("en")
    refused(asking, route("0.0.0.0/0", "10.1.0.9"), Conflict)
    do(on(service.clear_gateway))
    with asking() as ctx:
        told = " ".join(m.render("en") for m in route("0.0.0.0/0", "10.1.0.9")(ctx).effects)
    assert "everything that has no route of its own" in told
    assert "Nobody has the address 10.1.0.9" in told
    do(route("0.0.0.0/0", "10.1.0.9"))
    assert spec(world).routes["0.0.0.0/0"] == "10.1.0.9"
    refused(asking, on(service.set_gateway), Conflict)


def test_a_leg_stays_while_routes_go_out_there(do: Do, asking: Asking) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router(external=False))
    do(connect("a"))
    do(route("10.20.0.0/16", "10.1.0.9"))
    assert "10.20.0.0/16" in refused(asking, disconnect("a"), Conflict).message.render("en")
    do(lambda ctx: service.remove_route(ctx, service.get_router(ctx, "r1"), "10.20.0.0/16"))
    do(disconnect("a"))


def test_a_router_stays_while_floating_ips_lead_through_it_and_says_which(
    do: Do, asking: Asking, plugged: Plugged, world: World
) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router())
    do(connect("a"))
    plugged("web", network="a", floating=True)
    with asking() as ctx:
        outside = service.floating_through(ctx.session, service.get_router(ctx, "r1").id)[0].address
    for verb in (on(service.delete_router), on(service.clear_gateway), disconnect("a")):
        assert outside in refused(asking, verb, Conflict).message.render("en")
    do(lambda ctx: service.disassociate(ctx, service.get_floating_ip(ctx, outside)))
    with asking() as ctx:
        told = [m.render("en") for m in on(service.delete_router)(ctx).effects]
    assert "Lost by web: the way out of the cloud." in told
    before = world.snapshot()
    gone = do(on(service.delete_router))
    assert not [r for r in world.routers.values() if r.name == "r1"]
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert world.snapshot() == before


def test_a_deleted_routers_subnet_is_free_for_another_one(do: Do, world: World) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router())
    do(connect("a"))
    gone = do(on(service.delete_router))
    do(router("r2"))
    do(connect("a", "r2"))
    assert [leg.address for leg in spec(world, "r2").interfaces] == ["10.1.0.1/24"]
    with pytest.raises(Conflict):
        do(lambda ctx: operations.undo(ctx, gone.id))


def test_names_are_the_projects_own_and_undo_does_not_take_a_name_that_another_has(
    do: Do, asking: Asking, world: World
) -> None:
    do(router("r1", external=False))
    assert set(refused(asking, router("r1"), Conflict).fields) == {"name"}
    for wrong in ("", "a/b", "x" * 101):
        assert set(refused(asking, router(wrong), Invalid).fields) == {"name"}
    renamed = do(on(service.update_router, name="边界", description="to the lab"))
    assert spec(world, "边界")
    do(router("r1", external=False))
    done = do(lambda ctx: operations.undo(ctx, renamed.id), state=State.FAILED)
    assert "r1" in str(done.error)
    assert spec(world, "边界")
    refused(asking, on(service.update_router, name="r1"), Conflict)
    refused(asking, lambda ctx: service.get_router(ctx, "none"), NotFound)


def test_a_router_without_a_way_out_takes_no_outside_address(asking: Asking) -> None:
    error = refused(asking, router(external=False, address="172.31.240.9"), Invalid)
    assert set(error.fields) == {"external"}


def test_a_creation_that_fails_or_is_cancelled_while_it_waits_leaves_nothing(
    do: Do, asking: Asking, world: World, database: Database, engine: Any
) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router(external=False))
    rows, before = counted(database), world.snapshot()
    world.fail("apply_router")
    do(router("r2"), state=State.FAILED)
    world.fail("apply_router")
    do(connect("a"), state=State.FAILED)
    assert (counted(database), world.snapshot()) == (rows, before)
    for make in (router("r2"), connect("a"), on(service.set_gateway)):
        with asking() as ctx:
            identifier = operations.submit(ctx, make(ctx)).id
            operations.cancel(ctx, identifier)
        engine.drain()
    assert (counted(database), world.snapshot()) == (rows, before)


def counted(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {
            m.__tablename__: session.scalar(sa.select(sa.func.count()).select_from(m)) or 0
            for m in (Router, RouterInterface, RouterRoute, Reservation)
        }


def test_of_two_who_connect_a_subnet_at_once_one_is_told_no(do: Do, asking: Asking, world: World) -> None:
    do(network("a", "10.1.0.0/24"))
    do(router("r1", external=False))
    do(router("r2", external=False))
    with asking() as ctx:
        slow = connect("a", "r2", "10.1.0.1")(ctx)
    do(connect("a", "r1"))
    with asking() as ctx, pytest.raises(Conflict):
        operations.submit(ctx, slow)


def test_previews_say_which_machines_gain_and_lose_which_ways(do: Do, asking: Asking, plugged: Plugged) -> None:
    do(network("a", "10.1.0.0/24"))
    do(network("b", "10.2.0.0/24"))
    do(router(external=False))
    do(connect("a"))
    plugged("web", network="a")
    plugged("db", network="b")

    def foreseen(make: Callable[[Context], Intent]) -> list[str]:
        with asking() as ctx:
            told = [m.render("en") for m in make(ctx).effects]
        return [line for line in told if line.startswith(("Gained", "Lost"))]

    assert foreseen(connect("b")) == [
        "Gained by db: the way to 10.1.0.0/24.", "Gained by web: the way to 10.2.0.0/24."
    ]  # fmt: skip
    do(connect("b"))
    assert foreseen(on(service.set_gateway)) == ["Gained by db, web: the way out of the cloud."]
    do(on(service.set_gateway))
    assert foreseen(on(service.update_router, snat=False)) == ["Lost by db, web: the way out of the cloud."]
    assert foreseen(route("10.9.0.0/16", "10.1.0.9")) == ["Gained by db, web: the way to 10.9.0.0/16."]
    do(route("10.9.0.0/16", "10.1.0.9"))
    assert foreseen(on(service.remove_route, reference="10.9.0.0/16")) == ["Lost by db, web: the way to 10.9.0.0/16."]
    lost = ["Lost by db: the way out of the cloud.", "Lost by db: the way to 10.9.0.0/16."]
    assert set(lost) < set(foreseen(disconnect("b")))
    assert len(foreseen(disconnect("b"))) == 4
