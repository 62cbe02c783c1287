"""Ports: addresses and MACs given out, plugged, kept in the trash, purged; floating IPs; NIC specs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.context import Actor
from yun.base.db import Database
from yun.base.errors import Conflict, Invalid, NoCapacity, NotFound
from yun.base.messages import _
from yun.drivers.network.fake import World
from yun.drivers.network.port import NatSpec, RouterSpec
from yun.hosts.service import local_host
from yun.network import service
from yun.network.model import FloatingIp, Network, Port, Reservation
from yun.network.service import NewNetwork, NewSubnet
from yun.network.spec import nic_of
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.intent import Intent, Subject
from yun.operations.model import State

pytestmark = pytest.mark.usefixtures("cloud")
Plugged = Callable[..., Port]


def test_a_port_is_plugged_with_the_lowest_free_address_on_its_host(plugged: Plugged, world: World) -> None:
    first, second = plugged(), plugged("two")
    assert (first.address, second.address) == ("10.77.0.2", "10.77.0.3")
    assert re.fullmatch(r"52:54:00(:[0-9a-f]{2}){3}", first.mac)
    assert first.mac != second.mac
    spec = world.ports[first.id]
    assert spec.uuid == first.uuid
    assert (spec.host, spec.addresses, spec.hostname) == ("node1", ("10.77.0.2",), "hello")
    assert spec.port_security
    assert len(spec.groups) == 1


def test_a_certain_address_can_be_asked_for_once(plugged: Plugged, asking: Asking) -> None:
    assert plugged(address="10.77.0.200").address == "10.77.0.200"
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.plan_port(ctx, address="10.77.0.200", instance_id="ins_x")
    assert "address" in caught.value.fields


def test_an_address_outside_the_subnet_is_refused_by_its_field(asking: Asking) -> None:
    with asking() as ctx:
        for address in ("10.77.0.0", "10.77.0.255", "10.78.0.1", "x", "fe80::1", "10.77.0.300"):
            with pytest.raises(Invalid) as caught:
                service.plan_port(ctx, address=address, instance_id="ins_x")
            assert set(caught.value.fields) == {"address"}


def test_the_gateways_address_is_never_given_out(asking: Asking) -> None:
    with asking() as ctx, pytest.raises(Conflict):
        service.plan_port(ctx, address="10.77.0.1", instance_id="ins_x")


def test_two_plans_of_one_intent_differ(asking: Asking) -> None:
    with asking() as ctx:
        one = service.plan_port(ctx, instance_id="ins_x")
        two = service.plan_port(ctx, instance_id="ins_x")
        assert one.port.address != two.port.address
        one.write(ctx.session)
        two.write(ctx.session)
        assert [p.address for p in service.ports_of(ctx.session, "ins_x")] == ["10.77.0.2", "10.77.0.3"]


def test_who_planned_first_and_wrote_later_gets_the_next_address(asking: Asking) -> None:
    with asking() as ctx:
        slow = service.plan_port(ctx, instance_id="ins_slow")
    with asking() as ctx:
        service.plan_port(ctx, instance_id="ins_fast").write(ctx.session)
    with asking() as ctx:
        slow.write(ctx.session)
        assert slow.port.address == "10.77.0.3"


def test_a_full_pool_says_its_numbers(do: Do, asking: Asking, plugged: Plugged) -> None:
    subnet = NewSubnet("10.9.0.0/24", pool_start="10.9.0.10", pool_end="10.9.0.11")
    do(lambda ctx: service.create_network(ctx, NewNetwork("small", subnet=subnet)))
    assert {plugged("a", network="small").address, plugged("b", network="small").address} == {"10.9.0.10", "10.9.0.11"}
    with asking() as ctx, pytest.raises(NoCapacity) as caught:
        service.plan_port(ctx, network="small", instance_id="ins_x")
    text = caught.value.message.render()
    assert "all 2 of 10.9.0.10 to 10.9.0.11" in text
    assert caught.value.details["free"] == 0


def test_a_second_subnet_takes_over_when_the_first_is_full(do: Do, plugged: Plugged) -> None:
    first = NewSubnet("10.9.0.0/24", pool_start="10.9.0.10", pool_end="10.9.0.10")
    do(lambda ctx: service.create_network(ctx, NewNetwork("small", subnet=first)))
    do(lambda ctx: service.create_subnet(ctx, service.get_network(ctx, "small"), NewSubnet("10.9.1.0/24")))
    assert [plugged(n, network="small").address for n in "ab"] == ["10.9.0.10", "10.9.1.2"]


def test_in_the_trash_address_and_mac_stay_taken_and_undo_plugs_again(
    do: Do, plugged: Plugged, world: World, asking: Asking, database: Database
) -> None:
    port = plugged(floating=True)
    before = world.snapshot()
    done = do(lambda ctx: unplug(port))
    assert port.id not in world.ports
    assert not any(n.kind == "dnat_and_snat" for r in world.routers.values() for n in r.nat)
    with asking() as ctx:
        assert service.get_port(ctx, port.id).state == "trashed"
        assert service.plan_port(ctx, instance_id="ins_x").port.address == "10.77.0.3"
        with pytest.raises(Conflict):
            service.plan_port(ctx, address=port.address, instance_id="ins_x")
    do(lambda ctx: operations.undo(ctx, done.id))
    assert world.snapshot() == before
    with database.read() as session:
        again = session.get_one(Port, port.id)
        assert (again.state, again.address, again.mac) == ("up", port.address, port.mac)


def unplug(port: Port) -> Intent:
    return Intent(
        kind="test.unplug", title=_("Unplug"), subject=Subject("instance", str(port.instance_id)),
        arguments={"port_ids": [port.id]}, subjects=(Subject("port", port.id),),
    )  # fmt: skip


def test_purging_frees_everything_and_loosens_the_floating_ip(
    do: Do, plugged: Plugged, world: World, database: Database
) -> None:
    port = plugged(floating=True)
    do(lambda ctx: unplug(port))
    purge = Intent(
        kind="test.purge", title=_("Purge"), subject=Subject("instance", str(port.instance_id)),
        arguments={"instance_id": port.instance_id}, undoable=False,
    )  # fmt: skip
    do(lambda ctx: purge)
    with database.read() as session:
        assert session.get(Port, port.id) is None
        assert session.scalar(sa.select(Reservation.place).where(Reservation.owner_id == port.id)) is None
        floating = session.scalars(sa.select(FloatingIp)).one()
        assert floating.port_id is None
    assert port.id not in world.ports
    assert plugged("next").address == port.address


def test_a_failing_creation_leaves_no_port_no_address_and_no_floating_ip(
    plugged: Plugged, world: World, database: Database, asking: Asking
) -> None:
    before = world.snapshot()
    for _again in range(2):  # the second time with all that the port stands on
        world.fail("apply_router")
    with pytest.raises(sa.exc.NoResultFound):
        plugged(floating=True, state=State.FAILED)
    assert world.snapshot() == before
    with database.read() as session:
        assert session.scalar(sa.select(Port.id)) is None
        assert session.scalar(sa.select(FloatingIp.id)) is None
        owners = set(session.scalars(sa.select(Reservation.owner_kind)))
    assert owners == {"gateway", "router"}


def test_undoing_a_creation_takes_port_and_floating_ip_back(
    do: Do, plugged: Plugged, world: World, database: Database
) -> None:
    before = world.snapshot()
    plugged(floating=True)
    do(operations.undo)
    assert world.snapshot() == before
    with database.read() as session:
        assert session.scalar(sa.select(Port.id)) is None
        assert session.scalar(sa.select(FloatingIp.id)) is None


def test_a_floating_ip_leads_to_the_port(plugged: Plugged, world: World, asking: Asking) -> None:
    port = plugged(floating=True)
    with asking() as ctx:
        floating = service.floating_of(ctx.session, [port.id])[port.id]
        assert (
            service.addresses_of(ctx.session, [str(port.instance_id)])[str(port.instance_id)][0][1] == floating.address
        )
    nat = [n for r in world.routers.values() for n in r.nat if n.kind == "dnat_and_snat"]
    assert nat == [NatSpec("dnat_and_snat", floating.address, port.address)]


def test_a_floating_ip_is_moved_from_port_to_port_and_each_step_is_undone(
    do: Do, plugged: Plugged, world: World, asking: Asking
) -> None:
    one, two = plugged("one"), plugged("two")
    do(service.allocate)
    with asking() as ctx:
        reference = ctx.session.scalars(sa.select(FloatingIp)).one().id

    def leads_to() -> set[str]:
        return {n.internal for r in world.routers.values() for n in r.nat if n.kind == "dnat_and_snat"}

    def associate(to: str, *, move: bool = False) -> Any:
        return lambda ctx: service.associate(
            ctx, service.get_floating_ip(ctx, reference), service.get_port(ctx, to), move=move
        )

    do(associate("one"))
    assert leads_to() == {one.address}
    with asking() as ctx:
        floating = service.get_floating_ip(ctx, reference)
        for refused in (
            lambda: service.associate(ctx, floating, service.get_port(ctx, "one")),
            lambda: service.associate(ctx, floating, service.get_port(ctx, "two")),
            lambda: service.release(ctx, floating),
        ):
            with pytest.raises(Conflict):
                refused()
    with asking() as ctx:
        intent = associate("two", move=True)(ctx)
        assert [m.render("en") for m in intent.effects][1:] == [
            f"one can no longer be reached at {service.get_floating_ip(ctx, reference).address}."
        ]
    moved = do(associate("two", move=True))
    assert leads_to() == {two.address}
    do(lambda ctx: operations.undo(ctx, moved.id))
    assert leads_to() == {one.address}
    off = do(lambda ctx: service.disassociate(ctx, service.get_floating_ip(ctx, reference)))
    assert leads_to() == set()
    do(lambda ctx: operations.undo(ctx, off.id))
    assert leads_to() == {one.address}
    do(lambda ctx: service.disassociate(ctx, service.get_floating_ip(ctx, reference)))
    on = do(associate("two"))
    assert leads_to() == {two.address}
    do(lambda ctx: operations.undo(ctx, on.id))
    assert leads_to() == set()
    gone = do(lambda ctx: service.release(ctx, service.get_floating_ip(ctx, reference)))
    with asking() as ctx, pytest.raises(Conflict):
        service.allocate(ctx, service.get_floating_ip(ctx, reference).address)
    do(lambda ctx: operations.undo(ctx, gone.id))
    with asking() as ctx:
        assert service.get_floating_ip(ctx, reference).state == "active"


def test_a_network_without_a_way_out_takes_no_floating_ip(do: Do, plugged: Plugged, asking: Asking) -> None:
    subnet = NewSubnet("10.9.0.0/24", routed=False)
    do(lambda ctx: service.create_network(ctx, NewNetwork("island", subnet=subnet)))
    port = plugged("alone", network="island")
    do(service.allocate)
    with asking() as ctx:
        floating = ctx.session.scalars(sa.select(FloatingIp)).one()
        alone = service.get_port(ctx, port.id)
        with pytest.raises(Conflict):
            service.associate(ctx, floating, alone)


def test_another_projects_port_does_not_exist(plugged: Plugged, asking: Asking, projects: tuple[str, str]) -> None:
    port = plugged()
    stranger = Actor("user", "usr_x", "x", {projects[1]: "admin"})
    with asking(actor=stranger, project=projects[1]) as ctx:
        for reference in (port.id, port.address, port.mac, "hello"):
            with pytest.raises(NotFound):
                service.get_port(ctx, reference)
        assert service.list_of(ctx, Port).items == []
        assert [n.name for n in service.list_of(ctx, Network, sort="name").items] == ["default", "external"]
        with pytest.raises(NotFound):
            service.plan_port(ctx, network=port.network_id, instance_id="ins_x")


def test_a_port_never_sits_on_the_external_network(asking: Asking) -> None:
    with asking() as ctx, pytest.raises(Invalid) as caught:
        service.plan_port(ctx, network="external", instance_id="ins_x")
    assert set(caught.value.fields) == {"network"}


def test_a_card_keeps_its_checksums_off_in_userspace(plugged: Plugged, database: Database) -> None:
    port = plugged()
    with database.read() as session:
        host = local_host(session)
        nic = nic_of(port, session.get_one(Network, port.network_id), host)
        assert (nic.mac, nic.port_uuid, nic.mtu, nic.host_checksum_offload) == (port.mac, port.uuid, 1442, False)
        host.datapath = "system"
        assert nic_of(port, session.get_one(Network, port.network_id), host).host_checksum_offload
        session.rollback()


def test_a_plan_tells_effect_and_capacity(asking: Asking) -> None:
    with asking() as ctx:
        plan = service.plan_port(ctx, instance_id="ins_x")
        assert plan.effect.render() == "It gets the address 10.77.0.2 in default."
        assert plan.capacity.render() == "253 of 254 addresses of default are free."
        outside = service.plan_floating_ip(ctx, port=plan)
        assert outside.effect.render() == "It can be reached from outside at 172.31.240.4."


def test_whoever_applies_last_has_seen_everything(
    do: Do, plugged: Plugged, engine: Engine, world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one operation tells the engine of its floating IP, another one writes its own row: both must be there."""
    one, two = plugged("one"), plugged("two")
    do(service.allocate)
    do(service.allocate)
    with database.read() as session:
        mine, theirs = session.scalars(sa.select(FloatingIp).order_by(FloatingIp.address)).all()
    apply, meanwhile = engine.drivers.network.apply_router, [theirs.id]

    def slow(spec: RouterSpec) -> None:
        if meanwhile:
            with database.write() as session:
                session.get_one(FloatingIp, meanwhile.pop()).port_id = two.id
        apply(spec)

    monkeypatch.setattr(engine.drivers.network, "apply_router", slow)
    do(lambda ctx: service.associate(ctx, service.get_floating_ip(ctx, mine.id), service.get_port(ctx, one.id)))
    nat = {(n.external, n.internal) for r in world.routers.values() for n in r.nat if n.kind == "dnat_and_snat"}
    assert nat == {(mine.address, one.address), (theirs.address, two.address)}


def test_a_port_does_not_wait_for_its_networks_own_operation(plugged: Plugged, world: World) -> None:
    """It may still stand in the queue when an instance of it is made: the rows are there, and the rows lead."""
    world.networks.clear()
    world.groups.clear()
    port = plugged()
    assert (list(world.networks), list(world.ports)) == ([port.network_id], [port.id])
    assert set(world.groups) == set(world.ports[port.id].groups)
