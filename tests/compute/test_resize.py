"""Another size: at once for what is off, from the next start on for what runs, and never more than the host has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compute.conftest import Lab, both
from yun.base.errors import Conflict, Invalid, NoCapacity
from yun.compute import service
from yun.compute.model import Instance
from yun.hosts.model import Allocation
from yun.operations.model import State as OperationState


def shown(lab: Lab) -> dict[str, Any]:
    with lab.asking() as ctx:
        return service.detail(ctx, service.get(ctx, "web"))


def promised(lab: Lab) -> list[tuple[int, int]]:
    return [(a.vcpus, a.memory_mib) for a in lab.rows(Allocation)]


@both
def test_a_stopped_machine_starts_with_its_new_size(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.resize, "web", flavor="small")
    assert (lab.row().vcpus, lab.row().memory_mib, lab.row().flavor_name) == (1, 1024, "small")
    assert shown(lab)["pending"] == []
    lab.do(service.start, "web")
    assert lab.domain().live.memory_mib == 1024
    assert promised(lab) == [(1, 1024)]


@both
def test_what_runs_keeps_its_size_until_its_next_start_and_says_so(lab: Lab) -> None:
    lab.create()
    old = lab.row().memory_mib
    lab.do(service.resize, "web", vcpus=2, memory_mib=512)
    assert (lab.row().flavor_name, lab.domain().live.memory_mib, lab.domain().spec.memory_mib) == ("", old, 512)
    assert shown(lab)["pending"] == [
        {"field": "vcpus", "now": 1, "next": 2}, {"field": "memory_mib", "now": old, "next": 512}
    ]  # fmt: skip
    lab.do(service.reboot, "web", hard=True)
    assert (lab.domain().live.vcpus, shown(lab)["pending"]) == (2, [])


def test_undo_drops_what_is_pending(lab: Lab) -> None:
    lab.create()
    before = promised(lab)
    resized = lab.do(service.resize, "web", flavor="small")
    lab.undo(resized)
    assert (shown(lab)["pending"], lab.row().flavor_name, promised(lab)) == ([], "tiny", before)
    assert lab.domain().spec.memory_mib == lab.row().memory_mib


def test_a_stop_forgets_what_ran(lab: Lab) -> None:
    lab.create()
    lab.do(service.resize, "web", flavor="small")
    lab.do(service.stop, "web", timeout=0)
    assert (shown(lab)["pending"], lab.row().running_vcpus) == ([], None)


@pytest.mark.parametrize(
    ("values", "error", "field"),
    [
        ({}, Invalid, "flavor"), ({"vcpus": 0}, Invalid, "vcpus"), ({"memory_mib": -1}, Invalid, "memory_mib"),
        ({"memory_mib": 1 << 50}, Invalid, "memory_mib"), ({"flavor": "tiny"}, Conflict, ""),
        ({"memory_mib": 1 << 17}, NoCapacity, ""),
    ],
)  # fmt: skip
def test_a_size_that_cannot_be_is_refused_and_nothing_changes(
    lab: Lab, values: dict[str, Any], error: type[Exception], field: str
) -> None:
    lab.create()
    before = lab.row().memory_mib, promised(lab)
    with pytest.raises(error) as caught:
        lab.do(service.resize, "web", **values)
    assert not field or field in caught.value.fields  # type: ignore[attr-defined]
    assert (lab.row().memory_mib, promised(lab)) == before


def test_a_hypervisor_that_refuses_leaves_the_old_size(lab: Lab) -> None:
    lab.create()
    lab.world.fail("define", 1, retryable=False)
    failed = lab.operation(lab.do(service.resize, "web", flavor="small"))
    assert failed.state == OperationState.FAILED
    assert (lab.row().flavor_name, lab.domain().spec.memory_mib) == ("tiny", lab.row().memory_mib)


def test_what_is_pending_is_said_of_a_machine_whose_start_nobody_wrote_down(lab: Lab) -> None:
    lab.create()
    old = lab.row().memory_mib
    with lab.cloud.database.write() as session:
        row = session.get_one(Instance, lab.row().id)
        row.running_vcpus = row.running_memory_mib = None
        row.running_hardware = {}
    assert shown(lab)["pending"] == []
    with lab.asking() as ctx:
        plan = service.resize(ctx, service.get(ctx, "web"), vcpus=2, memory_mib=512)
        assert "next start" in " ".join(effect.render() for effect in plan.effects)
    resized = lab.do(service.resize, "web", vcpus=2, memory_mib=512)
    assert shown(lab)["pending"] == [
        {"field": "vcpus", "now": 1, "next": 2}, {"field": "memory_mib", "now": old, "next": 512}
    ]  # fmt: skip
    lab.undo(resized)
    assert shown(lab)["pending"] == []
