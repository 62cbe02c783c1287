"""Merging: frozen files that nobody needs any more become one with what stands on them; every disk stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab
from tests.compute.test_clone import clone, files, head, written
from tests.compute.test_flatten import agrees, depth
from yun.base.errors import Conflict, DriverError
from yun.base.messages import _
from yun.compute import service
from yun.compute.service.flatten import DEEP_HELD
from yun.compute.service.merge import MERGE, merge_intent
from yun.operations.intent import Intent, Subject
from yun.operations.model import Notice, Operation
from yun.operations.model import State as OperationState
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Layer, LayerHold, LayerState, Volume, VolumeState
from yun.storage.service.freezing import DEEPEST

running = pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])


def node(lab: Lab, number: int) -> str:
    """Freeze the disk of ``web`` as a snapshot does; the layer, which ``snapshot:<number>`` holds."""
    written(lab)
    assert clone(lab, f"x{number}", start=False).state == OperationState.SUCCEEDED
    frozen = head(lab, "web").layer_id
    with lab.database.write() as session:
        storage.hold(session, frozen, f"snapshot:{number}")
    lab.do(service.delete, f"x{number}")
    lab.do(service.purge, f"x{number}")
    return str(frozen)


def drop(lab: Lab, layer_id: str) -> None:
    """Its snapshot is deleted."""
    with lab.database.write() as session:
        session.execute(sa.delete(LayerHold).where(LayerHold.layer_id == layer_id))


def periodic(lab: Lab, kind: str) -> None:
    """What a periodic look orders is done."""
    with lab.asking() as ctx:
        submit(ctx, Intent(kind, _("Look"), Subject("periodic", kind), quiet=True))
    lab.drain()


def merge(lab: Lab) -> list[Operation]:
    """All that is due is merged; the merges that left a trace."""
    for _round in range(6):
        periodic(lab, "layer.merge_due")
    with lab.database.read() as session:
        return list(session.scalars(sa.select(Operation).where(Operation.kind == MERGE).order_by(Operation.seq)))


def told(lab: Lab) -> list[Notice]:
    """What operators are told of merges that wait."""
    return [each for each in lab.rows(Notice) if each.key.startswith("merge:")]


def shown(lab: Lab, layer_ids: list[str]) -> list[str]:
    """What the layers show."""
    with lab.database.read() as session:
        return [files(lab)[session.get_one(Layer, each).path].content for each in layer_ids]


def all_agree(lab: Lab) -> None:
    """Every layer's file is there, read-only, on what its row says, as long and as old; and so is the head."""
    agrees(lab)
    paths = {layer.id: layer.path for layer in lab.rows(Layer)}
    for layer in lab.rows(Layer):
        file = files(lab)[layer.path]
        assert layer.state == LayerState.ACTIVE
        assert file.backing == (paths[layer.parent_id] if layer.parent_id else "")
        assert not file.writable
        assert (file.mtime_ns, file.length) == (layer.mtime_ns, layer.length) or layer.has_digest
    assert not lab.world.pulls
    periodic(lab, "storage.reconcile")
    assert all(layer.state == LayerState.ACTIVE for layer in lab.rows(Layer))


@running
def test_what_lies_between_held_layers_is_merged_and_every_node_shows_what_it_showed(lab: Lab, running: bool) -> None:
    lab.create(start=running)
    nodes = [node(lab, number) for number in range(6)]
    before, now = shown(lab, [nodes[0], nodes[3], nodes[5]]), files(lab)[head(lab, "web").path].content
    assert not merge(lab), "nothing is superfluous"
    for each in (nodes[1], nodes[2], nodes[4]):
        drop(lab, each)
    done = merge(lab)
    assert [each.state for each in done] == [OperationState.SUCCEEDED] * 2, [each.error for each in done]
    left = {layer.id for layer in lab.rows(Layer) if not layer.has_digest}
    assert left == {nodes[0], nodes[3], nodes[5]}
    assert shown(lab, [nodes[0], nodes[3], nodes[5]]) == before
    assert files(lab)[head(lab, "web").path].content == now
    assert lab.domain().boots == int(running)
    all_agree(lab)


