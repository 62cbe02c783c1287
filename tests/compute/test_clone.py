"""Clones: linked and full, of machines that run and that are off; each copy an individual of its own."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab, both
from yun.base.context import Actor
from yun.base.errors import Conflict, DriverError, Forbidden, Invalid, NoCapacity, NotFound
from yun.base.messages import _
from yun.compute import service
from yun.compute.cloud_init import Guest, seed_files
from yun.compute.model import Instance, State
from yun.compute.service import CloneWish
from yun.compute.service.copies import OWN, OWN_CARD, OWN_PLACE, names_for
from yun.identity import service as identity
from yun.images.model import Image
from yun.images.service import NewImage
from yun.network import service as network
from yun.network.model import Port
from yun.operations.model import State as OperationState
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Attachment, Head, Layer, Pool, Volume

GIB = 1 << 30


def clone(lab: Lab, name: str = "copy", source: str = "web", **values: Any) -> Any:
    """Clone and drain; the operation."""
    return lab.operation(lab.do(service.clone, source, CloneWish(name, **values)))


def head(lab: Lab, name: str) -> Head:
    """The head of a volume by the volume's name."""
    volume = next(v for v in lab.rows(Volume) if v.name == name)
    return next(h for h in lab.rows(Head) if h.volume_id == volume.id)


def files(lab: Lab) -> dict[str, Any]:
    """The disk files in memory."""
    return lab.cloud.drivers.on(lab.row().host_id).volume.world.files  # type: ignore[attr-defined,no-any-return]


def written(lab: Lab, name: str = "web") -> None:
    """The guest of a machine has written to its disk."""
    path = head(lab, name).path
    files(lab)[path].content += "+written"


@both
def test_a_linked_clone_of_a_running_machine_stands_with_it_on_its_frozen_disk(lab: Lab) -> None:
    lab.create()
    before = head(lab, "web")
    done = clone(lab)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert done.result["value"]["consistency"] == "quiesced"
    ours, theirs = head(lab, "web"), head(lab, "copy")
    assert ours.layer_id == theirs.layer_id
    layer = next(x for x in lab.rows(Layer) if x.id == ours.layer_id)
    assert (layer.path, layer.parent_id, layer.has_digest) == (before.path, before.layer_id, False)
    there = files(lab)
    assert not there[layer.path].writable
    for path in (ours.path, theirs.path):
        assert (there[path].backing, there[path].writable) == (layer.path, True)
    assert lab.domain().live.disks[0].path == ours.path  # type: ignore[union-attr]
    assert lab.domain().boots == 1, "the source went on running"
    assert lab.row("copy").state == State.RUNNING
    asked = [command for command, _arguments in lab.domain().guest.agent_calls]
    assert asked[-2:] == ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"]


def test_a_stopped_machine_is_cloned_and_starts_from_its_new_head(lab: Lab) -> None:
    lab.create(start=False)
    done = clone(lab, start=False)
    assert done.result["value"]["consistency"] == "stopped"
    assert lab.row("copy").state == State.STOPPED
    lab.do(service.start, "web")
    assert lab.domain().live.disks[0].path == head(lab, "web").path  # type: ignore[union-attr]


@pytest.mark.parametrize("full", [False, True])
def test_a_template_that_is_off_grows_no_chain_however_often_it_is_cloned(lab: Lab, full: bool) -> None:
    lab.create(start=False)
    written(lab)
    for number in range(3):
        assert clone(lab, f"copy-{number}", start=False, full=full).state == OperationState.SUCCEEDED
    now = head(lab, "web")
    assert len([x for x in lab.rows(Layer) if not x.has_digest]) == 1, "what it wrote was frozen once"
    assert files(lab)[now.path].backing == next(x.path for x in lab.rows(Layer) if x.id == now.layer_id)
    if not full:
        assert {head(lab, f"copy-{number}").layer_id for number in range(3)} == {now.layer_id}
    assert lab.domain().spec.disks[0].path == now.path
    lab.do(service.start, "web")
    written(lab)
    lab.do(service.stop, "web", force=True)
    assert clone(lab, "later", start=False, full=full).state == OperationState.SUCCEEDED
    assert head(lab, "web").layer_id != now.layer_id, "what it wrote since is in the copy"
    assert head(lab, "web").path != now.path


