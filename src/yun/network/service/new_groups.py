"""Security groups as they are planned: checked, with the rules that they begin with; and the verb that makes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Invalid, YunError
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import checks
from yun.network.model import SecurityGroup, SecurityRule
from yun.network.service import look
from yun.network.service.groups import (
    FAMILIES,
    MOST_RULES,
    NewRule,
    meaning,
    named,
    outward,
    plan_rule,
    subject_of,
    touching,
    use_of,
)
from yun.network.service.reach.words import say
from yun.operations.intent import Intent, Subject

KNOWN: dict[str, tuple[Message, str, int | None]] = {
    "ssh": (Message("SSH (22)"), "tcp", 22),
    "http": (Message("HTTP (80)"), "tcp", 80),
    "https": (Message("HTTPS (443)"), "tcp", 443),
    "ping": (_("Ping (ICMP)"), "icmp", None),
    "rdp": (Message("RDP (3389)"), "tcp", 3389),
    "dns": (Message("DNS (UDP 53)"), "udp", 53),
    "dns_tcp": (Message("DNS (TCP 53)"), "tcp", 53),
    "ntp": (Message("NTP (UDP 123)"), "udp", 123),
    "smtp": (Message("SMTP (25)"), "tcp", 25),
    "mysql": (Message("MySQL (3306)"), "tcp", 3306),
    "postgresql": (Message("PostgreSQL (5432)"), "tcp", 5432),
    "redis": (Message("Redis (6379)"), "tcp", 6379),
    "mongodb": (Message("MongoDB (27017)"), "tcp", 27017),
    "nfs": (Message("NFS (2049)"), "tcp", 2049),
    "wireguard": (Message("WireGuard (UDP 51820)"), "udp", 51820),
    "all": (_("Everything"), "any", None),
}
"""Traffic that people know by a word: its title, protocol and port."""
OWN = "own"
"""The word for everything that comes from the group itself."""


@dataclass(frozen=True)
class NewGroup:
    """A security group to be made, which lets everything out. ``allow`` is what it lets in from anybody: words of
    `KNOWN`, ``tcp:8080`` or ``udp:5000-5100``, and ``own`` for what comes from the group itself, each of both IP
    versions. ``rules`` are further ones; ``group:`` with the new name is the group itself. No name: another's, given
    to `plan_group`."""

    name: str = ""
    description: str = ""
    allow: Sequence[str] = ()
    rules: Sequence[NewRule] = ()


@dataclass(frozen=True)
class GroupPlan:
    """A security group that can be made: its row, its rules, what an operation touches that makes it, what it does."""

    group: SecurityGroup
    rules: tuple[SecurityRule, ...]
    subjects: tuple[Subject, ...]
    effects: tuple[Message, ...]

    def write(self, session: Session) -> None:
        """Add the group and its rules."""
        session.add(self.group)
        session.flush()
        session.add_all([*outward(self.group.id), *self.rules])


def create_group(ctx: Context, name: str, description: str = "", *, allow: Sequence[str] = (),
                 rules: Sequence[NewRule] = ()) -> Intent:  # fmt: skip
    """A group of the context's project that lets everything out, and in what is said (`NewGroup`). Raises `Invalid`
    naming fields, `Conflict` where the name is taken."""
    plan = plan_group(ctx, NewGroup(name, description, allow, rules))
    return Intent(
        kind="security_group.create",
        title=_("Create security group {name}", name=plan.group.name),
        subject=subject_of(plan.group),
        subjects=plan.subjects,
        project_id=plan.group.project_id,
        arguments={"group_id": plan.group.id},
        effects=plan.effects,
        write=plan.write,
    )


def plan_group(ctx: Context, new: NewGroup, *, under: str = "") -> GroupPlan:
    """Check a group with its rules; nothing is written. ``under`` stands before the names of fields at fault. Raises as
    `create_group` does."""
    project_id = look.project_of(ctx)
    ctx.may("security_group.create")
    name = checks.name(new.name, f"{under}name")
    look.refuse_taken(ctx.session, SecurityGroup, name, field=f"{under}name", project_id=project_id)
    group = SecurityGroup(
        id=new_id(SecurityGroup.PREFIX),
        project_id=project_id,
        name=name,
        description=checks.description(new.description, f"{under}description"),
        is_default=False,
    )
    rules = _rules(ctx, group, new, under)
    names = {**named(ctx.session, *rules), group.id: name}
    said = list({str(m.to_json()): m for m in (say(rule, names) for rule in rules)}.values())
    made = (
        _("A security group {name} is made; it lets everything out.", name=name) if rules else
        _("A security group {name} is made; it lets everything out and nothing in.", name=name)
    )  # fmt: skip
    others = tuple(s for s in touching(*rules) if s.id != group.id)
    return GroupPlan(
        group, tuple(rules), (use_of(group.id), *others),
        (made, *(_("Allowed for every port of {name}: {rule}.", name=name, rule=one) for one in said)),
    )  # fmt: skip


def _rules(ctx: Context, group: SecurityGroup, new: NewGroup, under: str) -> list[SecurityRule]:
    """The rules that are asked for, each once. Raises `Invalid` naming the one at fault."""
    found: dict[tuple[object, ...], SecurityRule] = {}
    wishes = [(f"{under}allow", wish, True) for word in new.allow for wish in _wishes(word, group.name, under)]
    wishes += [(f"{under}rules.{number}", wish, False) for number, wish in enumerate(new.rules)]
    for field, wish, whole in wishes:
        try:
            rule = plan_rule(ctx, group, wish)
        except YunError as error:
            error.fields = {field if whole else f"{field}.{name}": right for name, right in error.fields.items()}
            raise
        found.setdefault(meaning(rule), rule)
    if len(found) + len(FAMILIES) > MOST_RULES:
        raise checks.refuse(
            f"{under}rules", _("A security group has at most {most} rules.", most=MOST_RULES),
            _("at most {most}", most=MOST_RULES),
        )  # fmt: skip
    return list(found.values())


def _wishes(word: str, own: str, under: str) -> list[NewRule]:
    """What a word of ``allow`` stands for. Raises `Invalid`."""
    clean = word.strip().lower()
    if clean == OWN:
        return [NewRule(protocol="any", remote=f"group:{own}", family=f) for f in FAMILIES]
    if clean in KNOWN:
        _title, protocol, port = KNOWN[clean]
        return [NewRule(protocol=protocol, port_min=port, family=f) for f in FAMILIES]
    protocol, colon, ports = clean.partition(":")
    low, dash, high = ports.partition("-")
    if colon and protocol in ("tcp", "udp") and _number(low) and (_number(high) or not dash):
        last = int(high) if dash else None
        return [NewRule(protocol=protocol, port_min=int(low), port_max=last, family=f) for f in FAMILIES]
    raise Invalid(
        _("{value} is not known here.", value=word[:40]),
        fields={f"{under}allow": _("one of {names}, or such as {example}", names=", ".join([*KNOWN, OWN]),
                                   example="tcp:8080")},
    )  # fmt: skip


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5
