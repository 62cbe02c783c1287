"""Changes of security groups: name, description, whether connections are followed; a rule in its place; a copy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import checks
from yun.network.model import TRASHED, Port, PortSecurityGroup, SecurityGroup, SecurityRule
from yun.network.service import look
from yun.network.service.groups import (
    NewRule,
    meaning,
    named,
    nothing_new,
    plan_rule,
    planned,
    rule_values,
    subject_of,
    touching,
    use_of,
)
from yun.network.service.reach import foresee
from yun.network.service.reach.difference import difference
from yun.network.service.reach.words import listed, say
from yun.operations.intent import Intent


def update_group(ctx: Context, group: SecurityGroup, **changes: Any) -> Intent:
    """Other ``name``, ``description``, or ``stateless``; None stays as it is. Raises `Invalid`, `Conflict` for a taken
    name, where nothing would change, and where ports are in groups of the other sort too: answers would be lost."""
    ctx.may("security_group.update", group.project_id)
    look.must_allow(group, "update")
    wanted = _clean(changes)
    values = {name: value for name, value in wanted.items() if value != getattr(group, name)}
    if not values:
        raise Conflict(_("Nothing would change: the security group is already so."))
    if "name" in values:
        if group.is_default:
            raise Conflict(_("The default security group keeps its name."), fields={"name": _("as it is")})
        look.refuse_taken(ctx.session, SecurityGroup, values["name"], project_id=group.project_id)
    effects: list[Message] = []
    if "name" in values:
        effects.append(_("It is called {name} from now on.", name=values["name"]))
    if "description" in values:
        effects.append(_("Its description changes."))
    if "stateless" in values:
        refuse_mixed(ctx.session, group, stateless=values["stateless"])
        effects += _state_said(ctx.session, group, stateless=values["stateless"])
    return Intent(
        kind="security_group.update",
        title=_("Change security group {name}", name=group.name),
        subject=subject_of(group),
        project_id=group.project_id,
        arguments={"group_id": group.id, "values": values, "was": {name: getattr(group, name) for name in values}},
        effects=tuple(effects),
    )


def _clean(changes: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if changes.get("name") is not None:
        out["name"] = checks.name(changes["name"])
    if changes.get("description") is not None:
        out["description"] = checks.description(changes["description"])
    if changes.get("stateless") is not None:
        out["stateless"] = bool(changes["stateless"])
    return out


def _state_said(session: Session, group: SecurityGroup, *, stateless: bool) -> list[Message]:
    if not stateless:
        return [_("Connections are followed again: answers to what is allowed pass by themselves.")]
    told = [
        _("Connections are no longer followed: answers to what is allowed need rules of their own in both directions."),
        _("Connections that stand now break where no such rule lets their answers through."),
    ]
    rules = look.rules_of(session, group.id)
    for direction, back in (("ingress", "egress"), ("egress", "ingress")):
        asked = {r.family for r in rules if r.direction == direction}
        answered = {r.family for r in rules if r.direction == back and r.port_min is None and r.protocol != "icmp"}
        if asked - answered:
            told.append(
                _("No rule lets the answers to what comes in out again.") if direction == "ingress" else
                _("No rule lets the answers to what goes out in again.")
            )  # fmt: skip
    return told


def refuse_mixed(session: Session, group: SecurityGroup, *, stateless: bool) -> None:
    """Raise `Conflict` where ports of the group are in groups of the other sort too: what one of them lets through
    unfollowed, the other one's connections know nothing of, and answers are dropped."""
    mine = sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == group.id)
    both = (
        sa.select(Port.hostname, Port.address)
        .join(PortSecurityGroup, PortSecurityGroup.port_id == Port.id)
        .join(SecurityGroup, SecurityGroup.id == PortSecurityGroup.group_id)
        .where(Port.id.in_(mine), SecurityGroup.id != group.id, SecurityGroup.stateless.is_not(stateless))
        .order_by(Port.hostname)
        .distinct()
    )
    names = [hostname or address for hostname, address in session.execute(both)]
    if names:
        raise Conflict(
            _("{names} are in stateful groups too; a card cannot have both sorts.", names=listed(names)) if stateless
            else _("{names} are in stateless groups too; a card cannot have both sorts.", names=listed(names)),
            hint=_("Answers would be dropped. Take the cards out of the other groups first."),
        )  # fmt: skip


