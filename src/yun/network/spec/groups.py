"""Security groups → what the network engine is told."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.drivers.network.port import AddressSetSpec, GroupSpec, RuleSpec
from yun.network.model import ACTIVE, AddressSet, SecurityGroup, SecurityRule
from yun.network.service import look


def group_spec(session: Session, group_id: str) -> GroupSpec | None:
    """What the engine should have of a security group; None: nothing."""
    group = session.get(SecurityGroup, group_id)
    if group is None or group.state != ACTIVE:
        return None
    logged = group.log_until is not None
    rules = tuple(rule_spec(r, logged=logged) for r in look.rules_of(session, group_id))
    return GroupSpec(group.id, group.name, rules, stateless=group.stateless, logged=logged)


def set_spec(session: Session, set_id: str) -> AddressSetSpec | None:
    """What the engine should have of an address set; None: nothing."""
    found = session.get(AddressSet, set_id)
    if found is None or found.state != ACTIVE:
        return None
    return AddressSetSpec(found.id, found.name, tuple(found.ranges))


def rule_spec(rule: SecurityRule, *, logged: bool = False) -> RuleSpec:
    """A rule as the engine is told."""
    remote = f"group:{rule.remote_group_id}" if rule.remote_group_id else rule.remote_cidr
    if rule.remote_set_id:
        remote = f"set:{rule.remote_set_id}"
    words: dict[str, Any] = {"direction": rule.direction, "family": rule.family, "protocol": rule.protocol}
    return RuleSpec(
        **words,
        port_min=rule.port_min,
        port_max=rule.port_max,
        icmp_type=rule.icmp_type,
        icmp_code=rule.icmp_code,
        remote=remote,
        id=rule.id if logged else "",
    )
