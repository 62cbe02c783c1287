"""Steps that are pure database work: what is remembered, changed, built, trashed and forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.crossing import refuse
from yun.base.messages import _
from yun.compute.model import LIVE, Flavor, Instance, InstanceSample, State
from yun.compute.service.flavors import refuse_taken_flavor
from yun.compute.service.look import refuse_taken
from yun.compute.steps.shared import load, notice_key, set_state
from yun.hosts import service as hosts
from yun.network.service import ports_of
from yun.network.steps import drop_ports, keep_ports
from yun.operations.events import emit, resolve_notice
from yun.operations.flow import Op, tx_step
from yun.operations.intent import Subject
from yun.operations.service import close_undo
from yun.storage.model import Attachment, TrashItem
from yun.storage.service import attachments_of

NEVER_WAS = ["", "", ""]


@tx_step()
def remember(op: Op, session: Session, instance_id: str) -> list[str]:
    """The state, its reason, and what only the next start boots from, before anything is done; empty words for an
    instance that is gone."""
    row = session.get(Instance, instance_id)
    return [row.state, row.reason, row.boot_once] if row else NEVER_WAS


@tx_step()
def parts(op: Op, session: Session, instance_id: str) -> dict[str, Any]:
    """Host, volumes and ports of an instance by id, for the steps that follow."""
    row = load(session, instance_id)
    return {
        "host_id": row.host_id,
        "volumes": [a.volume_id for a in attachments_of(session, instance_id)],
        "ports": [p.id for p in ports_of(session, instance_id)],
    }


def unbuild(op: Op, session: Session, output: Any, instance_id: str) -> None:
    """Undo of a creation: the instance has never been, nor what came along with it."""
    came = output or keep_ports.call(op, session, instance_id)
    drop_ports(op, session, came, instance_id)
    forget(op, session, instance_id, "instance.removed")


@tx_step(undo=unbuild)
def begin_building(op: Op, session: Session, instance_id: str) -> dict[str, Any]:
    """What is to be built, by id. Undo removes the rows, after all that follows was taken back."""
    row = load(session, instance_id)
    emit(session, "instance.building", subject=Subject("instance", row.id, row.name), project_id=row.project_id,
         operation_id=op.id)  # fmt: skip
    return {**parts.call(op, session, instance_id), **keep_ports.call(op, session, instance_id)}


@tx_step()
def finish_stopped(op: Op, session: Session, instance_id: str) -> None:
    """A new machine that was not to be started is stopped."""
    set_state(op, session, load(session, instance_id), State.STOPPED, reason="user")


def forget(op: Op, session: Session, instance_id: str, event: str) -> None:
    """The instance's own rows are gone, and what was promised to it is free."""
    row = session.get(Instance, instance_id)
    if row is None:
        return
    hosts.release(session, instance_id)
    for disk in attachments_of(session, instance_id):  # its making had not begun, so nothing took it back
        session.delete(disk.attachment)
        session.delete(disk.head)
        session.flush()
        session.delete(disk.volume)
    session.execute(sa.delete(InstanceSample).where(InstanceSample.instance_id == instance_id))
    resolve_notice(session, notice_key(row.id))
    emit(session, event, subject=Subject("instance", row.id, row.name), project_id=row.project_id, operation_id=op.id)
    session.delete(row)
    session.flush()


# ── edits ──


def _edit_back(op: Op, session: Session, output: Any, instance_id: str, values: dict[str, Any]) -> None:
    _write(op, session, load(session, instance_id), output)