def clone_group(ctx: Context, group: SecurityGroup, name: str, description: str | None = None) -> Intent:
    """A new group of the same project with the same rules; those that name the group itself name the copy. No port is
    in it. Raises `Invalid`, `Conflict` for a taken name."""
    ctx.may("security_group.clone", group.project_id)
    look.must_allow(group, "clone")
    clean = checks.name(name)
    look.refuse_taken(ctx.session, SecurityGroup, clean, project_id=group.project_id)
    copy = SecurityGroup(
        id=new_id(SecurityGroup.PREFIX), project_id=group.project_id, name=clean, is_default=False,
        description=group.description if description is None else checks.description(description),
        stateless=group.stateless,
    )  # fmt: skip
    rules = look.rules_of(ctx.session, group.id)
    copies = [_copied(rule, group.id, copy.id) for rule in rules]

    def write(session: Session) -> None:
        session.add(copy)
        session.flush()
        session.add_all(SecurityRule(**values) for values in copies)

    return Intent(
        kind="security_group.clone",
        title=_("Clone security group {name} as {copy}", name=group.name, copy=clean),
        subject=subject_of(copy),
        subjects=(use_of(copy.id), *touching(*rules)),
        project_id=group.project_id,
        arguments={"group_id": copy.id},
        effects=(_("A security group {name} is made with {count} {count:rule|rules} of {source}; no port is in it yet.",
                   name=clean, count=len(rules), source=group.name),),
        write=write,
    )  # fmt: skip


def _copied(rule: SecurityRule, source: str, target: str) -> dict[str, Any]:
    values = rule_values(rule) | {"id": new_id(SecurityRule.PREFIX), "group_id": target}
    return values | ({"remote_group_id": target} if rule.remote_group_id == source else {})


def update_rule(ctx: Context, group: SecurityGroup, rule_id: str, new: NewRule) -> Intent:
    """The rule says something else, in its place and at once: nothing is closed in between that both allow.

    Raises `NotFound`, `Invalid` naming fields, `Conflict` where another rule says it already or nothing would change.
    """
    ctx.may("security_group.update_rule", group.project_id)
    look.must_allow(group, "update_rule")
    old = rule_of(ctx, group, rule_id)
    rule = plan_rule(ctx, group, new)
    rule.id = old.id
    if meaning(rule) == meaning(old) and rule.description == old.description:
        raise Conflict(_("Nothing would change: the rule says this already."))
    others = (r for r in look.rules_of(ctx.session, group.id) if r.id != old.id)
    if any(meaning(r) == meaning(rule) for r in others):
        raise Conflict(_("The security group {name} has this rule already.", name=group.name))
    before = foresee.of_group(ctx.session, group.id)
    changed = difference(before, before.with_rule(planned(ctx.session, rule)))
    names = named(ctx.session, old, rule)
    same = meaning(rule) == meaning(old)
    return Intent(
        kind="security_group.update_rule",
        title=_("Change a rule of security group {name}", name=group.name),
        subject=subject_of(group),
        subjects=touching(rule),
        project_id=group.project_id,
        arguments={"group_id": group.id, "rule": rule_values(rule)},
        effects=(
            _("Its description changes.") if same else
            _("Instead of {old} it allows {new}.", old=say(old, names), new=say(rule, names)),
            *changed, *(() if same else nothing_new(before, changed)),
        ),
    )  # fmt: skip


def rule_of(ctx: Context, group: SecurityGroup, rule_id: str) -> SecurityRule:
    """A rule of the group. Raises `NotFound`."""
    rule = None if "\0" in rule_id else ctx.session.get(SecurityRule, rule_id)
    if rule is None or rule.group_id != group.id:
        raise not_found("rule", rule_id.replace("\0", "�"))
    return rule


def wish_of(rule: SecurityRule) -> NewRule:
    """A rule as it would be asked for: what a change leaves out stays."""
    remote = f"group:{rule.remote_group_id}" if rule.remote_group_id else rule.remote_cidr
    return NewRule(
        rule.direction, rule.protocol, rule.port_min, rule.port_max,
        f"set:{rule.remote_set_id}" if rule.remote_set_id else remote, rule.family, rule.icmp_type, rule.icmp_code,
        rule.description,
    )  # fmt: skip


def changed_wish(rule: SecurityRule, changes: dict[str, Any]) -> NewRule:
    """A rule's wish with what changes; another protocol takes ports and ICMP types with it, unless they are given, and
    another first port the last one."""
    if changes.get("protocol", rule.protocol) != rule.protocol:
        changes = {"port_min": None, "port_max": None, "icmp_type": None, "icmp_code": None, **changes}
    elif "port_min" in changes and "port_max" not in changes:
        changes = {**changes, "port_max": None}
    return replace(wish_of(rule), **changes)


def ports_in(session: Session, group_id: str) -> list[Port]:
    """The living ports of a group, by name."""
    mine = sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == group_id)
    query = sa.select(Port).where(Port.id.in_(mine), Port.state != TRASHED).order_by(Port.hostname, Port.id)
    return list(session.scalars(query.limit(1000)))