def test_a_disk_that_has_grown_since_is_frozen_although_nothing_was_written(lab: Lab) -> None:
    lab.create(start=False)
    assert clone(lab, "one", start=False).state == OperationState.SUCCEEDED
    before = head(lab, "web").layer_id
    with lab.asking() as ctx:
        submit(ctx, service.grow(ctx, storage.get_volume(ctx, "web"), 3 * GIB))
    lab.drain()
    assert clone(lab, "two", start=False).state == OperationState.SUCCEEDED
    assert head(lab, "web").layer_id != before


def test_without_an_agent_the_copy_is_said_to_be_like_after_a_power_failure(lab: Lab) -> None:
    lab.create()
    lab.world.guest(lab.row().uuid, agent=False)
    lab.drain()
    with lab.asking() as ctx:
        seen = service.clone(ctx, service.get(ctx, "web"), CloneWish("copy"))
    assert any("after a power failure" in m.render("en") for m in seen.effects)
    assert clone(lab).result["value"]["consistency"] == "crash"


def test_a_copy_takes_over_every_column_that_is_not_listed_as_its_own(lab: Lab) -> None:
    lab.create(
        description="数据库", tags=("a", "b"), user_data="#cloud-config\nbootcmd: [[ls]]\n", password="secret99",
        protected=True, on_crash="leave", shutdown_seconds=7, autostart=False,
    )  # fmt: skip
    lab.do(service.add_disk, "web", size_bytes=GIB, place=service.Place(bus="scsi", cache="writeback"))
    assert clone(lab).state == OperationState.SUCCEEDED
    with lab.database.read() as session:
        rows = {r.name: r._mapping for r in session.execute(sa.select(Instance.__table__))}
        places = [dict(r._mapping) for r in session.execute(sa.select(Attachment.__table__))]
        cards = [dict(r._mapping) for r in session.execute(sa.select(Port.__table__))]
    web, copy = rows["web"], rows["copy"]
    assert set(Instance.__table__.columns.keys()) > OWN
    assert {c: web[c] for c in web if c not in OWN} == {c: copy[c] for c in copy if c not in OWN}
    assert web["description"] == "数据库", "there was something to take over"
    for column in ("id", "uuid", "name", "hostname"):
        assert web[column] != copy[column], column
    assert (copy["protected"], copy["renew_identity"]) == (False, True)

    def parts(found: list[dict[str, Any]], instance: Any, own: frozenset[str]) -> list[dict[str, Any]]:
        mine = [r for r in found if r["instance_id"] == instance["id"]]
        return sorted(({c: r[c] for c in r if c not in own} for r in mine), key=str)

    assert parts(places, web, OWN_PLACE) == parts(places, copy, OWN_PLACE)
    assert len(parts(places, copy, OWN_PLACE)) == 2
    assert not any(p["kept"] for p in places if p["instance_id"] == copy["id"]), "they came with it and go with it"
    assert parts(cards, web, OWN_CARD) == parts(cards, copy, OWN_CARD)
    mine, theirs = (next(c for c in cards if c["instance_id"] == r["id"]) for r in (web, copy))
    assert mine["mac"] != theirs["mac"]
    assert mine["address"] != theirs["address"]


def test_the_seed_of_a_copy_renews_what_cloud_init_does_not(lab: Lab) -> None:
    plain = seed_files(Guest("ins_1", "web"))["user-data"]
    assert b"machine-id" not in plain
    told = seed_files(Guest("ins_2", "copy", renew=True, user_data="#cloud-config\nbootcmd: [[ls]]\n"))
    assert b"machine-id" in told["user-data"]
    assert b"- ls" in told["user-data"], "what the person wanted is still done"
    assert b"instance-id: ins_2" in told["meta-data"]
    script = seed_files(Guest("ins_3", "copy", renew=True, user_data="#!/bin/sh\ntrue\n"))["user-data"]
    assert b"machine-id" in script