@tx_step(undo=_edit_back)
def edit(op: Op, session: Session, instance_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """The columns have these values; their old ones are the output."""
    row = load(session, instance_id)
    old = {field: getattr(row, field) for field in values}
    _write(op, session, row, values)
    return old


def _write(op: Op, session: Session, row: Instance, values: dict[str, Any]) -> None:
    if "name" in values:
        refuse_taken(session, row.project_id, values["name"], besides=row.id)
        session.execute(
            sa.update(Attachment)
            .where(Attachment.instance_id == row.id)
            .values(instance_name=values["name"], updated_at=Attachment.updated_at),
            execution_options={"synchronize_session": False},
        )
    for field, value in values.items():
        setattr(row, field, value)
    emit(
        session, "instance.updated", subject=Subject("instance", row.id, row.name), project_id=row.project_id,
        data={"fields": sorted(values)}, operation_id=op.id,
    )  # fmt: skip


def _resize_back(
    op: Op, session: Session, output: Any, instance_id: str, values: dict[str, Any], was: dict[str, Any] | None = None
) -> None:
    have_size.call(op, session, instance_id, output)


@tx_step(undo=_resize_back)
def have_size(
    op: Op, session: Session, instance_id: str, values: dict[str, Any], was: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The rows say this size, and the host has promised it; the old one is the output. Raises `NoCapacity`, and
    `Conflict` where somebody has given it another size since it ``was``."""
    row = load(session, instance_id)
    old = {field: getattr(row, field) for field in values}
    if was:
        refuse(was, {name: values[name] for name in was}, old, {"vcpus": _("vCPUs"), "memory_mib": _("Memory (MiB)")})
    hosts.allocate(
        session, host_id=row.host_id, owner=row.id, vcpus=values["vcpus"], memory_mib=values["memory_mib"],
        returning=True,
    )  # fmt: skip
    if row.state in LIVE and row.running_vcpus is None:
        # Nobody wrote down what it was started with; until now its row said so.
        row.running_vcpus, row.running_memory_mib = row.vcpus, row.memory_mib
    _write(op, session, row, values)
    return old


# ── the trash ──


def _untrash(
    op: Op, session: Session, output: Any, instance_id: str, trash_id: str, purge_at: str, was: list[str]
) -> None:
    item = session.get(TrashItem, trash_id)
    if item is not None:
        session.delete(item)
    row = load(session, instance_id)
    hosts.allocate(
        session, host_id=row.host_id, owner=row.id, vcpus=row.vcpus, memory_mib=row.memory_mib, returning=True
    )
    set_state(op, session, row, State.STOPPED, reason="restored", event="instance.restored")


@tx_step(undo=_untrash)
def trash(op: Op, session: Session, instance_id: str, trash_id: str, purge_at: str, was: list[str]) -> None:
    """The instance lies in the trash until ``purge_at``; its host's room is free. Undo takes it out."""
    row = load(session, instance_id)
    hosts.release(session, instance_id)
    volumes = [a.volume for a in attachments_of(session, instance_id)]
    session.add(
        TrashItem(
            id=trash_id, kind="instance", subject_id=row.id, project_id=row.project_id, name=row.name,
            bytes=sum(v.size_bytes for v in volumes), trashed_at=op.clock.now(),
            purge_at=datetime.fromisoformat(purge_at), operation_id=op.id,
        )
    )  # fmt: skip
    set_state(op, session, row, State.TRASHED, reason=was[0], event="instance.deleted")


@tx_step()
def begin_purge(op: Op, session: Session, instance_id: str) -> dict[str, Any] | None:
    """From now on nothing that touched the instance can be undone. What must be purged, or None: it is gone already, or
    was brought back while the purge waited."""
    row = session.get(Instance, instance_id)
    if row is None or row.state != State.TRASHED:
        return None
    close_undo(session, "instance", instance_id)
    return dict(parts.call(op, session, instance_id))


@tx_step()
def finish_purge(op: Op, session: Session, instance_id: str) -> None:
    """The rows are gone, the trash too."""
    session.execute(sa.delete(TrashItem).where(TrashItem.kind == "instance", TrashItem.subject_id == instance_id))
    forget(op, session, instance_id, "instance.purged")


# ── flavors ──


def _unmake_flavor(op: Op, session: Session, output: Any, values: dict[str, Any]) -> None:
    row = session.get(Flavor, values["id"])
    if row is not None:
        row.state = "deleted"


@tx_step(undo=_unmake_flavor)
def make_flavor(op: Op, session: Session, values: dict[str, Any]) -> str:
    """The flavor is on offer."""
    refuse_taken_flavor(session, values["name"])
    session.add(Flavor(**values))
    emit(session, "flavor.created", subject=Subject("flavor", values["id"], values["name"]), operation_id=op.id)
    return str(values["id"])


def _offer_again(op: Op, session: Session, output: Any, flavor_id: str) -> None:
    row = session.get(Flavor, flavor_id)
    if row is not None and row.state != "active":
        refuse_taken_flavor(session, row.name)
        row.state = "active"
        emit(session, "flavor.created", subject=Subject("flavor", row.id, row.name), operation_id=op.id)


@tx_step(undo=_offer_again)
def withdraw_flavor(op: Op, session: Session, flavor_id: str) -> None:
    """The flavor is no longer on offer; its row stays."""
    row = session.get(Flavor, flavor_id)
    if row is not None:
        row.state = "deleted"
        emit(session, "flavor.deleted", subject=Subject("flavor", row.id, row.name), operation_id=op.id)


