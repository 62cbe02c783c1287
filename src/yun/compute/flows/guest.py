"""The operations of the guest side as recipes."""

from __future__ import annotations

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