def test_many_are_made_at_once_and_taken_back_at_once(lab: Lab) -> None:
    lab.create()
    done = clone(lab, "class-{n:02d}", count=12)
    assert done.state == OperationState.SUCCEEDED, done.error
    made = sorted(r.name for r in lab.rows(Instance) if r.name.startswith("class-"))
    assert made == [f"class-{n:02d}" for n in range(1, 13)]
    assert len({p.address for p in lab.rows(Port)}) == 13
    assert len(lab.rows(Layer)) == 1 + len([x for x in lab.rows(Layer) if x.has_digest]), "frozen once for all"
    lab.do(service.delete, "class-05")
    undone = lab.operation(lab.undo(done.id))
    assert undone.state == OperationState.SUCCEEDED, undone.error
    assert {r.state for r in lab.rows(Instance) if r.name.startswith("class-")} == {State.TRASHED}
    assert lab.row().state == State.RUNNING
    lab.undo(undone.id)
    assert lab.row("class-01").state == State.RUNNING
    assert lab.row("class-05").state == State.TRASHED, "somebody else deleted that one"


@pytest.mark.parametrize(
    ("pattern", "count", "names"),
    [
        ("a", 1, ["a"]), ("a", 2, ["a-1", "a-2"]), ("x{n}y", 2, ["x1y", "x2y"]), ("教室-{n:03d}", 1, ["教室-001"]),
        ("{n:2d}", 1, ["01"]), ("c{n", 1, ["c{n"]),
    ],
)  # fmt: skip
def test_names_are_numbered(pattern: str, count: int, names: list[str]) -> None:
    assert names_for(pattern, count) == names


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("a/b", 1), ("a", 0), ("a", 101), ("", 3), ("x" * 100, 2), ("c{n", 3), ("c{n:00d}", 2)],
)
def test_names_and_numbers_that_cannot_be_are_refused(pattern: str, count: int) -> None:
    with pytest.raises(Invalid):
        names_for(pattern, count)


def test_nothing_is_made_where_one_of_many_names_is_taken_or_too_little_room(lab: Lab) -> None:
    lab.create()
    lab.create("class-3", start=False)
    before = len(lab.rows(Instance)), len(lab.rows(Volume)), len(lab.rows(Port))
    with lab.asking() as ctx:
        with pytest.raises(Conflict):
            service.clone(ctx, service.get(ctx, "web"), CloneWish("class-{n}", count=5))
        with pytest.raises(NoCapacity):
            service.clone(ctx, service.get(ctx, "web"), CloneWish("big-{n}", count=100, memory_mib=4096))
        with pytest.raises(NotFound):
            service.clone(ctx, service.get(ctx, "web"), CloneWish("x", network="nowhere"))
        with pytest.raises(NotFound):
            service.clone(ctx, service.get(ctx, "web"), CloneWish("x", flavor="nothing"))
    assert before == (len(lab.rows(Instance)), len(lab.rows(Volume)), len(lab.rows(Port)))


def test_a_full_clone_is_independent_and_the_source_is_unharmed_where_the_disk_is_full(lab: Lab) -> None:
    lab.create()
    done = clone(lab, full=True)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert files(lab)[head(lab, "copy").path].backing == ""
    lab.create("other", start=False)
    world = lab.cloud.drivers.on(lab.row().host_id).volume.world  # type: ignore[attr-defined]
    world.faults["convert"] = [NoCapacity(_("The disk is full."))]
    there = set(world.files)
    failed = clone(lab, "copy-2", source="other", full=True)
    assert failed.state == OperationState.FAILED
    assert failed.error["code"] == "no_capacity"
    assert not [r for r in lab.rows(Instance) if r.name == "copy-2"]
    assert set(world.files) - there == {head(lab, "other").path}, "only the source's new head is there"
    lab.do(service.start, "other")
    assert lab.row("other").state == State.RUNNING


