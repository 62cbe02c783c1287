"""The verbs that note for a while what a security group's rules let through and what is dropped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.network import checks
from yun.network.model import SecurityGroup, SecurityHit
from yun.network.service import look
from yun.network.service.batch import remote_names
from yun.network.service.groups import subject_of
from yun.network.service.reach.words import say
from yun.operations.intent import Intent

MINUTES, MOST_MINUTES = 10, 60
RATE = 20
"""Packets a second that are noted of each rule; what is more is not counted."""


def log_group(ctx: Context, group: SecurityGroup, minutes: int = MINUTES) -> Intent:
    """For ``minutes`` (1 to 60) it is noted what each rule of the group lets through, connections once, and what is
    dropped at its ports; then it ends by itself. What was noted before is forgotten. Raises `Invalid`, `Conflict`."""
    ctx.may("security_group.log", group.project_id)
    look.must_allow(group, "log")
    length = checks.number(minutes, 1, MOST_MINUTES, "minutes") or MINUTES
    if group.log_until is not None:
        raise Conflict(
            _("The hits of {name} are being noted already.", name=group.name), hint=_("Wait for its end, or stop it.")
        )
    until = ctx.clock.now() + timedelta(minutes=length)
    return Intent(
        kind="security_group.log",
        title=_("Note the hits of security group {name}", name=group.name),
        subject=subject_of(group),
        project_id=group.project_id,
        arguments={"group_id": group.id, "until": until.isoformat(), "now": ctx.clock.now().isoformat()},
        effects=(
            _("For {minutes} minutes it is noted what its rules let through, and what is dropped at its ports.",
              minutes=length),
            _("At most {rate} packets a second of each rule are noted; traffic itself is not slowed.", rate=RATE),
            _("Who can see the hits sees with whom its machines talk."),
        ),
        transparent=True,
    )  # fmt: skip


def stop_log(ctx: Context, group: SecurityGroup) -> Intent:
    """Nothing more is noted; what was, stays to be read. Raises `Conflict` where nothing is noted."""
    ctx.may("security_group.stop_log", group.project_id)
    look.must_allow(group, "stop_log")
    if group.log_until is None:
        raise Conflict(_("The hits of {name} are not being noted.", name=group.name))
    return Intent(
        kind="security_group.stop_log",
        title=_("Stop noting the hits of security group {name}", name=group.name),
        subject=subject_of(group),
        project_id=group.project_id,
        arguments={"group_id": group.id},
        effects=(_("Nothing more is noted; what was, stays to be read."),),
        undoable=False,
        no_undo=_("Start it again instead."),
        transparent=True,
    )


def hits(ctx: Context, group: SecurityGroup) -> dict[str, Any]:
    """What was noted: ``until`` (None: nothing is being noted), and by rule, most first, its words, how much and the
    last samples; what was dropped has no rule. A rule that is gone has no words any more."""
    ctx.may("security_group.hits", group.project_id)
    rules = {r.id: r for r in look.rules_of(ctx.session, group.id)}
    names = remote_names(ctx.session, rules.values())
    query = sa.select(SecurityHit).where(SecurityHit.group_id == group.id).order_by(SecurityHit.count.desc())
    noted: list[dict[str, Any]] = []
    for row in ctx.session.scalars(query):
        rule = rules.get(row.rule_id)
        text: Message = say(rule, names) if rule else _("dropped: no rule allows it")
        if row.rule_id and rule is None:
            text = _("a rule that is gone")
        noted.append({
            "rule_id": row.rule_id or None, "text": text, "count": row.count, "last_at": row.last_at,
            "samples": row.samples,
        })  # fmt: skip
    return {"until": group.log_until, "hits": noted}


def moment_of(text: str) -> datetime:
    """A moment as it stands in arguments."""
    return datetime.fromisoformat(text)
