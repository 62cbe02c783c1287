"""Steps of hardware: rows, and what of them a running machine takes at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from yun.base.crossing import refuse
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute import hardware as parts
from yun.compute.service.overlay import TITLES as OVERLAY_TITLES
from yun.compute.service.resize import live_memory, live_vcpus
from yun.compute.spec import spec_of
from yun.compute.steps.definition import define_back
from yun.compute.steps.shared import load, place
from yun.drivers.hypervisor.port import Power
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject

UP = (Power.RUNNING, Power.PAUSED)


def _as_rows(op: Op, output: Any, instance_id: str) -> None:
    define_back(op, instance_id)
    live_now(op, instance_id)


@step(undo=_as_rows)
def before_hardware(op: Op, instance_id: str) -> None:
    """Nothing yet. Stands before steps that change the rows, so that undo defines the machine after those were taken
    back, and gives what runs its earlier memory and processors where it can."""


def _hardware_back(
    op: Op, session: Session, output: Any, instance_id: str, values: dict[str, Any], was: dict[str, Any] | None = None
) -> None:
    have_hardware.call(op, session, instance_id, output)


@tx_step(undo=_hardware_back)
def have_hardware(
    op: Op, session: Session, instance_id: str, values: dict[str, Any], was: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The row has this hardware; the old values of the same fields are the output. Raises `Conflict` where it does not
    fit the size that the machine got meanwhile, and where somebody has changed one of the fields since they ``was``."""
    row = load(session, instance_id)
    now = parts.shown(row.firmware, row.hardware)
    now["overlay"] = parts.of(row.hardware).overlay
    old = {field: now[field] for field in values}
    if old == values:
        return old
    refuse(was or {}, values, now, {name: choice.title for name, choice in parts.CHOICES.items()})
    wanted = parts.with_values(parts.of(row.hardware), values)
    row.firmware = values.get("firmware", now["firmware"])
    row.hardware = parts.stored(wanted)
    emit(
        session, "instance.updated", subject=Subject("instance", row.id, row.name), project_id=row.project_id,
        data={"fields": sorted(values)}, operation_id=op.id,
    )  # fmt: skip
    return old


@step()
def take_live(op: Op, instance_id: str) -> dict[str, Any]:
    """What runs has of the rows what it can take at once; what it took is the output."""
    return live_now(op, instance_id)


def live_now(op: Op, instance_id: str) -> dict[str, Any]:
    """A running machine gets more vCPUs, other memory and other host processors as its rows say. A vCPU is never taken
    from what runs: the emulator may die of it."""
    row, hypervisor = place(op, instance_id)
    if row.running_vcpus is None or hypervisor.state(row.uuid).power not in UP:
        return {}
    took: dict[str, Any] = {}
    running = row.running_hardware
    if live_vcpus(running, row.running_vcpus, row.vcpus):
        hypervisor.set_vcpus(row.uuid, row.vcpus)
        took["running_vcpus"] = row.vcpus
    if live_memory(running, row.running_memory_mib, row.memory_mib):
        hypervisor.set_memory(row.uuid, row.memory_mib)
        took["running_memory_mib"] = row.memory_mib
    pins = parts.of(row.hardware).pins
    if pins != parts.of(running).pins:
        live = max(row.running_vcpus, row.vcpus if "running_vcpus" in took else 0)
        if len(pins) > 1 and len(pins) < live:
            raise Conflict(_("There are {count} vCPU.", count=live))
        hypervisor.pin_vcpus(row.uuid, pins)
        took["running_hardware"] = _with(running, "pins", list(pins))
    for field in ("start_order", "start_delay"):
        value = getattr(parts.of(row.hardware), field)
        if value != getattr(parts.of(running), field):
            took["running_hardware"] = _with(took.get("running_hardware", running), field, value)
    if took:
        with op.write() as session:
            row = load(session, instance_id)
            for name, value in took.items():
                setattr(row, name, value)
    return took


def _with(running: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """What was written at the start, with another value; a plain one is left out, as in the row."""
    plain = [] if field == "pins" else getattr(parts.PLAIN, field)
    rest = {name: kept for name, kept in running.items() if name != field}
    return rest if value == plain else {**rest, field: value}


@step()
def try_overlay(op: Op, instance_id: str, overlay: str, was: dict[str, str] | None = None) -> None:
    """The hypervisor has taken the definition with this XML laid over it; what it refuses leaves the old one. Raises
    `Conflict` where somebody has laid other XML over it since it ``was``."""
    with op.read() as session:
        row = load(session, instance_id)
        now = {"overlay": parts.of(row.hardware).overlay}
        refuse(was or {}, {"overlay": overlay}, now, OVERLAY_TITLES)
        spec = spec_of(session, row, op.settings)
    spec = replace(spec, board=replace(spec.board, overlay=overlay))
    op.drivers.on(row.host_id).hypervisor.define(spec)


def _overlay_back(op: Op, session: Session, output: Any, instance_id: str, overlay: str) -> None:
    have_overlay.call(op, session, instance_id, output)


@tx_step(undo=_overlay_back)
def have_overlay(op: Op, session: Session, instance_id: str, overlay: str) -> str:
    """The row keeps this XML; the one before is the output."""
    row = load(session, instance_id)
    hardware = parts.of(row.hardware)
    row.hardware = parts.stored(replace(hardware, overlay=overlay))
    emit(
        session, "instance.updated", subject=Subject("instance", row.id, row.name), project_id=row.project_id,
        data={"fields": ["overlay"]}, operation_id=op.id,
    )  # fmt: skip
    return hardware.overlay
