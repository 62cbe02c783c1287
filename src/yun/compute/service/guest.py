"""What guests told of themselves: reading it, and the quiet operation that asks again."""

from __future__ import annotations

from typing import Any

from yun.base.context import Context
from yun.base.messages import _
from yun.compute.guest.model import InstanceFreeze, InstanceGuest
from yun.compute.model import LIVE, Instance
from yun.compute.service.power import subject
from yun.operations.intent import Intent, Key

LEARN = "instance.learn_guest"
FACTS = ("os_id", "os_name", "kernel", "hostname", "time_zone", "file_systems", "cards")
EMPTY: dict[str, Any] = {**dict.fromkeys(FACTS, ""), "file_systems": [], "cards": []}


def guest(ctx: Context, instance: Instance) -> dict[str, Any]:
    """What the instance's guest last told: system, host name, file systems, cards with addresses, and since when.

    ``agent`` is whether one is connected now; ``seen_at`` None where none ever answered; ``frozen_until`` is when
    its file systems, that stand still, go on by themselves (None where they do not stand still).
    """
    ctx.may("instance.guest", instance.project_id)
    row = ctx.session.get(InstanceGuest, instance.id)
    freeze = ctx.session.get(InstanceFreeze, instance.id)
    known = row is not None and row.seen_at is not None
    return {
        "instance_id": instance.id,
        "agent": instance.agent,
        "seen_at": row.seen_at.isoformat() if row is not None and row.seen_at else None,
        "frozen_until": freeze.thaw_at.isoformat() if freeze is not None and instance.state in LIVE else None,
        **({name: getattr(row, name) for name in FACTS} if known else EMPTY),
    }


def learn_intent(instance: Instance) -> Intent:
    """The quiet operation that asks a guest what it is: beside whatever else is done to the instance."""
    return Intent(
        kind=LEARN,
        title=_("Ask the guest of instance {name} about itself", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id},
        keys=(Key(f"guest:{instance.id}"),),
        undoable=False,
        no_undo=_("It changes nothing that could be undone."),
        transparent=True,
        quiet=True,
    )
