"""Network cards of instances: added, changed and removed while they run, with what leads to them."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab, both
from yun.base.errors import Conflict, Invalid, NoCapacity
from yun.compute import service
from yun.compute.model import Instance
from yun.compute.service import Card
from yun.network import service as network
from yun.network.model import FloatingIp, PhysicalNetwork, Port, Reservation
from yun.operations.model import State as OperationState
from yun.operations.service import submit

NEW = network.NewNetwork(name="back", subnet=network.NewSubnet(cidr="10.66.0.0/24"))


@pytest.fixture
def cards(lab: Lab) -> Any:
    """An instance ``web`` that runs, and a second network ``back``."""

    class Cards:
        def of(self) -> list[Port]:
            row = lab.row("web")
            with lab.database.read() as session:
                return network.ports_of(session, row.id)

        def live(self) -> dict[str, Any]:
            domain = lab.domain("web")
            return {n.mac: n for n in domain.live.nics} if domain.live else {}

        def defined(self) -> list[str]:
            return [n.mac for n in lab.domain("web").spec.nics]

        def engine(self) -> dict[str, Any]:
            return lab.cloud.drivers.network.world.ports  # type: ignore[attr-defined]

        def preview(self, verb: Any, *args: Any) -> dict[str, Any]:
            with lab.asking() as ctx:
                return verb(ctx, service.get(ctx, "web"), *args).render("en", now=ctx.clock.now(), undo_days=7)

    lab.create(floating_ip=True)
    with lab.asking() as ctx:
        submit(ctx, network.create_network(ctx, NEW))
    lab.drain()
    return Cards()


@both
def test_a_card_comes_and_goes_while_the_instance_runs(lab: Lab, cards: Any) -> None:
    wish = Card(network="back", address="10.66.0.77", mac="52-54-00-AB-CD-EF")
    done = lab.operation(lab.do(service.add_nic, "web", wish))
    assert done.state == OperationState.SUCCEEDED, done.error
    assert done.result["value"]["effect"] == "live"
    port = cards.of()[1]
    assert (port.address, port.mac, port.device_index) == ("10.66.0.77", "52:54:00:ab:cd:ef", 1)
    assert port.mac in cards.live()
    assert port.mac in cards.defined()
    assert cards.engine()[port.id].addresses == ("10.66.0.77",)

    removed = lab.do(service.remove_nic, "web", "10.66.0.77")
    assert lab.operation(removed).result["value"]["effect"] == "live"
    assert port.mac not in [*cards.live(), *cards.defined()]
    assert port.id not in cards.engine()
    assert len(cards.of()) == 1
    with pytest.raises(Conflict) as caught, lab.asking() as ctx:
        service.add_nic(ctx, service.get(ctx, "web"), Card(network="back", address="10.66.0.77"))
    assert "address" in caught.value.fields, "it stays reserved as long as the removal can be undone"
    with pytest.raises(Conflict) as caught, lab.asking() as ctx:
        service.add_nic(ctx, service.get(ctx, "web"), Card(network="back", mac=port.mac))
    assert "mac" in caught.value.fields

    lab.undo(removed)
    assert port.mac in cards.live()
    assert [p.address for p in cards.of()][1] == "10.66.0.77"
    assert port.id in cards.engine()


def test_what_a_card_cannot_be_is_said_by_field(lab: Lab, cards: Any) -> None:
    for wrong, field in (
        (Card(model="ne2000"), "model"), (Card(mac="53:54:00:00:00:01"), "mac"), (Card(mac="xyz"), "mac"),
        (Card(network="back", address="10.1.1.1"), "address"), (Card(network="external"), "network"),
    ):  # fmt: skip
        with pytest.raises(Invalid) as caught, lab.asking() as ctx:
            service.add_nic(ctx, service.get(ctx, "web"), wrong)
        assert field in caught.value.fields, wrong
    with pytest.raises(Invalid) as caught, lab.asking() as ctx:
        service.remove_nic(ctx, service.get(ctx, "web"), "10.9.9.9")
    assert "card" in caught.value.fields


def test_the_last_card_goes_with_its_floating_ip_let_go_of_and_the_screen_stays(lab: Lab, cards: Any) -> None:
    port = cards.of()[0]
    floating = lab.rows(FloatingIp)[0]
    said = " ".join(cards.preview(service.remove_nic, port.mac)["effects"])
    assert floating.address in said
    assert "last card" in said
    with lab.cloud.drivers.on(lab.row().host_id).hypervisor.open_graphics(lab.row().uuid) as screen:
        removed = lab.do(service.remove_nic, "web", port.mac)
        assert lab.operation(removed).state == OperationState.SUCCEEDED, lab.operation(removed).error
        assert cards.live() == {}
        assert screen.recv(3) == b"RFB"
    assert lab.rows(FloatingIp)[0].port_id is None
    lab.do(service.reboot, "web", hard=True)
    assert cards.live() == {}
    lab.undo(removed)
    assert lab.rows(FloatingIp)[0].port_id == port.id
    assert port.mac in cards.live()


def test_a_card_moves_to_another_network_and_its_cable_is_pulled_live(lab: Lab, cards: Any) -> None:
    port = cards.of()[0]
    moved = lab.do(service.change_nic, "web", port.id, Card(network="back", model="e1000", link_up=False, groups=[]))
    assert lab.operation(moved).state == OperationState.SUCCEEDED, lab.operation(moved).error
    now = cards.of()[0]
    assert (now.id, now.mac) == (port.id, port.mac)
    assert now.address.startswith("10.66.0.")
    assert cards.engine()[port.id].addresses == (now.address,)
    assert cards.engine()[port.id].groups == ()
    live = cards.live()[port.mac]
    assert (live.model, live.link_up) == ("virtio", False), "another model waits for the next start"
    assert lab.domain("web").spec.nics[0].model == "e1000"
    assert lab.rows(FloatingIp)[0].port_id is None
    lab.undo(moved)
    assert cards.of()[0].address == port.address
    assert cards.live()[port.mac].link_up
    assert lab.rows(FloatingIp)[0].port_id == port.id


def test_undo_of_a_move_takes_another_address_where_the_old_one_is_taken(lab: Lab, cards: Any) -> None:
    port = cards.of()[0]
    moved = lab.do(service.change_nic, "web", port.id, Card(network="back"))
    lab.create("other", address=port.address)
    lab.undo(moved)
    now = cards.of()[0]
    assert now.network_id == port.network_id
    assert now.address != port.address
    assert len(lab.rows(Reservation)) == len({(r.subnet_id, r.place) for r in lab.rows(Reservation)})


def test_a_mac_changes_only_while_the_instance_is_off(lab: Lab, cards: Any) -> None:
    port = cards.of()[0]
    with pytest.raises(Conflict) as caught, lab.asking() as ctx:
        service.change_nic(ctx, service.get(ctx, "web"), port.id, Card(mac="52:54:00:00:00:42"))
    assert caught.value.hint is not None
    lab.do(service.stop, "web", force=True)
    changed = lab.do(service.change_nic, "web", port.id, Card(mac="52:54:00:00:00:42"))
    assert cards.defined() == ["52:54:00:00:00:42"]
    assert cards.engine()[port.id].mac == "52:54:00:00:00:42"
    lab.undo(changed)
    assert cards.defined() == [port.mac]
    with pytest.raises(Conflict), lab.asking() as ctx:
        service.change_nic(ctx, service.get(ctx, "web"), port.id, Card(model="virtio"))


def test_a_guest_that_keeps_its_card_keeps_it(lab: Lab, cards: Any) -> None:
    port = cards.of()[0]
    lab.world.guest(lab.row().uuid, keeps_nics=True)
    refused = lab.operation(lab.do(service.remove_nic, "web", port.id, timeout=1))
    assert refused.state == OperationState.FAILED
    assert refused.error is not None
    assert port.mac in cards.live()
    assert port.mac in cards.defined()
    assert port.id in cards.engine()
    assert lab.rows(FloatingIp)[0].port_id == port.id


def test_the_seed_tells_the_guest_of_every_card(lab: Lab, cards: Any) -> None:
    world = lab.cloud.drivers.on(lab.row().host_id).volume.world  # type: ignore[attr-defined]
    seeds = lambda: sorted(repr(f) for path, f in world.files.items() if "seed" in path)  # noqa: E731
    before = seeds()
    added = lab.do(service.add_nic, "web", Card(network="back"))
    assert seeds() != before
    lab.undo(added)
    assert seeds() == before


def test_a_removed_card_is_forgotten_when_its_removal_cannot_be_undone_any_more(lab: Lab, cards: Any) -> None:
    from datetime import timedelta

    from yun.network import cards as steps

    port = cards.of()[0]
    removed = lab.do(service.remove_nic, "web", port.id)
    with lab.database.write() as session:
        trashed = session.get_one(Port, port.id)
        assert trashed.trashed_at is not None
        assert steps.forget_old(session, trashed.trashed_at - timedelta(seconds=1)) == 0
        assert steps.forget_old(session, trashed.trashed_at + timedelta(seconds=1)) == 1
    assert not lab.operation(removed).undoable
    with lab.database.read() as session:
        assert session.scalar(sa.select(Reservation).where(Reservation.owner_id == port.id)) is None
        assert session.scalar(sa.select(Instance.state)) == "running"


@both
def test_a_port_that_was_there_becomes_a_card_and_stays_when_it_is_taken_out(lab: Lab, cards: Any) -> None:
    named = network.PortChanges(name="p")
    wish = network.NewPort(network="back", addresses=["10.66.0.50", "10.66.0.51"], changes=named)
    with lab.asking() as ctx:
        made = submit(ctx, network.create_port(ctx, wish)).subject_id
    lab.drain()
    done = lab.operation(lab.do(service.add_nic, "web", Card(port="p")))
    assert done.result["value"] == {
        "instance_id": lab.row().id, "port_id": made, "address": "10.66.0.50", "effect": "live",
    }  # fmt: skip
    port = cards.of()[1]
    assert (port.hostname, port.mac in cards.live(), port.mac in cards.defined()) == ("web", True, True)
    assert cards.engine()[made].addresses == ("10.66.0.50", "10.66.0.51")
    for again in (lambda ctx: network.delete_port(ctx, network.get_port(ctx, made)),
                  lambda ctx: service.add_nic(ctx, service.get(ctx, "web"), Card(port=made))):  # fmt: skip
        with pytest.raises(Conflict), lab.asking() as ctx:
            again(ctx)

    taken = lab.do(service.remove_nic, "web", "10.66.0.50", keep_port=True)
    assert port.mac not in [*cards.live(), *cards.defined()]
    assert made not in cards.engine()
    with lab.asking() as ctx:
        kept = network.get_port(ctx, made)
        assert (kept.instance_id, kept.state, kept.hostname, kept.host_id) == (None, "down", "", None)
        assert network.delete_port(ctx, kept).kind == "port.delete"
    lab.undo(taken)
    assert port.mac in cards.live()
    assert made in cards.engine()


def test_a_port_brings_its_own_and_another_projects_is_not_taken(lab: Lab, cards: Any) -> None:
    with lab.asking() as ctx:
        submit(ctx, network.create_port(ctx, network.NewPort(network="back", changes=network.PortChanges(name="p"))))
    lab.drain()
    wish = Card(port="p", network="back", groups=[])
    with pytest.raises(Invalid) as caught, lab.asking() as ctx:
        service.add_nic(ctx, service.get(ctx, "web"), wish)
    assert set(caught.value.fields) == {"network", "security_groups"}


def test_a_machine_on_a_physical_network_runs_only_where_its_host_reaches_it(lab: Lab, cards: Any) -> None:
    on_lan = network.NewNetwork("lan", subnet=network.NewSubnet("192.0.2.0/24"), physical="lan")
    wish = service.Wish(name="new", image="tiny", flavor="tiny", network="lan")
    with lab.asking() as ctx:
        submit(ctx, network.create_physical(ctx, network.NewPhysical("lan", "br-lan")))
    lab.drain()
    with lab.asking() as ctx:
        submit(ctx, network.create_network(ctx, on_lan))
    lab.drain()
    with lab.asking() as ctx:
        assert service.create(ctx, wish)
        ctx.session.get_one(PhysicalNetwork, network.get_physical(ctx, "lan").id).host_id = "hst_elsewhere"
    with lab.asking() as ctx:
        with pytest.raises(NoCapacity) as caught:
            service.create(ctx, wish)
        assert "it does not reach the physical network lan" in caught.value.message.render("en")
        with pytest.raises(Conflict) as refused:
            service.add_nic(ctx, service.get(ctx, "web"), Card(network="lan"))
        assert "physical network lan" in refused.value.message.render("en")
        assert "network" in refused.value.fields
        assert service.add_nic(ctx, service.get(ctx, "web"), Card(network="back"))
