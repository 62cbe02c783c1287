"""Taking disks from running guests: asked, waiting, removed, refused, timed out; one or several; what comes later."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compute.conftest import Lab, both
from yun.base.errors import Conflict, Invalid, NotFound
from yun.compute import service
from yun.compute.service import DetachWish
from yun.operations.intent import Subject
from yun.operations.model import State as OperationState
from yun.operations.service import submit, undo
from yun.storage import service as storage
from yun.storage.api import show_volumes
from yun.storage.model import Attachment, Volume

GIB = 1 << 30


@pytest.fixture
def two(lab: Lab) -> Lab:
    """An instance ``web`` that runs with the disks ``one`` (vdb) and ``two`` (vdc) beside its own."""
    lab.create()
    for name in ("one", "two"):
        lab.do(service.add_disk, "web", size_bytes=GIB, name=name)
    return lab


def detach(lab: Lab, *names: str, **values: Any) -> Any:
    """Take disks out and drain; the operation."""
    return lab.operation(lab.do(service.detach_disks, "web", DetachWish(names, **values)))


def live(lab: Lab) -> list[str]:
    """The disks that the running machine has."""
    domain = lab.domain()
    lab.world.let_go(domain)
    return sorted(d.slot for d in domain.live.disks if d.slot.startswith("vd")) if domain.live else []


def defined(lab: Lab) -> list[str]:
    """The disks of the definition."""
    return [d.slot for d in lab.domain().spec.disks if d.slot.startswith("vd")]


def removal(lab: Lab, slot: str = "vdb") -> str:
    """What the rows say of the removal of a disk."""
    return next(a.removal for a in lab.rows(Attachment) if a.slot == slot)


def look(lab: Lab) -> None:
    """As the round does."""
    lab.cloud.engine.nudge("instance.tend_all", Subject("periodic", "instance.tend_all", "instance.tend_all"))
    lab.drain()


def told(lab: Lab) -> list[tuple[str, str]]:
    """What was told of the removal of disks, in order."""
    return [(e.data["slot"], e.data["state"]) for e in lab.events("volume.detaching")]


def texts(lab: Lab, locale: str = "en") -> list[str]:
    """The words of progress of everything, in order."""
    from yun.base.messages import Message

    return [
        Message.from_json(e.data["progress_text"]).render(locale)
        for e in lab.events("operation.progress") if e.data["progress_text"]
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is written as often as it is said."""
    monkeypatch.setattr("yun.operations.journal.PROGRESS_SECONDS", 0.0)


# ── the states ──


def test_a_willing_guest_is_asked_and_the_disk_is_removed(two: Lab) -> None:
    done = detach(two, "one")
    assert done.state == OperationState.SUCCEEDED, done.error
    assert texts(two) == ["Asking the guest for vdb", "The guest has let go of vdb"]
    assert texts(two, "zh") == ["正在请求客户机放开 vdb", "客户机已放开 vdb"]
    assert told(two) == [], "it was gone at once"


def test_a_guest_that_ignores_it_is_waited_for_and_then_it_has_timed_out(two: Lab) -> None:
    """libvirt says that it was removed, and it is not: only what is really there counts."""
    two.world.guest(two.row().uuid, keeps_disks=True)
    failed = detach(two, "one", timeout=1)
    assert failed.state == OperationState.FAILED
    assert failed.error["details"] == {"removal": "timed_out"}
    assert "did not let go" in failed.error["message"]["text"]
    assert any(t.startswith("Waiting for the guest to let go of vdb (0 of 1 s)") for t in texts(two))
    assert told(two) == [("vdb", "waiting"), ("vdb", "timed_out")]
    assert removal(two) == "timed_out"
    with two.asking() as ctx:
        assert show_volumes(ctx, [storage.get_volume(ctx, "one")])[0]["attachment"]["removal"] == "timed_out"
        assert {d["slot"]: d["removal"] for d in service.detail(ctx, service.get(ctx, "web"))["disks"]}["vdb"] == (
            "timed_out"
        )
    assert ("vdb" in live(two), "vdb" in defined(two)) == (True, True)


