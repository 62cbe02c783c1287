"""The verbs of security groups and their rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid, NotFound
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import checks
from yun.network.model import AddressSet, Port, PortSecurityGroup, SecurityGroup, SecurityRule
from yun.network.service import look
from yun.network.service.batch import remote_names
from yun.network.service.reach import foresee
from yun.network.service.reach.difference import difference
from yun.network.service.reach.facts import Picture, RuleFact, rule_fact
from yun.network.service.reach.words import listed, say
from yun.operations.intent import Intent, Subject

MOST_RULES = 200
RULE_COLUMNS = (
    "id", "group_id", "direction", "family", "protocol", "port_min", "port_max", "icmp_type", "icmp_code",
    "remote_cidr", "remote_group_id", "remote_set_id", "description",
)  # fmt: skip
GROUP_USE = "security_group_use"
DIRECTIONS, FAMILIES = ("ingress", "egress"), ("ipv4", "ipv6")


@dataclass(frozen=True)
class NewRule:
    """A rule to be added. ``remote`` is a range, an address, a security group or an address set (name or id, also as
    ``group:NAME`` and ``set:NAME``), or None for anybody.
    ``port_max`` defaults to ``port_min``; for ICMP there are type and code instead."""

    direction: str = "ingress"
    protocol: str = "tcp"
    port_min: int | None = None
    port_max: int | None = None
    remote: str | None = None
    family: str = "ipv4"
    icmp_type: int | None = None
    icmp_code: int | None = None
    description: str = ""


def outward(group_id: str) -> list[SecurityRule]:
    """The rules that let everything out, one for each family."""
    return [
        SecurityRule(id=new_id(SecurityRule.PREFIX), group_id=group_id, direction="egress", family=f, protocol="any")
        for f in FAMILIES
    ]


def welcoming(group_id: str) -> list[SecurityRule]:
    """The rules of a project's default group: all out; in: SSH, ping, and everything from the same group."""
    inward = [
        SecurityRule(protocol="tcp", port_min=22, port_max=22, family="ipv4", description="SSH"),
        SecurityRule(protocol="icmp", family="ipv4", description="ICMP"),
        SecurityRule(protocol="tcp", port_min=22, port_max=22, family="ipv6", description="SSH"),
        SecurityRule(protocol="icmp", family="ipv6", description="ICMPv6"),
        SecurityRule(protocol="any", family="ipv4", remote_group_id=group_id),
        SecurityRule(protocol="any", family="ipv6", remote_group_id=group_id),
    ]
    for rule in inward:
        rule.id, rule.group_id, rule.direction = new_id(SecurityRule.PREFIX), group_id, "ingress"
    return [*outward(group_id), *inward]


def delete_group(ctx: Context, group: SecurityGroup) -> Intent:
    """The group goes to the trash. Raises `Conflict` for the default one, and where ports or rules use it."""
    ctx.may("security_group.delete", group.project_id)
    look.must_allow(group, "delete")
    if group.is_default:
        raise Conflict(_("The default security group cannot be deleted."), hint=_("Change its rules instead."))
    refuse_used(ctx.session, group)
    return Intent(
        kind="security_group.delete",
        title=_("Delete security group {name}", name=group.name),
        subject=subject_of(group),
        subjects=(use_of(group.id),),
        project_id=group.project_id,
        arguments={"group_id": group.id},
        effects=(_("The security group {name} goes to the trash.", name=group.name),),
    )


def refuse_used(session: Session, group: SecurityGroup) -> None:
    """Raise `Conflict` where ports are in the group or rules of others name it; it says which."""
    mine = sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == group.id)
    ports = list(session.scalars(sa.select(Port).where(Port.id.in_(mine)).order_by(Port.hostname, Port.id)))
    if ports:
        names = list(dict.fromkeys(p.hostname or p.address for p in ports))
        raise Conflict(
            _("The security group {name} is in use by: {names}.", name=group.name, names=listed(names)),
            hint=_("Those of instances in the trash count too."),
            details={"ports": [p.id for p in ports[:100]]},
        )  # fmt: skip
    naming = sa.select(SecurityGroup.name).where(
        SecurityGroup.id.in_(
            sa.select(SecurityRule.group_id).where(
                SecurityRule.remote_group_id == group.id, SecurityRule.group_id != group.id
            )
        )
    )
    if names := sorted(session.scalars(naming)):
        hint = _("Remove those rules first.")
        raise Conflict(_("Rules of {names} name this group.", names=listed(names)), hint=hint)