@running
def test_the_layer_right_below_a_head_goes_into_it(lab: Lab, running: bool) -> None:
    lab.create(start=running)
    nodes = [node(lab, number) for number in range(3)]
    drop(lab, nodes[2])
    drop(lab, nodes[1])
    merge(lab)
    assert depth(lab) == 2, "the first node and the image's file"
    assert {layer.id for layer in lab.rows(Layer) if not layer.has_digest} == {nodes[0]}
    all_agree(lab)


def test_what_would_cost_more_than_it_frees_is_left_below_a_head(lab: Lab) -> None:
    lab.create()
    first = node(lab, 0)
    drop(lab, first)
    with lab.database.write() as session:
        session.get_one(Layer, first).file_bytes = 100 << 30
    merge(lab)
    assert depth(lab) == 2


def test_never_what_has_several_children_a_hold_or_a_digest(lab: Lab) -> None:
    lab.create()
    clone(lab, start=False)
    first = node(lab, 0)
    with lab.database.read() as session:
        assert storage.superfluous(session) == [], "two stand on the lowest, one is held, the image's has a digest"
    lab.do(service.delete, "copy")
    with lab.database.read() as session:
        assert storage.superfluous(session) == [], "one in the trash stands on it all the same"
    lab.do(service.purge, "copy")
    with lab.database.read() as session:
        found = storage.superfluous(session)
        assert [each.child.id for each in found] == [first]
        assert all(not layer.has_digest for layer in found[0].layers)


def test_what_has_branches_is_merged_with_what_lies_below_and_all_branches_go_on(lab: Lab) -> None:
    """Two heads and a frozen file stand on the child; one of them runs."""
    lab.create()
    nodes = [node(lab, 0)]
    assert clone(lab, "branch", start=False).state == OperationState.SUCCEEDED
    branch = head(lab, "branch").layer_id
    drop(lab, nodes[0])
    done = merge(lab)
    assert [each.state for each in done] == [OperationState.SUCCEEDED], [each.error for each in done]
    assert {layer.id for layer in lab.rows(Layer) if not layer.has_digest} == {branch}
    agrees(lab, "branch")
    all_agree(lab)
    lab.do(service.start, "branch")
    assert lab.row("branch").state == "running"


def test_with_two_running_machines_on_it_it_waits_until_one_is_off(lab: Lab) -> None:
    lab.create()
    first = node(lab, 0)
    assert clone(lab, "branch", start=True).state == OperationState.SUCCEEDED
    drop(lab, first)
    assert not merge(lab)
    assert [each.level for each in told(lab)] == ["info"]
    with lab.database.read() as session, pytest.raises(Conflict) as refused:
        merge_intent(session, storage.superfluous(session)[0])
    assert "branch" in refused.value.message.render("en")
    lab.do(service.stop, "branch", force=True)
    assert [each.state for each in merge(lab)] == [OperationState.SUCCEEDED]
    assert not told(lab)
    agrees(lab, "branch")
    all_agree(lab)


@running
def test_it_gives_way_to_a_person_and_is_done_later(lab: Lab, running: bool) -> None:
    lab.create(start=running)
    nodes = [node(lab, number) for number in range(2)]
    drop(lab, nodes[0])
    with lab.asking() as ctx:
        work = submit(ctx, merge_intent(ctx.session, storage.superfluous(ctx.session)[0])).id
        verb = service.stop if running else service.start
        wish = submit(ctx, verb(ctx, service.get(ctx, "web"))).id
    lab.drain()
    assert lab.operation(wish).state == OperationState.SUCCEEDED
    with lab.database.read() as session:
        assert session.scalar(sa.select(Operation).where(Operation.id == work)) is None, "it leaves no trace"
    assert depth(lab) == 3
    all_agree(lab)
    assert len(merge(lab)) == 1
    all_agree(lab)


def hypervisor_of(lab: Lab) -> Any:
    return lab.cloud.drivers.on(lab.row().host_id).hypervisor