def test_a_guest_that_says_no_is_believed_at_once(two: Lab) -> None:
    two.world.guest(two.row().uuid, refuses_disks=True)
    failed = detach(two, "one", timeout=600)
    assert failed.error["details"] == {"removal": "refused"}
    assert (removal(two), told(two)) == ("refused", [("vdb", "refused")])
    assert "vdb" in live(two)
    two.world.guest(two.row().uuid, refuses_disks=False)
    assert detach(two, "one").state == OperationState.SUCCEEDED
    assert [a.slot for a in two.rows(Attachment)] == ["vda", "vdc"]


def test_a_paused_guest_that_answers_after_it_was_given_up_gets_the_disk_back(two: Lab) -> None:
    two.do(service.pause, "web")
    failed = detach(two, "one", timeout=1)
    assert "paused" in str(failed.error["hint"])
    assert removal(two) == "timed_out"
    two.do(service.resume, "web")
    two.world.let_go(two.domain())  # now it answers
    look(two)
    assert live(two) == ["vda", "vdb", "vdc"], "an operation that failed leaves all as it was"
    assert (removal(two), told(two)[-1]) == ("", ("vdb", "over"))
    assert detach(two, "one").state == OperationState.SUCCEEDED
    assert live(two) == defined(two) == ["vda", "vdc"]


def test_a_guest_that_still_keeps_it_is_looked_at_again_and_changes_nothing(two: Lab) -> None:
    two.world.guest(two.row().uuid, keeps_disks=True)
    detach(two, "one", timeout=1)
    for _round in range(2):
        look(two)
        assert removal(two) == "timed_out"
        assert "vdb" in live(two)


def test_of_a_machine_that_went_off_nothing_is_waited_for(two: Lab) -> None:
    two.world.guest(two.row().uuid, keeps_disks=True)
    detach(two, "one", timeout=1)
    two.do(service.stop, "web", timeout=0)
    look(two)
    assert removal(two) == ""
    two.do(service.start, "web")
    assert "vdb" in live(two)


# ── several ──


@both
def test_several_disks_go_at_once_each_kept_or_into_the_trash_and_come_back_at_once(two: Lab) -> None:
    done = detach(two, "one", "vdc", trash=["two"])
    assert done.state == OperationState.SUCCEEDED, done.error
    assert live(two) == defined(two) == ["vda"]
    assert {v.name: v.state for v in two.rows(Volume)} == {"web": "available", "one": "available", "two": "trashed"}
    report = done.result["value"]["disks"]
    assert [(each["effect"], each["trashed"]) for each in report] == [("live", False), ("live", True)]
    two.undo(done.id)
    assert live(two) == defined(two) == ["vda", "vdb", "vdc"]
    assert {v.state for v in two.rows(Volume)} == {"available"}


def test_all_mounted_ones_are_named_before_any_is_asked_for(two: Lab) -> None:
    two.domain().guest.mounts |= {"vdb": "/srv/a", "vdc": "/srv/b"}
    failed = detach(two, "one", "two")
    assert failed.state == OperationState.FAILED
    assert failed.error["details"]["mounts"] == {"vdb": ["/srv/a"], "vdc": ["/srv/b"]}
    assert "vdb: /srv/a; vdc: /srv/b" in str(failed.error["message"])
    assert two.world.calls["detach_disk"] == 0
    assert detach(two, "one", "two", even_if_mounted=True).state == OperationState.SUCCEEDED


