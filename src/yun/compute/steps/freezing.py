"""Steps that freeze and thaw a guest's file systems: never longer than was said, whoever dies meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.base.messages import _
from yun.compute.guest.model import InstanceFreeze
from yun.compute.model import Instance, State
from yun.compute.steps.inside import AGENT_SECONDS, tell
from yun.compute.steps.shared import load, place
from yun.drivers.hypervisor.port import Hypervisor
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step
from yun.operations.intent import Subject

log = logger(__name__)
PATIENCE = timedelta(seconds=30)
"""How long a guest may refuse to thaw before operators are told."""


def notice_key(instance_id: str) -> str:
    """What operators are told of a guest that does not thaw is kept under this key."""
    return f"freeze:{instance_id}"


def _thaw_again(op: Op, output: Any, instance_id: str, seconds: int) -> None:
    """At once, else by the round that thaws what is due: an agent that is gone must not hold the instance."""
    try:
        thaw_now(op, instance_id)
    except DriverError as error:
        log.warning("%s does not thaw yet: %s", instance_id, error)
        with op.write() as session:
            session.execute(
                sa.update(InstanceFreeze)
                .where(InstanceFreeze.instance_id == instance_id)
                .values(thaw_at=op.clock.now())
            )


@step(undo=_thaw_again, retries=0)
def freeze_now(op: Op, instance_id: str, seconds: int) -> dict[str, Any]:
    """The guest's file systems stand still, and a row says until when: it is written first, so that whatever dies
    meanwhile, the guest is thawed. A guest that refuses is thawed at once."""
    row, hypervisor = place(op, instance_id)
    now = op.clock.now()
    with op.write() as session:
        kept = session.get(InstanceFreeze, instance_id)  # from before a death: it has no more time than was said
        if kept is None:
            kept = InstanceFreeze(instance_id=instance_id, frozen_at=now, thaw_at=now + timedelta(seconds=seconds))
            session.add(kept)
        until = kept.thaw_at
    count = None
    if not _is_frozen(hypervisor, row.uuid):
        count = hypervisor.agent(row.uuid, "guest-fsfreeze-freeze", timeout=AGENT_SECONDS)
    tell(op, instance_id, "instance.frozen", until=until.isoformat())
    return {"file_systems": count, "until": until.isoformat()}


def _is_frozen(hypervisor: Hypervisor, uuid: str) -> bool:
    return hypervisor.agent(uuid, "guest-fsfreeze-status", timeout=AGENT_SECONDS) == "frozen"


@step(retries=3)
def thaw_now_and_tell(op: Op, instance_id: str) -> None:
    """The guest's file systems go on."""
    thaw_now(op, instance_id)


def thaw_now(op: Op, instance_id: str) -> None:
    """The guest writes again, and no row says otherwise. A machine that is off, or was started anew, holds nothing."""
    row, hypervisor = place(op, instance_id)
    if row.state == State.RUNNING:
        _thaw(hypervisor, row.uuid)
    forget_freeze(op, instance_id)


def _thaw(hypervisor: Hypervisor, uuid: str) -> None:
    try:
        hypervisor.agent(uuid, "guest-fsfreeze-thaw", timeout=AGENT_SECONDS)
    except DriverError as error:
        if error.retryable or _says_frozen(hypervisor, uuid):
            raise


def _says_frozen(hypervisor: Hypervisor, uuid: str) -> bool:
    """Whether the agent says so; one that does not know the question could not freeze either."""
    try:
        return _is_frozen(hypervisor, uuid)
    except DriverError as error:
        if error.retryable:
            raise
        return False


def thaw_politely(op: Op, row: Instance, hypervisor: Hypervisor) -> None:
    """Before a guest is asked to power off: a frozen one could not. One that does not answer stays as it is."""
    with op.read() as session:
        frozen = session.get(InstanceFreeze, row.id) is not None
    if not frozen:
        return
    try:
        hypervisor.agent(row.uuid, "guest-fsfreeze-thaw", timeout=AGENT_SECONDS)
    except DriverError as error:
        log.info("%s does not thaw before it is powered off: %s", row.id, error)


def forget_freeze(op: Op, instance_id: str) -> None:
    """No row says that the guest is frozen; that it was is told."""
    with op.write() as session:
        found = session.get(InstanceFreeze, instance_id)
        if found is None:
            return
        session.delete(found)
        row = load(session, instance_id)
        resolve_notice(session, notice_key(instance_id))
        emit(
            session, "instance.thawed", subject=Subject("instance", row.id, row.name), project_id=row.project_id,
            operation_id=op.id,
        )  # fmt: skip


@step(retries=0)
def thaw_due(op: Op) -> None:
    """Whatever was frozen long enough is thawed. What does not thaw is tried again at the next round, and told to
    operators once it is late; a paused machine is thawed when it goes on."""
    with op.read() as session:
        query = sa.select(InstanceFreeze.instance_id).where(InstanceFreeze.thaw_at <= op.clock.now())
        due = list(session.scalars(query.order_by(InstanceFreeze.thaw_at)))
    for instance_id in due:
        with op.read() as session:
            row = session.get_one(Instance, instance_id)
        if row.state == State.PAUSED:
            continue
        try:
            thaw_now(op, instance_id)
        except DriverError as error:
            log.warning("%s does not thaw: %s", instance_id, error)
            with op.write() as session:
                _complain(op, session, instance_id)


def _complain(op: Op, session: Session, instance_id: str) -> None:
    found = session.get(InstanceFreeze, instance_id)
    if found is None or op.clock.now() - found.thaw_at < PATIENCE:
        return
    row = load(session, instance_id)
    raise_notice(
        session, notice_key(instance_id), subject=Subject("instance", row.id, row.name),
        message=_("The file systems of instance {name} are still frozen: its agent does not thaw them.", name=row.name),
        hint=_("Look at its console. Rebooting it hard ends it."),
    )  # fmt: skip
