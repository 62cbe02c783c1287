"""Steps of power: on, off (politely first), suspend, go on; each with its physical opposite as undo."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from yun.base.errors import Conflict, DriverError, YunError
from yun.base.messages import _
from yun.compute.model import Instance, State
from yun.compute.steps.boot import switch_on
from yun.compute.steps.definition import define_back, define_now
from yun.compute.steps.freezing import thaw_politely
from yun.compute.steps.room import seen, write_places
from yun.compute.steps.shared import boot_of, load, may_pass, notice_key, place, set_state, write_seen
from yun.drivers.hypervisor.port import Hypervisor, Power
from yun.operations.events import raise_notice
from yun.operations.flow import Op, step
from yun.operations.intent import Subject

ACPI_EVERY = 15.0
LOOK_EVERY = 0.25
AGENT_SHARE = 0.4
UP = (Power.RUNNING, Power.PAUSED)


def start_now(op: Op, instance_id: str, *, event: str = "instance.started", once: bool = True) -> None:
    """Running afterwards, and the row says so. With ``once`` it boots from what was chosen for one start, which is used
    up then."""
    row, hypervisor = place(op, instance_id)
    switch_on(op, row, hypervisor, once=once)
    write_running(op, row, event=event, once=once)


def write_running(
    op: Op, row: Instance, *, event: str, once: bool = True, state: State = State.RUNNING,
    running: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """The row of a machine that is up says so, and what it runs as: what its row says, unless it goes on from a memory
    that knows it otherwise (``running``: vcpus, memory_mib, hardware)."""
    instance_id, boot_id = row.id, boot_of(op, row.host_id)
    places = seen(op.drivers.on(row.host_id).hypervisor, row)
    with op.write() as session:
        row = load(session, instance_id)
        row.boot_id = boot_id
        if running is not None or row.state not in (State.RUNNING, State.PAUSED) or row.started_at is None:
            row.started_at = datetime.now(UTC)
            told = running or {"vcpus": row.vcpus, "memory_mib": row.memory_mib, "hardware": {
                **row.hardware, "firmware": row.firmware, "memory_mib": row.memory_mib,
                **({"boot_order": row.boot_order} if row.boot_order else {}),
            }}  # fmt: skip
            row.running_vcpus, row.running_memory_mib = told["vcpus"], told["memory_mib"]
            row.running_hardware = told["hardware"]
        row.boot_once = "" if once else row.boot_once
        if event == "instance.started":
            row.mended_at = []
        set_state(op, session, row, state, reason="user", event=event)
        if places is not None:
            write_places(session, row, places)


def _power_back_off(op: Op, output: Any, instance_id: str, was: list[str]) -> None:
    """Undo of a start: politely where it had succeeded, at once where it failed or the machine is being removed."""
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power in UP:
        polite = op.undoing == "success" and was[0] != State.BUILDING
        power_off_now(op, row, hypervisor, float(row.shutdown_seconds) if polite else 0.0)
    once = was[2] if len(was) > 2 else ""
    with op.write() as session:
        row = load(session, instance_id)
        row.boot_once = row.boot_once or once
        set_state(op, session, row, was[0], reason=was[1])
    if once:
        define_back(op, instance_id)


@step(undo=_power_back_off)
def power_on(op: Op, instance_id: str, was: list[str]) -> None:
    """The machine runs. ``was`` is its state and reason of before (`remember`), which undo gives back, as what only
    this start booted from."""
    start_now(op, instance_id)


def power_off_now(op: Op, row: Instance, hypervisor: Hypervisor, seconds: float) -> str:
    """Stopped afterwards: by the agent, the power button, or, after ``seconds``, the plug. How, as one word."""
    now = hypervisor.state(row.uuid)
    if now.power not in UP:
        return "was_off"
    if seconds > 0 and now.power == Power.PAUSED:
        hypervisor.resume(row.uuid)
    if seconds > 0:
        thaw_politely(op, row, hypervisor)
    how = _politely(op, row, hypervisor, seconds) if seconds > 0 else ""
    if how:
        return how
    if op.undoing is None:
        op.progress(0.9, _("Cutting the power"))
    hypervisor.destroy(row.uuid)
    return "cut"


def _politely(op: Op, row: Instance, hypervisor: Hypervisor, seconds: float) -> str:
    begin = op.clock.monotonic()
    how, pressed = _ask_agent(hypervisor, row.uuid), -ACPI_EVERY
    while (passed := op.clock.monotonic() - begin) < seconds:
        if (how != "agent" or passed > seconds * AGENT_SHARE) and passed - pressed >= ACPI_EVERY:
            how, pressed = "acpi", passed
            _press_button(hypervisor, row.uuid)
        if hypervisor.state(row.uuid).power not in UP:
            return how
        if op.undoing is None:
            text = _("Waiting for the guest to power off") if how == "agent" else _("The power button was pressed")
            op.progress(0.8 * passed / seconds, text)
        op.sleep(LOOK_EVERY)
    return ""


def _ask_agent(hypervisor: Hypervisor, uuid: str) -> str:
    if not hypervisor.state(uuid).agent:
        return "acpi"
    try:
        hypervisor.shutdown(uuid, "agent")
    except DriverError:
        return "acpi"
    return "agent"


def _press_button(hypervisor: Hypervisor, uuid: str) -> None:
    try:
        hypervisor.shutdown(uuid, "acpi")
    except DriverError:
        if hypervisor.state(uuid).power in UP:
            raise


def _power_back_on(op: Op, output: Any, instance_id: str, seconds: float, was: list[str]) -> None:
    """Undo of a stop: it runs again if it ran. What cannot be started stays off, which its state and a notice say: no
    number of tries would start it, and whatever is asked of it next would wait for them. Raises `Conflict` in the place
    of that where nothing else is to be taken back."""
    if was[0] in (State.RUNNING, State.PAUSED):
        try:
            define_now(op, instance_id)
            start_now(op, instance_id, once=False)
        except YunError as error:
            if may_pass(error):
                raise
            _stays_off(op, instance_id, error)
        return
    with op.write() as session:
        set_state(op, session, load(session, instance_id), was[0], reason=was[1])


def _stays_off(op: Op, instance_id: str, error: YunError) -> None:
    with op.read() as session:
        name = load(session, instance_id).name
    why = _("The instance {name} cannot be started again: {reason}", name=name, reason=error.message)
    if op.may_refuse:
        raise Conflict(why, hint=error.hint, private=error.private) from error
    with op.write() as session:
        row = load(session, instance_id)
        set_state(op, session, row, State.STOPPED, reason="not_started")
        raise_notice(
            session, notice_key(instance_id), level="error", subject=Subject("instance", row.id, row.name),
            message=why, hint=error.hint or _("Mend the cause, then start it."),
        )  # fmt: skip


@step(undo=_power_back_on)
def power_off(op: Op, instance_id: str, seconds: float, was: list[str]) -> str:
    """The machine is off: it was asked for ``seconds``, then its power was cut. How, as one word (``agent``,
    ``acpi``, ``cut``, ``was_off``). Undo starts it if it ran (``was``: its state and reason of before)."""
    row, hypervisor = place(op, instance_id)
    how = power_off_now(op, row, hypervisor, seconds)
    with op.write() as session:
        set_state(op, session, load(session, instance_id), State.STOPPED, reason="user")
    return how


def _pause_again(op: Op, output: Any, instance_id: str) -> None:
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power == Power.RUNNING:
        hypervisor.suspend(row.uuid)
    write_seen(op, instance_id, hypervisor.state(row.uuid), reason="user")


def _go_on_again(op: Op, output: Any, instance_id: str) -> None:
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power == Power.PAUSED:
        hypervisor.resume(row.uuid)
    write_seen(op, instance_id, hypervisor.state(row.uuid), reason="user")


@step(undo=_go_on_again)
def suspend(op: Op, instance_id: str) -> None:
    """The vCPUs stand still. Raises `Conflict` where the machine is not running."""
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power not in UP:
        raise not_now(row, _("It is not running."))
    hypervisor.suspend(row.uuid)
    with op.write() as session:
        set_state(op, session, load(session, instance_id), State.PAUSED, reason="user")


@step(undo=_pause_again)
def go_on(op: Op, instance_id: str) -> None:
    """The vCPUs run again. Raises `Conflict` where the machine is not paused."""
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power not in UP:
        raise not_now(row, _("It is not running."))
    hypervisor.resume(row.uuid)
    with op.write() as session:
        set_state(op, session, load(session, instance_id), State.RUNNING, reason="user", event="instance.resumed")


def not_now(row: Instance, why: Any) -> Conflict:
    """The machine is no longer in the state in which the verb was accepted."""
    return Conflict(_("The instance {name} changed meanwhile: {reason}", name=row.name, reason=why))