def test_where_the_guest_keeps_one_all_stay(two: Lab) -> None:
    detach_really = two.cloud.drivers.on(two.row().host_id).hypervisor.detach_disk

    def keeps_the_second(uuid: str, slot: str) -> bool:
        return detach_really(uuid, slot) if slot == "vdb" else False

    two.cloud.drivers.on(two.row().host_id).hypervisor.detach_disk = keeps_the_second  # type: ignore[method-assign]
    failed = detach(two, "one", "two", trash=["one"])
    assert failed.state == OperationState.FAILED
    assert live(two) == ["vda", "vdb", "vdc"]
    assert defined(two) == ["vda", "vdb", "vdc"]
    assert {v.state for v in two.rows(Volume)} == {"available"}
    assert len(two.rows(Attachment)) == 3


def test_the_boot_disk_among_them_needs_the_word_and_a_machine_that_is_off(two: Lab) -> None:
    for wish in (DetachWish(["vda", "vdb"]), DetachWish(["vda", "vdb"], boot_disk=True)):
        with two.asking() as ctx, pytest.raises(Conflict):
            service.detach_disks(ctx, service.get(ctx, "web"), wish)
    two.do(service.stop, "web", timeout=0)
    done = detach(two, "vda", "vdb", boot_disk=True)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert defined(two) == ["vdc"]


def test_what_cannot_be_meant_is_refused(two: Lab) -> None:
    with two.asking() as ctx:
        web = service.get(ctx, "web")
        with pytest.raises(Invalid):
            service.detach_disks(ctx, web, DetachWish([]))
        with pytest.raises(NotFound):
            service.detach_disks(ctx, web, DetachWish(["vdz"]))
        with pytest.raises(Invalid) as caught:
            service.detach_disks(ctx, web, DetachWish(["one"], trash=["two"]))
        assert "trash" in caught.value.fields
        once = service.detach_disks(ctx, web, DetachWish(["one", "vdb", storage.get_volume(ctx, "one").id]))
        assert len(once.arguments["disks"]) == 1


# ── undo of what others use by now ──


@both
def test_the_undo_of_an_attached_disk_that_another_machine_has_by_now_is_refused_and_takes_it_from_nobody(
    lab: Lab,
) -> None:
    lab.create()
    lab.create("db")
    with lab.asking() as ctx:
        submit(ctx, storage.create_volume(ctx, name="data", size_bytes=GIB))
    lab.drain()

    def ask(verb: Any, *args: Any) -> str:
        with lab.asking() as ctx:
            values = [service.get(ctx, a) for a in args]
            identifier = submit(ctx, verb(ctx, storage.get_volume(ctx, "data"), *values)).id
        lab.drain()
        return identifier

    attached = ask(service.attach, "web")
    ask(service.detach)
    ask(service.attach, "db")
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        undo(ctx, attached)
    assert caught.value.details["blockers"], "it says what stands in the way"
    assert next(a.slot for a in lab.rows(Attachment) if a.instance_name == "db" and a.kept) == "vdb"
    assert "vdb" in [d.slot for d in lab.domain("db").live.disks]  # type: ignore[union-attr]
    with lab.asking() as ctx:  # and where one insists, back to there, newest first
        submit(ctx, undo(ctx, attached, through=True))
    lab.drain()
    assert not [a for a in lab.rows(Attachment) if a.kept]
    for name in ("web", "db"):
        assert "vdb" not in [d.slot for d in lab.domain(name).live.disks]  # type: ignore[union-attr]


def test_the_undo_of_an_added_disk_that_another_machine_has_by_now_leaves_that_one_alone(lab: Lab) -> None:
    lab.create()
    lab.create("db")
    added = lab.do(service.add_disk, "web", size_bytes=GIB, name="data")
    for verb, names in ((service.detach, ()), (service.attach, ("db",))):
        with lab.asking() as ctx:
            submit(ctx, verb(ctx, storage.get_volume(ctx, "data"), *(service.get(ctx, n) for n in names)))  # type: ignore[operator]
        lab.drain()
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        undo(ctx, added)
    assert "db" in caught.value.message.render("en")
    assert "vdb" in [d.slot for d in lab.domain("db").live.disks]  # type: ignore[union-attr]
