"""Places of the machines in memory, as libvirt hands them out on the same boards."""

from __future__ import annotations

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.fake.world import ACTIVE, FakeDomain
from yun.drivers.hypervisor.port import DomainSpec, Places
from yun.drivers.hypervisor.port.places import OLD_CARDS

PORTS = 16
"""Of a new board: more are added at its start where it begins with more."""
BRIDGED = 31
"""Of the bridge that a new board gets for old cards, if it begins with any."""
SLOTS = 31
"""Of an old board."""
SMALL = 4
"""SCSI, USB and serial controllers, and the balloon."""
FIXED = 2
"""On an old board, its own parts and the screen."""


class FakePlaces(Calls):
    """The part of the driver in memory that tells of places."""

    def places(self, uuid: str) -> Places | None:
        with self._call("places", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE:
                return None
            self.world.let_go(domain)
            assert domain.live is not None
            own, old = left(domain, domain.live)
            taken = (*(d.slot for d in domain.live.disks), *(n.mac for n in domain.live.nics))
            return Places(frozenset(taken), max(own, 0), max(old, 0), scsi=True)


def refuse_full(domain: FakeDomain, after: DomainSpec) -> None:
    """Raise as libvirt does where what runs has no place for what it would have ``after``."""
    if min(left(domain, after)) < 0:
        raise DriverError(_("The hypervisor refused: {reason}", reason="No more available PCI slots"))


def left(domain: FakeDomain, live: DomainSpec) -> tuple[int, int]:
    """How many places are free: for what is new, and for old cards. Negative: that many are short."""
    began = domain.began or live
    if began.machine.startswith("pc") and "q35" not in began.machine:
        free = SLOTS - FIXED - _own(live) - _old(live)
        return free, free
    bridge = int(_old(began) > 0)
    return max(PORTS, _own(began) + bridge) - _own(live) - bridge, BRIDGED * bridge - _old(live)


def _own(spec: DomainSpec) -> int:
    """Those that need a place of the board each."""
    cards = sum(n.model not in OLD_CARDS for n in spec.nics)
    disks = sum(d.bus == "virtio" for d in spec.disks)
    grows = spec.board.memory_max_mib > spec.memory_mib
    return SMALL + spec.board.rng + grows + disks + cards + sum(d.kind == "pci" for d in spec.host_devices)


def _old(spec: DomainSpec) -> int:
    """Those that know only the old PCI."""
    return sum(n.model in OLD_CARDS for n in spec.nics) + (spec.board.watchdog == "i6300esb")
