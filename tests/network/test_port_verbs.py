"""Ports as things of their own: made, changed, deleted; several addresses, further senders, limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.context import Actor
from yun.base.db import Database
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.drivers.network.fake import World
from yun.drivers.network.port import RateSpec
from yun.network import rates, service
from yun.network.model import Network, Port, PortAddress, Reservation
from yun.network.service import NewPort, PortChanges
from yun.operations import service as operations

pytestmark = pytest.mark.usefixtures("cloud")
Plugged = Callable[..., Port]


def made(do: Do, database: Database, **wish: Any) -> Port:
    changes = PortChanges(**{k: wish.pop(k) for k in list(wish) if k in service.PORT_NUMBERS or k == "name"})
    done = do(lambda ctx: service.create_port(ctx, NewPort(**wish, changes=changes)))
    with database.read() as session:
        return session.get_one(Port, done.subject_id)


def owned(database: Database, port_id: str) -> list[int]:
    with database.read() as session:
        query = sa.select(Reservation.place).where(Reservation.owner_id == port_id).order_by(Reservation.place)
        return list(session.scalars(query))


def test_a_port_of_its_own_keeps_addresses_and_mac_and_the_engine_knows_nothing_of_it(
    do: Do, database: Database, world: World
) -> None:
    port = made(do, database, addresses=["10.77.0.50", "10.77.0.51"], mac="52-54-00-AA-BB-01", name="vip")
    assert (port.address, port.mac, port.instance_id, port.state) == ("10.77.0.50", "52:54:00:aa:bb:01", None, "down")
    assert owned(database, port.id) == [50, 51]
    assert port.id not in world.ports


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"addresses": ["10.99.0.1"]}, "address"), ({"addresses": ["10.77.0.50", "nonsense"]}, "address"),
        ({"mac": "ff:ff:ff:ff:ff:ff"}, "mac"), ({"hostname": "a_b"}, "hostname"),
        ({"changes": PortChanges(ingress_kbps=99)}, "ingress_kbps"), ({"changes": PortChanges(dscp=64)}, "dscp"),
        ({"changes": PortChanges(egress_burst_kbit=5)}, "egress_burst_kbit"),
        ({"changes": PortChanges(allowed_pairs=[{"cidr": "x"}])}, "allowed_pairs"),
        ({"changes": PortChanges(allowed_pairs=[{"cidr": "10.0.0.1", "mac": "01:00:5e:00:00:01"}])}, "allowed_pairs"),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_is_refused_by_its_field(asking: Asking, wish: dict[str, Any], field: str) -> None:
    with asking() as ctx, pytest.raises(Invalid) as caught:
        service.create_port(ctx, NewPort(**wish))
    assert set(caught.value.fields) == {field}


def test_an_address_or_mac_that_somebody_has_is_refused(asking: Asking, do: Do, database: Database) -> None:
    port = made(do, database, addresses=["10.77.0.50"])
    with asking() as ctx:
        for wish in ({"addresses": ["10.77.0.60", "10.77.0.50"]}, {"mac": port.mac}):
            with pytest.raises(Conflict):
                service.create_port(ctx, NewPort(**wish))  # type: ignore[arg-type]


def test_limits_senders_and_marks_reach_the_engine_at_once(plugged: Plugged, do: Do, world: World) -> None:
    port = plugged()
    pairs = [{"cidr": "10.77.0.100"}, {"cidr": "10.77.0.128/25", "mac": "00:00:5E:00:01:07"}]
    changes = PortChanges(ingress_kbps=10_000, egress_kbps=1000, egress_burst_kbit=77, dscp=46, allowed_pairs=pairs)
    done = do(lambda ctx: service.update_port(ctx, service.get_port(ctx, port.id), changes))
    spec = world.ports[port.id]
    assert (spec.ingress, spec.egress, spec.dscp) == (RateSpec(10_000, 4000), RateSpec(1000, 77), 46)
    assert spec.pairs == (("", "10.77.0.100"), ("00:00:5e:00:01:07", "10.77.0.128/25"))
    do(lambda ctx: operations.undo(ctx, done.id))
    spec = world.ports[port.id]
    assert (spec.ingress, spec.egress, spec.dscp, spec.pairs) == (None, None, None, ())
    do(lambda ctx: service.update_port(ctx, service.get_port(ctx, port.id), PortChanges(port_security=False)))
    assert world.ports[port.id].port_security is False


def test_zero_takes_a_limit_away_and_nothing_new_is_told(
    plugged: Plugged, do: Do, world: World, asking: Asking
) -> None:
    port = plugged()
    do(lambda ctx: service.update_port(ctx, service.get_port(ctx, port.id), PortChanges(ingress_kbps=5000)))
    do(lambda ctx: service.update_port(ctx, service.get_port(ctx, port.id), PortChanges(ingress_kbps=0)))
    assert world.ports[port.id].ingress is None
    with asking() as ctx, pytest.raises(Conflict):
        service.update_port(ctx, service.get_port(ctx, port.id), PortChanges(ingress_kbps=0, name=""))


def test_an_instances_card_keeps_mac_and_first_address_here(plugged: Plugged, asking: Asking) -> None:
    port = plugged()
    with asking() as ctx:
        found = service.get_port(ctx, port.id)
        for changes in (PortChanges(mac="52:54:00:00:00:09"), PortChanges(address="10.77.0.99")):
            with pytest.raises(Conflict):
                service.update_port(ctx, found, changes)
        with pytest.raises(Conflict):
            service.delete_port(ctx, found)


def test_another_first_address_leaves_the_others(do: Do, database: Database) -> None:
    port = made(do, database, addresses=["10.77.0.50", "10.77.0.51"])
    done = do(lambda ctx: service.update_port(ctx, service.get_port(ctx, port.id), PortChanges(address="10.77.0.60")))
    assert owned(database, port.id) == [51, 60]
    do(lambda ctx: operations.undo(ctx, done.id))
    assert owned(database, port.id) == [50, 51]


def test_addresses_come_and_go_and_the_engine_follows(plugged: Plugged, do: Do, world: World, asking: Asking) -> None:
    port = plugged()
    first = port.address
    more = do(lambda ctx: service.add_address(ctx, service.get_port(ctx, port.id), "10.77.0.90"))
    assert world.ports[port.id].addresses == (first, "10.77.0.90")
    gone = do(lambda ctx: service.remove_address(ctx, service.get_port(ctx, port.id), "10.77.0.90"))
    assert world.ports[port.id].addresses == (first,)
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert world.ports[port.id].addresses == (first, "10.77.0.90")
    with asking() as ctx:
        with pytest.raises(Conflict):
            service.remove_address(ctx, service.get_port(ctx, port.id), first)
        with pytest.raises(Invalid):
            service.remove_address(ctx, service.get_port(ctx, port.id), "10.77.0.91")
    do(lambda ctx: operations.undo(ctx, more.id))
    assert world.ports[port.id].addresses == (first,)


def test_an_address_that_was_taken_meanwhile_does_not_come_back(do: Do, database: Database, plugged: Plugged) -> None:
    port = plugged()
    do(lambda ctx: service.add_address(ctx, service.get_port(ctx, port.id), "10.77.0.90"))
    gone = do(lambda ctx: service.remove_address(ctx, service.get_port(ctx, port.id), "10.77.0.90"))
    other = made(do, database, addresses=["10.77.0.90"])
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert owned(database, other.id) == [90]
    with database.read() as session:
        assert session.scalars(sa.select(PortAddress).where(PortAddress.port_id == port.id)).all() == []


def test_a_deleted_port_keeps_what_it_had_and_comes_back(do: Do, database: Database, asking: Asking) -> None:
    port = made(do, database, addresses=["10.77.0.50", "10.77.0.51"])
    done = do(lambda ctx: service.delete_port(ctx, service.get_port(ctx, port.id)))
    assert owned(database, port.id) == [50, 51]
    with asking() as ctx, pytest.raises(Conflict):
        service.create_port(ctx, NewPort(addresses=["10.77.0.51"]))
    do(lambda ctx: operations.undo(ctx, done.id))
    with database.read() as session:
        assert session.get_one(Port, port.id).state == "down"


def test_undoing_a_creation_frees_everything(do: Do, database: Database) -> None:
    done = do(lambda ctx: service.create_port(ctx, NewPort(addresses=["10.77.0.50", "10.77.0.51"])))
    do(lambda ctx: operations.undo(ctx, done.id))
    assert owned(database, done.subject_id) == []
    with database.read() as session:
        assert session.get(Port, done.subject_id) is None


def test_in_a_network_of_others_nobody_speaks_as_others(
    do: Do, database: Database, asking: Asking, projects: tuple[str, str]
) -> None:
    port = made(do, database)
    with database.write() as session:
        theirs = session.get_one(Network, port.network_id)
        theirs.project_id, theirs.name = projects[1], "theirs"
    member = Actor("user", "usr_1", "li", {projects[0]: "member"})
    with asking(actor=member) as ctx:
        row = ctx.session.get_one(Port, port.id)
        for changes in (PortChanges(port_security=False), PortChanges(allowed_pairs=[{"cidr": "10.77.0.9"}])):
            with pytest.raises(Forbidden):
                service.update_port(ctx, row, changes)
        assert service.update_port(ctx, row, PortChanges(name="mine")).kind == "port.update"


def test_ports_made_one_after_the_other_are_taken_back_in_any_order(do: Do, database: Database) -> None:
    one, two = (do(lambda ctx: service.create_port(ctx, NewPort())) for _n in range(2))
    more = do(lambda ctx: service.add_address(ctx, service.get_port(ctx, str(two.subject_id))))
    do(lambda ctx: operations.undo(ctx, one.id))
    do(lambda ctx: operations.undo(ctx, more.id))
    do(lambda ctx: operations.undo(ctx, two.id))
    assert owned(database, two.subject_id) == owned(database, one.subject_id) == []


def test_the_burst_of_a_limit_grows_with_it() -> None:
    assert [rates.burst_for(k) for k in (100, 10_000, 1_000_000)] == [1000, 4000, 400_000]


def test_a_port_is_found_by_any_of_its_addresses(do: Do, database: Database, asking: Asking) -> None:
    port = made(do, database, addresses=["10.77.0.50", "10.77.0.61"], name="vip")
    with asking() as ctx:
        assert service.get_port(ctx, "10.77.0.61").id == port.id
        for query in ("address:10.77.0.61", "address:10.77.0.5 name:vip"):
            assert [p.id for p in service.list_of(ctx, Port, q=query).items] == [port.id]
