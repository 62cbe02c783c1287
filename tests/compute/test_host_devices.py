"""Devices of hosts: what is listed, who may have what and why not, live and at the next start, and when one is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab
from tests.compute.host_device_side import defined, give, live, look, refused, row, take
from tests.house.scenes_devices import CARD, GRAPHICS, KEY, see
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound
from yun.base.messages import Message
from yun.compute import service
from yun.compute.devices.model import HostDevice
from yun.compute.model import FoundMachine, State
from yun.compute.steps.seeing import identities
from yun.drivers.hypervisor.fake.room import DEVICES
from yun.drivers.hypervisor.host_device import HostDevice as Seen
from yun.operations.model import Event, Notice
from yun.operations.model import State as OperationState
from yun.operations.service import submit

AUDIO, BOOT_DISK, UPLINK, BRIDGE, SATA = (
    "0000:01:00.1", "0000:02:00.0", "0000:03:00.0", "0000:00:01.0", "0000:00:17.0",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _seen(lab: Lab) -> None:
    lab.do(see)


# ── the list ──


def test_the_list_tells_what_is_there_its_group_and_why_it_cannot_be_given(lab: Lab) -> None:
    with lab.asking() as ctx:
        shown = {d["address"]: d for d in service.show_devices(ctx, service.list_devices(ctx, "localhost"))}
    assert set(shown) == {d.address for d in DEVICES}
    assert shown[GRAPHICS]["name"] == "NVIDIA Corporation TU104GL [Tesla T4]"
    assert (shown[GRAPHICS]["iommu_group"], shown[GRAPHICS]["group"]) == (1, [AUDIO]), "the bridge does not count"
    assert shown[GRAPHICS]["reason"] == ""
    assert "file systems or swap" in shown[BOOT_DISK]["reason"]
    assert "way into the network" in shown[UPLINK]["reason"]
    assert "bridge" in shown[BRIDGE]["reason"]
    assert shown["1-1"]["serial"] == ""


def test_only_operators_see_and_give_devices(lab: Lab) -> None:
    lab.create()
    member = Actor("user", "u", "u", {lab.project_id: "admin"})
    with lab.asking(member) as ctx:
        found = service.get(ctx, "web")
        with pytest.raises(Forbidden):
            service.add_host_device(ctx, found, KEY)
        with pytest.raises(Forbidden):
            service.remove_host_device(ctx, found, KEY)
        with pytest.raises((Forbidden, NotFound)):
            service.list_devices(ctx, "localhost")


def test_looking_again_changes_nothing_and_what_comes_and_goes_is_told(lab: Lab) -> None:
    before = [(d.id, d.identity, d.revision) for d in lab.rows(HostDevice)]
    look(lab)
    assert [(d.id, d.identity, d.revision) for d in lab.rows(HostDevice)] == before
    count = len([e for e in lab.rows(Event) if e.kind == "host.devices_changed"])
    lab.world.unplug("1-1")
    look(lab)
    assert not row(lab, "1-1").present
    with lab.asking() as ctx:
        assert "1-1" not in {d.address for d in service.list_devices(ctx, "localhost")}, "nobody has it"
    assert len([e for e in lab.rows(Event) if e.kind == "host.devices_changed"]) == count + 1


def test_a_device_with_a_serial_number_of_its_own_is_known_in_every_port(lab: Lab) -> None:
    one, two = (next(d for d in DEVICES if d.address == a) for a in ("1-2", "1-3"))
    assert set(identities([one, two])) == {"usb 0403:6001 A1", "usb 0403:6001 A2"}
    twins = set(identities([one, replace(two, serial="A1")]))
    assert twins == {"usb 0403:6001 @1-2", "usb 0403:6001 @1-3"}, "a maker that gives all the same number"
    before = row(lab, "1-2").id
    moved = lab.world.unplug("1-2")
    lab.world.host_devices.append(replace(moved, address="2-4", bus=2, number=9))
    look(lab)
    assert row(lab, "2-4").id == before


def test_what_a_device_calls_itself_is_kept_short_and_printable(lab: Lab) -> None:
    wild = Seen("usb", "3-1", "dead", "beef", "\x1b[31m" + "x" * 500, "\u202ename\n", serial="s" * 400, bus=3, number=1)
    lab.world.host_devices.append(wild)
    look(lab)
    found = row(lab, "3-1")
    assert len(found.vendor) == 200
    assert found.vendor.startswith("[31m")
    assert found.product == "name"


# ── giving and taking ──


def test_a_running_machine_gets_a_usb_device_at_once_and_gives_it_back(lab: Lab) -> None:
    lab.create()
    done = give(lab, KEY)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert done.result["value"]["effect"] == "live"
    assert live(lab) == defined(lab) == {"1-1"}
    assert row(lab, "1-1").instance_id == lab.row().id
    with lab.asking() as ctx:
        shown = service.detail(ctx, service.get(ctx, "web"))["host_devices"]
    assert [(d["address"], d["present"]) for d in shown] == [("1-1", True)]
    assert take(lab, "1-1").state == OperationState.SUCCEEDED
    assert live(lab) == defined(lab) == set()
    assert row(lab, "1-1").instance_id is None
    kinds = [e.kind for e in lab.rows(Event)]
    assert {"instance.host_device_added", "instance.host_device_removed"} <= set(kinds)


def test_undo_takes_it_back_and_gives_it_again(lab: Lab) -> None:
    lab.create()
    added = give(lab, KEY)
    lab.undo(added.id)
    assert live(lab) == set()
    assert row(lab, "1-1").instance_id is None
    give(lab, KEY)
    removed = take(lab, KEY)
    lab.undo(removed.id)
    assert live(lab) == defined(lab) == {"1-1"}


def test_undo_of_taking_says_who_has_it_by_now(lab: Lab) -> None:
    lab.create()
    lab.create("other")
    give(lab, KEY)
    removed = take(lab, KEY)
    give(lab, KEY, "other")
    with refused("cannot be undone yet"):
        lab.undo(removed.id)
    assert live(lab, "other") == {"1-1"}
    assert live(lab) == set()


def test_a_stopped_machine_gets_it_at_its_next_start(lab: Lab) -> None:
    lab.create(start=False)
    assert give(lab, CARD).result["value"]["effect"] == "next"
    assert defined(lab) == {CARD}
    lab.do(service.start, "web")
    assert live(lab) == {CARD}


def test_a_guest_that_keeps_a_device_fails_the_removal_and_nothing_changes(lab: Lab) -> None:
    lab.create()
    give(lab, CARD)
    lab.world.guest(lab.row().uuid, keeps_devices=True)
    failed = take(lab, CARD, timeout=1)
    assert failed.state == OperationState.FAILED
    assert "did not let go" in str(failed.error)
    assert live(lab) == defined(lab) == {CARD}
    assert row(lab, CARD).instance_id == lab.row().id
    with lab.asking() as ctx, pytest.raises(Invalid):
        service.remove_host_device(ctx, service.get(ctx, "web"), CARD, timeout=0)


def test_several_alike_are_told_apart_by_where_they_are(lab: Lab) -> None:
    lab.create()
    with lab.asking() as ctx, refused("several"):
        service.add_host_device(ctx, service.get(ctx, "web"), "0403:6001")
    give(lab, "1-3")
    spec = lab.domain().spec.host_devices[0]
    assert (spec.bus, spec.number) == (1, 6)
    lab.do(service.stop, "web", force=True)
    moved = lab.world.unplug("1-3")
    lab.world.host_devices.append(replace(moved, number=17))
    lab.do(service.start, "web")
    assert lab.domain().spec.host_devices[0].number == 17, "looked at again before the start"
    assert live(lab) == {"1-3"}


def test_addresses_are_understood_as_lspci_writes_them_and_nonsense_is_not_found(lab: Lab) -> None:
    lab.create(start=False)
    assert give(lab, "04:00.0").state == OperationState.SUCCEEDED
    for wrong in ("05:00.0", "1-99", "ffff:ffff", "", "hdv_nothing"):
        with lab.asking() as ctx, pytest.raises(NotFound):
            service.add_host_device(ctx, service.get(ctx, "web"), wrong)


# ── refusals ──


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (BOOT_DISK, "file systems or swap"), (UPLINK, "way into the network"), (BRIDGE, "bridge"),
        ("2-1", "file systems or swap"), (GRAPHICS, "shares its IOMMU group 1"), (SATA, "shares its IOMMU group 8"),
    ],
)  # fmt: skip
def test_what_the_host_needs_is_refused_with_the_reason(lab: Lab, device: str, why: str) -> None:
    lab.create()
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        service.add_host_device(ctx, service.get(ctx, "web"), device)
    assert why in caught.value.message.render("en")
    assert live(lab) == set()


def test_a_group_goes_together_and_comes_back_together(lab: Lab) -> None:
    lab.create()
    done = give(lab, GRAPHICS, with_group=True)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert live(lab) == {GRAPHICS, AUDIO}
    with lab.asking() as ctx:
        said = [m.render("en") for m in service.remove_host_device(ctx, service.get(ctx, "web"), AUDIO).effects]
    assert "Devices of one IOMMU group go back together." in said
    take(lab, AUDIO)
    assert live(lab) == defined(lab) == set()


def test_a_group_with_the_hosts_own_disk_is_refused_as_a_whole_too(lab: Lab) -> None:
    lab.create()
    with lab.asking() as ctx, refused("cannot give"):
        service.add_host_device(ctx, service.get(ctx, "web"), SATA, with_group=True)


def test_a_group_that_the_host_does_nothing_with_needs_no_word(lab: Lab) -> None:
    lab.create()
    lab.world.host_devices[:] = [
        replace(d, driver="vfio-pci") if d.address == AUDIO else d for d in lab.world.host_devices
    ]
    look(lab)
    assert give(lab, GRAPHICS).state == OperationState.SUCCEEDED
    assert live(lab) == {GRAPHICS}
    lab.create("other")
    with lab.asking() as ctx, refused("which another instance has"):
        service.add_host_device(ctx, service.get(ctx, "other"), AUDIO)


def test_without_an_iommu_no_pci_device_can_be_given_but_usb_can(lab: Lab) -> None:
    lab.create()
    lab.world.host_devices[:] = [replace(d, iommu_group=None) for d in lab.world.host_devices]
    look(lab)
    with lab.asking() as ctx, refused("IOMMU is off or missing") as caught:
        service.add_host_device(ctx, service.get(ctx, "web"), CARD)
    assert "intel_iommu=on" in caught.value.hint.render("en")
    with lab.asking() as ctx, refused("the host has file systems or swap on it") as caught:
        service.add_host_device(ctx, service.get(ctx, "web"), BOOT_DISK)
    assert caught.value.hint is None, "an IOMMU would not help"
    assert give(lab, KEY).state == OperationState.SUCCEEDED


def test_what_another_machine_has_is_refused(lab: Lab) -> None:
    lab.create()
    lab.create("other")
    give(lab, KEY)
    with lab.asking() as ctx:
        with refused("was given to the instance web"):
            service.add_host_device(ctx, service.get(ctx, "other"), KEY)
        with refused("Nothing would change"):
            service.add_host_device(ctx, service.get(ctx, "web"), KEY)
        with pytest.raises(NotFound):
            service.remove_host_device(ctx, service.get(ctx, "other"), KEY)


def test_two_who_want_the_same_device_at_once_do_not_both_get_it(lab: Lab) -> None:
    lab.create()
    lab.create("other")
    with lab.asking() as ctx:
        first = submit(ctx, service.add_host_device(ctx, service.get(ctx, "web"), KEY)).id
        second = submit(ctx, service.add_host_device(ctx, service.get(ctx, "other"), KEY)).id
    lab.drain()
    assert lab.operation(first).state == OperationState.SUCCEEDED
    assert lab.operation(second).state == OperationState.FAILED
    assert (live(lab), live(lab, "other")) == ({"1-1"}, set())


def test_two_who_want_devices_of_one_group_at_once_do_not_share_it(lab: Lab) -> None:
    lab.create(start=False)
    lab.create("other", start=False)
    lab.world.host_devices[:] = [replace(d, driver="") if d.iommu_group == 1 else d for d in lab.world.host_devices]
    look(lab)
    with lab.asking() as ctx:
        first = submit(ctx, service.add_host_device(ctx, service.get(ctx, "web"), GRAPHICS)).id
        second = submit(ctx, service.add_host_device(ctx, service.get(ctx, "other"), AUDIO)).id
    lab.drain()
    assert lab.operation(first).state == OperationState.SUCCEEDED
    assert "which another instance has" in str(lab.operation(second).error)
    assert (defined(lab), defined(lab, "other")) == ({GRAPHICS}, set())


def test_what_the_host_has_come_to_need_since_it_was_asked_for_is_not_given(lab: Lab) -> None:
    lab.create(start=False)
    with lab.asking() as ctx:
        asked = submit(ctx, service.add_host_device(ctx, service.get(ctx, "web"), CARD)).id
        ctx.session.get_one(HostDevice, row(lab, CARD).id).host_use = "network"
    lab.drain()
    assert "way into the network" in str(lab.operation(asked).error)
    assert defined(lab) == set()


def test_undo_of_taking_gives_none_of_a_group_that_another_has_by_now(lab: Lab) -> None:
    lab.create(start=False)
    lab.create("other", start=False)
    lab.world.host_devices[:] = [replace(d, driver="") if d.iommu_group == 1 else d for d in lab.world.host_devices]
    look(lab)
    give(lab, GRAPHICS)
    taken = take(lab, GRAPHICS)
    give(lab, AUDIO, "other")
    with refused("cannot be undone yet"):
        lab.undo(taken.id)
    assert (defined(lab), defined(lab, "other")) == (set(), {AUDIO})


def test_a_deleted_machine_comes_back_without_what_another_has_by_now(lab: Lab) -> None:
    lab.create()
    lab.create("other")
    give(lab, KEY)
    give(lab, CARD)
    deleted = lab.do(service.delete, "web")
    give(lab, KEY, "other")
    back = lab.operation(lab.undo(deleted))
    assert back.state == OperationState.SUCCEEDED, back.error
    assert (live(lab), live(lab, "other")) == ({CARD}, {"1-1"})
    assert lab.row().state == State.RUNNING
    told = [Message.from_json(n.message).render("en") for n in lab.rows(Notice)]
    assert [text for text in told if "came back without Yubico.com" in text]
    with lab.asking() as ctx:
        said = [m.render("en") for m in service.delete(ctx, service.get(ctx, "web")).back]
    assert any("as far as no other instance has them" in text for text in said)


def test_what_a_machine_of_libvirts_has_in_its_definition_is_refused(lab: Lab) -> None:
    lab.create()
    xml = (
        "<domain><devices><hostdev mode='subsystem' type='pci'><source>"
        "<address domain='0x0000' bus='0x04' slot='0x00' function='0x0'/></source></hostdev>"
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1050'/><product id='0x0407'/></source></hostdev>"
        "</devices></domain>"
    )
    with lab.database.write() as session:
        session.add(
            FoundMachine(
                uuid="u", host_id=lab.row().host_id, name="desktop", state="stopped", vcpus=1, memory_mib=1, xml=xml,
                seen_at=lab.row().created_at,
            )
        )  # fmt: skip
    for device in (CARD, KEY):
        with lab.asking() as ctx, refused("desktop"):
            service.add_host_device(ctx, service.get(ctx, "web"), device)
    assert give(lab, "1-2").state == OperationState.SUCCEEDED


@pytest.mark.parametrize("form", ["{}", "{:#x}"])
def test_so_is_a_usb_device_that_its_definition_gives_by_bus_and_number(lab: Lab, form: str) -> None:
    lab.create()
    key = next(d for d in lab.rows(HostDevice) if f"{d.vendor_id}:{d.product_id}" == KEY)
    assert key.number
    place = f"bus='{form.format(key.bus)}' device='{form.format(key.number)}'"
    hostdev = f"<hostdev mode='subsystem' type='usb'><source><address {place}/></source></hostdev>"
    with lab.database.write() as session:
        session.add(
            FoundMachine(
                uuid="u", host_id=lab.row().host_id, name="desktop", state="stopped", vcpus=1, memory_mib=1,
                xml=f"<domain><devices>{hostdev}</devices></domain>", seen_at=lab.row().created_at,
            )
        )  # fmt: skip
    with lab.asking() as ctx, refused("desktop"):
        service.add_host_device(ctx, service.get(ctx, "web"), KEY)
    assert give(lab, "1-2").state == OperationState.SUCCEEDED


# ── one that is gone ──


def test_without_its_usb_device_a_machine_starts_and_gets_it_later(lab: Lab) -> None:
    lab.create(start=False)
    give(lab, KEY)
    gone = lab.world.unplug("1-1")
    lab.do(service.start, "web")
    assert lab.row().state == State.RUNNING
    assert live(lab) == defined(lab) == set()
    notice = next(n for n in lab.rows(Notice) if n.key.startswith("host_device:"))
    assert "localhost misses Yubico.com" in Message.from_json(notice.message).render("en")
    with lab.asking() as ctx:
        missing = service.show_devices(ctx, service.list_devices(ctx, "localhost"))
    assert [d["reason"] for d in missing if d["address"] == "1-1"] == ["it is missing"]
    lab.world.host_devices.append(replace(gone, number=44))
    lab.do(service.reboot, "web", hard=True)
    assert live(lab) == {"1-1"}
    assert not [n for n in lab.rows(Notice) if n.key.startswith("host_device:") and n.resolved_at is None]


def test_without_its_pci_device_a_machine_does_not_start_and_there_is_a_way_out(lab: Lab) -> None:
    lab.create(start=False)
    give(lab, CARD)
    lab.world.unplug(CARD)
    failed = lab.operation(lab.do(service.start, "web"))
    assert failed.state == OperationState.FAILED, "gone in the moment before"
    assert lab.row().state == State.STOPPED
    with lab.asking() as ctx, refused("no longer has") as caught:
        service.start(ctx, service.get(ctx, "web"))
    assert "yun instance remove-host-device web 0000:04:00.0" in caught.value.hint.render("en")
    assert take(lab, CARD).state == OperationState.SUCCEEDED
    lab.do(service.start, "web")
    assert lab.row().state == State.RUNNING


def test_one_that_was_pulled_out_while_it_ran_is_taken_back(lab: Lab) -> None:
    lab.create()
    give(lab, KEY)
    lab.world.unplug("1-1")
    look(lab)
    assert take(lab, "1-1").state == OperationState.SUCCEEDED
    assert defined(lab) == set()


# ── with other verbs ──


def test_a_deleted_machine_gives_its_devices_back_and_undo_gives_them_again(lab: Lab) -> None:
    lab.create()
    give(lab, KEY)
    with lab.asking() as ctx:
        said = "\n".join(m.render("en") for m in service.delete(ctx, service.get(ctx, "web")).effects)
    assert "belong to the host again: Yubico.com" in said
    deleted = lab.do(service.delete, "web")
    assert row(lab, "1-1").instance_id is None
    lab.undo(deleted)
    assert live(lab) == {"1-1"}
    lab.do(service.delete, "web")
    lab.do(service.purge, "web")
    assert row(lab, "1-1").instance_id is None


def test_a_clone_does_not_get_them_and_says_so(lab: Lab) -> None:
    lab.create()
    give(lab, KEY)
    with lab.asking() as ctx:
        seen = service.clone(ctx, service.get(ctx, "web"), service.CloneWish("copy"))
    assert any("stay with the source: Yubico.com" in m.render("en") for m in seen.effects)
    lab.do(service.clone, "web", service.CloneWish("copy"))
    assert (live(lab), live(lab, "copy")) == ({"1-1"}, set())


def test_a_machine_with_devices_is_not_released(lab: Lab) -> None:
    lab.create()
    give(lab, KEY)
    with lab.asking() as ctx, refused("has devices of its host"):
        service.release(ctx, service.get(ctx, "web"))


def test_a_machine_that_was_taken_over_gets_a_device_beside_what_it_came_with(lab: Lab) -> None:
    lab.create()
    lab.do(service.release, "web")
    with lab.asking() as ctx:
        uuid = ctx.session.scalars(sa.select(FoundMachine.uuid)).one()
    with lab.asking() as ctx:
        submit(ctx, service.adopt(ctx, service.get_found(ctx, uuid), name="back"))
    lab.drain()
    assert give(lab, KEY, "back").state == OperationState.SUCCEEDED
    assert live(lab, "back") == {"1-1"}
