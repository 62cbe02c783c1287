"""What the network engine does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from yun.drivers.network.port.balancers import BackendHealth, BalancerSpec
from yun.drivers.network.port.groups import AddressSetSpec, GroupSpec
from yun.drivers.network.port.networks import NetworkSpec, PortSpec
from yun.drivers.network.port.routers import RouterSpec


class NetworkEngine(Protocol):
    """The logical side of all networks."""

    def own(self, cloud: str) -> None:
        """From now on what is made carries the mark of ``cloud`` (its id), and what carries another's mark is a
        stranger's: not found, not listed, not removed. What carries no mark is found by its id and marked when it is
        applied. An engine that was never told counts everything that any Yun made as its own."""
        ...

    def alive(self) -> str:
        """The engine's version; `DriverError` where it does not answer."""
        ...

    def apply(self, things: Sequence[tuple[str, Any]]) -> None:
        """Each thing (kind, spec) is as its own ``apply_…`` says, all at once or, where one cannot be made, none; in
        this order, so that one may stand on another before it."""
        ...

    def apply_network(self, spec: NetworkSpec) -> None:
        """Switch, DHCP options and DNS records are as in ``spec``; ports of the network stay."""
        ...

    def remove_network(self, network_id: str) -> None:
        """Switch, its ports, DHCP options and DNS records are gone."""
        ...

    def apply_router(self, spec: RouterSpec) -> None:
        """Router, legs, routes and NAT are exactly as in ``spec``."""
        ...

    def remove_router(self, router_id: str) -> None:
        """Router and all its legs are gone."""
        ...

    def apply_set(self, spec: AddressSetSpec) -> None:
        """The address set has exactly the ranges of ``spec``; rules that name it follow at once."""
        ...

    def remove_set(self, set_id: str) -> None:
        """The address set is gone; rules that still name it let nobody through."""
        ...

    def apply_group(self, spec: GroupSpec) -> None:
        """Port group and ACLs are exactly as in ``spec``; its ports stay."""
        ...

    def remove_group(self, group_id: str) -> None:
        """Port group and ACLs are gone."""
        ...

    def apply_port(self, spec: PortSpec) -> None:
        """The logical port exists as in ``spec`` and is in exactly its groups."""
        ...

    def remove_port(self, port_id: str) -> None:
        """The logical port is gone, also from its groups."""
        ...

    def apply_balancer(self, spec: BalancerSpec) -> None:
        """The load balancer's listeners are exactly as in ``spec``, on its networks and routers as far as the engine
        has them; a backend whose port the engine does not have is called, but not checked."""
        ...

    def remove_balancer(self, balancer_id: str) -> None:
        """The load balancer is gone from all networks and routers."""
        ...

    def backend_health(self) -> list[BackendHealth]:
        """What the engine last found at each backend that it checks; another cloud's are left out."""
        ...

    def ports_up(self, port_ids: Sequence[str]) -> dict[str, bool]:
        """Whether each port is bound to a chassis and wired; missing ports are left out."""
        ...

    def inventory(self) -> dict[str, set[str]]:
        """Ids of ours that the engine has: ``{'network': …, 'router': …, 'group': …, 'set': …, 'port': …,
        'balancer': …}``; after
        `own` only of what carries our mark."""
        ...

    def suspects(self) -> set[tuple[str, str]] | None:
        """Things (kind, id) of ours that were written to since the last call, by whomever; None where anything may
        have been: at the first call, after a reconnection, and where the engine cannot tell. Changes deep inside a
        thing may escape it."""
        ...

    def differing(self, kind: str, specs: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """What is not as in its spec (by id, of one kind), and in what: names of the engine's columns, for a person.

        Nothing is changed. A thing that the engine does not have, or that stands on something it does not have,
        differs too."""
        ...

    def subscribe(self, nudge: Callable[[str], None]) -> None:
        """Call ``nudge(port_id)`` when a port of ours went up or down, ``nudge('')`` after a reconnection,
        ``nudge('balancer')`` when a backend of any load balancer changed its health."""
        ...

    def close(self) -> None:
        """Let the connection go; networks stay as they are."""
        ...
