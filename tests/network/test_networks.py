"""Networks, subnets and security groups: made, refused when wrong, deleted, undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.context import Actor
from yun.base.db import Database
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import Network, Port, Reservation, SecurityRule, Subnet
from yun.network.service import NewNetwork, NewRule, NewSubnet
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.model import Event, Operation, State

pytestmark = pytest.mark.usefixtures("cloud")


def test_a_network_comes_with_its_subnet_connected_to_the_router(do: Do, world: World) -> None:
    subnet = NewSubnet("10.9.0.0/24", dns_servers=["192.0.2.1"], domain="Lab.Internal.")
    do(lambda ctx: service.create_network(ctx, NewNetwork("实验 网络", subnet=subnet, mtu=1400)))
    made = next(n for n in world.networks.values() if n.name == "实验 网络")
    assert made.subnets[0].cidr == "10.9.0.0/24"
    assert (made.subnets[0].domain, made.subnets[0].mtu) == ("lab.internal", 1400)
    assert made.subnets[0].dns_servers == ("192.0.2.1",)
    legs = [leg for r in world.routers.values() for leg in r.interfaces if leg.network_id == made.id]
    assert [leg.address for leg in legs] == ["10.9.0.1/24"]
    assert any(n.internal == "10.9.0.0/24" for r in world.routers.values() for n in r.nat)


def test_a_network_without_router_or_gateway(do: Do, world: World, database: Database) -> None:
    do(lambda ctx: service.create_network(ctx, NewNetwork("flat", subnet=NewSubnet("10.9.0.0/24", gateway=None))))
    made = next(n for n in world.networks.values() if n.name == "flat")
    assert made.subnets[0].gateway is None
    assert all(leg.network_id != made.id for r in world.routers.values() for leg in r.interfaces)


def test_creating_is_undone_to_the_last_row_and_deleting_too(do: Do, world: World, database: Database) -> None:
    before, rows = world.snapshot(), count(database)
    made = do(lambda ctx: service.create_network(ctx, NewNetwork("lab", subnet=NewSubnet("10.9.0.0/24"))))
    with_it = world.snapshot()
    gone = do(lambda ctx: service.delete_network(ctx, service.get_network(ctx, "lab")))
    assert world.snapshot() == before
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert world.snapshot() == with_it
    do(lambda ctx: operations.undo(ctx, made.id))
    assert world.snapshot() == before
    assert count(database) == rows


def count(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {
            m.__tablename__: session.scalar(sa.select(sa.func.count()).select_from(m)) or 0
            for m in (Network, Subnet, Reservation)
        }


def test_a_creation_that_fails_leaves_nothing(do: Do, world: World, database: Database) -> None:
    before, rows = world.snapshot(), count(database)
    world.fail("apply_router")
    new = NewNetwork("lab", subnet=NewSubnet("10.9.0.0/24"))
    do(lambda ctx: service.create_network(ctx, new), state=State.FAILED)
    assert world.snapshot() == before
    assert count(database) == rows


def test_undo_of_a_network_waits_for_what_stands_on_it(do: Do, plugged: Callable[..., Port]) -> None:
    made = do(lambda ctx: service.create_network(ctx, NewNetwork("lab", subnet=NewSubnet("10.9.0.0/24"))))
    plugged(network="lab")
    with pytest.raises(Conflict):
        do(lambda ctx: operations.undo(ctx, made.id))
    do(lambda ctx: operations.undo(ctx, made.id, through=True))


def test_a_network_in_use_is_not_deleted(plugged: Callable[..., Port], asking: Asking) -> None:
    plugged()
    with asking() as ctx:
        network = service.get_network(ctx, "default")
        with pytest.raises(Conflict) as caught:
            service.delete_network(ctx, network)
        assert caught.value.details == {"ports": 1, "trashed": 0}
        with pytest.raises(Conflict):
            service.delete_subnet(ctx, service.subnets_of(ctx.session, network.id)[0])


def test_the_external_network_stays_as_it_is(asking: Asking) -> None:
    with asking() as ctx:
        network = service.get_network(ctx, "external")
        subnet = service.subnets_of(ctx.session, network.id)[0]
        with pytest.raises(Conflict):
            service.delete_network(ctx, network)
        with pytest.raises(Conflict):
            service.delete_subnet(ctx, subnet)
        with pytest.raises(Conflict):
            service.create_subnet(ctx, network, NewSubnet("10.9.0.0/24"))


def test_subnets_come_and_go(do: Do, world: World) -> None:
    do(lambda ctx: service.create_subnet(ctx, service.get_network(ctx, "default"), NewSubnet("10.9.0.0/24", name="b")))
    before = world.snapshot()
    gone = do(lambda ctx: service.delete_subnet(ctx, service.get_subnet(ctx, "b")))
    assert all(s.cidr != "10.9.0.0/24" for n in world.networks.values() for s in n.subnets)
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert world.snapshot() == before


WRONG_SUBNETS = [
    ("cidr", NewSubnet("nonsense")),
    ("cidr", NewSubnet("10.9.0.5/24")),
    ("cidr", NewSubnet("10.9.0.0/30")),
    ("cidr", NewSubnet("10.9.0.0/33")),
    ("cidr", NewSubnet("0.0.0.0/0")),
    ("cidr", NewSubnet("224.0.0.0/24")),
    ("cidr", NewSubnet("127.0.0.0/24")),
    ("cidr", NewSubnet("169.254.0.0/16")),
    ("cidr", NewSubnet("10.77.0.128/25")),
    ("cidr", NewSubnet("")),
    ("cidr", NewSubnet("2001:db8::/48")),
    ("gateway", NewSubnet("10.9.0.0/24", gateway="10.8.0.1")),
    ("gateway", NewSubnet("10.9.0.0/24", gateway="10.9.0.255")),
    ("gateway", NewSubnet("10.9.0.0/24", gateway="gate")),
    ("pool_start", NewSubnet("10.9.0.0/24", pool_start="10.9.0.50", pool_end="10.9.0.20")),
    ("pool_end", NewSubnet("10.9.0.0/24", pool_end="10.10.0.1")),
    ("dns_servers", NewSubnet("10.9.0.0/24", dns_servers=["dns.example"])),
    ("dns_servers", NewSubnet("10.9.0.0/24", dns_servers=[f"192.0.2.{i}" for i in range(5)])),
    ("domain", NewSubnet("10.9.0.0/24", domain="a b")),
    ("lease_seconds", NewSubnet("10.9.0.0/24", lease_seconds=0)),
    ("name", NewSubnet("10.9.0.0/24", name="a/b")),
]


def test_a_wrong_subnet_names_its_field_and_nothing_is_written(asking: Asking, database: Database) -> None:
    rows = count(database)
    with asking() as ctx:
        network = service.get_network(ctx, "default")
        for field, new in WRONG_SUBNETS:
            with pytest.raises(Invalid) as caught:
                service.create_subnet(ctx, network, new)
            assert field in caught.value.fields, new
    assert count(database) == rows


def test_host_bits_are_named_with_the_range_that_would_be_right(asking: Asking) -> None:
    with asking() as ctx, pytest.raises(Invalid) as caught:
        service.create_network(ctx, NewNetwork("lab", subnet=NewSubnet("10.9.0.5/24")))
    assert "10.9.0.0/24" in caught.value.fields["cidr"].render()


def test_a_name_that_cannot_be_is_refused(asking: Asking) -> None:
    names = ["", "  ", "a/b", "x" * 101, "line\nbreak", "\u202eevil", "net_01k9zzzzzzzzzzzzzzzzzzzzzz"]
    with asking() as ctx:
        for name in names:
            with pytest.raises(Invalid) as caught:
                service.create_network(ctx, NewNetwork(name))
            assert set(caught.value.fields) == {"name"}
            with pytest.raises(Invalid):
                service.create_group(ctx, name)


def test_an_mtu_out_of_range_is_refused(asking: Asking) -> None:
    with asking() as ctx:
        for mtu in (0, -1, 575, 9000, 10**15):
            with pytest.raises(Invalid) as caught:
                service.create_network(ctx, NewNetwork("lab", mtu=mtu))
            assert set(caught.value.fields) == {"mtu"}


def test_a_name_is_taken_once_in_the_trash_too(do: Do, asking: Asking) -> None:
    do(lambda ctx: service.create_network(ctx, NewNetwork("lab")))
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.create_network(ctx, NewNetwork("lab"))
    assert "name" in caught.value.fields
    do(lambda ctx: service.delete_network(ctx, service.get_network(ctx, "lab")))
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.create_network(ctx, NewNetwork("lab"))
    assert caught.value.hint is not None


def test_a_range_that_lies_in_the_trash_says_so_and_names_the_ways_out(do: Do, asking: Asking) -> None:
    new = NewSubnet("10.9.0.0/24")
    do(lambda ctx: service.create_network(ctx, NewNetwork("lab", subnet=new)))
    with asking() as ctx, pytest.raises(Invalid) as caught:
        service.create_network(ctx, NewNetwork("other", subnet=new))
    assert "trash" not in caught.value.message.render()
    gone = do(lambda ctx: service.delete_network(ctx, service.get_network(ctx, "lab")))
    with asking() as ctx, pytest.raises(Invalid) as caught:
        service.create_network(ctx, NewNetwork("other", subnet=new))
    assert set(caught.value.fields) == {"cidr"}
    assert "overlaps lab (10.9.0.0/24), which lies in the trash" in caught.value.message.render()
    assert caught.value.hint is not None
    assert f"yun undo {gone.id}" in caught.value.hint.render()
    flat = NewSubnet("10.9.0.0/24", routed=False)
    do(lambda ctx: service.create_network(ctx, NewNetwork("flat", subnet=flat)))  # nothing connects the two


def test_a_reader_looks_and_changes_nothing(asking: Asking, projects: tuple[str, str]) -> None:
    reader = Actor("user", "usr_r", "r", {projects[0]: "reader"})
    with asking(actor=reader) as ctx:
        network = service.get_network(ctx, "default")
        group = service.get_group(ctx, "default")
        verbs: list[Callable[[], Any]] = [
            lambda: service.create_network(ctx, NewNetwork("x")),
            lambda: service.delete_network(ctx, network),
            lambda: service.create_subnet(ctx, network, NewSubnet("10.9.0.0/24")),
            lambda: service.create_group(ctx, "x"),
            lambda: service.add_rule(ctx, group, NewRule()),
            lambda: service.allocate(ctx),
            lambda: service.ensure_default(ctx),
            lambda: service.reconcile(ctx),
        ]
        for verb in verbs:
            with pytest.raises(Forbidden):
                verb()


# ── security groups ──


def test_rules_are_added_removed_and_undone(do: Do, world: World, asking: Asking) -> None:
    do(lambda ctx: service.create_group(ctx, "web"))
    before = world.snapshot()
    added = do(
        lambda ctx: service.add_rule(
            ctx, service.get_group(ctx, "web"), NewRule(port_min=8000, port_max=8080, remote="192.0.2.0/24")
        )
    )
    group = next(g for g in world.groups.values() if g.name == "web")
    rule = next(r for r in group.rules if r.direction == "ingress")
    assert (rule.protocol, rule.port_min, rule.port_max, rule.remote) == ("tcp", 8000, 8080, "192.0.2.0/24")
    with_it = world.snapshot()
    with asking() as ctx:
        row = ctx.session.scalars(sa.select(SecurityRule).where(SecurityRule.port_min == 8000)).one()
        assert service.say(row).render() == "TCP 8000-8080 from 192.0.2.0/24"
        assert service.say(row).render("zh") == "来自 192.0.2.0/24 的 TCP 8000-8080"
    removed = do(lambda ctx: service.remove_rule(ctx, service.get_group(ctx, "web"), row.id))
    assert world.snapshot() == before
    do(lambda ctx: operations.undo(ctx, removed.id))
    assert world.snapshot() == with_it
    do(lambda ctx: operations.undo(ctx, added.id))
    assert world.snapshot() == before


def test_a_rule_that_fails_in_the_engine_is_not_there(do: Do, world: World, asking: Asking) -> None:
    world.fail("apply_group")
    do(
        lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), NewRule(port_min=80)),
        state=State.FAILED,
    )
    with asking() as ctx:
        assert ctx.session.scalar(sa.select(SecurityRule.id).where(SecurityRule.port_min == 80)) is None


def test_the_same_rule_twice_is_a_conflict(do: Do, asking: Asking) -> None:
    with asking() as ctx, pytest.raises(Conflict):
        service.add_rule(ctx, service.get_group(ctx, "default"), NewRule(port_min=22, description="again"))


WRONG_RULES = [
    ("direction", NewRule(direction="sideways")),
    ("family", NewRule(family="ipx")),
    ("protocol", NewRule(protocol="tcp; drop")),
    ("port_min", NewRule(port_min=0)),
    ("port_min", NewRule(port_min=-5)),
    ("port_max", NewRule(port_min=1, port_max=70000)),
    ("port_max", NewRule(port_min=90, port_max=80)),
    ("port_min", NewRule(port_max=80)),
    ("port_min", NewRule(protocol="icmp", port_min=80)),
    ("icmp_type", NewRule(icmp_type=8)),
    ("icmp_type", NewRule(protocol="icmp", icmp_type=300)),
    ("icmp_type", NewRule(protocol="icmp", icmp_code=1)),
    ("remote", NewRule(remote="10.0.0.0/40")),
    ("remote", NewRule(remote="10.0.0.300")),
    ("remote", NewRule(remote="2001:db8::/32")),
    ("remote", NewRule(remote="10.0.0.0/8 || 1")),
]


def test_a_wrong_rule_names_its_field(asking: Asking) -> None:
    with asking() as ctx:
        group = service.get_group(ctx, "default")
        for field, new in WRONG_RULES:
            with pytest.raises(Invalid) as caught:
                service.add_rule(ctx, group, new)
            assert field in caught.value.fields, new


def test_a_rule_may_name_a_group_which_then_stays(do: Do, asking: Asking, world: World) -> None:
    do(lambda ctx: service.create_group(ctx, "db"))
    do(lambda ctx: service.create_group(ctx, "web"))
    new = NewRule(port_min=5432, remote="web")
    done = do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "db"), new))
    with asking() as ctx:
        web = service.get_group(ctx, "web")
        assert any(r.remote == f"group:{web.id}" for g in world.groups.values() for r in g.rules)
        with pytest.raises(Conflict):
            service.delete_group(ctx, web)
    do(lambda ctx: operations.undo(ctx, done.id))
    gone = do(lambda ctx: service.delete_group(ctx, service.get_group(ctx, "web")))
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert {g.name for g in world.groups.values()} == {"default", "db", "web"}


def test_a_group_in_use_and_the_default_one_are_not_deleted(
    do: Do, plugged: Callable[..., Port], asking: Asking
) -> None:
    do(lambda ctx: service.create_group(ctx, "web"))
    port = plugged(groups=["web"])
    with asking() as ctx:
        for name in ("web", "default"):
            with pytest.raises(Conflict):
                service.delete_group(ctx, service.get_group(ctx, name))
        assert [g.name for g in service.groups_of(ctx.session, port.id)] == ["web"]


def test_unknown_things_are_not_found(asking: Asking) -> None:
    with asking() as ctx:
        for find in (
            service.get_network,
            service.get_subnet,
            service.get_router,
            service.get_port,
            service.get_group,
            service.get_floating_ip,
        ):
            with pytest.raises(NotFound):
                find(ctx, "nothing")
        with pytest.raises(NotFound):
            service.remove_rule(ctx, service.get_group(ctx, "default"), "sru_nothing")


def test_what_happened_is_told_as_events(do: Do, database: Database) -> None:
    made = do(lambda ctx: service.create_network(ctx, NewNetwork("lab", subnet=NewSubnet("10.9.0.0/24"))))
    gone = do(lambda ctx: service.delete_network(ctx, service.get_network(ctx, "lab")))
    do(lambda ctx: operations.undo(ctx, gone.id))
    with database.read() as session:
        mine = sa.select(Event.kind).where(Event.subject_kind == "network", Event.subject_name == "lab")
        kinds = list(session.scalars(mine.order_by(Event.seq)))
    assert kinds == ["network.created", "network.deleted", "network.restored"]
    assert made.subject_name == "lab"


def test_two_networks_asked_for_at_once_are_both_made_on_their_router(
    asking: Asking, engine: Engine, world: World
) -> None:
    for name, cidr in (("first", "10.81.0.0/24"), ("second", "10.82.0.0/24")):
        new = NewNetwork(name, subnet=NewSubnet(cidr))
        with asking() as ctx:
            operations.submit(ctx, service.create_network(ctx, new))
    engine.drain()
    with asking() as ctx:
        states = list(ctx.session.scalars(sa.select(Operation.state).where(Operation.kind == "network.create")))
    assert states == [State.SUCCEEDED, State.SUCCEEDED]
    legs = {leg.address for router in world.routers.values() for leg in router.interfaces}
    assert {"10.81.0.1/24", "10.82.0.1/24"} <= legs