def test_nobody_looks_what_a_disk_has_written_where_there_is_room_for_all_of_it(lab: Lab) -> None:
    lab.create(start=False)
    world = lab.cloud.drivers.on(lab.row().host_id).volume.world  # type: ignore[attr-defined]
    assert clone(lab, full=True).state == OperationState.SUCCEEDED
    assert not world.calls["measure"]
    made = files(lab)[head(lab, "copy").path]
    world.capacity = world.used() + lab.rows(Pool)[0].reserve_bytes + made.virtual  # not for its tables too
    assert clone(lab, "copy-2", full=True).state == OperationState.SUCCEEDED
    assert world.calls["measure"] == 1


def test_what_the_hypervisor_did_although_its_answer_was_lost_is_found_and_kept(lab: Lab) -> None:
    lab.create()
    lab.world.fail("freeze_disks", after=True)
    done = clone(lab)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert lab.domain().live.disks[0].path == head(lab, "web").path  # type: ignore[union-attr]


@pytest.mark.parametrize("after", [False, True])
def test_a_freeze_that_fails_for_good_leaves_rows_disk_and_machine_of_one_mind(lab: Lab, after: bool) -> None:
    lab.create()
    before = head(lab, "web").path
    lab.world.fail("freeze_disks", retryable=False, after=after)
    failed = clone(lab)
    assert failed.state == OperationState.FAILED
    now = head(lab, "web").path
    assert (now != before) is after
    assert lab.domain().live.disks[0].path == now  # type: ignore[union-attr]
    assert lab.domain().spec.disks[0].path == now
    assert files(lab)[now].writable
    orphans = [p for p in files(lab) if "/heads/" in p and p not in {h.path for h in lab.rows(Head)}]
    assert orphans == ([before] if after else [])
    assert lab.row().state == State.RUNNING
    assert clone(lab).state == OperationState.SUCCEEDED


def test_a_machine_that_stops_between_two_tries_is_frozen_where_it_lies(lab: Lab) -> None:
    lab.create()
    lab.world.fail("freeze_disks", after=True)
    real = lab.cloud.drivers.on(lab.row().host_id).hypervisor

    def dies(uuid: str, heads: Any, *, quiesce: bool) -> bool:
        try:
            return bool(type(real).freeze_disks(real, uuid, heads, quiesce=quiesce))  # type: ignore[attr-defined]
        except DriverError:
            lab.world.power_off(uuid)
            raise

    real.freeze_disks = dies  # type: ignore[method-assign]
    done = clone(lab)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert lab.domain().spec.disks[0].path == head(lab, "web").path


def test_a_uefi_copy_has_variables_of_its_own(lab: Lab) -> None:
    lab.create(start=False)
    with lab.database.write() as session:
        session.execute(sa.update(Instance).values(firmware="uefi"))
    lab.do(service.start, "web")
    world = lab.cloud.drivers.on(lab.row().host_id).volume.world  # type: ignore[attr-defined]
    source = lab.domain().spec.nvram
    from yun.drivers.volume.fake import FakeFile

    world.files[source] = FakeFile("raw", 540672, "vars", 540672)
    clone(lab)
    mine = lab.domain("copy").spec.nvram
    assert mine != source
    assert world.files[mine].content.endswith("vars")


def test_into_another_project_only_with_rights_in_both(lab: Lab) -> None:
    lab.create()
    lab.do(identity.create_project, None, name="p1")
    with lab.asking() as ctx:
        other = identity.get_project(ctx, "p1").id
    with lab.asking(project_id=other) as ctx:
        subnet = network.NewSubnet(cidr="10.77.0.0/24")
        submit(ctx, network.create_network(ctx, network.NewNetwork(name="n1", subnet=subnet)))
    lab.drain()
    member = Actor("user", "u", "u", {lab.project_id: "member", other: "reader"})
    with lab.asking(member) as ctx, pytest.raises(Forbidden):
        service.clone(ctx, service.get(ctx, "web"), CloneWish("copy", project="p1"))
    reader = Actor("user", "u", "u", {lab.project_id: "reader", other: "member"})
    with lab.asking(reader) as ctx, pytest.raises(Forbidden):
        service.clone(ctx, service.get(ctx, "web"), CloneWish("copy", project="p1"))
    done = clone(lab, project="p1")
    assert done.state == OperationState.SUCCEEDED, done.error
    assert lab.row("copy").project_id == other
    ports = {p.instance_id: p for p in lab.rows(Port)}
    assert ports[lab.row("copy").id].network_id != ports[lab.row().id].network_id
    assert next(v for v in lab.rows(Volume) if v.name == "copy").project_id == other


