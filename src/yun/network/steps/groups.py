"""Journaled steps of security groups and address sets: what changes of them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.crossing import refuse
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.network import rows
from yun.network.model import AddressSet, SecurityGroup, SecurityRule
from yun.network.service.groups import RULE_COLUMNS, rule_values
from yun.operations.flow import Op, tx_step

NOUNS: dict[str, Any] = {"security_group": SecurityGroup, "address_set": AddressSet}
TITLES: dict[str, Message] = {
    "name": _("Name"), "description": _("Description"), "stateless": _("Stateless"), "ranges": _("Ranges"),
}  # fmt: skip


def _put(session: Session, noun: str, identifier: str, values: Mapping[str, Any]) -> dict[str, Any] | None:
    row = session.get(NOUNS[noun], identifier)
    if row is None:
        return None
    if "name" in values:
        model = NOUNS[noun]
        taken = sa.select(model.id).where(
            model.project_id == row.project_id, model.name == values["name"], model.id != identifier
        )
        if session.scalar(taken) is not None:
            raise Conflict(_("The name {name} is taken.", name=values["name"]))
    was = {name: getattr(row, name) for name in values}
    for name, value in values.items():
        setattr(row, name, value)
    session.flush()
    rows.tell(session, noun, identifier, "changed")
    return was


def _put_back(op: Op, session: Session, output: Any, noun: str, identifier: str, *_rest: Any) -> None:
    if output:
        _put(session, noun, identifier, output)


@tx_step(undo=_put_back)
def change(
    op: Op, session: Session, noun: str, identifier: str, values: dict[str, Any], was: dict[str, Any]
) -> dict[str, Any] | None:
    """The group or set has these values; what they were is the output. Raises `Conflict` where somebody has changed one
    of them since they ``was``, and for a name that was taken meanwhile."""
    row = session.get(NOUNS[noun], identifier)
    if row is not None:
        refuse(was, values, {name: getattr(row, name) for name in values}, TITLES)
    return _put(session, noun, identifier, values)


def _rule_back(op: Op, session: Session, output: Any, group_id: str, values: dict[str, Any]) -> None:
    if output:
        rows.replace_rule(session, group_id, output)


@tx_step(undo=_rule_back)
def change_rule(op: Op, session: Session, group_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """The rule with the id in ``values`` says this; what it said is the output. Raises `Conflict` where it is gone."""
    rule = session.get(SecurityRule, values["id"])
    if rule is None or rule.group_id != group_id:
        raise Conflict(_("The rule is gone: somebody has removed it meanwhile."))
    was = rule_values(rule)
    rows.replace_rule(session, group_id, {name: values.get(name) for name in RULE_COLUMNS})
    return was
