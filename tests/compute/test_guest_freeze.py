"""File systems that stand still: never longer than was said, whatever dies, refuses or is switched off meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab, both
from tests.compute.test_guest import periodic, running, told
from yun.base.errors import Conflict, Invalid
from yun.compute import service
from yun.compute.guest.model import InstanceFreeze
from yun.compute.service.tending import TEND_ALL
from yun.drivers.hypervisor.fake.agent import FakeAgent
from yun.operations.model import Notice, State
from yun.operations.service import submit


def inside(lab: Lab) -> FakeAgent:
    return lab.domain().guest.inside


def late(lab: Lab, seconds: float = 1.0) -> None:
    """The time of every freeze has run out, so long ago."""
    with lab.database.write() as session:
        for row in session.scalars(sa.select(InstanceFreeze)):
            row.thaw_at = lab.cloud.engine.clock.now() - timedelta(seconds=seconds)


@both
def test_what_is_frozen_is_shown_and_thawed_again(lab: Lab) -> None:
    running(lab)
    done = lab.operation(lab.do(service.freeze, "web", seconds=60))
    assert done.state == State.SUCCEEDED, done.error
    assert inside(lab).frozen
    assert told(lab)["frozen_until"] == done.result["value"]["until"]  # type: ignore[index]
    with lab.asking() as ctx:
        for verb, rest in ((service.freeze, ()), (service.trim, ()), (service.run, (["true"],))):
            with pytest.raises(Conflict, match="frozen"):
                verb(ctx, service.get(ctx, "web"), *rest)  # type: ignore[operator]
    lab.do(service.thaw, "web")
    assert not inside(lab).frozen
    assert told(lab)["frozen_until"] is None
    assert (len(lab.events("instance.frozen")), len(lab.events("instance.thawed"))) == (1, 1)


@both
def test_it_thaws_by_itself_when_its_time_has_run_out(lab: Lab) -> None:
    running(lab)
    lab.do(service.freeze, "web", seconds=60)
    periodic(lab, "instance.thaw_due")
    assert inside(lab).frozen, "not before its time"
    late(lab)
    periodic(lab, "instance.thaw_due")
    assert not inside(lab).frozen
    assert lab.rows(InstanceFreeze) == []


class Died(BaseException):
    """The process is gone."""


def test_a_death_right_after_the_guest_was_frozen_leaves_a_row_that_thaws_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(lab)
    with lab.asking() as ctx:
        submit(ctx, service.freeze(ctx, service.get(ctx, "web")))
    real = FakeAgent.answer

    def answer(self: FakeAgent, command: str, arguments: dict[str, object], title: str) -> object:
        found = real(self, command, arguments, title)
        if command == "guest-fsfreeze-freeze":
            raise Died
        return found

    monkeypatch.setattr(FakeAgent, "answer", answer)
    with pytest.raises(Died):
        lab.drain()
    monkeypatch.undo()
    assert inside(lab).frozen
    assert len(lab.rows(InstanceFreeze)) == 1
    (first,) = lab.rows(InstanceFreeze)
    lab.drain()
    (again,) = lab.rows(InstanceFreeze)
    assert again.thaw_at == first.thaw_at, "whoever takes it over gives it no more time"
    late(lab)
    periodic(lab, "instance.thaw_due")
    assert not inside(lab).frozen


def test_a_guest_that_cannot_freeze_is_not_left_half_frozen(lab: Lab) -> None:
    running(lab)
    inside(lab).broken.add("guest-fsfreeze-freeze")
    assert lab.operation(lab.do(service.freeze, "web")).state == State.FAILED
    assert lab.rows(InstanceFreeze) == []
    inside(lab).broken |= {"guest-fsfreeze-thaw"}
    assert lab.operation(lab.do(service.freeze, "web")).state == State.FAILED
    assert lab.rows(InstanceFreeze) == [], "it says that it is thawed, and is believed"


def test_an_agent_that_vanishes_holds_nothing_and_is_told_to_operators(lab: Lab) -> None:
    running(lab)
    lab.do(service.freeze, "web")
    lab.domain().has_agent = False
    late(lab)
    periodic(lab, "instance.thaw_due")
    assert lab.rows(Notice) == []
    late(lab, 60)
    periodic(lab, "instance.thaw_due")
    (notice,) = lab.rows(Notice)
    assert notice.key == f"freeze:{lab.row().id}"
    lab.domain().has_agent = True
    periodic(lab, "instance.thaw_due")
    assert not inside(lab).frozen
    assert lab.rows(Notice) == []


def test_a_frozen_guest_is_thawed_before_it_is_asked_to_power_off(lab: Lab) -> None:
    running(lab)
    lab.do(service.freeze, "web")
    agent = inside(lab)
    stopped = lab.operation(lab.do(service.stop, "web"))
    assert stopped.result["value"]["how"] == "agent"  # type: ignore[index]
    assert not agent.frozen
    assert lab.rows(InstanceFreeze) == []


def test_a_paused_guest_waits_with_its_thaw_until_it_goes_on(lab: Lab) -> None:
    running(lab)
    lab.do(service.freeze, "web")
    lab.do(service.pause, "web")
    late(lab)
    periodic(lab, "instance.thaw_due")
    assert inside(lab).frozen
    lab.do(service.resume, "web")
    periodic(lab, TEND_ALL)
    periodic(lab, "instance.thaw_due")
    assert not inside(lab).frozen


@pytest.mark.parametrize("seconds", [0, -1, 601])
def test_nobody_freezes_for_ever(lab: Lab, seconds: int) -> None:
    running(lab)
    with lab.asking() as ctx, pytest.raises(Invalid) as caught:
        service.freeze(ctx, service.get(ctx, "web"), seconds=seconds)
    assert "seconds" in caught.value.fields
