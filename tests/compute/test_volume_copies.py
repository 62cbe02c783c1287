"""Whole volumes: copied to a volume of their own and to a file, whoever writes to them; failures leave nothing."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab, both
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound
from yun.compute import service
from yun.compute.model import Instance, State
from yun.identity import service as identity
from yun.images import service as images
from yun.images.model import Export
from yun.operations.model import State as OperationState
from yun.operations.service import cancel, submit
from yun.storage import service as storage
from yun.storage.model import Head, Layer, Volume

GIB = 1 << 30


def ask(lab: Lab, verb: Any, volume: str, **values: Any) -> Any:
    """Ask a verb of a volume and drain; the operation."""
    with lab.asking() as ctx:
        identifier = submit(ctx, verb(ctx, storage.get_volume(ctx, volume), **values)).id
    lab.drain()
    return lab.operation(identifier)


def world(lab: Lab) -> Any:
    """The disk in memory."""
    return lab.cloud.drivers.on(lab.row().host_id).volume.world  # type: ignore[attr-defined]


def file_of(lab: Lab, name: str) -> Any:
    """The file that holds a volume."""
    volume = next(v for v in lab.rows(Volume) if v.name == name)
    head = next(h for h in lab.rows(Head) if h.volume_id == volume.id)
    return world(lab).files[head.path]


def incoming(lab: Lab) -> list[str]:
    """What lies in the directories for files on their way."""
    return [p for p in world(lab).files if "/incoming/" in p]


def effects(lab: Lab, verb: Any, volume: str, **values: Any) -> str:
    """What the preview says happens."""
    with lab.asking() as ctx:
        intent = verb(ctx, storage.get_volume(ctx, volume), **values)
        return " ".join(intent.render("en", now=ctx.clock.now(), undo_days=7)["effects"])


@both
@pytest.mark.parametrize(
    ("agent", "how", "words"),
    [(True, "quiesced", "brings the file systems to rest"), (False, "crash", "like after a power failure")],
)
def test_a_disk_of_a_running_machine_is_copied_as_it_is_at_one_moment_and_says_how(
    lab: Lab, agent: bool, how: str, words: str
) -> None:
    lab.create()
    lab.world.guest(lab.row().uuid, agent=agent)
    with lab.database.write() as session:
        session.execute(sa.update(Instance).values(agent=agent))
    assert words in effects(lab, service.copy, "web")
    done = ask(lab, service.copy, "web", name="saved")
    assert done.state == OperationState.SUCCEEDED, done.error
    assert done.result["value"]["consistency"] == how
    copy = file_of(lab, "saved")
    assert (copy.backing, copy.writable, copy.format) == ("", True, "qcow2")
    assert lab.row().state == State.RUNNING
    assert lab.domain().live.disks[0].path == next(
        h.path for h in lab.rows(Head) if world(lab).files[h.path] is file_of(lab, "web")
    )  # type: ignore[union-attr]
    event = next(e for e in lab.events("volume.created") if e.data.get("copied_from"))
    assert event.data["consistency"] == how


@pytest.mark.parametrize("attached", [True, False])
def test_what_nobody_writes_to_is_copied_without_being_frozen(lab: Lab, attached: bool) -> None:
    lab.create(start=False)
    if not attached:
        with lab.asking() as ctx:
            submit(ctx, storage.create_volume(ctx, name="data", size_bytes=GIB))
        lab.drain()
    layers = len(lab.rows(Layer))
    name = "web" if attached else "data"
    done = ask(lab, service.copy, name)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert len(lab.rows(Layer)) == layers
    assert file_of(lab, f"{name}-copy").backing == ""
    again = ask(lab, service.copy, name)
    assert again.state == OperationState.SUCCEEDED
    assert f"{name}-copy-2" in [v.name for v in lab.rows(Volume)]


def test_the_undo_of_a_copy_puts_it_into_the_trash_and_the_source_stays(lab: Lab) -> None:
    lab.create()
    done = ask(lab, service.copy, "web", name="saved")
    lab.undo(done.id)
    assert {v.name: v.state for v in lab.rows(Volume)} == {"web": "available", "saved": "trashed"}


def test_a_copy_goes_to_another_pool_and_only_to_projects_where_one_may(lab: Lab) -> None:
    lab.create()
    path = str(lab.cloud.settings.state_dir / "pool2")
    lab.do(storage.create_pool, None, name="p2", path=path)
    lab.do(identity.create_project, None, name="other")
    with lab.asking() as ctx:
        other = identity.get_project(ctx, "other").id
    done = ask(lab, service.copy, "web", name="far", pool="p2", project="other")
    assert done.state == OperationState.SUCCEEDED, done.error
    far = next(v for v in lab.rows(Volume) if v.name == "far")
    assert far.project_id == other
    assert [p for p in world(lab).files if p.startswith(path + "/heads/")]
    for roles in ({lab.project_id: "member", other: "reader"}, {lab.project_id: "reader", other: "member"}):
        actor = Actor("user", "u", "u", roles)
        with lab.asking(actor) as ctx, pytest.raises(Forbidden):
            service.copy(ctx, storage.get_volume(ctx, "web"), project="other")
    stranger = Actor("user", "u", "u", {lab.project_id: "member"})
    with lab.asking(stranger) as ctx, pytest.raises(NotFound):
        service.copy(ctx, storage.get_volume(ctx, "web"), project="other")


def test_names_pools_and_sizes_that_cannot_be_are_refused_and_nothing_is_made(lab: Lab) -> None:
    lab.create()
    with lab.asking() as ctx:
        web = storage.get_volume(ctx, "web")
        with pytest.raises(Conflict):
            service.copy(ctx, web, name="web")
        with pytest.raises(Invalid):
            service.copy(ctx, web, name="a/b")
        with pytest.raises(NotFound):
            service.copy(ctx, web, pool="nowhere")
        with pytest.raises(Invalid):
            service.download(ctx, web, format="exe")
        pool = storage.default_pool(ctx.session)
        pool.overcommit = 0.0
        with pytest.raises(NoCapacity):
            service.copy(ctx, web, name="b")
        ctx.session.rollback()
    assert [v.name for v in lab.rows(Volume)] == ["web"]


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("full", ["before", "while"])
def test_a_full_disk_ends_the_copy_with_the_reason_and_the_source_is_unharmed(
    lab: Lab, running: bool, full: str
) -> None:
    lab.create(start=running)
    if full == "before":
        world(lab).fill()
    else:
        from yun.drivers.volume import faults

        world(lab).faults["convert"] = [faults.disk_full("/x")]
    before = file_of(lab, "web").content
    failed = ask(lab, service.copy, "web", name="saved")
    assert failed.state == OperationState.FAILED
    assert failed.error["code"] == "no_capacity"
    assert [v.name for v in lab.rows(Volume)] == ["web"]
    heads = {h.path for h in lab.rows(Head)} | {x.path for x in lab.rows(Layer)}
    assert [p for p in world(lab).files if "/heads/" in p and p not in heads] == []
    assert before in file_of(lab, "web").content
    world(lab).capacity = 1 << 40
    if not running:
        lab.do(service.start, "web")
    assert lab.row().state == State.RUNNING
    assert ask(lab, service.copy, "web", name="saved").state == OperationState.SUCCEEDED


def test_a_cancelled_copy_leaves_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.create(start=False)
    monkeypatch.setattr("yun.operations.journal.CANCEL_SECONDS", 0.0)
    store = lab.cloud.drivers.on("any").volume
    convert = store.convert

    def slow(source: str, target: str, **values: Any) -> None:
        with lab.asking() as ctx:
            cancel(ctx, identifier)
        convert(source, target, **values)

    monkeypatch.setattr(store, "convert", slow)
    with lab.asking() as ctx:
        identifier = submit(ctx, service.copy(ctx, storage.get_volume(ctx, "web"), name="saved")).id
    lab.drain()
    assert lab.operation(identifier).state == OperationState.CANCELLED
    assert [v.name for v in lab.rows(Volume)] == ["web"]


def test_one_that_was_detached_while_the_copy_waited_is_not_copied_unseen(lab: Lab) -> None:
    lab.create()
    lab.do(service.add_disk, "web", size_bytes=GIB, name="data")
    with lab.asking() as ctx:
        data = storage.get_volume(ctx, "data")
        copying, detaching = service.copy(ctx, data, name="saved"), service.detach(ctx, data)
        submit(ctx, detaching)
        identifier = submit(ctx, copying).id
    lab.drain()
    assert lab.operation(identifier).state == OperationState.FAILED
    assert "saved" not in [v.name for v in lab.rows(Volume)]


def test_a_disk_that_was_taken_over_is_not_copied_under_a_machine_that_writes_to_it(lab: Lab) -> None:
    lab.create()
    with lab.database.write() as session:
        session.execute(sa.update(Head).values(adopted=True))
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        service.copy(ctx, storage.get_volume(ctx, "web"))
    assert "torn" in caught.value.message.render("en")
    lab.do(service.stop, "web", timeout=0)
    assert ask(lab, service.copy, "web", name="saved").state == OperationState.SUCCEEDED


# ── to a file ──


@pytest.mark.parametrize("format", ["qcow2", "raw"])
def test_a_volume_is_made_a_file_that_can_be_fetched_for_a_day(lab: Lab, format: str) -> None:
    lab.create()
    done = ask(lab, service.download, "web", format=format)
    assert done.state == OperationState.SUCCEEDED, done.error
    result = done.result["value"]
    assert (result["format"], result["consistency"]) == (format, "quiesced")
    with lab.asking() as ctx:
        found = images.get_export(ctx, result["export_id"])
        assert (found.format, found.image_name, found.checksum) == (format, "web", result["sha256"])
    assert incoming(lab) == [found.path]
    assert done.undoable is False


def test_fetching_it_needs_the_permission_of_its_own(lab: Lab) -> None:
    lab.create()
    made = ask(lab, service.download, "web").result["value"]["export_id"]
    reader = Actor("user", "re", "re", {lab.project_id: "reader"})
    with lab.asking(reader) as ctx:
        with pytest.raises(Forbidden) as caught:
            images.get_export(ctx, made)
        assert "volume.download" in str(caught.value.__dict__) + caught.value.message.render("en")
        with pytest.raises(Forbidden):
            service.download(ctx, storage.get_volume(ctx, "web"))
    other = Actor("user", "ot", "ot", {"prj_other": "member"})
    with lab.asking(other, project_id=None) as ctx, pytest.raises(NotFound):
        images.get_export(ctx, made)


@pytest.mark.parametrize("method", ["convert", "digest"])
def test_whatever_fails_leaves_no_file(lab: Lab, method: str) -> None:
    lab.create()
    world(lab).fail(method, times=20)
    assert ask(lab, service.download, "web").state == OperationState.FAILED
    assert (lab.rows(Export), incoming(lab)) == ([], [])
    assert lab.row().state == State.RUNNING


def test_a_full_disk_is_said_and_leaves_no_file(lab: Lab) -> None:
    lab.create(start=False)
    world(lab).fill()
    failed = ask(lab, service.download, "web")
    assert failed.error["code"] == "no_capacity"
    assert (lab.rows(Export), incoming(lab)) == ([], [])
