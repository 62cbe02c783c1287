"""The engine process: builds the drivers and the database, registers every room's operations, runs them."""

from __future__ import annotations

from dataclasses import dataclass

from yun.base.config import Settings
from yun.base.db import Database
from yun.base.log import logger
from yun.drivers.bundle import Drivers, HostDrivers
from yun.operations.engine import Engine
from yun.rooms import furniture

log = logger(__name__)


@dataclass
class Cloud:
    """Everything one process holds."""

    settings: Settings
    database: Database
    drivers: Drivers
    engine: Engine

    def start(self) -> None:
        """Begin to work: the engine's threads, then each room's watch on its daemons."""
        self.engine.start()
        for flows in furniture("flows"):
            attach = getattr(flows, "attach", None)
            if attach is not None:
                attach(self.engine)

    def stop(self) -> None:
        """Stop working; machines and networks stay as they are."""
        self.engine.stop()
        self.drivers.close()
        self.database.close()


def build(settings: Settings, drivers: Drivers | None = None) -> Cloud:
    """A cloud on the given settings: real drivers, or fakes where the settings say so."""
    furniture("model")
    furniture("flows")
    database = Database(settings.url)
    made = drivers or (fake_drivers() if settings.fake else real_drivers(settings))
    return Cloud(settings, database, made, Engine(database, made, settings))


def real_drivers(settings: Settings) -> Drivers:
    """Libvirt, OVN and the local host. Nothing is connected yet: each driver connects at its first call."""
    from yun.drivers.host.linux import LinuxMachine
    from yun.drivers.hypervisor.libvirt.driver import LibvirtHypervisor
    from yun.drivers.network.ovn import OvnNetworkEngine
    from yun.drivers.volume.directory import DirectoryStore

    local = HostDrivers(
        hypervisor=LibvirtHypervisor(settings.libvirt_uri, timeout=settings.driver_timeout),
        volume=DirectoryStore(),
        machine=LinuxMachine(settings),
    )
    network = OvnNetworkEngine(settings.ovn_nb, south=settings.ovn_sb, timeout=settings.driver_timeout)
    return Drivers(network=network, connect=lambda _host: local)


def fake_drivers(boot_seconds: float = 0.0) -> Drivers:
    """Machines, disks and networks in memory: for `yun dev` and tests."""
    from yun.drivers.host.fake import FakeMachine
    from yun.drivers.hypervisor.fake import FakeHypervisor, FakeWorld
    from yun.drivers.network.fake import FakeNetworkEngine
    from yun.drivers.volume.fake import FakeVolumeStore

    volume = FakeVolumeStore()
    hypervisor = FakeHypervisor(FakeWorld(boot_seconds=boot_seconds), files=volume)
    local = HostDrivers(hypervisor=hypervisor, volume=volume, machine=FakeMachine())
    return Drivers(network=FakeNetworkEngine(), connect=lambda _host: local)
