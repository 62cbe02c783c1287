"""What the house asks of a host machine itself: services, inventory, probes, and the outside leg of its networks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    """Inventory and use of a host, sizes in MiB; ``boot_id`` changes with every boot.

    ``accel_reason`` is a stable word: ``setting``, ``proved``, ``no_device``, ``no_access``, ``no_cpu_support``,
    ``no_qemu``, ``too_slow`` or ``wrong_answer``. ``cpu_used`` is the busy share of all processors, 0…1;
    the disk is the file system of the state directory. ``tpm``: an emulator of TPMs (swtpm) is installed;
    ``huge_pages_mib`` is what is set aside as huge pages. ``io_uring_fault`` is why disks cannot be read and written by
    io_uring, in the kernel's or QEMU's words; empty where they can.
    """

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
    disk_bytes: int = 0
    disk_free_bytes: int = 0
    tpm: bool = False
    huge_pages_mib: int = 0
    io_uring_fault: str = ""


@dataclass(frozen=True)
class PortCounters:
    """What went through a port since its card was plugged, as its machine sees it: bytes, packets, and packets that
    were dropped."""

    bytes_in: int
    packets_in: int
    dropped_in: int
    bytes_out: int
    packets_out: int
    dropped_out: int


@dataclass(frozen=True)
class CaptureSpec:
    """A recording of one port's packets: it ends by itself after ``seconds`` or at ``max_bytes``. ``words`` are
    tcpdump's filter; empty: everything."""

    id: str
    port_uuid: str
    seconds: int
    max_bytes: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaptureFacts:
    """A recording as it is: bytes of its file, and how many packets once it has ended (None before)."""

    running: bool
    size: int
    packets: int | None
    path: str


@dataclass(frozen=True)
class Hit:
    """A packet that a rule let through or that was dropped, as the network's controller noted it. ``name`` is what the
    rule is noted under; ``direction`` is ``ingress`` or ``egress`` as its machine sees it; ``at`` is UTC."""

    name: str
    at: datetime
    allowed: bool
    direction: Literal["ingress", "egress"]
    protocol: str
    source: str
    target: str
    source_port: int | None = None
    target_port: int | None = None


class HostMachine(Protocol):
    """One host machine."""

    def facts(self) -> HostFacts:
        """Inventory and use now; the acceleration's probe is cached per boot and QEMU version."""
        ...

    def boot_id(self) -> str:
        """Which boot the host is in: another word after every boot."""
        ...

    def qemu_version(self) -> str:
        """The installed QEMU's version; empty where there is none."""
        ...

    def services(self) -> list[ServiceFacts]:
        """All daemons that the cloud needs on this host, in start order."""
        ...

    def start_service(self, name: str) -> None:
        """The daemon runs and answers afterwards: one that runs and is mute is woken, or else restarted (guests go
        on). `DriverError` says why not and what to do."""
        ...

    def stop_service(self, name: str) -> None:
        """The daemon does not run afterwards; guests go on."""
        ...

    def started_services(self) -> list[str]:
        """Daemons that `start_service` really started on this host, in start order: ours to stop."""
        ...

    def apply_gateway(self, *, cidr: str, address: str) -> None:
        """The host is the gateway of the external network: bridge ``br-ex`` holds ``address`` (with prefix), OVN's
        bridge mapping ``physnet1`` points at it, forwarding and source NAT live in nftables table ``yun``."""
        ...

    def keep_gateway(self) -> bool:
        """What `apply_gateway` was told last is in place again (a reboot clears it); true where it was missing."""
        ...

    def remove_gateway(self) -> None:
        """Bridge, addresses, nftables table and bridge mapping that this state directory made are gone; another
        cloud's stay."""
        ...

    def apply_mapping(self, name: str, *, bridge: str, interface: str = "") -> None:
        """OVN reaches the physical network ``name`` by ``bridge``: made where it is missing, with the card
        ``interface`` in it where one is named. A bridge of somebody else is used as it is. `DriverError` for a card
        that does not exist or carries the host's own address, and for a mapping to another bridge."""
        ...

    def remove_mapping(self, name: str) -> None:
        """OVN does not reach the physical network any more; a bridge that `apply_mapping` made is gone."""
        ...

    def set_chassis_name(self, name: str) -> None:
        """OVN's chassis of this host carries ``name``, the datapath and the tunnel address are set."""
        ...

    def forget_chassis(self) -> None:
        """OVN's settings of this host say what they said before `set_chassis_name`, and the integration bridge is
        gone unless a stranger uses it. A controller that is not ours is stopped meanwhile, and runs again; ours stays
        stopped."""
        ...

    def hits(self, names: Collection[str], since: datetime) -> list[Hit]:
        """What this host's controller noted under these names after ``since``, oldest first; of a long log only its
        end is looked at."""
        ...

    def stale_ports(self) -> list[str]:
        """Interface ids that dead machines left behind in the integration bridge: the hypervisor's marks are on them
        and no tap is behind."""
        ...

    def remove_stale_ports(self, keep: Sequence[str]) -> list[str]:
        """Remove the `stale_ports` but those in ``keep``; the interface ids that went."""
        ...

    def port_counters(self) -> dict[str, PortCounters]:
        """What went through each port that has a card on this host, by the port's UUID."""
        ...

    def start_capture(self, spec: CaptureSpec) -> None:
        """The recording runs, or has run already; it goes on when we end. `DriverError` where the port has no card on
        this host."""
        ...

    def captures(self) -> dict[str, CaptureFacts]:
        """Every recording on this host by its id, running ones and ended ones; those hold whole packets only."""
        ...

    def stop_capture(self, identifier: str) -> None:
        """The recording does not run; what it has stays. One that was never there is no error."""
        ...

    def remove_capture(self, identifier: str) -> None:
        """The recording does not run, and nothing of it is left."""
        ...
