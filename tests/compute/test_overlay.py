"""The expert's view: the XML of what runs and what is next, and what may be laid over it."""

from __future__ import annotations

import pytest

from tests.compute.conftest import Lab
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.compute import definitions, service
from yun.compute.pages.overlay import coloured
from yun.operations.model import State as OperationState

SOUND = '<devices><sound model="ich9"/></devices>'


def seen(lab: Lab) -> dict[str, object]:
    with lab.asking() as ctx:
        return definitions.definitions(ctx, service.get(ctx, "web"))


def test_what_is_laid_over_waits_for_the_next_start_and_stands_in_the_difference(lab: Lab) -> None:
    lab.create()
    assert seen(lab)["difference"] == []
    laid = lab.do(service.set_overlay, "web", definitions.check_overlay(SOUND))
    now = seen(lab)
    assert '<sound model="ich9" />' in str(now["next"])
    assert "sound" not in str(now["running"])
    assert [line.strip("+ ") for line in now["difference"] if line.startswith("+ ")] == ['<sound model="ich9" />']  # type: ignore[attr-defined]
    assert lab.domain().spec.board.overlay == SOUND
    lab.undo(laid)
    assert (lab.domain().spec.board.overlay, lab.row().hardware) == ("", {})


def test_what_is_laid_over_survives_other_changes_and_can_be_dropped(lab: Lab) -> None:
    lab.create()
    lab.do(service.set_overlay, "web", SOUND)
    lab.do(service.configure, "web", video="virtio")
    assert lab.row().hardware == {"overlay": SOUND, "video": "virtio"}
    lab.do(service.drop_pending, "web")
    assert (lab.row().hardware, lab.domain().spec.board.overlay) == ({}, "")
    with pytest.raises(Conflict):
        lab.do(service.set_overlay, "web", "")


def test_what_runs_is_shown_with_the_size_and_hardware_it_was_started_with(lab: Lab) -> None:
    lab.create()
    lab.do(service.configure, "web", video="virtio")
    lab.do(service.resize, "web", vcpus=2, memory_mib=1024)
    now = seen(lab)
    assert ">1</vcpu>" in str(now["running"])
    assert ">2</vcpu>" in str(now["next"])
    assert 'type="vga"' in str(now["running"])
    assert "<video>" in str(now["next"])


@pytest.mark.parametrize(
    "text",
    [
        "<devices><disk type='file'/></devices>", "<devices><interface type='bridge'/></devices>", "<name>other</name>",
        "<uuid>0192aaaa-0000-4000-8000-000000000001</uuid>", "<devices><emulator>/bin/sh</emulator></devices>",
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='-x'/>"
        "</qemu:commandline>",
        "<commandline/>", "<os><kernel>/etc/shadow</kernel></os>", "<devices><hostdev/></devices>", "<devices>",
        "</domain><domain>", "<!DOCTYPE x [<!ENTITY a 'b'>]><pm/>", "<seclabel type='none'/>", "<pm/>" * 5000,
        "<devices><filesystem type='mount'/></devices>", "<cpu mode='host-passthrough'/>",
        "<devices><serial type='file'/></devices>", "<devices><rng/></devices>", "12", "<pm/> and more",
    ],
)  # fmt: skip
def test_what_could_take_the_machine_out_of_the_clouds_hands_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        definitions.check_overlay(text)
    assert "overlay" in caught.value.fields


def test_what_the_hypervisor_refuses_changes_nothing(lab: Lab) -> None:
    lab.create()
    lab.world.fail("define", 1, retryable=False)
    failed = lab.operation(lab.do(service.set_overlay, "web", SOUND))
    assert failed.state == OperationState.FAILED
    assert (lab.row().hardware, lab.domain().spec.board.overlay) == ({}, "")


def test_only_administrators_of_the_cloud_see_and_lay_xml(lab: Lab) -> None:
    lab.create()
    member = Actor("user", "u1", "ann", {lab.project_id: "admin"})
    with lab.asking(member) as ctx:
        row = service.get(ctx, "web")
        with pytest.raises(Forbidden):
            definitions.definitions(ctx, row)
        with pytest.raises(Forbidden):
            service.set_overlay(ctx, row, SOUND)


def test_colours_leave_no_way_for_markup() -> None:
    shown = coloured('<title a="&lt;script&gt;">&lt;script&gt;alert(1)</title>')
    assert "<script" not in shown
    assert '<span class="text-primary">title</span>' in shown
