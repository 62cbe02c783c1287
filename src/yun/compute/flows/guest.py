"""The operations of the guest side as recipes."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation, periodic


@operation("instance.learn_guest")
def learn_guest(op: Op, instance_id: str) -> None:
    """Ask one guest what it is."""
    op.step(steps.learn, instance_id)


@periodic("instance.learn_guests", every=30.0)
@operation("instance.learn_guests")
def learn_guests(op: Op) -> None:
    """Ask all guests now and then."""
    op.step(steps.learn_all)


@operation("instance.set_password")
def set_password(op: Op, instance_id: str, errand_id: str, user: str) -> Any:
    """The hash lies in the errand's row until the guest has it."""
    op.step(steps.take_errand, errand_id)
    op.step(steps.give_password, instance_id, errand_id, user)
    op.step(steps.drop_errand, errand_id)
    return {"instance_id": instance_id, "user": user}


@operation("instance.freeze")
def freeze(op: Op, instance_id: str, seconds: int) -> Any:
    """File systems stand still until they are thawed, or by themselves go on."""
    return {"instance_id": instance_id, **op.step(steps.freeze_now, instance_id, seconds)}


@operation("instance.thaw")
def thaw(op: Op, instance_id: str) -> Any:
    """File systems go on."""
    op.step(steps.thaw_now_and_tell, instance_id)
    return {"instance_id": instance_id}


@periodic("instance.thaw_due", every=5.0)
@operation("instance.thaw_due")
def thaw_due(op: Op) -> None:
    """No guest stays frozen longer than was said."""
    op.step(steps.thaw_due)


@operation("instance.trim")
def trim(op: Op, instance_id: str) -> Any:
    """Free blocks go back to the pool."""
    return {"instance_id": instance_id, **op.step(steps.give_back_blocks, instance_id)}


@operation("instance.sync_time")
def sync_time(op: Op, instance_id: str) -> Any:
    """The clock is right."""
    return {"instance_id": instance_id, **op.step(steps.set_clock, instance_id)}


@operation("instance.run")
def run(op: Op, instance_id: str, errand_id: str, command: list[str], seconds: float) -> Any:
    """Start it once, wait for its end, keep what it printed."""
    op.step(steps.take_errand, errand_id)
    pid = op.step(steps.launch, instance_id, errand_id, command)
    outcome = op.step(steps.await_end, instance_id, errand_id, pid, seconds)
    op.step(steps.drop_errand, errand_id)
    return {"instance_id": instance_id, **outcome}