def store_of(lab: Lab) -> Any:
    return lab.cloud.drivers.on(lab.row().host_id).volume


def test_a_machine_that_dies_meanwhile_is_gone_on_with_where_it_lies(lab: Lab) -> None:
    lab.create(on_crash="leave")
    nodes = [node(lab, number) for number in range(3)]
    before = shown(lab, nodes[1:])
    drop(lab, nodes[0])
    hypervisor = hypervisor_of(lab)
    real = hypervisor.pull_state

    def dies(uuid: str, slot: str) -> float | None:
        lab.world.crash(uuid)
        hypervisor.pull_state = real
        return real(uuid, slot)  # type: ignore[no-any-return]

    hypervisor.pull_state = dies
    assert [each.state for each in merge(lab)] == [OperationState.SUCCEEDED]
    assert shown(lab, nodes[1:]) == before
    all_agree(lab)


@pytest.mark.parametrize("fails", [False, True], ids=["goes on", "taken back"])
def test_a_machine_that_dies_before_it_has_flushed_loses_nothing(lab: Lab, fails: bool) -> None:
    """What stood on the child stands on the merged file by its header, which may lack what was in memory alone."""
    lab.create(on_crash="leave")
    nodes = [node(lab, number) for number in range(3)]
    before = shown(lab, nodes[1:])
    drop(lab, nodes[0])
    hypervisor, store = hypervisor_of(lab), store_of(lab)
    again: list[tuple[str, str]] = []

    def dies(uuid: str, slot: str) -> None:
        lab.world.crash(uuid)
        raise DriverError(_("It is gone."), retryable=not fails)

    stand_again = store.stand_again
    hypervisor.flush_disk = dies
    store.stand_again = lambda *words, **rest: (again.append(words[:2]), stand_again(*words, **rest))
    with lab.database.read() as session:
        upper, child = (session.get_one(Layer, nodes[i]).path for i in (2, 1))
    done = merge(lab)
    assert again == [(upper, child)], "what it stood on is beneath it again"
    assert [each.state for each in done] == ([] if fails else [OperationState.SUCCEEDED])
    assert bool(told(lab)) == fails
    assert shown(lab, nodes[1:]) == before
    all_agree(lab)


def test_where_the_hypervisor_gives_up_all_is_as_before_and_it_is_not_tried_again_at_once(lab: Lab) -> None:
    lab.create()
    nodes = [node(lab, number) for number in range(2)]
    drop(lab, nodes[0])
    hypervisor_of(lab).pull_state = lambda uuid, slot: lab.world.pulls.clear()
    calls = store_of(lab).world.calls["thaw"]
    assert not merge(lab)
    assert store_of(lab).world.calls["thaw"] == calls + 1, "once, and not again within the hour"
    assert [each.level for each in told(lab)] == ["warning"]
    assert depth(lab) == 3
    all_agree(lab)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after all was done"])
def test_a_store_that_fails_leaves_what_can_be_used(lab: Lab, after: bool) -> None:
    lab.create(start=False)
    nodes = [node(lab, number) for number in range(2)]
    before = shown(lab, nodes[1:])
    drop(lab, nodes[0])
    store_of(lab).world.fail("merge", times=1, after=after)
    merge(lab)
    assert shown(lab, nodes[1:]) == before
    all_agree(lab)


def test_a_full_disk_is_no_reason_to_lose_anything(lab: Lab) -> None:
    lab.create(start=False)
    nodes = [node(lab, number) for number in range(2)]
    before = shown(lab, nodes[1:])
    drop(lab, nodes[0])
    world = store_of(lab).world
    roomy = world.capacity
    world.fill()
    assert not merge(lab)
    assert len(told(lab)) == 1
    assert shown(lab, nodes[1:]) == before
    world.capacity = roomy
    all_agree(lab)


