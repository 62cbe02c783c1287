"""What the engine is told of security groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RuleSpec:
    """One stateful allow rule. ``remote`` is a CIDR, or ``group:<id>``; ports are inclusive."""

    direction: Literal["ingress", "egress"]
    family: Literal["ipv4", "ipv6"] = "ipv4"
    protocol: Literal["any", "tcp", "udp", "icmp"] = "any"
    port_min: int | None = None
    port_max: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    remote: str | None = None


@dataclass(frozen=True)
class GroupSpec:
    """A security group: what is not allowed by a rule is dropped."""

    id: str
    name: str
    rules: tuple[RuleSpec, ...] = ()
