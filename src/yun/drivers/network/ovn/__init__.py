"""The network engine on OVN's northbound database, and nothing else: OVN carries it to every host by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from yun.drivers.network.ovn import balancers, groups, networks, routers
from yun.drivers.network.ovn.link import Link
from yun.drivers.network.ovn.rehearsal import rehearse
from yun.drivers.network.ovn.rows import Rows
from yun.drivers.network.ovn.south import South
from yun.drivers.network.port import (
    AddressSetSpec,
    BackendHealth,
    BalancerSpec,
    GroupSpec,
    NetworkSpec,
    PortSpec,
    RouterSpec,
)

BALANCER = "balancer"
KINDS = {
    "network": "Logical_Switch",
    "router": "Logical_Router",
    "group": "Port_Group",
    "set": "Address_Set",
    "port": "Logical_Switch_Port",
    "balancer": "Port_Group",
}


APPLY: dict[str, Callable[[Rows, Any], None]] = {
    "network": networks.apply_network,
    "router": routers.apply_router,
    "group": groups.apply_group,
    "set": groups.apply_set,
    "port": networks.apply_port,
    "balancer": balancers.apply_balancer,
}
"""What brings the rows of a thing in line with its spec, by kind."""


class OvnNetworkEngine:
    """A `NetworkEngine` on the northbound database at ``remote`` (``unix:PATH`` or ``tcp:HOST:PORT``), and on the
    southbound one at ``south``, where it is read whether backends of load balancers answer.

    Nothing is connected before the first call or `subscribe`. ``timeout`` in seconds bounds each call.
    """

    def __init__(self, remote: str, *, south: str = "", timeout: float = 30.0) -> None:
        self._link = Link(remote, timeout)
        self._south = South(south, timeout, lambda: self._link.nudge(BALANCER)) if south else None

    def _apply(self, kind: str, spec: Any) -> None:
        self.apply([(kind, spec)])

    def own(self, cloud: str) -> None:
        self._link.index.cloud = cloud

    def alive(self) -> str:
        return self._link.version

    def apply(self, things: Sequence[tuple[str, Any]]) -> None:
        def work(rows: Rows) -> None:
            for kind, spec in things:
                APPLY[kind](rows, spec)

        self._link.call(work)

    def apply_network(self, spec: NetworkSpec) -> None:
        self._apply("network", spec)

    def remove_network(self, network_id: str) -> None:
        self._link.call(lambda rows: networks.remove_network(rows, network_id))

    def apply_router(self, spec: RouterSpec) -> None:
        self._apply("router", spec)

    def remove_router(self, router_id: str) -> None:
        self._link.call(lambda rows: routers.remove_router(rows, router_id))

    def apply_set(self, spec: AddressSetSpec) -> None:
        self._apply("set", spec)

    def remove_set(self, set_id: str) -> None:
        self._link.call(lambda rows: groups.remove_set(rows, set_id))

    def apply_group(self, spec: GroupSpec) -> None:
        self._apply("group", spec)

    def remove_group(self, group_id: str) -> None:
        self._link.call(lambda rows: groups.remove_group(rows, group_id))

    def apply_port(self, spec: PortSpec) -> None:
        self._apply("port", spec)

    def remove_port(self, port_id: str) -> None:
        self._link.call(lambda rows: networks.remove_port(rows, port_id))

    def apply_balancer(self, spec: BalancerSpec) -> None:
        self._apply("balancer", spec)

    def remove_balancer(self, balancer_id: str) -> None:
        self._link.call(lambda rows: balancers.remove_balancer(rows, balancer_id))

    def backend_health(self) -> list[BackendHealth]:
        if self._south is None:
            return []
        seen = self._south.health()
        ports = {s.port_id for s in seen}
        ours = self._link.call(lambda rows: {p for p in ports if rows.find("Logical_Switch_Port", p) is not None})
        return [s for s in seen if s.port_id in ours]

    def ports_up(self, port_ids: Sequence[str]) -> dict[str, bool]:
        def look(rows: Rows) -> dict[str, bool]:
            found = ((p, rows.find("Logical_Switch_Port", p)) for p in port_ids)
            return {p: True in row.up for p, row in found if row is not None}

        return self._link.call(look)

    def inventory(self) -> dict[str, set[str]]:
        def look(rows: Rows) -> dict[str, set[str]]:
            return {
                kind: {row.external_ids["yun_id"] for row in rows.all(table, kind)} for kind, table in KINDS.items()
            }

        return self._link.call(look)

    def suspects(self) -> set[tuple[str, str]] | None:
        return self._link.suspects(KINDS)

    def differing(self, kind: str, specs: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        return self._link.call(lambda rows: rehearse(rows, APPLY[kind], specs))

    def subscribe(self, nudge: Callable[[str], None]) -> None:
        self._link.listen(nudge)
        if self._south is not None:
            self._south.listen(nudge)

    def close(self) -> None:
        if self._south is not None:
            self._south.close()
        self._link.close()
