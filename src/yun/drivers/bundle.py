"""All drivers of a cloud in one value: the network engine, and per host a hypervisor, a volume store and a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.host.port import HostMachine
from yun.drivers.hypervisor.port import Hypervisor
from yun.drivers.network.port import NetworkEngine
from yun.drivers.volume.port import VolumeStore


@dataclass(frozen=True)
class HostDrivers:
    """What speaks to one host."""

    hypervisor: Hypervisor
    volume: VolumeStore
    machine: HostMachine


@dataclass
class Drivers:
    """The network engine and the hosts' drivers by host id; ``connect`` makes those of a host on first use."""

    network: NetworkEngine
    connect: Callable[[str], HostDrivers]
    hosts: dict[str, HostDrivers] = field(default_factory=dict)

    def on(self, host_id: str) -> HostDrivers:
        """The drivers of a host. Raises `DriverError` for a host nobody can speak to."""
        if host_id not in self.hosts:
            try:
                self.hosts[host_id] = self.connect(host_id)
            except KeyError as error:
                raise DriverError(_("The host {host} cannot be reached.", host=host_id)) from error
        return self.hosts[host_id]

    def close(self) -> None:
        """Let all connections go; machines and networks stay as they are."""
        for host in self.hosts.values():
            host.hypervisor.close()
        self.network.close()
