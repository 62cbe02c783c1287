"""What the engine is told of security groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RuleSpec:
    """One allow rule. ``remote`` is a CIDR, ``group:<id>`` or ``set:<id>``; ports are inclusive. With an ``id``
    what it lets through is noted under that name in the controller's log, connections once."""

    direction: Literal["ingress", "egress"]
    family: Literal["ipv4", "ipv6"] = "ipv4"
    protocol: Literal["any", "tcp", "udp", "icmp"] = "any"
    port_min: int | None = None
    port_max: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    remote: str | None = None
    id: str = ""


@dataclass(frozen=True)
class GroupSpec:
    """A security group: what is not allowed by a rule is dropped. Connections are followed, so that answers pass, but
    for a ``stateless`` one. Where it is ``logged``, what is dropped at its ports is noted under the group's id."""

    id: str
    name: str
    rules: tuple[RuleSpec, ...] = ()
    stateless: bool = False
    logged: bool = False


@dataclass(frozen=True)
class AddressSetSpec:
    """Ranges and addresses of both families that rules name together."""

    id: str
    name: str
    ranges: tuple[str, ...] = ()
