"""Flattening: chains that have grown long stand on their base again, while machines run and while they are off."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab
from tests.compute.test_clone import clone, files, head, written
from yun.base.errors import Conflict, DriverError
from yun.base.messages import _
from yun.compute import service
from yun.compute.service.flatten import DEEP, flatten_intent
from yun.operations.intent import Intent, Subject
from yun.operations.model import Operation
from yun.operations.model import State as OperationState
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Layer, Volume, VolumeState


def deepen(lab: Lab, layers: int) -> None:
    """Freeze the disk of ``web`` again and again, each time for a copy that is then thrown away."""
    for number in range(layers):
        written(lab)
        assert clone(lab, f"x{number}", start=False).state == OperationState.SUCCEEDED
        lab.do(service.delete, f"x{number}")
        lab.do(service.purge, f"x{number}")


def depth(lab: Lab, name: str = "web") -> int:
    """How many layers lie below a volume's head."""
    with lab.database.read() as session:
        return storage.depth_of(session, head(lab, name).volume_id)


def flatten(lab: Lab, name: str = "web", **values: Any) -> Operation:
    """Flatten and drain; the operation."""
    with lab.asking() as ctx:
        identifier = submit(ctx, service.flatten(ctx, storage.get_volume(ctx, name), **values)).id
    lab.drain()
    return lab.operation(identifier)


def look(lab: Lab) -> None:
    """What the periodic look orders is done."""
    intent = Intent("volume.flatten_due", _("Flatten"), Subject("periodic", "volume.flatten_due"), quiet=True)
    with lab.asking() as ctx:
        submit(ctx, intent)
    lab.drain()


def agrees(lab: Lab, name: str = "web") -> None:
    """The row, the file's header and the machine are of one mind."""
    with lab.database.read() as session:
        now = head(lab, name)
        below = session.get(Layer, now.layer_id).path if now.layer_id else ""  # type: ignore[union-attr]
    assert files(lab)[now.path].backing == below
    assert {x.path for x in lab.rows(Layer)} <= set(files(lab))
    live = lab.domain(name).live
    if live is not None:
        assert live.disks[0].path == now.path


@pytest.mark.parametrize("running", [True, False])
def test_a_chain_of_sixty_layers_is_flattened_in_the_background_and_the_machine_never_stops(
    lab: Lab, running: bool
) -> None:
    lab.create(start=running)
    deepen(lab, 59)
    assert depth(lab) == 60
    look(lab)
    assert depth(lab) == 1, "its image's file is left, which many share"
    agrees(lab)
    assert len(lab.rows(Layer)) == len([x for x in lab.rows(Layer) if x.has_digest]), "what nobody needs is gone"
    assert lab.domain().boots == int(running)
    assert next(v for v in lab.rows(Volume) if v.name == "web").state == VolumeState.AVAILABLE


def test_a_chain_that_is_not_long_is_left_alone(lab: Lab) -> None:
    lab.create()
    deepen(lab, DEEP - 1)
    look(lab)
    assert depth(lab) == DEEP
    deepen(lab, 1)
    look(lab)
    assert depth(lab) == 1


def test_what_copies_stand_on_stays(lab: Lab) -> None:
    lab.create()
    clone(lab)
    shared = head(lab, "copy").layer_id
    done = flatten(lab)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert shared in {x.id for x in lab.rows(Layer)}
    agrees(lab)
    agrees(lab, "copy")
    assert flatten(lab, "copy", whole=True).state == OperationState.SUCCEEDED
    assert head(lab, "copy").layer_id is None
    assert shared not in {x.id for x in lab.rows(Layer)}, "nobody stands on it any more"
    with lab.asking() as ctx, pytest.raises(Conflict):
        service.flatten(ctx, storage.get_volume(ctx, "copy"))


def test_it_gives_way_to_a_person_and_goes_on_later(lab: Lab) -> None:
    lab.create()
    deepen(lab, 2)
    with lab.asking() as ctx:
        volume = storage.get_volume(ctx, "web")
        work = submit(ctx, flatten_intent(ctx.session, volume, gives_way=True)).id
        wish = submit(ctx, service.stop(ctx, service.get(ctx, "web"))).id
    lab.drain()
    assert lab.operation(wish).state == OperationState.SUCCEEDED
    with lab.database.read() as session:
        assert session.scalar(sa.select(Operation).where(Operation.id == work)) is None, "it leaves no trace"
    assert depth(lab) == 3
    assert not lab.world.pulls
    agrees(lab)


