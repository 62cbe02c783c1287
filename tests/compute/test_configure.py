"""Hardware: what takes effect at once, what waits for the next start, what wants a machine that is off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab, both
from tests.compute.test_pages import browser  # noqa: F401 (a fixture)
from tests.compute.test_tending import reboot_host, tend
from yun.base.errors import Conflict, Invalid
from yun.compute import hardware as parts
from yun.compute import service
from yun.hosts.model import Host
from yun.images import service as images
from yun.operations.model import State as OperationState


def waiting(lab: Lab) -> dict[str, tuple[Any, Any]]:
    with lab.asking() as ctx:
        found = service.detail(ctx, service.get(ctx, "web"))["pending"]
    return {entry["field"]: (entry["now"], entry["next"]) for entry in found}


@both
def test_a_stopped_machine_starts_with_its_new_hardware(lab: Lab) -> None:
    lab.create(start=False, memory_mib=256)
    lab.do(service.configure, "web", display="both", firmware="uefi", machine="q35", tpm=True, serial_ports=2)
    assert lab.row().hardware == {"display": "both", "tpm": True, "serial_ports": 2}
    lab.do(service.start, "web")
    live = lab.domain().live
    assert (live.board.display, live.firmware, live.board.tpm, live.board.serial_ports) == ("both", "uefi", True, 2)
    assert waiting(lab) == {}


@both
def test_what_runs_keeps_its_hardware_until_its_next_start_and_says_so(lab: Lab) -> None:
    lab.create()
    lab.do(service.configure, "web", video="virtio", watchdog="i6300esb")
    assert waiting(lab) == {"video": ("vga", "virtio"), "watchdog": ("", "i6300esb")}
    assert (lab.domain().live.board.video, lab.domain().spec.board.video) == ("vga", "virtio")
    lab.do(service.reboot, "web", hard=True)
    assert (waiting(lab), lab.domain().live.board.video) == ({}, "virtio")


def test_what_waits_can_be_dropped_size_and_all_and_undo_lets_it_wait_again(lab: Lab) -> None:
    lab.create()
    old = lab.row().memory_mib
    lab.do(service.configure, "web", video="virtio")
    lab.do(service.resize, "web", vcpus=2, memory_mib=old * 2)
    before = waiting(lab)
    assert set(before) == {"video", "vcpus", "memory_mib"}
    dropped = lab.do(service.drop_pending, "web")
    assert (waiting(lab), lab.row().vcpus, lab.row().memory_mib) == ({}, 1, old)
    assert (lab.domain().spec.board.video, lab.domain().spec.vcpus) == ("vga", 1)
    with pytest.raises(Conflict):
        lab.do(service.drop_pending, "web")
    lab.undo(dropped)
    assert waiting(lab) == before
    assert lab.domain().spec.board.video == "virtio"


def test_undo_gives_the_earlier_hardware_back(lab: Lab) -> None:
    lab.create()
    done = lab.do(service.configure, "web", video="virtio", pins=["0-1"], start_order=3)
    assert lab.domain().live.board.pins == ("0-1",)
    assert set(waiting(lab)) == {"video"}, "pins and order count at once"
    lab.undo(done)
    assert (lab.row().hardware, waiting(lab)) == ({}, {})
    assert (lab.domain().live.board.pins, lab.domain().spec.board.video) == ((), "vga")


def test_vcpus_are_added_while_it_runs_up_to_the_most_and_never_taken(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.configure, "web", max_vcpus=4)
    lab.do(service.start, "web")
    grown = lab.do(service.resize, "web", vcpus=3, memory_mib=lab.row().memory_mib)
    assert (lab.domain().live.vcpus, waiting(lab)) == (3, {})
    lab.do(service.resize, "web", vcpus=2, memory_mib=lab.row().memory_mib)
    assert (lab.domain().live.vcpus, waiting(lab)) == (3, {"vcpus": (3, 2)})
    lab.do(service.resize, "web", vcpus=3, memory_mib=lab.row().memory_mib)
    assert waiting(lab) == {}
    assert lab.operation(grown).state == OperationState.SUCCEEDED


def test_an_undone_growth_leaves_the_vcpus_until_the_next_start_and_says_so(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.configure, "web", max_vcpus=4)
    lab.do(service.start, "web")
    grown = lab.do(service.resize, "web", vcpus=3, memory_mib=lab.row().memory_mib)
    lab.undo(grown)
    assert (lab.domain().live.vcpus, waiting(lab)) == (3, {"vcpus": (3, 1)})


def test_memory_grows_and_shrinks_while_it_runs_within_its_bounds(lab: Lab) -> None:
    lab.create(start=False, memory_mib=1024)
    old = lab.row().memory_mib
    lab.do(service.configure, "web", memory_max_mib=old * 4)
    lab.do(service.start, "web")
    for size in (old * 3, old * 2, old):
        lab.do(service.resize, "web", vcpus=1, memory_mib=size)
        assert (lab.domain().live.memory_mib, waiting(lab)) == (size, {})
    lab.do(service.resize, "web", vcpus=1, memory_mib=old // 2)
    assert waiting(lab) == {"memory_mib": (old, old // 2)}, "below what it was started with only at the next start"


def test_a_machine_that_cannot_grow_gives_memory_back_and_takes_it_again(lab: Lab) -> None:
    lab.create(memory_mib=1024)
    old = lab.row().memory_mib
    shrunk = lab.do(service.resize, "web", vcpus=1, memory_mib=old // 2)
    assert (lab.domain().live.memory_mib, waiting(lab)) == (old // 2, {})
    lab.undo(shrunk)
    assert (lab.domain().live.memory_mib, waiting(lab)) == (old, {})


@pytest.mark.parametrize(
    ("values", "error", "field"),
    [
        ({"display": "rdp"}, Invalid, "display"), ({"colour": "red"}, Invalid, "colour"),
        ({"rng": "yes"}, Invalid, "rng"), ({"serial_ports": 0}, Invalid, "serial_ports"),
        ({"serial_ports": True}, Invalid, "serial_ports"), ({"max_vcpus": 1 << 40}, Invalid, "max_vcpus"),
        ({"sockets": 1, "cores": 3, "threads": 1}, Invalid, "cores"), ({"sockets": 1}, Invalid, "sockets"),
        ({"pins": ["0", "1"]}, Invalid, "pins"), ({"pins": ["99"]}, Invalid, "pins"), ({"pins": "0"}, Invalid, "pins"),
        ({"pins": ["0;rm"]}, Invalid, "pins"), ({"memory_max_mib": 1}, Invalid, "memory_max_mib"),
        ({"keyboard": "'/><x"}, Invalid, "keyboard"), ({"cpu_model": "a b"}, Invalid, "cpu_model"),
        ({"huge_pages": True}, Conflict, "huge_pages"), ({"cpu_model": "host-passthrough"}, Conflict, "cpu_model"),
        ({"firmware": "uefi"}, Invalid, "firmware"), ({"machine": "pc"}, Conflict, "machine"),
        ({"tpm": True}, Conflict, "tpm"), ({"display": "vnc"}, Conflict, ""), ({}, Conflict, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_nothing_changes(
    lab: Lab, values: dict[str, Any], error: type[Exception], field: str
) -> None:
    lab.create()
    with pytest.raises(error) as caught:
        lab.do(service.configure, "web", **values)
    assert not field or field in caught.value.fields  # type: ignore[attr-defined]
    assert (lab.row().hardware, lab.row().firmware) == ({}, "bios")


@pytest.mark.parametrize(
    ("model", "near"),
    [("nehalem", "Nehalem"), ("Nehalen", "Nehalem"), ("skylake", "Skylake-Server"), ("EPYC-v3", "EPYC")],
)
def test_a_model_that_the_host_does_not_know_is_refused_with_names_that_are_near(
    lab: Lab, model: str, near: str
) -> None:
    lab.create()
    with pytest.raises(Invalid) as caught:
        lab.do(service.configure, "web", cpu_model=model)
    assert set(caught.value.fields) == {"cpu_model"}
    assert near in caught.value.details["near"]
    assert near in caught.value.fields["cpu_model"].render()
    with pytest.raises(Invalid) as caught:
        lab.do(service.configure, "web", cpu_model="zzz")
    assert caught.value.fields["cpu_model"].render() == "a model by name, or maximum"
    assert lab.row().hardware == {}


def test_a_processor_that_a_host_which_was_not_asked_yet_does_not_know_fails_at_once_and_not_at_the_next_start(
    lab: Lab
) -> None:
    lab.create()
    with lab.database.write() as session:
        for host in session.scalars(sa.select(Host)):
            host.facts = {name: value for name, value in host.facts.items() if name != "cpu_models"}
    ended = lab.operation(lab.do(service.configure, "web", cpu_model="Pentium9"))
    assert ended.state == OperationState.FAILED
    assert "Pentium9" in str(ended.error)
    assert (lab.row().hardware, lab.domain().spec.board.cpu_model, waiting(lab)) == ({}, "", {})


def test_what_the_host_does_not_give_of_a_model_is_told_beforehand(
    lab: Lab, browser: Callable[..., TestClient]  # noqa: F811
) -> None:
    lab.create(start=False)
    with lab.asking() as ctx:
        told = {
            model: service.configure(ctx, service.get(ctx, "web"), cpu_model=model).depends
            for model in ("Haswell", "Nehalem", "maximum")
        }
    assert [bool(texts) for texts in told.values()] == [True, False, False]
    assert "starts without the rest" in told["Haswell"][0].render()
    page = browser().get(f"/instances/{lab.row().id}/hardware")
    assert '<option value="Nehalem">' in page.text
    assert '<option value="host-passthrough">' not in page.text, "this host emulates processors"


def test_uefi_needs_memory_to_come_as_far_as_the_system(lab: Lab) -> None:
    lab.create(start=False)
    with pytest.raises(Invalid) as caught:
        lab.do(service.configure, "web", firmware="uefi")
    assert caught.value.fields["memory_mib"].render("en") == "at least 160 MiB with UEFI"
    lab.do(service.resize, "web", memory_mib=160)
    lab.do(service.configure, "web", firmware="uefi")
    with pytest.raises(Invalid):
        lab.do(service.resize, "web", memory_mib=159)
    with lab.asking() as ctx:
        images.get(ctx, "tiny").firmware = "uefi"
    with pytest.raises(Invalid) as caught:
        lab.create("other")
    assert list(caught.value.fields) == ["memory_mib"]


def test_firmware_changes_only_while_it_is_off(lab: Lab) -> None:
    lab.create(memory_mib=256)
    with pytest.raises(Conflict):
        lab.do(service.configure, "web", firmware="uefi")


def test_a_size_that_contradicts_the_hardware_is_refused(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.configure, "web", max_vcpus=2, sockets=1, cores=2, threads=1)
    with pytest.raises(Invalid) as caught:
        lab.do(service.resize, "web", vcpus=4, memory_mib=512)
    assert "max_vcpus" in caught.value.fields


def test_a_host_without_an_emulator_gives_no_tpm(lab: Lab) -> None:
    from yun.hosts.model import Host

    lab.create(start=False)
    with lab.database.write() as session:
        host = session.query(Host).one()
        host.facts = {**host.facts, "tpm": False}
    with pytest.raises(Conflict, match="swtpm"):
        lab.do(service.configure, "web", tpm=True)


def test_a_hypervisor_that_refuses_leaves_the_old_hardware(lab: Lab) -> None:
    lab.create()
    lab.world.fail("define", 1, retryable=False)
    failed = lab.operation(lab.do(service.configure, "web", video="virtio"))
    assert failed.state == OperationState.FAILED
    assert (lab.row().hardware, lab.domain().spec.board.video, waiting(lab)) == ({}, "vga", {})


def test_a_full_disk_is_told_to_disks_that_are_plugged_in_too(lab: Lab) -> None:
    lab.create()
    lab.do(service.configure, "web", disk_full="report")
    lab.do(service.add_disk, "web", size_bytes=1 << 30)
    assert {d.error_policy for d in lab.domain().spec.disks if d.device == "disk"} == {"report"}


def test_every_field_of_the_hardware_can_be_chosen_and_every_word_has_a_meaning() -> None:
    from dataclasses import fields

    assert {f.name for f in fields(parts.Hardware)} | {"firmware"} == {*parts.CHOICES, "overlay"}
    assert parts.stored(parts.PLAIN) == {}
    for name, choice in parts.CHOICES.items():
        assert all(parts.checked(name, word) == word for word in choice.words)


def test_after_a_reboot_of_the_host_machines_start_in_their_order(lab: Lab) -> None:
    for name, order in (("late", 0), ("second", 2), ("first", 1)):
        lab.create(name)
        if order:
            lab.do(service.configure, name, start_order=order)
    lab.do(service.configure, "second", start_delay=1)
    reboot_host(lab)
    tend(lab)
    assert {lab.row(name).state for name in ("late", "second", "first")} == {"running"}
    begun = {name: lab.row(name).started_at for name in ("late", "second", "first")}
    assert begun["first"] < begun["second"] < begun["late"]
    assert (begun["second"] - begun["first"]).total_seconds() >= 1
