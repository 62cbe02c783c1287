"""Security groups → what the network engine is told."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.drivers.network.port import GroupSpec, RuleSpec
from yun.network.model import ACTIVE, SecurityGroup, SecurityRule
from yun.network.service import look


def group_spec(session: Session, group_id: str) -> GroupSpec | None:
    """What the engine should have of a security group; None: nothing."""
    group = session.get(SecurityGroup, group_id)
    if group is None or group.state != ACTIVE:
        return None
    return GroupSpec(group.id, group.name, tuple(rule_spec(r) for r in look.rules_of(session, group_id)))


def rule_spec(rule: SecurityRule) -> RuleSpec:
    """A rule as the engine is told."""
    remote = f"group:{rule.remote_group_id}" if rule.remote_group_id else rule.remote_cidr
    words: dict[str, Any] = {"direction": rule.direction, "family": rule.family, "protocol": rule.protocol}
    return RuleSpec(
        **words,
        port_min=rule.port_min,
        port_max=rule.port_max,
        icmp_type=rule.icmp_type,
        icmp_code=rule.icmp_code,
        remote=remote,
    )