def test_a_file_changed_behind_our_back_is_not_merged(lab: Lab) -> None:
    lab.create(start=False)
    nodes = [node(lab, number) for number in range(2)]
    drop(lab, nodes[0])
    with lab.database.read() as session:
        path = session.get_one(Layer, nodes[0]).path
    files(lab)[path].mtime_ns += 5
    assert not merge(lab)
    assert "not as it was frozen" in str(told(lab)[0].message)
    with lab.database.read() as session:
        assert session.get_one(Layer, nodes[0]).state == LayerState.ACTIVE
    periodic(lab, "storage.reconcile")
    with lab.database.read() as session:
        assert session.get_one(Layer, nodes[0]).state == LayerState.DAMAGED
        assert storage.superfluous(session) == []


def test_while_it_is_merged_its_holders_are_held_up_and_it_is_not_called_spoilt(lab: Lab) -> None:
    lab.create()
    nodes = [node(lab, number) for number in range(2)]
    drop(lab, nodes[0])
    hypervisor = hypervisor_of(lab)
    real, seen = hypervisor.pull_state, []

    def look(uuid: str, slot: str) -> float | None:
        hypervisor.pull_state = real
        with lab.database.read() as session:
            assert storage.holders_upon(session, nodes[1]) == ["snapshot:1"]
            work = session.scalars(sa.select(Operation).where(Operation.kind == MERGE)).one()
            assert "snapshot:1" in work.arguments["keys"]
        seen.append({layer.state for layer in lab.rows(Layer) if not layer.has_digest})
        return real(uuid, slot)  # type: ignore[no-any-return]

    hypervisor.pull_state = look
    assert [each.state for each in merge(lab)] == [OperationState.SUCCEEDED]
    assert seen == [{LayerState.MERGING}]
    all_agree(lab)


def test_one_that_was_abandoned_in_the_middle_is_not_called_spoilt_and_is_taken_up_again(lab: Lab) -> None:
    """An operator gave up its operation: the hypervisor has merged, the rows have not followed."""
    lab.create()
    nodes = [node(lab, number) for number in range(2)]
    before = shown(lab, nodes[1:])
    drop(lab, nodes[0])
    with lab.database.write() as session:
        lower, child = (session.get_one(Layer, each) for each in nodes)
        lower.state = child.state = LayerState.MERGING
        paths = lower.path, child.path
    store_of(lab).thaw(paths[0])
    hypervisor = hypervisor_of(lab)
    hypervisor.begin_commit(lab.row().uuid, "vda", paths[1], paths[0])
    while hypervisor.pull_state(lab.row().uuid, "vda") is not None:
        pass
    assert files(lab)[head(lab, "web").path].backing == paths[0]
    periodic(lab, "storage.reconcile")
    assert {layer.state for layer in lab.rows(Layer) if not layer.has_digest} == {LayerState.MERGING}
    assert {volume.state for volume in lab.rows(Volume)} == {VolumeState.AVAILABLE}
    assert [each.state for each in merge(lab)] == [OperationState.SUCCEEDED]
    assert shown(lab, nodes[1:]) == before
    assert {layer.id for layer in lab.rows(Layer) if not layer.has_digest} == {nodes[1]}
    all_agree(lab)


def test_two_hundred_held_layers_stay_while_their_head_is_made_to_stand_lower(lab: Lab) -> None:
    lab.create()
    nodes, deepest = [], 0
    for number in range(200):
        nodes.append(node(lab, number))
        deepest = max(deepest, depth(lab))
        if depth(lab) > DEEP_HELD:
            periodic(lab, "volume.flatten_due")
            assert depth(lab) == 1, "the image's file alone"
    assert deepest == DEEP_HELD + 1
    assert {layer.id for layer in lab.rows(Layer) if not layer.has_digest} == set(nodes)
    all_agree(lab)


def test_a_chain_as_long_as_can_be_is_frozen_no_more(lab: Lab) -> None:
    lab.create(start=False)
    for number in range(DEEPEST - 1):
        node(lab, number)
    assert depth(lab) == DEEPEST
    with lab.asking() as ctx, pytest.raises(Conflict) as refused:
        service.clone(ctx, service.get(ctx, "web"), service.CloneWish("more"))
    assert str(DEEPEST) in refused.value.message.render("en")
