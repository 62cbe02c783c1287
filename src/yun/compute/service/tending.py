"""From a hypervisor's nudge to the operation that looks: which instance is meant."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.messages import _
from yun.compute.model import Instance, State
from yun.compute.service.power import subject
from yun.operations.intent import Intent, Key, Subject

TEND = "instance.tend"
TEND_ALL = "instance.tend_all"


def nudged(session: Session, uuid: str) -> tuple[str, Subject, dict[str, str]] | None:
    """What a hypervisor's nudge asks for: kind, subject and arguments of a quiet operation (`Engine.nudge`).

    An empty ``uuid`` asks to look at all. None for a domain that is not ours, or that lies in the trash.
    """
    if not uuid:
        return TEND_ALL, Subject("periodic", TEND_ALL, TEND_ALL), {}
    found = session.scalar(sa.select(Instance).where(Instance.uuid == uuid, Instance.state != State.TRASHED))
    if found is None:
        return None
    return TEND, subject(found), {"instance_id": found.id}


def tend(ctx: Context, instance: Instance) -> Intent:
    """Look at what the machine really does, write it down, and mend it as its policy says."""
    ctx.may("instance.tend", instance.project_id)
    return replace(tend_intent(instance), quiet=False)


def tend_intent(instance: Instance, *, turn: bool = False, delay: int = 0) -> Intent:
    """The quiet operation that looks at one instance. ``turn``: it comes after those of its host that were ordered
    before it, and starts the machine ``delay`` seconds after them."""
    own = Key(f"instance:{instance.id}")
    return Intent(
        kind=TEND,
        title=_("Look after instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, **({"delay": delay} if delay else {})},
        keys=(own, Key(f"host-starts:{instance.host_id}")) if turn else (own,),
        effects=(_("What the machine really does is written down, and mended as its policy says."),),
        undoable=False,
        no_undo=_("It changes nothing that could be undone."),
        transparent=True,
        quiet=True,
    )