def test_a_machine_that_dies_meanwhile_is_gone_on_with_where_it_lies(lab: Lab) -> None:
    lab.create(on_crash="leave")
    deepen(lab, 2)
    hypervisor: Any = lab.cloud.drivers.on(lab.row().host_id).hypervisor
    real = hypervisor.pull_state

    def dies(uuid: str, slot: str) -> float | None:
        lab.world.crash(uuid)
        hypervisor.pull_state = real
        return real(uuid, slot)  # type: ignore[no-any-return]

    hypervisor.pull_state = dies
    done = flatten(lab)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert depth(lab) == 1
    agrees(lab)


def test_where_the_hypervisor_gives_up_the_chain_is_as_before(lab: Lab) -> None:
    lab.create()
    deepen(lab, 2)
    hypervisor: Any = lab.cloud.drivers.on(lab.row().host_id).hypervisor
    hypervisor.pull_state = lambda uuid, slot: lab.world.pulls.clear()
    failed = flatten(lab)
    assert failed.state == OperationState.FAILED
    assert failed.error["code"] == "conflict"  # type: ignore[index]
    assert depth(lab) == 3
    agrees(lab)


def test_a_failure_after_all_was_copied_leaves_the_chain_as_it_was(lab: Lab) -> None:
    lab.create(start=False)
    deepen(lab, 2)
    world = lab.cloud.drivers.on(lab.row().host_id).volume.world  # type: ignore[attr-defined]
    world.fail("flatten", after=True)
    failed = flatten(lab)
    assert failed.state == OperationState.FAILED
    assert depth(lab) == 3
    agrees(lab)


def test_what_was_pulled_is_flushed_before_anything_below_goes(lab: Lab) -> None:
    lab.create()
    deepen(lab, 2)
    hypervisor: Any = lab.cloud.drivers.on(lab.row().host_id).hypervisor
    real, seen = hypervisor.flush_disk, []

    def flush(uuid: str, slot: str) -> None:
        seen.append((depth(lab), {x.path for x in lab.rows(Layer)} <= set(files(lab))))
        real(uuid, slot)

    hypervisor.flush_disk = flush
    assert flatten(lab).state == OperationState.SUCCEEDED
    assert seen == [(3, True)], "the row still says the old, and all files are there"
    assert depth(lab) == 1


@pytest.mark.parametrize("fails", [False, True], ids=["goes on", "taken back"])
def test_a_machine_that_dies_before_it_has_flushed_loses_nothing(lab: Lab, fails: bool) -> None:
    """Its head's header says already that it needs the files below no more, and where the copies lie is lost."""
    lab.create(on_crash="leave")
    deepen(lab, 2)
    hypervisor: Any = lab.cloud.drivers.on(lab.row().host_id).hypervisor
    store: Any = lab.cloud.drivers.on(lab.row().host_id).volume
    now, below = head(lab, "web").path, files(lab)[head(lab, "web").path].backing
    again: list[tuple[str, str]] = []

    def dies(uuid: str, slot: str) -> None:
        assert files(lab)[now].backing != below
        lab.world.crash(uuid)
        raise DriverError(_("It is gone."), retryable=not fails)

    stand_again = store.stand_again
    hypervisor.flush_disk = dies
    store.stand_again = lambda *words: (again.append(words[:2]), stand_again(*words))
    done = flatten(lab)
    assert again == [(now, below)], "what it stood on is beneath it again"
    assert done.state == (OperationState.FAILED if fails else OperationState.SUCCEEDED), done.error
    assert depth(lab) == (3 if fails else 1)
    agrees(lab)


def test_a_machine_on_sixty_layers_starts_and_is_cloned_linked_and_in_full(lab: Lab) -> None:
    lab.create()
    deepen(lab, 59)
    assert depth(lab) == 60
    lab.do(service.reboot, "web", hard=True)
    assert lab.domain().boots == 2
    assert clone(lab, "linked").state == OperationState.SUCCEEDED
    assert (depth(lab), depth(lab, "linked")) == (61, 61)
    assert clone(lab, "whole", full=True).state == OperationState.SUCCEEDED
    assert depth(lab, "whole") == 0
    for name in ("web", "linked", "whole"):
        assert lab.domain(name).live is not None
        agrees(lab, name)
    assert flatten(lab, "linked", whole=True).state == OperationState.SUCCEEDED
    assert depth(lab, "linked") == 0
    agrees(lab, "linked")
