"""Places of running machines: what is plugged in at once, what waits for the next start, and that both say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab, both
from tests.compute.test_pages import browser  # noqa: F401 (a fixture)
from tests.compute.test_tending import tend
from yun.compute import service
from yun.compute.definitions import definitions
from yun.compute.model import State
from yun.compute.service import Card, Place
from yun.compute.service.view import detail
from yun.operations.model import State as OperationState
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Attachment

MIB = 1 << 20
NOW = "It takes effect at once, while the instance runs."
FULL = "The running instance has no free place for one more device: it gets it at its next start."
OLD = "The running instance has no place for a card of this model: it gets it at its next start."


@pytest.fixture
def plugs(lab: Lab) -> Any:
    """An instance ``web`` that runs."""

    class Plugs:
        def add(self, bus: str = "virtio") -> str:
            return lab.do(service.add_disk, "web", size_bytes=MIB, place=Place(bus=bus))

        def effect(self, operation_id: str) -> str:
            done = lab.operation(operation_id)
            assert done.state == OperationState.SUCCEEDED, done.error
            return str(done.result["value"]["effect"])

        def says(self, verb: Any, *args: Any, **values: Any) -> list[str]:
            with lab.asking() as ctx:
                intent = verb(ctx, service.get(ctx, "web"), *args, **values)
                return [str(text) for text in intent.render("en", now=ctx.clock.now(), undo_days=7)["effects"]]

        def fill(self) -> int:
            count = int(lab.row().places["own"])
            for _n in range(count):
                assert self.effect(self.add()) == "live"
            return count

        def shown(self) -> dict[str, Any]:
            with lab.asking() as ctx:
                return detail(ctx, service.get(ctx, "web"))

        def live(self) -> set[str]:
            live = lab.domain().live
            return {*(d.slot for d in live.disks), *(n.mac for n in live.nics)} if live else set()

    lab.create()
    return Plugs()


@both
def test_what_a_full_machine_is_given_waits_for_its_next_start_as_the_preview_says(
    lab: Lab, plugs: Any, browser: Callable[..., TestClient]  # noqa: F811
) -> None:
    assert plugs.fill() > 5
    assert lab.row().places["own"] == 0
    assert FULL in plugs.says(service.add_disk, size_bytes=MIB)
    assert FULL in plugs.says(service.add_nic)
    disk, card = plugs.add(), lab.do(service.add_nic, "web")
    assert (plugs.effect(disk), plugs.effect(card)) == ("next", "next")
    item = plugs.shown()
    waits = [d["slot"] for d in item["disks"] if d["waits"]] + [p["mac"] for p in item["ports"] if p["waits"]]
    assert len(waits) == 2
    assert not plugs.live() & set(waits)
    page = browser()
    for tab in ("disks", "network"):
        assert page.get(f"/instances/{lab.row().id}/{tab}").text.count("from the next start on") == 1
    form = page.post(f"/instances/{lab.row().id}/disks/new/preview", data={"size_bytes": "1M", "bus": "virtio"})
    assert FULL in form.text
    with lab.asking() as ctx:
        told = definitions(ctx, service.get(ctx, "web"))
    assert all(name in told["next"] and name not in told["running"] for name in waits)
    lab.do(service.stop, "web")
    assert not [a for a in lab.rows(Attachment) if a.waits], "the next start has all"
    lab.do(service.start, "web")
    assert plugs.live() >= set(waits)
    assert not [d for d in plugs.shown()["disks"] if d["waits"]]


def test_scsi_takes_more_when_all_places_are_taken_and_sata_waits(lab: Lab, plugs: Any) -> None:
    plugs.fill()
    assert NOW in plugs.says(service.add_disk, size_bytes=MIB, place=Place(bus="scsi"))
    assert plugs.effect(plugs.add("scsi")) == "live"
    assert plugs.effect(plugs.add("sata")) == "next"
    assert [d["slot"] for d in plugs.shown()["disks"] if d["waits"]] == ["sdh"]


def test_a_card_of_an_old_model_waits_where_the_board_is_new(lab: Lab, plugs: Any) -> None:
    assert OLD in plugs.says(service.add_nic, Card(model="e1000"))
    assert NOW in plugs.says(service.add_nic, Card(model="e1000e"))
    added = lab.do(service.add_nic, "web", Card(model="e1000"))
    assert plugs.effect(added) == "next"
    lab.do(service.stop, "web")
    lab.do(service.start, "web")
    assert NOW in plugs.says(service.add_nic, Card(model="rtl8139")), "it began with one: there is a bridge for them"
    assert plugs.effect(lab.do(service.add_nic, "web", Card(model="rtl8139"))) == "live"


def test_a_place_that_comes_free_is_used_again_and_counted(lab: Lab, plugs: Any) -> None:
    plugs.fill()
    with lab.asking() as ctx:
        submit(ctx, service.detach(ctx, storage.get_volume(ctx, "web-vdb")))
    lab.drain()
    assert lab.row().places["own"] == 1
    assert NOW in plugs.says(service.add_disk, size_bytes=MIB)
    added = plugs.add()
    assert plugs.effect(added) == "live"
    lab.undo(added)
    assert lab.row().places["own"] == 1


def test_of_two_that_are_asked_for_at_once_the_second_is_told_that_the_last_place_is_gone(
    lab: Lab, plugs: Any
) -> None:
    plugs.fill()
    with lab.asking() as ctx:
        submit(ctx, service.detach(ctx, storage.get_volume(ctx, "web-vdb")))
    lab.drain()
    with lab.asking() as ctx:
        row = service.get(ctx, "web")
        first = submit(ctx, service.add_disk(ctx, row, size_bytes=MIB, name="first")).id
        assert FULL in plugs_of(ctx, service.add_disk(ctx, row, size_bytes=MIB, name="second"))
        second = submit(ctx, service.add_disk(ctx, row, size_bytes=MIB, name="second")).id
    lab.drain()
    assert (plugs.effect(first), plugs.effect(second)) == ("live", "next")


def plugs_of(ctx: Any, intent: Any) -> list[str]:
    """The effects that an intent foresees."""
    return list(intent.render("en", now=ctx.clock.now(), undo_days=7)["effects"])


def test_a_waiting_disk_and_a_waiting_card_are_taken_out_again_without_asking_the_guest(lab: Lab, plugs: Any) -> None:
    plugs.fill()
    added, carded = plugs.add(), lab.do(service.add_nic, "web")
    volume_id = lab.operation(added).result["value"]["volume_id"]
    port_id = lab.operation(carded).result["value"]["port_id"]
    lab.world.guest(lab.row().uuid, keeps_disks=True, keeps_nics=True)
    never = "The running instance never got it: its guest is not asked."
    with lab.asking() as ctx:
        intent = service.detach(ctx, storage.get_volume(ctx, volume_id))
        assert never in plugs_of(ctx, intent)
        detached = submit(ctx, intent).id
    lab.drain()
    assert never in plugs.says(service.remove_nic, port_id)
    assert plugs.effect(detached) == "next"
    lab.undo(detached)
    assert [d["volume_id"] for d in plugs.shown()["disks"] if d["waits"]] == [volume_id], "it waits again"
    assert plugs.effect(lab.do(service.remove_nic, "web", port_id)) == "next"


def test_a_machine_that_somebody_else_started_or_that_crashed_is_counted_anew(lab: Lab, plugs: Any) -> None:
    plugs.fill()
    plugs.add()
    lab.world.crash(lab.row().uuid)
    tend(lab)
    row = lab.row()
    assert row.state == State.RUNNING, "it was brought back"
    assert row.places["own"] == 0
    assert not [a for a in lab.rows(Attachment) if a.waits]
    assert row.running_hardware.get("firmware") == "bios"


def test_a_machine_of_an_older_cloud_whose_places_nobody_counted_is_looked_at_when_it_is_plugged(
    lab: Lab, plugs: Any
) -> None:
    plugs.fill()
    with lab.database.write() as session:
        session.get_one(type(lab.row()), lab.row().id).places = {}
    assert NOW in plugs.says(service.add_disk, size_bytes=MIB), "nobody knows better yet"
    assert plugs.effect(plugs.add()) == "next"
    assert FULL in plugs.says(service.add_disk, size_bytes=MIB)
