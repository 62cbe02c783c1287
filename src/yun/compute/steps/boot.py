"""Steps of what an instance boots from: the rows, and switching a machine on that boots from something else once."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.crossing import refuse
from yun.compute import boot
from yun.compute.model import Instance
from yun.compute.spec import spec_of
from yun.compute.steps.definition import define_now
from yun.compute.steps.shared import load
from yun.drivers.hypervisor.port import Hypervisor, Power
from yun.operations.events import emit
from yun.operations.flow import Op, tx_step
from yun.operations.intent import Subject

UP = (Power.RUNNING, Power.PAUSED)


def switch_on(op: Op, row: Instance, hypervisor: Hypervisor, *, once: bool) -> None:
    """Running afterwards. What only this start boots from stands in the definition for no longer than the start takes,
    and a restart of the guest by itself does not boot from it either.

    The row still names it afterwards: whoever writes that the machine runs takes it from there in the same moment, so
    that a death in between repeats all of this and changes nothing.
    """
    if not (once and row.boot_once):
        hypervisor.start(row.uuid)
        return
    if hypervisor.state(row.uuid).power not in UP:
        with op.read() as session:
            spec = spec_of(session, load(session, row.id), op.settings, once=True)
        hypervisor.define(spec)
    hypervisor.start(row.uuid)
    define_now(op, row.id)
    hypervisor.restart_as_defined(row.uuid)


def _order_back(
    op: Op, session: Session, output: Any, instance_id: str, order: list[str], was: list[str] | None = None
) -> None:
    if output is not None:
        have_boot_order.call(op, session, instance_id, output)


@tx_step(undo=_order_back)
def have_boot_order(
    op: Op, session: Session, instance_id: str, order: list[str], was: list[str] | None = None
) -> list[str]:
    """The row says that these devices are tried in turn; what it said before is the output. Raises `Conflict` where
    somebody has chosen another order since it ``was``."""
    row = load(session, instance_id)
    if was is not None and was != row.boot_order:
        found = boot.devices(session, instance_id)
        saw, wanted, now = (boot.told(found, keys) for keys in (was, order, row.boot_order))
        refuse(saw, wanted, now, boot.TITLES)
    old, row.boot_order = row.boot_order, order
    _tell(op, session, row, "boot_order")
    return old


def _once_back(op: Op, session: Session, output: Any, instance_id: str, device: str) -> None:
    if output is not None:
        have_boot_once.call(op, session, instance_id, output)


@tx_step(undo=_once_back)
def have_boot_once(op: Op, session: Session, instance_id: str, device: str) -> str:
    """The row says that the next start boots from this device (empty: as ever); what it said before is the output."""
    row = load(session, instance_id)
    was, row.boot_once = row.boot_once, device
    _tell(op, session, row, "boot_once")
    return was


def _tell(op: Op, session: Session, row: Instance, field: str) -> None:
    emit(
        session, "instance.updated", subject=Subject("instance", row.id, row.name), project_id=row.project_id,
        data={"fields": [field]}, operation_id=op.id,
    )  # fmt: skip