def add_rule(ctx: Context, group: SecurityGroup, new: NewRule) -> Intent:
    """One more thing is allowed. Raises `Invalid` naming fields, `Conflict` for a rule that is there already."""
    ctx.may("security_group.add_rule", group.project_id)
    look.must_allow(group, "add_rule")
    rule = plan_rule(ctx, group, new)
    have = look.rules_of(ctx.session, group.id)
    if any(meaning(r) == meaning(rule) for r in have):
        raise Conflict(_("The security group {name} has this rule already.", name=group.name))
    if len(have) >= MOST_RULES:
        raise Conflict(_("A security group has at most {most} rules.", most=MOST_RULES))
    values = rule_values(rule)
    before = foresee.of_group(ctx.session, group.id)
    changed = difference(before, before.with_rule(planned(ctx.session, rule)))
    return Intent(
        kind="security_group.add_rule",
        title=_("Add a rule to security group {name}", name=group.name),
        subject=subject_of(group),
        subjects=touching(rule),
        project_id=group.project_id,
        arguments={"group_id": group.id, "rule": values},
        effects=(
            _("Allowed for every port of {name}: {rule}.", name=group.name, rule=say(rule, named(ctx.session, rule))),
            *changed, *nothing_new(before, changed),
        ),
        capacity=_reach(ctx.session, group),
    )


def remove_rule(ctx: Context, group: SecurityGroup, rule_id: str) -> Intent:
    """One thing is no longer allowed. Raises `NotFound`."""
    ctx.may("security_group.remove_rule", group.project_id)
    look.must_allow(group, "remove_rule")
    rule = ctx.session.get(SecurityRule, rule_id)
    if rule is None or rule.group_id != group.id:
        raise not_found("rule", rule_id)
    before = foresee.of_group(ctx.session, group.id)
    changed = difference(before, before.without_rule(group.id, rule.id))
    return Intent(
        kind="security_group.remove_rule",
        title=_("Remove a rule from security group {name}", name=group.name),
        subject=subject_of(group),
        project_id=group.project_id,
        arguments={"group_id": group.id, "rule_id": rule_id},
        effects=(
            _("No longer allowed for the ports of {name}: {rule}.", name=group.name,
              rule=say(rule, named(ctx.session, rule))),
            *changed, *nothing_new(before, changed),
        ),
        capacity=_reach(ctx.session, group),
    )  # fmt: skip


def planned(session: Session, rule: SecurityRule) -> RuleFact:
    """A rule that is not there yet, by what it would allow."""
    found = session.get(AddressSet, rule.remote_set_id) if rule.remote_set_id else None
    return rule_fact(rule, found.ranges if found else None)


def touching(*rules: SecurityRule) -> tuple[Subject, ...]:
    """What rules name."""
    groups = {r.remote_group_id for r in rules if r.remote_group_id}
    sets = {r.remote_set_id for r in rules if r.remote_set_id}
    return (*(use_of(g) for g in sorted(groups)), *(Subject("address_set_use", s) for s in sorted(sets)))


def named(session: Session, *rules: SecurityRule) -> dict[str, str]:
    """The names of the groups and address sets that rules name, by id."""
    return remote_names(session, rules)


def nothing_new(before: Picture, changed: tuple[Message, ...]) -> tuple[Message, ...]:
    """What to say where a change of rules changes nothing for the machines that there are."""
    return (_("Nothing changes for its machines: other rules say the same."),) if before.ports and not changed else ()


