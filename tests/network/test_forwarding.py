"""Port forwardings: several machines behind one outside address; what is taken is refused; undo and its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.network.conftest import Asking, Do
from yun.base.context import Context
from yun.base.errors import Conflict, Invalid, NotFound
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import Port
from yun.network.service import NewForwarding, NewRule
from yun.operations import service as operations
from yun.operations.intent import Intent
from yun.operations.model import State

pytestmark = pytest.mark.usefixtures("cloud")
Plugged = Callable[..., Port]


def forward(port: Port, outside: int, *rest: Any, **more: Any) -> Callable[[Context], Intent]:
    return lambda ctx: service.create_forwarding(ctx, NewForwarding(port.id, outside, *rest, **more))


def end(reference: str) -> Callable[[Context], Intent]:
    return lambda ctx: service.delete_forwarding(ctx, service.get_forwarding(ctx, reference))


def forwards(world: World) -> set[tuple[str, str, int, str, int]]:
    return {
        (f.protocol, f.external, f.external_port, f.internal, f.internal_port)
        for r in world.routers.values() for f in r.forwards
    }  # fmt: skip


def test_two_machines_share_the_routers_own_address(do: Do, plugged: Plugged, world: World, asking: Asking) -> None:
    one, two = plugged("one"), plugged("two")
    with asking() as ctx:
        own = service.external_address(ctx.session, service.get_router(ctx, "default").id)
    assert own is not None
    do(forward(one, 2201, inner_port=22))
    made = do(forward(two, 2202, inner_port=22))
    assert forwards(world) == {("tcp", own, 2201, one.address, 22), ("tcp", own, 2202, two.address, 22)}
    do(lambda ctx: operations.undo(ctx, made.id))
    assert forwards(world) == {("tcp", own, 2201, one.address, 22)}


def test_a_range_of_a_floating_ip_leads_to_as_many_ports(do: Do, plugged: Plugged, world: World) -> None:
    port = plugged("one")
    do(lambda ctx: service.allocate(ctx, "172.31.240.50"))
    do(forward(port, 8000, 8002, 9000, protocol="udp", floating_ip="172.31.240.50"))
    assert forwards(world) == {("udp", "172.31.240.50", 8000 + n, port.address, 9000 + n) for n in range(3)}


def test_a_port_that_leads_somewhere_is_refused_with_where(do: Do, plugged: Plugged, asking: Asking) -> None:
    one, two = plugged("one"), plugged("two")
    do(forward(one, 8000, 8010))
    for taken in (forward(two, 8010), forward(two, 7999, 8000), forward(two, 8005, 8006)):
        with asking() as ctx, pytest.raises(Conflict) as caught:
            taken(ctx)
        assert "one" in str(caught.value)
        assert set(caught.value.fields) == {"outside_port"}
    do(forward(two, 8000, protocol="udp"))
    do(forward(two, 8011))


def test_an_address_leads_as_a_whole_or_port_by_port(do: Do, plugged: Plugged, asking: Asking) -> None:
    one, two = plugged("one", floating=True), plugged("two")
    with asking() as ctx:
        whole = service.floating_of(ctx.session, [one.id])[one.id].address
        with pytest.raises(Conflict) as caught:
            forward(two, 80, floating_ip=whole)(ctx)
        assert set(caught.value.fields) == {"floating_ip"}
    do(lambda ctx: service.allocate(ctx, "172.31.240.50"))
    do(forward(two, 80, floating_ip="172.31.240.50"))
    with asking() as ctx:
        floating = service.get_floating_ip(ctx, "172.31.240.50")
        for verb in (
            lambda: service.associate(ctx, floating, service.get_port(ctx, two.id)),
            lambda: service.release(ctx, floating),
        ):
            with pytest.raises(Conflict) as caught:
                verb()
            assert "TCP 80" in str(caught.value)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("outside_port", {"outside_port": 0}),
    ("outside_port", {"outside_port": 65536}),
    ("outside_port_max", {"outside_port": 80, "outside_port_max": 79}),
    ("outside_port_max", {"outside_port": 80, "outside_port_max": 180}),
    ("inner_port", {"outside_port": 80, "inner_port": 70000}),
    ("inner_port", {"outside_port": 80, "outside_port_max": 89, "inner_port": 65530}),
    ("protocol", {"outside_port": 80, "protocol": "icmp"}),
    ("inner_address", {"outside_port": 80, "inner_address": "10.77.0.250"}),
    ("description", {"outside_port": 80, "description": "x" * 201}),
]


def test_a_wrong_forwarding_names_its_field(plugged: Plugged, asking: Asking) -> None:
    port = plugged("one")
    for field, wish in WRONG:
        with asking() as ctx, pytest.raises(Invalid) as caught:
            service.create_forwarding(ctx, NewForwarding(port.id, **wish))
        assert set(caught.value.fields) == {field}, wish


def test_what_a_group_does_not_let_in_is_said_before(do: Do, plugged: Plugged, asking: Asking) -> None:
    port = plugged("one")

    def told() -> str:
        with asking() as ctx:
            return " ".join(m.render("en") for m in forward(port, 8080)(ctx).effects)

    assert "No security group of one" in told()
    do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), NewRule(port_min=8080)))
    assert "No security group" not in told()


def test_the_undo_of_an_end_does_not_take_a_port_that_leads_elsewhere_now(
    do: Do, plugged: Plugged, world: World, asking: Asking
) -> None:
    one, two = plugged("one"), plugged("two")
    do(lambda ctx: service.allocate(ctx, "172.31.240.50"))
    do(forward(one, 80, floating_ip="172.31.240.50"))
    ended = do(end("172.31.240.50:80"))
    assert forwards(world) == set()
    other = do(forward(two, 80, floating_ip="172.31.240.50"))
    undone = do(lambda ctx: operations.undo(ctx, ended.id), state=State.FAILED)
    assert "leads to" in str(undone.error)
    do(lambda ctx: operations.undo(ctx, other.id))
    do(lambda ctx: operations.undo(ctx, ended.id))
    assert forwards(world) == {("tcp", "172.31.240.50", 80, one.address, 80)}
    with asking() as ctx, pytest.raises(NotFound):
        service.get_forwarding(ctx, "172.31.240.50:81")


def test_an_allocation_is_not_undone_under_its_forwardings(do: Do, plugged: Plugged) -> None:
    port = plugged("one")
    made = do(lambda ctx: service.allocate(ctx, "172.31.240.50"))
    do(forward(port, 80, floating_ip="172.31.240.50"))
    do(lambda ctx: operations.undo(ctx, made.id), state=State.FAILED)
    do(end("172.31.240.50:80"))
    do(lambda ctx: operations.undo(ctx, made.id))


def test_a_router_stays_while_ports_are_forwarded_through_it(do: Do, plugged: Plugged, asking: Asking) -> None:
    port = plugged("one")
    do(forward(port, 2222, inner_port=22))
    with asking() as ctx:
        router = service.get_router(ctx, "default")
        leg = service.interface_of(ctx.session, router, "default")
        for verb in (
            lambda: service.delete_router(ctx, router), lambda: service.clear_gateway(ctx, router),
            lambda: service.remove_interface(ctx, router, leg),
        ):  # fmt: skip
            with pytest.raises(Conflict) as caught:
                verb()
            assert "TCP 2222" in str(caught.value)


def test_a_forwarding_rests_while_its_machine_is_in_the_trash_and_goes_with_it(
    do: Do, plugged: Plugged, world: World, asking: Asking
) -> None:
    from tests.network.test_ports import unplug
    from yun.base.messages import _
    from yun.operations.intent import Subject

    port = plugged("one")
    do(forward(port, 2222, inner_port=22))
    gone = do(lambda ctx: unplug(port))
    do(service.reconcile)
    assert forwards(world) == set()
    do(lambda ctx: operations.undo(ctx, gone.id))
    do(service.reconcile)
    assert len(forwards(world)) == 1
    do(lambda ctx: unplug(port))
    do(lambda ctx: Intent(
        kind="test.purge", title=_("Purge"), subject=Subject("instance", str(port.instance_id)),
        arguments={"instance_id": port.instance_id}, undoable=False,
    ))  # fmt: skip
    from yun.network.model import PortForwarding

    with asking() as ctx:
        assert not service.list_of(ctx, PortForwarding).items
