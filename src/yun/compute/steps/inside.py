"""Steps that act inside a guest through its agent: password, clock, trimming; and what errands keep."""

from __future__ import annotations

import base64
from typing import Any

from sqlalchemy.orm import Session, undefer

from yun.compute.guest.model import GuestErrand
from yun.compute.steps.shared import load, place
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject

TRIM_SECONDS = 300.0
AGENT_SECONDS = 20.0


def _drop(op: Op, session: Session, output: Any, errand_id: str) -> None:
    drop_errand.call(op, session, errand_id)


@tx_step(undo=_drop)
def take_errand(op: Op, session: Session, errand_id: str) -> None:
    """From here on the errand's row belongs to this operation; undo drops it."""


@tx_step()
def drop_errand(op: Op, session: Session, errand_id: str) -> None:
    """The errand is done: its row, and what was secret in it, is gone."""
    row = session.get(GuestErrand, errand_id)
    if row is not None:
        session.delete(row)


@step(retries=2)
def give_password(op: Op, instance_id: str, errand_id: str, user: str) -> None:
    """The user of the guest has the password whose hash the errand keeps."""
    row, hypervisor = place(op, instance_id)
    with op.read() as session:
        secret = session.get_one(GuestErrand, errand_id, options=[undefer(GuestErrand.secret)]).secret
    told = {"username": user, "password": base64.b64encode(secret.encode()).decode(), "crypted": True}
    hypervisor.agent(row.uuid, "guest-set-user-password", told, timeout=AGENT_SECONDS)
    tell(op, instance_id, "instance.password_set", user=user)


@step(retries=2)
def give_back_blocks(op: Op, instance_id: str) -> dict[str, Any]:
    """The guest told its disks which blocks are free. How much by mount point, and what could not be trimmed."""
    row, hypervisor = place(op, instance_id)
    answer = hypervisor.agent(row.uuid, "guest-fstrim", timeout=TRIM_SECONDS)
    paths = answer.get("paths", []) if isinstance(answer, dict) else []
    trimmed = {p["path"]: int(p["trimmed"]) for p in paths if "trimmed" in p}
    refused = {p["path"]: str(p["error"])[:300] for p in paths if "error" in p}
    tell(op, instance_id, "instance.trimmed", bytes=sum(trimmed.values()))
    return {"trimmed_bytes": sum(trimmed.values()), "trimmed": trimmed, "refused": refused}


@step(retries=2)
def set_clock(op: Op, instance_id: str) -> dict[str, Any]:
    """The guest's clock is right. By how many seconds it was ahead before (negative: behind)."""
    row, hypervisor = place(op, instance_id)
    told = hypervisor.agent(row.uuid, "guest-get-time", timeout=AGENT_SECONDS)
    ahead = (int(told) / 1e9 - op.clock.now().timestamp()) if isinstance(told, int) else None
    now = int(op.clock.now().timestamp() * 1e9)
    hypervisor.agent(row.uuid, "guest-set-time", {"time": now}, timeout=AGENT_SECONDS)
    tell(op, instance_id, "instance.clock_set")
    return {"was_ahead_seconds": None if ahead is None else round(ahead, 3)}


def tell(op: Op, instance_id: str, event: str, **data: Any) -> None:
    """Tell what was done inside an instance."""
    with op.write() as session:
        row = load(session, instance_id)
        emit(
            session, event, subject=Subject("instance", row.id, row.name), project_id=row.project_id, data=data,
            operation_id=op.id,
        )  # fmt: skip
