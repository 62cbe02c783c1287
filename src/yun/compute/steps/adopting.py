"""Steps that take a running machine over from libvirt, and hand one back, without touching what runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute.found import volumes_of
from yun.compute.model import LIVE, Adoption, FoundMachine, Instance, State
from yun.compute.spec import mark_of
from yun.compute.steps.definition import define_now, defined
from yun.compute.steps.forgetting import forget_all, put_back
from yun.compute.steps.found import trace_all
from yun.compute.steps.shared import STATE_OF, boot_of, load, notice_key, place, set_state
from yun.drivers.hypervisor.port import Power
from yun.operations.events import emit, resolve_notice
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject
from yun.storage import service as storage
from yun.storage.model import VolumeState

# ── adopt ──


def _never_adopted(op: Op, session: Session, output: Any, instance_id: str) -> None:
    """The machine is a stranger again; its row among the found ones is there, as it was."""
    row = session.get(Instance, instance_id)
    if row is None:
        return
    came = session.get_one(Adoption, instance_id, populate_existing=True)
    found = FoundMachine(
        uuid=row.uuid, host_id=row.host_id, name=came.name, state=came.facts.get("state", Power.STOPPED),
        vcpus=row.vcpus, memory_mib=row.memory_mib, autostart=came.autostart, facts=came.facts,
        xml=session.scalar(sa.select(Adoption.xml).where(Adoption.instance_id == instance_id)),
        seen_at=op.clock.now(),
    )  # fmt: skip
    gone = Subject("instance", row.id, row.name), row.project_id
    resolve_notice(session, notice_key(row.id))
    forget_all(session, row)
    if session.get(FoundMachine, found.uuid) is None:
        session.add(found)
    emit(session, "instance.released", subject=gone[0], project_id=gone[1], operation_id=op.id)
    session.flush()


@tx_step(undo=_never_adopted)
def begin_adoption(op: Op, session: Session, instance_id: str) -> None:
    """The rows that came with the operation are there. Undo removes them all: no file and no domain is touched."""
    load(session, instance_id)


def _leave_alone(op: Op, output: Any, instance_id: str) -> None:
    row, hypervisor = place(op, instance_id)
    with op.read() as session:
        came = session.get_one(Adoption, instance_id)
    hypervisor.disown(row.uuid)
    if hypervisor.state(row.uuid).power != Power.MISSING:
        hypervisor.set_autostart(row.uuid, came.autostart)


@step(undo=_leave_alone)
def claim(op: Op, instance_id: str) -> None:
    """The domain bears this cloud's mark; nothing else of it has changed. Raises `Conflict` where its disks are not
    what they were when the plan was made."""
    row, hypervisor = place(op, instance_id)
    with op.read() as session:
        came = session.get_one(Adoption, instance_id)
    wanted = {d["slot"]: [f["path"] for f in d["chain"]] for d in volumes_of(came.facts)}
    named = ((d["slot"], d["path"], d["format"]) for d in volumes_of(came.facts))
    chains, _faults = trace_all(op.drivers.on(row.host_id).volume, named)
    if {slot: [f.path for f in chain if f.exists] for slot, chain in chains.items()} != wanted:
        raise Conflict(
            _("The disks of {name} have changed since they were looked at.", name=came.name),
            hint=_("Look at the found machine again, then take it over."),
        )
    if hypervisor.state(row.uuid).power == Power.MISSING:
        raise Conflict(_("{name} is gone.", name=came.name))
    hypervisor.claim(row.uuid, mark_of(row))
    # What starts after a reboot of the host is decided here, by policy.
    hypervisor.set_autostart(row.uuid, False)


@step()
def settle(op: Op, instance_id: str) -> str:
    """The rows say what the machine does now, and its volumes can be used; its state."""
    row, hypervisor = place(op, instance_id)
    seen = hypervisor.state(row.uuid)
    state = STATE_OF[seen.power]
    boot_id = boot_of(op, row.host_id)
    with op.write() as session:
        row = load(session, instance_id)
        for disk in storage.attachments_of(session, instance_id):
            if disk.volume.state == VolumeState.BUILDING:
                disk.volume.state = VolumeState.AVAILABLE
                emit(
                    session, "volume.created", subject=storage.subject_of(disk.volume), project_id=row.project_id,
                    operation_id=op.id,
                    data={"size_bytes": disk.volume.size_bytes, "pool_id": disk.volume.pool_id},
                )  # fmt: skip
        if row.state == State.BUILDING:
            row.boot_id, row.agent = boot_id, seen.agent
            if state in LIVE:
                row.running_vcpus, row.running_memory_mib = row.vcpus, row.memory_mib
            set_state(op, session, row, state, reason=seen.reason, event="instance.adopted")
    return str(state)


# ── release ──


def _take_back(op: Op, output: Any, instance_id: str) -> None:
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power == Power.MISSING:
        raise Conflict(
            _("libvirt does not know {name} any more.", name=row.name),
            hint=_("Define it again under its old UUID, then try once more."),
        )
    define_now(op, instance_id)
    hypervisor.claim(row.uuid, mark_of(row))


@step(undo=_take_back)
def hand_over(op: Op, instance_id: str) -> None:
    """The domain is a plain one with the disks it has now: no mark, started with its host as its policy said. What
    runs goes on. Undo marks it again."""
    row, spec = defined(op, instance_id)
    plain = replace(spec, metadata={}, autostart=row.autostart)
    if spec.kept is not None:
        plain = replace(plain, serial_socket="", serial_log="")
    hypervisor = op.drivers.on(row.host_id).hypervisor
    hypervisor.define(plain)
    hypervisor.set_autostart(row.uuid, row.autostart)
    hypervisor.disown(row.uuid)


def _remember_all(op: Op, session: Session, output: Any, instance_id: str) -> None:
    if not output or session.get(Instance, instance_id) is not None:
        return
    session.execute(sa.delete(FoundMachine).where(FoundMachine.uuid == output["uuid"]))
    _refuse_other(session, output)
    put_back(session, output)
    row = load(session, instance_id)
    emit(
        session, "instance.adopted", subject=Subject("instance", row.id, row.name), project_id=row.project_id,
        operation_id=op.id,
    )  # fmt: skip


def _refuse_other(session: Session, gone: dict[str, Any]) -> None:
    """Pass where nobody took the machine, its name or its disks meanwhile. Raises `Conflict`."""
    rows = dict(gone["rows"])
    mine = rows["instance"][0]
    if session.scalar(sa.select(Instance.id).where(Instance.uuid == mine["uuid"])):
        raise Conflict(_("{name} has been taken over again as another instance.", name=mine["name"]))
    same = sa.select(Instance.id).where(Instance.project_id == mine["project_id"], Instance.name == mine["name"])
    if session.scalar(same):
        raise Conflict(_("There is an instance {name} already.", name=mine["name"]))
    for volume in rows.get("volume", []):
        if storage.taken(session, volume["project_id"], volume["name"]):
            raise storage.name_taken(volume["name"])


@tx_step(undo=_remember_all)
def forget_machine(op: Op, session: Session, instance_id: str) -> dict[str, Any] | None:
    """No row of the instance, its disks and its cards is left; what they were is the output. No file is touched."""
    row = session.get(Instance, instance_id)
    if row is None:
        return None
    subject, project_id = Subject("instance", row.id, row.name), row.project_id
    resolve_notice(session, notice_key(row.id))
    gone = forget_all(session, row)
    emit(session, "instance.released", subject=subject, project_id=project_id, operation_id=op.id)
    return gone
