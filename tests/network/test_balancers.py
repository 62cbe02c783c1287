"""Load balancers: what the engine is told of them, members that come and go, their health, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.context import Context
from yun.base.db import Database
from yun.base.errors import Conflict, Invalid, NotFound, YunError
from yun.base.messages import _
from yun.drivers.network.fake import World
from yun.drivers.network.port import BackendSpec
from yun.network import service
from yun.network.api import show
from yun.network.model import FloatingIp, LoadBalancer, MemberHealth, Port, Reservation
from yun.network.service import NewBalancer, NewListener, NewNetwork, NewSubnet
from yun.network.steps import balancers as steps
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation
from yun.operations.intent import Intent, Subject

pytestmark = pytest.mark.usefixtures("cloud")
Plugged = Callable[..., Port]


@operation("test.label")
def label(op: Op, instance_id: str, labels: list[str]) -> Any:
    """What tagging an instance does to the network."""
    op.step(steps.before_labels, instance_id, labels)
    before = op.step(steps.label_ports, instance_id, labels)
    op.step(steps.follow_labels, instance_id, labels, before)


def web(*members: tuple[str, str], **rest: Any) -> Callable[[Context], Intent]:
    """Ask for a load balancer at port 80."""
    rest.setdefault("listeners", (NewListener(80, member_port=8080),))
    return lambda ctx: service.create_balancer(ctx, NewBalancer("shop", members=members, **rest))


def on(verb: Any, *words: Any, **rest: Any) -> Callable[[Context], Intent]:
    """Ask a verb of it."""
    return lambda ctx: verb(ctx, service.get_balancer(ctx, "shop"), *words, **rest)


def told(world: World) -> Any:
    """The one load balancer that the engine has."""
    (found,) = world.balancers.values()
    return found


def test_the_engine_knows_address_members_and_where_calls_come_from(do: Do, plugged: Plugged, world: World) -> None:
    port = plugged()
    do(web(("port", port.id)))
    spec = told(world)
    (listener,) = spec.listeners
    assert listener.addresses == ("10.77.0.3",)
    assert listener.backends == (BackendSpec(port.id, "10.77.0.2", 8080, "10.77.0.254"),), "asked from the last address"
    assert (listener.check.interval, listener.check.timeout, listener.check.failures) == (5, 2, 3)
    assert spec.network_ids == (port.network_id,)
    assert len(spec.router_ids) == 1
    assert spec.router_ids[0] in world.routers


def test_a_floating_ip_can_stand_before_it_and_is_then_nobody_elses(
    do: Do, plugged: Plugged, world: World, asking: Asking
) -> None:
    port = plugged()
    do(web(("port", port.id), floating_ip="new"))
    outside = told(world).listeners[0].addresses[1]
    with asking() as ctx:
        floating = service.get_floating_ip(ctx, outside)
        for verb in (lambda: service.release(ctx, floating), lambda: service.associate(ctx, floating, port)):
            with pytest.raises(Conflict, match="shop"):
                verb()
        with pytest.raises(Conflict, match="shop"):
            service.create_balancer(ctx, NewBalancer("other", floating_ip=outside))
        assert not service.list_of(ctx, FloatingIp, sort="address", q="used:no").items
        assert [f.address for f in service.list_of(ctx, FloatingIp, sort="address", q="used:yes").items] == [outside]
        shown = show.floating_ips(ctx.session, [floating])[0]
        assert (shown["load_balancer"], shown["inner_address"], shown["port_id"]) == ("shop", "10.77.0.3", None)
    do(on(service.update_balancer, floating_ip=None))
    assert told(world).listeners[0].addresses == ("10.77.0.3",)
    with asking() as ctx:
        assert [f.address for f in service.list_of(ctx, FloatingIp, sort="address", q="used:no").items] == [outside]
    do(lambda ctx: service.release(ctx, service.get_floating_ip(ctx, outside)))


def test_an_instance_with_several_cards_is_one_member_by_the_card_that_can_be_reached(
    do: Do, plugged: Plugged, world: World, asking: Asking
) -> None:
    do(lambda ctx: service.create_network(ctx, NewNetwork("alone", subnet=NewSubnet("10.5.0.0/24", routed=False))))
    side = plugged("web1", network="alone")
    port = plugged("web1", network="default", instance_id=side.instance_id)
    assert port.instance_id == side.instance_id
    do(web(("instance", "web1"), network="default"))
    assert [b.port_id for b in told(world).listeners[0].backends] == [port.id]
    with asking() as ctx, pytest.raises(NotFound):
        service.add_member(ctx, service.get_balancer(ctx, "shop"), "instance", "nobody")


def test_members_by_tag_follow_the_tags(
    do: Do, plugged: Plugged, world: World, database: Database
) -> None:
    one, _two = plugged(), plugged("two")
    do(web(("tag", "web")))
    assert told(world).listeners[0].backends == ()

    def tags(*labels: str) -> Callable[[Context], Intent]:
        return lambda _ctx: Intent(
            "test.label", _("Label"), Subject("instance", str(one.instance_id)),
            {"instance_id": one.instance_id, "labels": list(labels)},
        )  # fmt: skip

    done = do(tags("web", "blue"))
    assert [b.port_id for b in told(world).listeners[0].backends] == [one.id]
    do(lambda ctx: operations.undo(ctx, done.id))
    assert told(world).listeners[0].backends == ()
    do(tags("web"))
    do(tags("db"))
    assert told(world).listeners[0].backends == ()


def test_a_member_in_the_trash_gets_nothing_and_a_purged_one_is_none(
    do: Do, plugged: Plugged, world: World, database: Database
) -> None:
    port = plugged()
    do(web(("instance", str(port.instance_id))))
    assert len(told(world).listeners[0].backends) == 1
    gone = do(lambda _ctx: Intent("test.unplug", _("Unplug"), Subject("port", port.id), {"port_ids": [port.id]}))
    assert told(world).listeners[0].backends == ()
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert len(told(world).listeners[0].backends) == 1
    do(lambda _ctx: Intent("test.unplug", _("Unplug"), Subject("port", port.id), {"port_ids": [port.id]}))
    purge = Intent(
        "test.purge", _("Purge"), Subject("instance", str(port.instance_id)), {"instance_id": port.instance_id},
        undoable=False,
    )  # fmt: skip
    do(lambda _ctx: purge)
    with database.read() as session:
        assert service.members_of(session, session.scalars(sa.select(LoadBalancer)).one().id) == []


def test_the_look_writes_how_members_are_and_tells_only_changes(
    do: Do, plugged: Plugged, world: World, database: Database, engine: Engine
) -> None:
    port = plugged()
    do(web(("port", port.id)))

    def look() -> dict[str, str]:
        engine.nudge("load_balancer.tend", Subject("load_balancer", "all"))
        engine.drain()
        with database.read() as session:
            return {h.port_id: h.state for h in session.scalars(sa.select(MemberHealth))}

    assert look() == {port.id: "online"}
    world.deaf.add(port.id)
    assert look() == {port.id: "offline"}
    world.away = True
    assert look() == {port.id: "offline"}, "an engine that is away says nothing of members"
    world.away = False
    do(on(service.change_listener, _listener_id(database), NewListener(80, member_port=8080, check_seconds=0)))
    assert look() == {}


def _listener_id(database: Database) -> str:
    with database.read() as session:
        return service.listeners_of(session, session.scalars(sa.select(LoadBalancer)).one().id)[0].id


def test_the_probes_address_is_kept_while_it_is_used_and_given_back_by_undo(
    do: Do, plugged: Plugged, database: Database
) -> None:
    port = plugged()
    made = do(web(("port", port.id)))

    def probes() -> int:
        with database.read() as session:
            query = sa.select(sa.func.count()).where(Reservation.owner_kind == "probe")
            return session.scalar(query) or 0

    assert probes() == 1
    do(on(service.add_listener, NewListener(443)))
    assert probes() == 1
    do(on(service.delete_balancer))
    do(lambda ctx: operations.undo(ctx, _last(database)))
    assert made.state == "succeeded"
    assert probes() == 1


def _last(database: Database) -> str:
    from yun.operations.model import Operation

    with database.read() as session:
        query = sa.select(Operation.id).where(Operation.kind == "load_balancer.delete")
        return session.scalars(query.order_by(Operation.created_at.desc())).first() or ""


@pytest.mark.parametrize(
    ("new", "fields"),
    [
        (NewBalancer(""), {"name"}),
        (NewBalancer("a/b"), {"name"}),
        (NewBalancer("x", network="external"), {"network"}),
        (NewBalancer("x", address="10.9.9.9"), {"address"}),
        (NewBalancer("x", address="10.77.0.0"), {"address"}),
        (NewBalancer("x", address="::1"), {"address"}),
        (NewBalancer("x", listeners=(NewListener(0),)), {"port"}),
        (NewBalancer("x", listeners=(NewListener(65536),)), {"port"}),
        (NewBalancer("x", listeners=(NewListener(80, member_port=0),)), {"member_port"}),
        (NewBalancer("x", listeners=(NewListener(80, "sctp"),)), {"protocol"}),
        (NewBalancer("x", listeners=(NewListener(80, affinity_seconds=-1),)), {"affinity_seconds"}),
        (NewBalancer("x", listeners=(NewListener(80, check_seconds=301),)), {"check_seconds"}),
        (NewBalancer("x", listeners=(NewListener(80, check_seconds=1, check_timeout=2),)), {"check_timeout"}),
        (NewBalancer("x", listeners=(NewListener(80, check_failures=21),)), {"check_failures"}),
        (NewBalancer("x", listeners=(NewListener(80), NewListener(80))), {"listeners"}),
        (NewBalancer("x", members=(("host", "h"),)), {"kind"}),
        (NewBalancer("x", members=(("port", " "),)), {"target"}),
        (NewBalancer("x", members=(("tag", "a b"),)), {"tags"}),
    ],
)
def test_bad_input_names_its_field_and_makes_nothing(
    new: NewBalancer, fields: set[str], asking: Asking, database: Database
) -> None:
    with asking() as ctx:
        with pytest.raises(Invalid) as caught:
            service.create_balancer(ctx, new)
        assert set(caught.value.fields) == fields
        assert ctx.session.scalar(sa.select(sa.func.count()).select_from(LoadBalancer)) == 0


def test_what_is_taken_away_or_elsewhere_is_told(do: Do, plugged: Plugged, asking: Asking) -> None:
    port = plugged()
    do(web(("port", port.id)))
    do(lambda ctx: service.create_network(ctx, NewNetwork("alone", subnet=NewSubnet("10.5.0.0/24", routed=False))))
    with asking() as ctx:
        shop = service.get_balancer(ctx, "shop")
        tries: list[tuple[Callable[[], object], type[YunError], str]] = [
            (lambda: service.create_balancer(ctx, NewBalancer("shop")), Conflict, "taken"),
            (lambda: service.create_balancer(ctx, NewBalancer("x", address=shop.address)), Conflict, "taken"),
            (lambda: service.create_balancer(ctx, NewBalancer("x", network="alone")), Conflict, "no router"),
            (lambda: service.add_listener(ctx, shop, NewListener(80)), Conflict, "already"),
            (lambda: service.add_member(ctx, shop, "port", port.id), Conflict, "already"),
            (lambda: service.add_member(ctx, shop, "port", "nobody"), NotFound, "nobody"),
            (lambda: service.remove_member(ctx, shop, "mem_x"), NotFound, "member"),
            (lambda: service.remove_listener(ctx, shop, "lis_x"), NotFound, "listener"),
            (lambda: service.update_balancer(ctx, shop, name="shop"), Invalid, "Nothing"),
            (lambda: service.delete_network(ctx, service.get_network(ctx, "default")), Conflict, "in use"),
        ]
        for attempt, kind, words in tries:
            with pytest.raises(kind, match=words):
                attempt()


def test_two_who_want_one_floating_ip_cannot_both_have_it(do: Do, plugged: Plugged, database: Database) -> None:
    plugged()
    do(service.allocate)
    with database.read() as session:
        address = session.scalars(sa.select(FloatingIp.address)).one()
    do(web(floating_ip=address))
    with pytest.raises(Conflict):
        do(lambda ctx: service.create_balancer(ctx, NewBalancer("second", floating_ip=address)))
