"""What the engine is told of load balancers, and what it tells of their members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class BackendSpec:
    """Where connections go: a machine's logical port, its address and port number. ``probe`` is the address from which
    it is asked whether it answers; None: it is not asked."""

    port_id: str
    address: str
    port: int
    probe: str | None = None


@dataclass(frozen=True)
class CheckSpec:
    """How backends are asked: every ``interval`` seconds, waiting ``timeout`` seconds; ``failures`` in a row take one
    out, one answer brings it back."""

    interval: int
    timeout: int
    failures: int


@dataclass(frozen=True)
class ListenerSpec:
    """One port of a balancer on each of its addresses. With ``affinity`` (seconds) a caller keeps its backend."""

    id: str
    protocol: Literal["tcp", "udp"]
    addresses: tuple[str, ...]
    port: int
    backends: tuple[BackendSpec, ...] = ()
    affinity: int = 0
    check: CheckSpec | None = None


@dataclass(frozen=True)
class BalancerSpec:
    """A load balancer: known on these networks' switches and these routers."""

    id: str
    name: str
    network_ids: tuple[str, ...] = ()
    router_ids: tuple[str, ...] = ()
    listeners: tuple[ListenerSpec, ...] = ()


@dataclass(frozen=True)
class BackendHealth:
    """What the engine last found at a backend: ``online`` or ``offline``; ``unknown`` before the first look."""

    port_id: str
    address: str
    port: int
    protocol: str
    state: Literal["online", "offline", "unknown"]