def test_the_last_copies_purge_takes_no_file_that_the_source_stands_on(lab: Lab) -> None:
    lab.create()
    clone(lab)
    lab.do(service.delete, "copy")
    lab.do(service.purge, "copy")
    layer = head(lab, "web").layer_id
    assert layer in {x.id for x in lab.rows(Layer)}
    lab.do(service.delete, "web")
    lab.do(service.purge, "web")
    assert layer not in {x.id for x in lab.rows(Layer)}
    assert [x for x in lab.rows(Layer) if x.has_digest], "the image's own base file stays"


def test_a_disk_that_changed_while_the_clone_waited_is_noticed(lab: Lab) -> None:
    lab.create()
    with lab.asking() as ctx:
        waiting = service.clone(ctx, service.get(ctx, "web"), CloneWish("copy"))
    lab.do(service.add_disk, "web", size_bytes=GIB)
    with lab.asking() as ctx:
        identifier = submit(ctx, waiting).id
    lab.drain()
    assert lab.operation(identifier).state == OperationState.FAILED
    assert not [r for r in lab.rows(Instance) if r.name == "copy"]


# ── images of machines ──


def make_image(lab: Lab, name: str = "golden", source: str = "web", **values: Any) -> Any:
    """Make an image and drain; the operation."""
    return lab.operation(lab.do(service.make_image, source, NewImage(name, **values)))


@pytest.mark.parametrize("running", [True, False])
def test_an_image_is_made_of_a_machine_and_machines_of_it_renew_their_identity(lab: Lab, running: bool) -> None:
    lab.create(start=running)
    done = make_image(lab, properties={"description": "with everything in it"})
    assert done.state == OperationState.SUCCEEDED, done.error
    assert done.result["value"]["consistency"] == ("quiesced" if running else "stopped")
    image = next(i for i in lab.rows(Image) if i.name == "golden")
    assert (image.state, image.source, image.source_name) == ("active", "instance", "web")
    assert (image.default_user, image.firmware, image.cloud_init) == ("root", "bios", True)
    assert image.min_disk_bytes == next(v for v in lab.rows(Volume) if v.name == "web").size_bytes
    layer = next(x for x in lab.rows(Layer) if x.id == image.layer_id)
    assert (layer.parent_id, layer.has_digest, image.checksum) == (None, True, layer.digest), "it stands on nothing"
    assert not [p for p in files(lab) if "/incoming/" in p]
    lab.create("new", image="golden")
    assert lab.row("new").state == State.RUNNING
    assert lab.row("new").renew_identity
    assert not lab.row("web").renew_identity


def test_an_image_that_does_not_fit_leaves_nothing_and_the_machine_goes_on(lab: Lab) -> None:
    lab.create()
    lab.cloud.drivers.on(lab.row().host_id).volume.world.faults["convert"] = [NoCapacity(_("The disk is full."))]  # type: ignore[attr-defined]
    failed = make_image(lab)
    assert failed.state == OperationState.FAILED
    assert not [i for i in lab.rows(Image) if i.name == "golden"]
    assert not [p for p in files(lab) if "/incoming/" in p]
    assert lab.row().state == State.RUNNING
    assert lab.domain().live.disks[0].path == head(lab, "web").path  # type: ignore[union-attr]


def test_only_the_disk_it_boots_from_becomes_the_image(lab: Lab) -> None:
    lab.create()
    lab.do(service.add_disk, "web", size_bytes=GIB)
    before = head(lab, "web-vdb").path
    assert make_image(lab).state == OperationState.SUCCEEDED
    assert head(lab, "web-vdb").path == before
    with lab.asking() as ctx, pytest.raises(Conflict):
        service.make_image(ctx, service.get(ctx, "web"), NewImage("golden"))