def plan_rule(ctx: Context, group: SecurityGroup, new: NewRule) -> SecurityRule:
    """The row of a rule. Raises `Invalid` naming the field at fault."""
    direction = checks.one_of(new.direction, DIRECTIONS, "direction")
    family = checks.one_of(new.family, FAMILIES, "family")
    protocol = checks.one_of(new.protocol, checks.PROTOCOLS, "protocol")
    low, high = _ports(new, protocol)
    if protocol != "icmp" and (new.icmp_type is not None or new.icmp_code is not None):
        raise Invalid(
            _("Only ICMP has a type and a code."), fields={"icmp_type": _("nothing, or the protocol icmp")}
        )
    if new.icmp_code is not None and new.icmp_type is None:
        raise Invalid(_("An ICMP code needs a type."), fields={"icmp_type": _("{low} to {high}", low=0, high=255)})
    cidr, remote_group, remote_set = _remote(ctx, group, new.remote, family)
    return SecurityRule(
        id=new_id(SecurityRule.PREFIX),
        group_id=group.id,
        direction=direction,
        family=family,
        protocol=protocol,
        port_min=low,
        port_max=high,
        icmp_type=checks.number(new.icmp_type, 0, 255, "icmp_type"),
        icmp_code=checks.number(new.icmp_code, 0, 255, "icmp_code"),
        remote_cidr=cidr,
        remote_group_id=remote_group,
        remote_set_id=remote_set,
        description=checks.description(new.description, most=200),
    )


def _ports(new: NewRule, protocol: str) -> tuple[int | None, int | None]:
    if new.port_min is None and new.port_max is None:
        return None, None
    if protocol not in ("tcp", "udp"):
        raise Invalid(
            _("Only TCP and UDP have ports."), fields={"port_min": _("nothing, or the protocol tcp or udp")}
        )
    if new.port_min is None:
        raise Invalid(_("The first port is missing."), fields={"port_min": _("{low} to {high}", low=1, high=65535)})
    low = checks.number(new.port_min, 1, 65535, "port_min")
    high = checks.number(new.port_max, 1, 65535, "port_max") if new.port_max is not None else low
    if low is not None and high is not None and low > high:
        raise Invalid(
            _("The range of ports ends before it begins."),
            fields={"port_max": _("{low} to {high}", low=low, high=65535)},
        )
    return low, high


def _remote(
    ctx: Context, group: SecurityGroup, remote: str | None, family: str
) -> tuple[str | None, str | None, str | None]:
    """The other side as a range, a group's id or a set's id."""
    if not remote:
        return None, None, None
    kind, colon, name = remote.partition(":")
    if colon and kind in ("set", "group"):
        remote = name
    elif remote[0].isdigit() or colon:
        clean = checks.filter_cidr(remote, "remote", family=family)
        return (None if clean.endswith("/0") else clean), None, None
    if remote == group.name and kind != "set":
        return None, group.id, None
    other = _named(ctx, remote, kind if colon else "")
    look.must_allow_state(other)
    if other.project_id != group.project_id:
        raise Invalid(
            _("{name} belongs to another project.", name=other.name),
            fields={"remote": _("a range, or a group or an address set of the project")},
        )
    return (None, other.id, None) if isinstance(other, SecurityGroup) else (None, None, other.id)


def _named(ctx: Context, remote: str, kind: str) -> SecurityGroup | AddressSet:
    if kind == "set" or remote.startswith(AddressSet.PREFIX + "_"):
        return look.get_set(ctx, remote)
    try:
        return look.get_group(ctx, remote)
    except NotFound:
        if kind == "group":
            raise
    try:
        return look.get_set(ctx, remote)
    except NotFound:
        raise not_found("security group", remote) from None


def rule_values(rule: SecurityRule) -> dict[str, Any]:
    """A rule as JSON, from which it can be made again."""
    return {name: getattr(rule, name) for name in RULE_COLUMNS}


def meaning(rule: SecurityRule) -> tuple[object, ...]:
    """What a rule allows, without its id and description."""
    return (
        rule.direction, rule.family, rule.protocol, rule.port_min, rule.port_max, rule.icmp_type, rule.icmp_code,
        rule.remote_cidr, rule.remote_group_id, rule.remote_set_id,
    )  # fmt: skip


def subject_of(group: SecurityGroup) -> Subject:
    """The group as an operation's subject."""
    return Subject("security_group", group.id, group.name)


def use_of(group_id: str) -> Subject:
    """What names a group: see `networks.tenancy`."""
    return Subject(GROUP_USE, group_id)


def _reach(session: Session, group: SecurityGroup) -> tuple[Message, ...]:
    mine = sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == group.id)
    count = session.scalar(sa.select(sa.func.count()).where(Port.id.in_(mine), Port.state != "trashed")) or 0
    return (_("It concerns {count} {count:port|ports} now.", count=count),)
