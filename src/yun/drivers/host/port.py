"""What the house asks of a host machine itself: services, inventory, probes, and the outside leg of its networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class ServiceFacts:
    """One daemon of the host. ``name`` is ours: ``libvirt``, ``virtlogd``, ``openvswitch``, ``ovn-central``,
    ``ovn-controller``; ``detail`` is what it or its absence says, for a person."""

    name: str
    state: Literal["running", "stopped", "missing", "unresponsive"]
    version: str = ""
    pid: int | None = None
    detail: str = ""


@dataclass(frozen=True)
class HostFacts:
    """Inventory and use of a host, sizes in MiB; ``boot_id`` changes with every boot."""

    name: str
    boot_id: str
    kernel: str
    architecture: str
    cpu_model: str
    cpus: int
    memory_mib: int
    memory_free_mib: int
    load: float
    cpu_used: float
    accel: Literal["kvm", "tcg"]
    accel_reason: str
    datapath: Literal["system", "netdev"]
    uptime_seconds: float


class HostMachine(Protocol):
    """One host machine."""

    def facts(self) -> HostFacts:
        """Inventory and use now; the acceleration's probe is cached per boot and QEMU version."""
        ...

    def services(self) -> list[ServiceFacts]:
        """All daemons that the cloud needs on this host, in start order."""
        ...

    def start_service(self, name: str) -> None:
        """The daemon runs and answers afterwards. `DriverError` says why not and what to do."""
        ...

    def apply_gateway(self, *, cidr: str, address: str) -> None:
        """The host is the gateway of the external network: bridge ``br-ex`` holds ``address`` (with prefix), OVN's
        bridge mapping ``physnet1`` points at it, forwarding and source NAT live in nftables table ``yun``."""
        ...

    def remove_gateway(self) -> None:
        """Bridge, addresses, nftables table and bridge mapping of ours are gone."""
        ...

    def set_chassis_name(self, name: str) -> None:
        """OVN's chassis of this host carries ``name``, the datapath and the tunnel address are set."""
        ...

    def remove_stale_ports(self, keep: Sequence[str]) -> list[str]:
        """Remove OVS ports of dead machines (iface-id of ours, no tap behind); ``keep`` are port UUIDs in use."""
        ...
