"""What the steps of instances share: loading rows, finding the hypervisor, writing a state and its event."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError, NotFound, Unavailable, YunError
from yun.base.messages import _
from yun.compute.guest.model import InstanceFreeze
from yun.compute.model import Instance, State
from yun.drivers.hypervisor.port import DomainState, Hypervisor, Power
from yun.network.service import ports_of
from yun.operations.events import emit, resolve_notice
from yun.operations.flow import Op
from yun.operations.intent import Subject
from yun.storage.service import attachments_of

STATE_OF = {
    Power.RUNNING: State.RUNNING,
    Power.PAUSED: State.PAUSED,
    Power.STOPPED: State.STOPPED,
    Power.CRASHED: State.CRASHED,
    Power.MISSING: State.STOPPED,
}


def load(session: Session, instance_id: str) -> Instance:
    """The instance's row. Raises `NotFound` where it is gone."""
    found = session.get(Instance, instance_id)
    if found is None:
        raise NotFound(_("There is no {noun} {reference}.", noun=_("instance"), reference=instance_id))
    return found


def notice_key(instance_id: str) -> str:
    """What operators are told of an instance is kept under this key."""
    return f"instance:{instance_id}"


def place(op: Op, instance_id: str) -> tuple[Instance, Hypervisor]:
    """The instance and the hypervisor of its host."""
    with op.read() as session:
        row = load(session, instance_id)
    return row, op.drivers.on(row.host_id).hypervisor


def boot_of(op: Op, host_id: str) -> str:
    """Which boot the host is in now: asked of the host itself, since its row may still tell of the boot before."""
    return op.drivers.on(host_id).machine.boot_id()


def set_state(op: Op, session: Session, row: Instance, state: str, *, reason: str = "", event: str = "") -> None:
    """Write what the instance is now, and tell it (``event``, by default ``instance.<state>``) where it is news."""
    if (row.state, row.reason) == (state, reason) and not event:
        return
    row.state, row.reason = state, reason
    resolve_notice(session, notice_key(row.id))
    if state not in (State.RUNNING, State.PAUSED):
        row.agent = False
        session.execute(sa.delete(InstanceFreeze).where(InstanceFreeze.instance_id == row.id))
        nothing_runs(session, row)
    emit(
        session, event or f"instance.{state}", subject=Subject("instance", row.id, row.name),
        project_id=row.project_id, data={"state": state, "reason": reason}, operation_id=op.id,
    )  # fmt: skip


def nothing_runs(session: Session, row: Instance) -> None:
    """Nothing that the rows tell of what runs counts any more: its next start has all as they say."""
    row.running_vcpus = row.running_memory_mib = None
    row.running_hardware = {}
    row.places = {}
    for disk in attachments_of(session, row.id):
        if disk.attachment.running or disk.attachment.waits:
            disk.attachment.running, disk.attachment.waits = {}, False
    for port in ports_of(session, row.id):
        if port.waits:
            port.waits = False


def may_pass(error: YunError) -> bool:
    """Whether the same may succeed later without anybody changing anything."""
    return error.retryable if isinstance(error, DriverError) else isinstance(error, Unavailable)


def write_seen(op: Op, instance_id: str, seen: DomainState, *, reason: str = "", event: str = "") -> None:
    """The row says what the hypervisor was seen to say."""
    with op.write() as session:
        row = load(session, instance_id)
        row.agent = seen.agent
        set_state(op, session, row, STATE_OF[seen.power], reason=reason or seen.reason, event=event)
