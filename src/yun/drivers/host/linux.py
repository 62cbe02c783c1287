"""The real host machine: a Linux host with libvirt, Open vSwitch and OVN from its distribution."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import Literal

from yun.base.config import Settings
from yun.base.errors import DriverError
from yun.drivers.host import hits, inventory, kvm, mappings, ovs, uring
from yun.drivers.host.captures import Captures
from yun.drivers.host.chassis import Chassis
from yun.drivers.host.gateway import Gateway
from yun.drivers.host.port import CaptureFacts, CaptureSpec, Hit, HostFacts, PortCounters, ServiceFacts
from yun.drivers.host.services import Services

SOUTHBOUND = "unix:/run/ovn/ovnsb_db.sock"


class LinuxMachine:
    """This machine. Its records (KVM's examination, the gateway, the chassis, services we started) live in
    ``<state_dir>/host``. Precondition for everything that changes the host: root."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.records = settings.state_dir / "host"
        self.daemons = Services(self.records, settings.libvirt_uri)
        self.gateway = Gateway(self.records)
        self.chassis = Chassis(self.records)
        self.recordings = Captures(settings.state_dir / "captures")
        self.meter = inventory.CpuMeter()
        self._qemu: tuple[float, str] = (0.0, "")
        self._io_uring: tuple[str, str] | None = None

    @cached_property
    def datapath(self) -> Literal["system", "netdev"]:
        """Which Open vSwitch datapath this host uses."""
        return ovs.datapath(self.settings.datapath)

    def facts(self) -> HostFacts:
        """Inventory and use now; the acceleration's examination is cached per boot and QEMU version."""
        boot = inventory.boot_id()
        accel, reason = kvm.choose(self.settings.accel, self.records / "kvm.json", boot, self.qemu_version())
        whole, free = inventory.memory_mib()
        disk, disk_free = inventory.disk(self.settings.state_dir)
        return HostFacts(
            name=self.name(), boot_id=boot, kernel=platform.release(), architecture=platform.machine(),
            cpu_model=inventory.cpu_model(), cpus=os.cpu_count() or 1, memory_mib=whole, memory_free_mib=free,
            load=inventory.load(), cpu_used=self.meter.read(), accel="kvm" if accel == "kvm" else "tcg",
            accel_reason=reason, datapath=self.datapath, uptime_seconds=inventory.uptime(),
            disk_bytes=disk, disk_free_bytes=disk_free, tpm=inventory.tpm(), huge_pages_mib=inventory.huge_pages_mib(),
            io_uring_fault=self.io_uring_fault(),
        )  # fmt: skip

    def hits(self, names: Collection[str], since: datetime) -> list[Hit]:
        """What the controller noted under these names after ``since``."""
        return hits.read(names, since)

    def boot_id(self) -> str:
        """Which boot the host is in."""
        return inventory.boot_id()

    @staticmethod
    def name() -> str:
        """This machine's own name, without its domain."""
        return platform.node().partition(".")[0] or "localhost"

    def qemu_version(self) -> str:
        """The installed QEMU's version; asked again only when its program file changed."""
        with suppress(OSError):
            stamp = os.stat(f"/usr/bin/{kvm.QEMU}").st_mtime
            if stamp != self._qemu[0]:
                self._qemu = (stamp, kvm.qemu_version())
            return self._qemu[1]
        return ""

    def io_uring_fault(self) -> str:
        """Why QEMU here cannot use io_uring; tried again only with another QEMU, or where it did not work."""
        version = self.qemu_version()
        if self._io_uring != (version, ""):
            self._io_uring = (version, uring.fault())
        return self._io_uring[1]

    def services(self) -> list[ServiceFacts]:
        """All daemons that the cloud needs on this host, in start order."""
        return self.daemons.all()

    def start_service(self, name: str) -> None:
        """The daemon runs and answers afterwards; OVN's controller also gets its chassis settings first."""
        if name == "ovn-controller":
            with suppress(DriverError):
                known = ovs.external_ids()
                if "ovn-remote" not in known:
                    self.set_chassis_name(known.get("hostname") or self.name())
        self.daemons.start(name)

    def stop_service(self, name: str) -> None:
        """The daemon does not run afterwards; guests go on."""
        self.daemons.stop(name)

    def started_services(self) -> list[str]:
        """Daemons that we started ourselves and that are thus ours to stop."""
        started = self.daemons.started()
        return [name for name in self.daemons.daemons if name in started]

    def apply_gateway(self, *, cidr: str, address: str) -> None:
        """The host is the gateway of the external network ``cidr`` at ``address`` (with prefix)."""
        self.gateway.apply(cidr=cidr, address=address, datapath=self.datapath)

    def keep_gateway(self) -> bool:
        """What `apply_gateway` was told last is in place again; true where something was missing."""
        return self.gateway.keep()

    def remove_gateway(self) -> None:
        """Bridge, addresses, nftables table and bridge mapping that this state directory made are gone."""
        self.gateway.remove()

    def apply_mapping(self, name: str, *, bridge: str, interface: str = "") -> None:
        """OVN reaches the physical network ``name`` by ``bridge``, with the card ``interface`` in it."""
        mappings.apply(name, bridge, interface, self.datapath)

    def remove_mapping(self, name: str) -> None:
        """OVN does not reach the physical network any more."""
        mappings.remove(name)

    def set_chassis_name(self, name: str) -> None:
        """OVN's chassis of this host carries ``name``, the datapath and the tunnel address are set."""
        self.chassis.set(name, self.datapath, remote=SOUTHBOUND, address=ovs.tunnel_address())

    def forget_chassis(self) -> None:
        """OVN's settings on this host say what they said before us; its controller is stopped meanwhile."""
        if not self.chassis.recorded and "ovn-controller" not in self.daemons.started():
            return
        with self.daemons.resting("ovn-controller"):
            self.chassis.forget()

    def stale_ports(self) -> list[str]:
        """Interface ids of OVS ports whose machine is dead and whose tap is gone."""
        return list(ovs.stale_ports().values())

    def remove_stale_ports(self, keep: Sequence[str]) -> list[str]:
        """Remove OVS ports whose tap is gone, except those in ``keep``; their interface ids."""
        return ovs.remove_stale_ports(keep)

    def port_counters(self) -> dict[str, PortCounters]:
        """What went through each port that has a card on this host, by the port's UUID."""
        return ovs.port_counters()

    def start_capture(self, spec: CaptureSpec) -> None:
        """The recording runs, or has run already."""
        self.recordings.start(spec)

    def captures(self) -> dict[str, CaptureFacts]:
        """Every recording on this host by its id."""
        return self.recordings.all()

    def stop_capture(self, identifier: str) -> None:
        """The recording does not run; what it has stays."""
        self.recordings.stop(identifier)

    def remove_capture(self, identifier: str) -> None:
        """The recording does not run, and nothing of it is left."""
        self.recordings.remove(identifier)
