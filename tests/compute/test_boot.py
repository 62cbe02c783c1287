"""From what instances boot: an order of their own, and once from another device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.compute.conftest import Lab, both
from yun.base.errors import Conflict, DriverError, Invalid
from yun.compute import service
from yun.images import service as images
from yun.operations.intent import Intent
from yun.operations.model import State as OperationState
from yun.operations.service import submit

CD = "debian-12-installer"


def ask(lab: Lab, verb: Callable[..., Intent], *args: Any, locale: str = "en", **values: Any) -> dict[str, Any]:
    """What the verb would do, as a person reads it."""
    with lab.asking(locale=locale) as ctx:
        return verb(ctx, service.get(ctx, "web"), *args, **values).render(locale, now=ctx.clock.now(), undo_days=7)


def insert(lab: Lab, **values: Any) -> str:
    with lab.asking() as ctx:
        identifier = submit(ctx, service.insert(ctx, service.get(ctx, "web"), images.get(ctx, CD), **values)).id
    lab.drain()
    return identifier


def view(lab: Lab, name: str = "web") -> dict[str, Any]:
    with lab.asking() as ctx:
        return service.boot_view(ctx, service.get(ctx, name))


def names(lab: Lab, name: str = "web") -> list[str]:
    return [d["name"] for d in view(lab, name)["order"]]


def card(lab: Lab, name: str = "web") -> str:
    return str(lab.domain(name).spec.nics[0].mac)


@both
def test_an_order_counts_from_the_next_start_and_waits_until_then(lab: Lab) -> None:
    lab.create()
    insert(lab, bus="scsi")
    mac = card(lab)
    assert names(lab) == ["vda"]
    changed = lab.do(service.boot_order, "web", ["cd", "disk", mac.upper()])
    assert names(lab) == ["sdb", "vda", mac]
    assert lab.domain().restarts_from == ("vda",)
    with lab.asking() as ctx:
        row = service.get(ctx, "web")
        (waits,) = service.waiting_words(ctx, row)
        assert (waits["now"], waits["next"]) == ("vda", f"sdb, vda, {mac}")
        whole = service.detail(ctx, row)
        turns = {d["slot"]: d["turn"] for d in [*whole["disks"], *whole["drives"]]}
        assert turns == {"vda": 2, "sdb": 1}
    lab.do(service.reboot, "web", hard=True)
    assert lab.domain().boots_from[-1] == ("sdb", "vda", mac)
    with lab.asking() as ctx:
        assert service.waiting_words(ctx, service.get(ctx, "web")) == []
    lab.undo(changed)
    assert names(lab) == ["vda"]
    lab.do(service.reboot, "web", hard=True)
    assert lab.domain().boots_from[-1] == ("vda",)


def test_an_order_that_waits_can_be_dropped_with_all_else(lab: Lab) -> None:
    lab.create()
    lab.do(service.boot_order, "web", ["network"])
    lab.do(service.configure, "web", clock="localtime")
    dropped = lab.do(service.drop_pending, "web")
    assert (names(lab), lab.row().hardware) == (["vda"], {})
    lab.undo(dropped)
    assert (names(lab), lab.row().hardware) == ([card(lab)], {"clock": "localtime"})


@both
def test_once_from_a_cd_is_used_up_by_one_start_and_no_restart_of_the_guest_repeats_it(lab: Lab) -> None:
    lab.create(start=False)
    insert(lab, bus="scsi", boot_once=True)
    assert view(lab)["once"]["name"] == "sdb"
    assert [d.boot_order for d in lab.domain().spec.disks if d.slot == "sdb"] == [None], "not before it starts"
    started = lab.do(service.start, "web")
    assert lab.domain().boots_from == [("sdb", "vda")]
    assert (view(lab)["once"], names(lab)) == (None, ["vda"])
    assert [d.boot_order for d in lab.domain().spec.disks if d.slot == "sdb"] == [None]
    assert lab.domain().restarts_from == ("vda",), "an installer that has ended restarts into what it installed"
    lab.undo(started)
    assert view(lab)["once"]["name"] == "sdb", "that start never was"
    lab.do(service.start, "web")
    lab.do(service.reboot, "web", hard=True)
    assert lab.domain().boots_from[-2:] == [("sdb", "vda"), ("vda",)]


def test_a_start_that_fails_leaves_it_waiting(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.boot_once, "web", "network")
    lab.world.fail("start", times=1, retryable=False)
    failed = lab.do(service.start, "web")
    assert lab.operation(failed).state != OperationState.SUCCEEDED
    assert view(lab)["once"]["kind"] == "network"
    assert [n.boot_order for n in lab.domain().spec.nics] == [None]
    lab.do(service.start, "web")
    assert lab.domain().boots_from == [(card(lab), "vda")]


def test_a_start_whose_answer_is_lost_boots_from_it_once(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.boot_once, "web", "network")
    for method in ("start", "restart_as_defined"):
        lab.world.fail(method, times=1, after=True)
    started = lab.do(service.start, "web")
    assert lab.operation(started).state == OperationState.SUCCEEDED
    assert lab.domain().boots_from == [(card(lab), "vda")]
    assert (view(lab)["once"], lab.domain().restarts_from) == (None, ("vda",))


def test_one_that_crashed_is_brought_back_from_it_and_only_once(lab: Lab) -> None:
    lab.create()
    lab.do(service.boot_once, "web", "network")
    for _time in range(2):
        lab.world.crash(lab.row().uuid)
        lab.do(service.tend, "web")
    assert lab.domain().boots_from[1:] == [(card(lab), "vda"), ("vda",)]


def test_it_can_be_dropped_before(lab: Lab) -> None:
    lab.create()
    lab.do(service.boot_once, "web", "network")
    with lab.asking() as ctx, pytest.raises(Conflict):
        service.boot_once(ctx, service.get(ctx, "web"), card(lab))
    dropped = lab.do(service.boot_once, "web", "")
    assert view(lab)["once"] is None
    lab.undo(dropped)
    assert view(lab)["once"]["kind"] == "network"
    with lab.asking() as ctx, pytest.raises(Invalid) as caught:
        service.boot_once(ctx, service.get(ctx, "web"), "sdz")
    assert "vda" in str(caught.value.fields["device"].render("en"))


def test_a_device_that_is_gone_is_neither_tried_nor_shown(lab: Lab) -> None:
    lab.create(start=False)
    insert(lab, bus="scsi")
    lab.do(service.boot_order, "web", ["cd", "disk"])
    lab.do(service.boot_once, "web", "cd")
    ejected = lab.do(service.eject, "web", slot="sdb", remove=True)
    assert (names(lab), view(lab)["once"]) == (["vda"], None)
    lab.undo(ejected)
    assert (names(lab), view(lab)["once"]["name"]) == (["sdb", "vda"], "sdb")
    lab.do(service.eject, "web", slot="sdb", remove=True)
    lab.do(service.start, "web")
    assert lab.domain().boots_from == [("vda",)]
    assert lab.row().boot_once == ""


def test_a_copy_boots_as_its_source_from_devices_of_its_own(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.boot_order, "web", ["network", "disk"])
    lab.do(service.boot_once, "web", "disk")
    lab.do(service.clone, "web", service.CloneWish(name="copy"))
    assert names(lab, "copy") == [card(lab, "copy"), "vda"]
    assert (view(lab, "copy")["once"], view(lab)["once"]["name"]) == (None, "vda")
    assert card(lab, "copy") != card(lab)


@pytest.mark.parametrize(
    ("order", "error"),
    [(["vda", "disk"], Invalid), (["floppy"], Invalid), ([], Conflict)],
)
def test_what_cannot_be_an_order_is_refused(lab: Lab, order: list[str], error: type[Exception]) -> None:
    lab.create(start=False)
    with lab.asking() as ctx, pytest.raises(error):
        service.boot_order(ctx, service.get(ctx, "web"), order)
    assert names(lab) == ["vda"]


def test_the_preview_says_when_and_what_is_never_tried(lab: Lab) -> None:
    lab.create()
    plan = ask(lab, service.boot_order, ["network"])
    assert any("Never tried: vda" in text for text in plan["effects"])
    assert any("next start" in text for text in plan["effects"])
    assert any("PXE" in text for text in plan["depends"])


def test_the_daemon_of_a_machine_that_is_off_is_not_asked_what_a_restart_tries(lab: Lab) -> None:
    lab.create(start=False)
    hypervisor = lab.cloud.drivers.on(lab.row().host_id).hypervisor
    with pytest.raises(DriverError):
        hypervisor.restart_as_defined(lab.row().uuid)
