"""A host machine in memory: obeys the same contract, and breaks on command."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.host.port import CaptureFacts, CaptureSpec, Hit, HostFacts, PortCounters, ServiceFacts

ORDER = ("openvswitch", "ovn-central", "ovn-controller", "virtlogd", "libvirt")
VERSIONS = {"openvswitch": "3.1.0", "ovn-central": "23.03.1", "ovn-controller": "23.03.1", "virtlogd": "",
            "libvirt": "9.0.0"}  # fmt: skip


class FakeMachine:
    """One host that exists only here. ``refuse`` names services that will not start; ``ports`` are (interface id,
    tap is there) pairs; ``gateway`` is what was applied last; ``counters`` are what went through ports, ``recordings``
    the captures by id, ``noted`` what its controller wrote of rules. A recording writes nothing; a test ends it with
    `end_capture`."""

    def __init__(self, name: str = "localhost", *, cpus: int = 16, memory_mib: int = 65536) -> None:
        self.inventory = HostFacts(
            name=name, boot_id="00000000-0000-4000-8000-000000000001", kernel="6.1.0", architecture="x86_64",
            cpu_model="Fake CPU", cpus=cpus, memory_mib=memory_mib, memory_free_mib=memory_mib // 2, load=0.25,
            cpu_used=0.05, accel="tcg", accel_reason="no_device", datapath="netdev", uptime_seconds=3600.0,
            disk_bytes=1 << 40, disk_free_bytes=1 << 39, tpm=True,
        )  # fmt: skip
        self.state: dict[str, ServiceFacts] = {
            n: ServiceFacts(n, "running", version=VERSIONS[n], pid=1000 + i) for i, n in enumerate(ORDER)
        }
        self.refuse: set[str] = set()
        self.started: set[str] = set()
        self.gateway: tuple[str, str] | None = None
        self.chassis = ""
        self.mappings: dict[str, tuple[str, str]] = {}
        self.ports: dict[str, bool] = {}
        self.counters: dict[str, PortCounters] = {}
        self.recordings: dict[str, tuple[CaptureSpec, CaptureFacts]] = {}
        self.capture_folder: Path | None = None
        self.noted: list[Hit] = []

    def facts(self) -> HostFacts:
        """Inventory and use now."""
        return self.inventory

    def hits(self, names: Collection[str], since: datetime) -> list[Hit]:
        """Those of ``noted`` under these names after ``since``."""
        return [h for h in self.noted if h.name in names and h.at > since]

    def boot_id(self) -> str:
        """The inventory's."""
        return self.inventory.boot_id

    def qemu_version(self) -> str:
        """The version of the QEMU that is not there."""
        return "7.2.0"

    def services(self) -> list[ServiceFacts]:
        """All daemons, in start order."""
        return [self.state[name] for name in ORDER]

    def break_service(self, name: str, state: str = "stopped") -> None:
        """Let a daemon be ``stopped``, ``missing`` or ``unresponsive`` from now on."""
        self.state[name] = ServiceFacts(name, state, detail="broken by a test")  # type: ignore[arg-type]

    def start_service(self, name: str) -> None:
        """The daemon runs afterwards, unless it is missing or refuses."""
        facts = self.state.get(name)
        if facts is None:
            raise DriverError(_("There is no service {name}; there are {known}.", name=name, known=", ".join(ORDER)))
        if facts.state == "running":
            return
        if facts.state == "missing":
            raise DriverError(_("{name} is not installed on this host.", name=name))
        if name in self.refuse:
            raise DriverError(_("{name} was started and does not answer.", name=name), retryable=True)
        if facts.state == "stopped":
            self.started.add(name)
        self.state[name] = ServiceFacts(name, "running", version=VERSIONS[name], pid=2000)

    def stop_service(self, name: str) -> None:
        """The daemon does not run afterwards."""
        self.state[name] = replace(self.state[name], state="stopped", pid=None)
        self.started.discard(name)

    def started_services(self) -> list[str]:
        """Daemons that `start_service` really started."""
        return [name for name in ORDER if name in self.started]

    def apply_gateway(self, *, cidr: str, address: str) -> None:
        """Remembered."""
        if ipaddress.ip_interface(address).ip not in ipaddress.ip_network(cidr):
            raise DriverError(_("The gateway {address} is not in {cidr}.", address=address, cidr=cidr))
        self.gateway = (cidr, address)

    def keep_gateway(self) -> bool:
        """Nothing is ever missing here."""
        return False

    def remove_gateway(self) -> None:
        """Forgotten."""
        self.gateway = None

    def apply_mapping(self, name: str, *, bridge: str, interface: str = "") -> None:
        """Remembered. The host has the cards ``eth0`` to ``eth3``; ``eth0`` is its own."""
        if interface and interface not in ("eth1", "eth2", "eth3"):
            raise DriverError(_("The host has no network card {name}.", name=interface))
        if self.mappings.get(name, (bridge, ""))[0] != bridge:
            raise DriverError(_("The physical network {name} leads to the bridge {bridge} already.", name=name,
                                bridge=self.mappings[name][0]))  # fmt: skip
        self.mappings[name] = (bridge, interface)

    def remove_mapping(self, name: str) -> None:
        """Forgotten."""
        self.mappings.pop(name, None)

    def set_chassis_name(self, name: str) -> None:
        """Remembered."""
        self.chassis = name

    def forget_chassis(self) -> None:
        """Forgotten."""
        self.chassis = ""

    def stale_ports(self) -> list[str]:
        """Ports without a tap."""
        return sorted(port for port, tap in self.ports.items() if not tap)

    def remove_stale_ports(self, keep: Sequence[str]) -> list[str]:
        """Ports without a tap are gone, except those in ``keep``."""
        stale = [port for port in self.stale_ports() if port not in keep]
        for port in stale:
            del self.ports[port]
        return stale

    def port_counters(self) -> dict[str, PortCounters]:
        """As tests set them."""
        return dict(self.counters)

    def start_capture(self, spec: CaptureSpec) -> None:
        """It runs until a test or somebody ends it; a port whose tap a test said to be gone is refused."""
        if not self.ports.get(spec.port_uuid, True):
            raise DriverError(_("The port has no card on this host now."))
        if spec.id not in self.recordings:
            path = str(self.capture_folder / f"{spec.id}.pcap") if self.capture_folder else ""
            self.recordings[spec.id] = (spec, CaptureFacts(running=True, size=24, packets=None, path=path))

    def captures(self) -> dict[str, CaptureFacts]:
        """All recordings."""
        return {identifier: facts for identifier, (_spec, facts) in self.recordings.items()}

    def end_capture(self, identifier: str, size: int = 24, packets: int = 0) -> None:
        """Let a recording have ended by itself with so much in it."""
        spec, facts = self.recordings[identifier]
        self.recordings[identifier] = (spec, replace(facts, running=False, size=size, packets=packets))

    def stop_capture(self, identifier: str) -> None:
        """It has ended."""
        if identifier in self.recordings and self.recordings[identifier][1].running:
            self.end_capture(identifier)

    def remove_capture(self, identifier: str) -> None:
        """It is gone."""
        self.recordings.pop(identifier, None)
