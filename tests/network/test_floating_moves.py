"""Floating IPs: named, moved, led to one address of several, and taken by two people at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database
from yun.base.errors import Conflict, Invalid
from yun.drivers.network.fake import World
from yun.network import addresses, service
from yun.network.model import FloatingIp, Port, PortAddress, Subnet
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.intent import Intent

pytestmark = pytest.mark.usefixtures("cloud")
Plugged = Callable[..., Port]


def leads_to(world: World) -> dict[str, str]:
    return {n.external: n.internal for r in world.routers.values() for n in r.nat if n.kind == "dnat_and_snat"}


def test_a_floating_ip_has_a_name_by_which_it_is_found(do: Do, asking: Asking) -> None:
    do(lambda ctx: service.allocate(ctx, "172.31.240.50", name="门户", description="网站"))
    done = do(lambda ctx: service.update_floating_ip(ctx, service.get_floating_ip(ctx, "门户"), name="portal"))
    with asking() as ctx:
        found = service.get_floating_ip(ctx, "portal")
        assert (found.address, found.description) == ("172.31.240.50", "网站")
        assert service.list_of(ctx, FloatingIp, q="name:portal").items == [found]
        with pytest.raises(Conflict):
            service.update_floating_ip(ctx, found, name="portal")
        with pytest.raises(Invalid) as caught:
            service.update_floating_ip(ctx, found, name="a/b")
        assert set(caught.value.fields) == {"name"}
        with pytest.raises(Invalid):
            service.update_floating_ip(ctx, found, description="x" * 201)
    do(lambda ctx: operations.undo(ctx, done.id))
    with asking() as ctx:
        assert service.get_floating_ip(ctx, "172.31.240.50").name == "门户"


def test_it_leads_to_the_address_that_was_chosen_of_a_port_with_several(
    do: Do, plugged: Plugged, asking: Asking, world: World, database: Database
) -> None:
    port = plugged("web")
    with database.write() as session:
        subnet = session.get_one(Subnet, port.subnet_id)
        addresses.take(session, subnet, "10.77.0.99", ("port", port.id))
        session.add(PortAddress(subnet_id=subnet.id, address="10.77.0.99", port_id=port.id))
    do(lambda ctx: service.allocate(ctx, "172.31.240.50"))

    def lead(address: str | None) -> Callable[[Context], Intent]:
        return lambda ctx: service.associate(
            ctx, service.get_floating_ip(ctx, "172.31.240.50"), service.get_port(ctx, port.id), address
        )

    do(lead("10.77.0.99"))
    assert leads_to(world) == {"172.31.240.50": "10.77.0.99"}
    with asking() as ctx:
        with pytest.raises(Conflict):
            lead("10.77.0.99")(ctx)
        with pytest.raises(Invalid) as caught:
            lead("10.77.0.100")(ctx)
        assert set(caught.value.fields) == {"address"}
    moved = do(lead(port.address))
    assert leads_to(world) == {"172.31.240.50": port.address}
    do(lambda ctx: operations.undo(ctx, moved.id))
    assert leads_to(world) == {"172.31.240.50": "10.77.0.99"}
    with database.write() as session:  # the address is taken off the port: nothing leads there any more
        session.execute(sa.delete(PortAddress).where(PortAddress.port_id == port.id))
    do(service.reconcile)
    assert leads_to(world) == {}


def test_a_cancelled_or_failed_move_leaves_it_where_it_was(
    do: Do, plugged: Plugged, asking: Asking, world: World, engine: Engine
) -> None:
    one, two = plugged("one"), plugged("two")
    do(lambda ctx: service.allocate(ctx, "172.31.240.50"))

    def lead(port: Port, *, move: bool = False) -> Callable[[Context], Intent]:
        return lambda ctx: service.associate(
            ctx, service.get_floating_ip(ctx, "172.31.240.50"), service.get_port(ctx, port.id), move=move
        )

    do(lead(one))
    with asking() as ctx:
        operations.cancel(ctx, operations.submit(ctx, lead(two, move=True)(ctx)).id)
    engine.drain()
    assert leads_to(world) == {"172.31.240.50": one.address}
    world.fail("apply_router")
    do(lead(two, move=True), state="failed")
    assert leads_to(world) == {"172.31.240.50": one.address}
    with asking() as ctx:
        assert service.get_floating_ip(ctx, "172.31.240.50").port_id == one.id


def test_a_port_has_one_floating_ip(do: Do, plugged: Plugged, asking: Asking) -> None:
    port = plugged("web", floating=True)
    do(lambda ctx: service.allocate(ctx, "172.31.240.50"))
    with asking() as ctx, pytest.raises(Conflict):
        service.associate(ctx, service.get_floating_ip(ctx, "172.31.240.50"), service.get_port(ctx, port.id))


class Race:
    """Two people who have looked, and then ask at the same moment, each in a transaction of his own."""

    def __init__(self, database: Database, settings: Settings, project: str) -> None:
        self.database, self.settings, self.project = database, settings, project
        self.looked = threading.Barrier(2)
        self.won: list[str] = []
        self.lost: list[Exception] = []

    def ask(self, make: Callable[[Context], Intent]) -> None:
        """Look, wait until the other has looked too, and submit."""
        try:
            with self.database.read() as session:
                plan = make(Context(actor=SYSTEM, session=session, settings=self.settings, project_id=self.project))
            self.looked.wait(30)
            with self.database.write() as session:
                ctx = Context(actor=SYSTEM, session=session, settings=self.settings, project_id=self.project)
                self.won.append(operations.submit(ctx, plan).id)
        except Exception as error:
            self.lost.append(error)

    def run(self, *asks: Callable[[Context], Intent]) -> None:
        """Both at once."""
        threads = [threading.Thread(target=self.ask, args=(a,)) for a in asks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)


@pytest.fixture
def race(database: Database, settings: Settings, projects: tuple[str, str]) -> Race:
    return Race(database, settings, projects[0])


def test_of_two_who_take_one_floating_ip_at_once_exactly_one_wins(
    do: Do, plugged: Plugged, race: Race, engine: Engine, world: World
) -> None:
    one, two = plugged("one"), plugged("two")
    do(lambda ctx: service.allocate(ctx, "172.31.240.50"))

    def lead(port: Port) -> Callable[[Context], Intent]:
        return lambda ctx: service.associate(
            ctx, service.get_floating_ip(ctx, "172.31.240.50"), service.get_port(ctx, port.id)
        )

    race.run(lead(one), lead(two))
    assert len(race.won) == 1
    assert [type(e) for e in race.lost] == [Conflict]
    assert "172.31.240.50" in str(race.lost[0])
    engine.drain()
    assert leads_to(world)["172.31.240.50"] in (one.address, two.address)


def test_of_two_who_allocate_one_address_at_once_exactly_one_wins(race: Race, asking: Asking) -> None:
    race.run(*[lambda ctx: service.allocate(ctx, "172.31.240.60")] * 2)
    assert len(race.won) == 1
    assert [type(e) for e in race.lost] == [Conflict]
    with asking() as ctx:
        assert service.get_floating_ip(ctx, "172.31.240.60").port_id is None


def test_two_who_allocate_any_address_at_once_get_two(race: Race, asking: Asking) -> None:
    race.run(service.allocate, service.allocate)
    assert (len(race.won), race.lost) == (2, [])
    with asking() as ctx:
        assert len({f.address for f in service.list_of(ctx, FloatingIp).items}) == 2
