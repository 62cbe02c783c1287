"""The network engine in memory: for tests and `yun dev`. It passes the same contract suite as the real one.

The `World` outlives the engine object, as OVN's database outlives our process; several engines may share one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.network.faults import away, missing
from yun.drivers.network.port import (
    AddressSetSpec,
    BackendHealth,
    BalancerSpec,
    GroupSpec,
    NetworkSpec,
    PortSpec,
    RouterSpec,
)

Nudge = Callable[[str], None]


@dataclass
class World:
    """What the engine holds: everything by its id. ``strangers`` are things that are not ours.

    ``away`` makes every call fail retryably; ``faults`` maps a method's name to the errors its next calls raise
    (one each); ``calls`` counts the calls that got through; ``dark`` are ports that never come up, ``deaf``
    ports that answer no check. ``marks`` says
    whose a thing (kind, id) is, where its maker said so.
    """

    networks: dict[str, NetworkSpec] = field(default_factory=dict)
    marks: dict[tuple[str, str], str] = field(default_factory=dict)
    routers: dict[str, RouterSpec] = field(default_factory=dict)
    groups: dict[str, GroupSpec] = field(default_factory=dict)
    sets: dict[str, AddressSetSpec] = field(default_factory=dict)
    ports: dict[str, PortSpec] = field(default_factory=dict)
    balancers: dict[str, BalancerSpec] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)
    dark: set[str] = field(default_factory=set)
    away: bool = False
    faults: dict[str, list[DriverError]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    nudges: list[Nudge] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fail(self, method: str, times: int = 1, *, retryable: bool = False) -> None:
        """Let the next ``times`` calls of ``method`` (a name of the port) fail."""
        with self.lock:
            errors = [DriverError(_("The network engine failed on purpose."), retryable=retryable)] * times
            self.faults.setdefault(method, []).extend(errors)

    def held(self) -> dict[str, dict[str, Any]]:
        """Everything, by kind and id."""
        return {
            "network": self.networks, "router": self.routers, "group": self.groups, "set": self.sets,
            "port": self.ports, "balancer": self.balancers,
        }  # fmt: skip

    def snapshot(self) -> dict[str, Any]:
        """Everything of ours as plain values, equal where two worlds are equal."""
        with self.lock:
            kinds = self.held()
            return {kind: {k: asdict(things[k]) for k in sorted(things)} for kind, things in kinds.items()}

    def nudge(self, port_id: str) -> None:
        """Tell every subscriber that a port changed (or, with an empty text, that anything may have)."""
        for call in list(self.nudges):
            call(port_id)


class FakeNetworkEngine:
    """A `NetworkEngine` on a `World`."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.cloud = ""
        self._mine: list[Nudge] = []

    @contextmanager
    def _call(self, method: str) -> Iterator[World]:
        world = self.world
        with world.lock:
            if world.away:
                raise away("the world is away")
            if world.faults.get(method):
                raise world.faults[method].pop(0)
            world.calls[method] = world.calls.get(method, 0) + 1
            yield world

    def own(self, cloud: str) -> None:
        self.cloud = cloud

    def _mark(self, kind: str, identifier: str) -> None:
        if self.cloud:
            self.world.marks[kind, identifier] = self.cloud

    def _strange(self, kind: str, identifier: str) -> bool:
        return bool(self.cloud) and self.world.marks.get((kind, identifier), self.cloud) != self.cloud

    def _ours(self, kind: str, things: Iterable[str]) -> set[str]:
        return {i for i in things if not self.cloud or self.world.marks.get((kind, i)) == self.cloud}

    def alive(self) -> str:
        with self._call("alive"):
            return "fake"

    def apply(self, things: Sequence[tuple[str, Any]]) -> None:
        with self.world.lock:
            held = self.world.held()
            before = [(held[kind], spec.id, held[kind].get(spec.id)) for kind, spec in things]
            try:
                for kind, spec in things:
                    getattr(self, f"apply_{kind}")(spec)
            except DriverError:
                for having, identifier, old in before:
                    having.pop(identifier, None)
                    if old is not None:
                        having[identifier] = old
                raise

    def apply_network(self, spec: NetworkSpec) -> None:
        with self._call("apply_network") as world:
            world.networks[spec.id] = spec
            self._mark("network", spec.id)

    def remove_network(self, network_id: str) -> None:
        with self._call("remove_network") as world:
            if self._strange("network", network_id):
                return
            world.networks.pop(network_id, None)
            for port in [p for p in world.ports.values() if p.network_id == network_id]:
                del world.ports[port.id]

    def apply_router(self, spec: RouterSpec) -> None:
        with self._call("apply_router") as world:
            for leg in (*spec.interfaces, *((spec.external,) if spec.external else ())):
                if leg.network_id not in world.networks:
                    raise missing(_("network"), leg.network_id)
            world.routers[spec.id] = spec
            self._mark("router", spec.id)

    def remove_router(self, router_id: str) -> None:
        with self._call("remove_router") as world:
            if not self._strange("router", router_id):
                world.routers.pop(router_id, None)

    def apply_set(self, spec: AddressSetSpec) -> None:
        with self._call("apply_set") as world:
            world.sets[spec.id] = spec
            self._mark("set", spec.id)

    def remove_set(self, set_id: str) -> None:
        with self._call("remove_set") as world:
            if not self._strange("set", set_id):
                world.sets.pop(set_id, None)

    def apply_group(self, spec: GroupSpec) -> None:
        with self._call("apply_group") as world:
            world.groups[spec.id] = spec
            self._mark("group", spec.id)

    def remove_group(self, group_id: str) -> None:
        with self._call("remove_group") as world:
            if not self._strange("group", group_id):
                world.groups.pop(group_id, None)

    def apply_port(self, spec: PortSpec) -> None:
        with self._call("apply_port") as world:
            if spec.network_id not in world.networks:
                raise missing(_("network"), spec.network_id)
            for group in spec.groups:
                if group not in world.groups:
                    raise missing(_("security group"), group)
            before = self._up(world.ports.get(spec.id))
            world.ports[spec.id] = spec
            self._mark("port", spec.id)
            changed = before != self._up(spec)
        if changed:
            self.world.nudge(spec.id)

    def remove_port(self, port_id: str) -> None:
        with self._call("remove_port") as world:
            was_up = not self._strange("port", port_id) and self._up(world.ports.pop(port_id, None))
        if was_up:
            self.world.nudge(port_id)

    def apply_balancer(self, spec: BalancerSpec) -> None:
        with self._call("apply_balancer") as world:
            world.balancers[spec.id] = spec
            self._mark("balancer", spec.id)

    def remove_balancer(self, balancer_id: str) -> None:
        with self._call("remove_balancer") as world:
            if not self._strange("balancer", balancer_id):
                world.balancers.pop(balancer_id, None)

    def backend_health(self) -> list[BackendHealth]:
        with self._call("backend_health") as world:
            checked = [
                (listener, b)
                for i in sorted(self._ours("balancer", world.balancers))
                for listener in world.balancers[i].listeners
                for b in (listener.backends if listener.check else ())
                if b.probe and b.port_id in world.ports
            ]
            return [
                BackendHealth(
                    b.port_id, b.address, b.port, listener.protocol, "offline" if b.port_id in world.deaf else "online"
                )
                for listener, b in checked
            ]

    def _up(self, port: PortSpec | None) -> bool:
        return port is not None and port.enabled and port.host is not None and port.id not in self.world.dark

    def ports_up(self, port_ids: Sequence[str]) -> dict[str, bool]:
        with self._call("ports_up") as world:
            return {p: self._up(world.ports[p]) for p in port_ids if p in world.ports}

    def inventory(self) -> dict[str, set[str]]:
        with self._call("inventory") as world:
            return {kind: self._ours(kind, things) for kind, things in world.held().items()}

    def suspects(self) -> set[tuple[str, str]] | None:
        return None

    def differing(self, kind: str, specs: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        with self._call("differing") as world:
            have = world.held()[kind]
            found = {i: _differences(have.get(i), spec) for i, spec in specs.items()}
            return {i: columns for i, columns in found.items() if columns}

    def subscribe(self, nudge: Nudge) -> None:
        with self.world.lock:
            self._mine.append(nudge)
            self.world.nudges.append(nudge)

    def close(self) -> None:
        with self.world.lock:
            for nudge in self._mine:
                self.world.nudges.remove(nudge)
            self._mine.clear()


def _differences(have: Any, spec: Any) -> tuple[str, ...]:
    if have is None:
        return ("missing",)
    return tuple(f.name for f in fields(spec) if getattr(have, f.name) != getattr(spec, f.name))
