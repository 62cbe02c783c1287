"""State follows reality: what happens behind our back is noticed, told and mended by policy."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab, both
from yun.compute import flows, service
from yun.compute.model import Instance, State
from yun.drivers.hypervisor.port import Power
from yun.operations.intent import Subject
from yun.operations.model import Notice, Operation


def tend(lab: Lab) -> None:
    """What a nudge without a name does: look at all."""
    lab.cloud.engine.nudge("instance.tend_all", Subject("periodic", "instance.tend_all"))
    lab.drain()


def tends(lab: Lab) -> int:
    """How many looks left a trace in the history."""
    with lab.database.read() as session:
        query = sa.select(sa.func.count()).select_from(Operation).where(Operation.kind == "instance.tend")
        return session.scalar(query) or 0


def reboot_host(lab: Lab) -> None:
    """The host loses power and comes back with another boot id, which its row does not tell yet."""
    lab.world.reboot_host()
    machine: Any = lab.cloud.drivers.on("any").machine
    machine.inventory = replace(machine.inventory, boot_id="another")


def test_a_look_at_what_is_right_leaves_no_trace(lab: Lab) -> None:
    lab.create()
    tend(lab)
    revision = lab.row().revision
    tend(lab)
    assert tends(lab) == 0
    assert lab.row().revision == revision


@both
def test_a_killed_machine_is_noticed_told_and_started_again(lab: Lab) -> None:
    lab.create()
    lab.world.crash(lab.row().uuid)
    tend(lab)
    assert (lab.row().state, lab.domain().power) == (State.RUNNING, Power.RUNNING)
    crashed = lab.events("instance.crashed")
    assert [(e.data["state"], e.data["reason"], e.data["mends"]) for e in crashed] == [("crashed", "crashed", True)]
    assert len(lab.events("instance.mended")) == 1
    assert tends(lab) == 1, "it is in the history"


def test_a_killed_machine_is_left_down_where_the_policy_says_so(lab: Lab) -> None:
    lab.create(on_crash="leave")
    lab.world.crash(lab.row().uuid)
    tend(lab)
    assert (lab.row().state, lab.row().reason) == (State.CRASHED, "crashed")
    assert lab.domain().power == Power.CRASHED
    tend(lab)
    assert tends(lab) == 1, "told once"
    lab.do(service.start, "web")
    assert lab.row().state == State.RUNNING


def test_a_guest_that_powers_itself_off_stays_off(lab: Lab) -> None:
    lab.create()
    lab.world.power_off(lab.row().uuid)
    tend(lab)
    assert (lab.row().state, lab.row().reason) == (State.STOPPED, "shutdown")
    assert lab.domain().boots == 1


def test_a_plug_pulled_by_hand_is_mended_by_policy(lab: Lab) -> None:
    lab.create()
    lab.create("left", on_crash="leave")
    for name in ("web", "left"):
        lab.world.power_off(lab.row(name).uuid, "destroyed")
    tend(lab)
    assert lab.row("web").state == State.RUNNING
    assert (lab.row("left").state, lab.row("left").reason) == (State.STOPPED, "destroyed")


def test_after_a_reboot_of_the_host_what_ran_runs_again_if_it_is_to(lab: Lab) -> None:
    lab.create("web")
    lab.create("manual", autostart=False)
    lab.create("off", start=False)
    reboot_host(lab)
    tend(lab)
    assert [lab.row(n).state for n in ("web", "manual", "off")] == [State.RUNNING, State.STOPPED, State.STOPPED]
    assert lab.row("manual").reason == "host_reboot"
    assert lab.row("web").boot_id == "another"


def test_a_definition_that_vanished_is_written_again(lab: Lab) -> None:
    lab.create("web")
    lab.create("off", start=False)
    for name in ("web", "off"):
        lab.world.lose(lab.row(name).uuid)
    tend(lab)
    assert (lab.domain("web").power, lab.domain("off").power) == (Power.RUNNING, Power.STOPPED)
    assert lab.row("web").state == State.RUNNING


def test_a_machine_started_or_paused_by_hand_is_shown_as_it_is(lab: Lab) -> None:
    lab.create(start=False)
    lab.world.boot(lab.domain())
    tend(lab)
    assert lab.row().state == State.RUNNING
    lab.world.pause(lab.row().uuid)
    tend(lab)
    assert (lab.row().state, lab.row().reason) == (State.PAUSED, "io_error")
    assert [n.subject_id for n in lab.rows(Notice)] == [lab.row().id]
    lab.do(service.resume, "web")
    tend(lab)
    assert lab.row().state == State.RUNNING


def test_a_machine_that_keeps_crashing_is_given_up_with_a_notice(lab: Lab) -> None:
    lab.create()
    for _crash in range(4):
        lab.world.crash(lab.row().uuid)
        tend(lab)
    assert (lab.row().state, lab.row().reason) == (State.CRASHED, "gave_up")
    assert lab.domain().boots == 4
    assert [n.key for n in lab.rows(Notice)] == [f"instance:{lab.row().id}"]
    lab.do(service.start, "web")
    assert lab.row().mended_at == []


def test_a_start_that_fails_while_mending_is_tried_again_at_the_next_look(lab: Lab) -> None:
    lab.create()
    lab.world.fail("start", retryable=False)
    lab.world.crash(lab.row().uuid)
    tend(lab)
    assert lab.row().state == State.CRASHED
    tend(lab)
    assert lab.row().state == State.RUNNING


def test_a_hypervisor_that_is_away_is_no_news(lab: Lab) -> None:
    lab.create()
    lab.world.away = True
    tend(lab)
    assert lab.row().state == State.RUNNING
    assert tends(lab) == 0
    lab.world.away = False


def test_the_agents_coming_is_written_without_a_trace_in_the_history(lab: Lab) -> None:
    lab.create()
    assert lab.domain().has_agent
    tend(lab)
    assert lab.row().agent
    assert tends(lab) == 0


def test_a_person_can_ask_for_a_look(lab: Lab) -> None:
    lab.create()
    operation = lab.do(service.tend, "web")
    assert lab.operation(operation).state == "succeeded"


@pytest.mark.parametrize("lab", ["fresh"], indirect=True)
def test_nudges_reach_the_right_instance_within_two_seconds(lab: Lab) -> None:
    lab.create(on_crash="leave")
    uuid = lab.row().uuid
    engine = lab.cloud.engine
    engine.start()
    try:
        flows.attach(engine)
        time.sleep(0.5)
        lab.world.crash(uuid)
        end = time.monotonic() + 2
        while lab.row().state != State.CRASHED and time.monotonic() < end:
            time.sleep(0.02)
        assert lab.row().state == State.CRASHED
    finally:
        engine.stop()
        flows.WATCHES.clear()


def test_a_stranger_and_a_trashed_machine_are_left_alone(lab: Lab) -> None:
    lab.create()
    uuid = lab.row().uuid
    with lab.database.read() as session:
        found = service.nudged(session, uuid)
        assert found is not None
        assert found[0] == "instance.tend"
        assert service.nudged(session, "11111111-2222-3333-4444-555555555555") is None
    lab.do(service.delete, "web")
    with lab.database.read() as session:
        assert service.nudged(session, uuid) is None
    tend(lab)
    assert lab.row().state == State.TRASHED


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_judged_or_left_alone_whatever_is_seen(lab: Lab, state: State) -> None:
    lab.create(start=False)
    with lab.database.write() as session:
        session.execute(sa.update(Instance).values(state=state))
    tend(lab)
    assert lab.row().state in list(State)
    assert all(datetime.fromisoformat(text) for text in lab.row().mended_at)
