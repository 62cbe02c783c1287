"""The verbs of address sets: ranges with a name, for the other side of rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import checks
from yun.network.model import AddressSet, SecurityGroup, SecurityRule
from yun.network.service import look
from yun.network.service.reach import foresee
from yun.network.service.reach.difference import difference
from yun.network.service.reach.facts import RuleFact
from yun.network.service.reach.words import listed
from yun.operations.intent import Intent, Subject

MOST_RANGES = 500
MOST_TOLD = 20
"""Groups whose machines a preview looks at."""


def subject_of_set(found: AddressSet) -> Subject:
    """The set as an operation's subject."""
    return Subject("address_set", found.id, found.name)


def get_set(ctx: Context, reference: str) -> AddressSet:
    """An address set by name or id."""
    return look.get(ctx, AddressSet, reference)


def clean_ranges(values: Iterable[str], field: str = "ranges") -> list[str]:
    """Ranges and addresses of both families, each once, in order. Raises `Invalid` naming the one at fault."""
    nets: dict[str, None] = {}
    for value in values:
        for word in value.replace(",", " ").split():
            family = "ipv6" if ":" in word else "ipv4"
            nets[checks.filter_cidr(word, field, family=family)] = None
    if len(nets) > MOST_RANGES:
        raise checks.refuse(
            field, _("An address set has at most {most} ranges.", most=MOST_RANGES),
            _("at most {most} ranges", most=MOST_RANGES),
        )  # fmt: skip

    def order(text: str) -> tuple[int, int, int]:
        net = ipaddress.ip_network(text)
        return net.version, int(net.network_address), net.prefixlen

    return sorted(nets, key=order)


def create_set(ctx: Context, name: str, ranges: Sequence[str], description: str = "") -> Intent:
    """A set of the context's project. Raises `Invalid` naming fields, `Conflict` for a taken name."""
    project_id = look.project_of(ctx)
    ctx.may("address_set.create")
    clean = checks.name(name)
    look.refuse_taken(ctx.session, AddressSet, clean, project_id=project_id)
    found = AddressSet(
        id=new_id(AddressSet.PREFIX), project_id=project_id, name=clean, description=checks.description(description),
        ranges=clean_ranges(ranges),
    )  # fmt: skip
    return Intent(
        kind="address_set.create",
        title=_("Create address set {name}", name=clean),
        subject=subject_of_set(found),
        subjects=(Subject("address_set_use", found.id),),
        project_id=project_id,
        arguments={"set_id": found.id},
        effects=(
            _("An address set {name} is made: {ranges}. It does nothing until a rule names it.", name=clean,
              ranges=listed(found.ranges)),
        ),
        write=lambda session: session.add(found),
    )  # fmt: skip


def update_set(ctx: Context, found: AddressSet, **changes: Any) -> Intent:
    """Other ``name``, ``description`` or ``ranges`` (all of them anew); None stays. Rules that name it follow at once.

    Raises `Invalid`, `Conflict` for a taken name and where nothing would change.
    """
    ctx.may("address_set.update", found.project_id)
    look.must_allow(found, "update")
    wanted: dict[str, Any] = {}
    if changes.get("name") is not None:
        wanted["name"] = checks.name(changes["name"])
    if changes.get("description") is not None:
        wanted["description"] = checks.description(changes["description"])
    if changes.get("ranges") is not None:
        wanted["ranges"] = clean_ranges(changes["ranges"])
    values = {name: value for name, value in wanted.items() if value != getattr(found, name)}
    if not values:
        raise Conflict(_("Nothing would change: the address set is already so."))
    effects: list[Message] = []
    if "name" in values:
        look.refuse_taken(ctx.session, AddressSet, values["name"], project_id=found.project_id)
        effects.append(_("It is called {name} from now on.", name=values["name"]))
    if "description" in values:
        effects.append(_("Its description changes."))
    if "ranges" in values:
        effects += _ranges_said(found.ranges, values["ranges"])
        effects += _followed(ctx.session, found, values["ranges"])
    return Intent(
        kind="address_set.update",
        title=_("Change address set {name}", name=found.name),
        subject=subject_of_set(found),
        project_id=found.project_id,
        arguments={"set_id": found.id, "values": values, "was": {name: getattr(found, name) for name in values}},
        effects=tuple(effects),
    )


def _ranges_said(old: list[str], new: list[str]) -> list[Message]:
    more, less = [r for r in new if r not in old], [r for r in old if r not in new]
    return [
        *([_("New in it: {ranges}.", ranges=listed(more))] if more else []),
        *([_("No longer in it: {ranges}.", ranges=listed(less))] if less else []),
    ]


def _followed(session: Session, found: AddressSet, ranges: list[str]) -> list[Message]:
    """What the machines gain and lose whose groups name the set."""
    groups = groups_naming(session, found.id)
    told: list[Message] = []
    for group in groups[:MOST_TOLD]:
        before = foresee.of_group(session, group.id)
        fact = before.groups[group.id]

        def anew(rule: RuleFact) -> RuleFact:
            if rule.remote_set_id != found.id:
                return rule
            return replace(rule, ranges=tuple(r for r in ranges if (":" in r) == (rule.family == "ipv6")))

        after = before.with_group(replace(fact, rules=tuple(anew(r) for r in fact.rules)))
        told += difference(before, after)
    if groups:
        told.append(_("Rules of these security groups name it: {names}.", names=listed([g.name for g in groups])))
    return list({m.render(): m for m in told}.values())


def delete_set(ctx: Context, found: AddressSet) -> Intent:
    """The set goes to the trash. Raises `Conflict` while rules name it: it says those of which groups."""
    ctx.may("address_set.delete", found.project_id)
    look.must_allow(found, "delete")
    groups = groups_naming(ctx.session, found.id)
    if groups:
        raise Conflict(
            _("Rules of {names} name this address set.", names=listed([g.name for g in groups])),
            hint=_("Remove those rules first."), details={"security_groups": [g.id for g in groups]},
        )  # fmt: skip
    return Intent(
        kind="address_set.delete",
        title=_("Delete address set {name}", name=found.name),
        subject=subject_of_set(found),
        subjects=(Subject("address_set_use", found.id),),
        project_id=found.project_id,
        arguments={"set_id": found.id},
        effects=(_("The address set {name} goes to the trash.", name=found.name),),
    )


def groups_naming(session: Session, set_id: str) -> list[SecurityGroup]:
    """The groups whose rules name a set, by name; those in the trash too."""
    naming = sa.select(SecurityRule.group_id).where(SecurityRule.remote_set_id == set_id)
    query = sa.select(SecurityGroup).where(SecurityGroup.id.in_(naming))
    return list(session.scalars(query.order_by(SecurityGroup.name)))
