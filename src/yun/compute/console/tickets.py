"""Tickets: given to somebody who may use an instance's console, taken once from the same person soon after."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from yun.base.context import Context
from yun.base.errors import Conflict, Forbidden, Invalid, Unauthenticated
from yun.base.messages import _
from yun.compute.console.model import KINDS, LIFE_SECONDS, SCREENS, ConsoleTicket
from yun.compute.model import Instance
from yun.compute.service import get
from yun.operations.events import emit
from yun.operations.intent import Subject

KEPT = timedelta(hours=1)


@dataclass(frozen=True)
class Seat:
    """A place before a console: which machine on which host, and for whom."""

    instance_id: str
    uuid: str
    host_id: str
    project_id: str
    name: str
    actor_id: str
    kind: str


def issue(ctx: Context, reference: str, kind: str) -> tuple[str, ConsoleTicket]:
    """A fresh ticket's secret and row, written in the context's transaction.

    Precondition: the actor has ``instance.console``; for a screen the instance is on. Raises `Invalid` for an unknown
    kind, `Conflict` where there is no screen to see.
    """
    if kind not in KINDS:
        raise Invalid(
            _("There is no console of the kind {kind}.", kind=kind[:40]),
            fields={"kind": _("one of {names}", names=", ".join(KINDS))},
        )
    instance = get(ctx, reference)
    ctx.may("instance.console", instance.project_id)
    if kind in SCREENS:
        must_be_on(instance)
    now = ctx.clock.now()
    ctx.session.execute(sa.delete(ConsoleTicket).where(ConsoleTicket.expires_at < now - KEPT))
    secret = secrets.token_urlsafe(32)
    ticket = ConsoleTicket(
        digest=_digest(secret),
        kind=kind,
        instance_id=instance.id,
        actor_id=ctx.actor.id,
        expires_at=now + timedelta(seconds=LIFE_SECONDS),
    )
    ctx.session.add(ticket)
    ctx.session.flush()
    return secret, ticket


def redeem(ctx: Context, secret: str, kind: str) -> Seat:
    """The seat a ticket stands for; it is used up when the context's transaction commits.

    Raises `Unauthenticated` for nobody and `Forbidden` for a ticket that is unknown, used, run out, of another
    person or another kind of console: which of these, nobody is told.
    """
    if ctx.actor.kind == "nobody":
        raise Unauthenticated(_("Please log in."))
    refused = Forbidden(
        _("This console ticket is not valid."), hint=_("A ticket opens one console once, within 30 seconds.")
    )
    now = ctx.clock.now()
    ticket = ctx.session.scalar(sa.select(ConsoleTicket).where(ConsoleTicket.digest == _digest(secret)))
    if ticket is None or ticket.kind != kind or ticket.used_at is not None or ticket.expires_at <= now:
        raise refused
    if ticket.actor_id != ctx.actor.id:
        raise refused
    taken = sa.update(ConsoleTicket).where(ConsoleTicket.id == ticket.id, ConsoleTicket.used_at.is_(None))
    if ctx.session.execute(taken.values(used_at=now)).rowcount != 1:  # type: ignore[attr-defined]
        raise refused
    seat = seat_of(ctx, ticket.instance_id, "instance.console", kind)
    emit(
        ctx.session,
        "instance.console_opened",
        subject=Subject("instance", seat.instance_id, seat.name),
        project_id=seat.project_id,
        data={"console": kind, "actor": ctx.actor.name, "address": ctx.address},
    )
    return seat


def seat_of(ctx: Context, reference: str, permission: str, kind: str = "", *, on: bool = False) -> Seat:
    """The seat before an instance that the actor may use as ``permission`` says; ``on``: it must be switched on."""
    instance = get(ctx, reference)
    ctx.may(permission, instance.project_id)
    if on:
        must_be_on(instance)
    return Seat(
        instance.id, instance.uuid, instance.host_id, instance.project_id, instance.name, ctx.actor.id, kind
    )


def must_be_on(instance: Instance) -> None:
    """Raise `Conflict` where the machine has no screen or keyboard now."""
    if not instance.allows("console"):
        raise Conflict(
            _("The instance {name} is not running.", name=instance.name),
            hint=_("Start it first."),
            details={"state": str(instance.state)},
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
