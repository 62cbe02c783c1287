"""Images of memory in the machine room: what a fake guest holds in its memory, kept and woken."""

from __future__ import annotations

import copy
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from yun.base.errors import DriverError
from yun.base.messages import Message, _
from yun.drivers.hypervisor import memory as rules
from yun.drivers.hypervisor.fake.copies import FakeCopies
from yun.drivers.hypervisor.fake.limits import refuse_impossible
from yun.drivers.hypervisor.fake.world import ACTIVE, FakeDomain
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml
from yun.drivers.hypervisor.libvirt.memory.fitting import difference
from yun.drivers.hypervisor.port import DomainSpec, MemoryFacts, Power

EMULATOR, HOST_CPU, PAUSE_MS = "7.2.22", "fake", 5.0


@dataclass
class FakeMemory:
    """An image: the machine as it ran, and what its guest knew. ``broken`` ones were cut off."""

    live: DomainSpec
    guest: dict[str, Any] = field(default_factory=dict)
    emulator: str = EMULATOR
    host_cpu: str = HOST_CPU
    broken: bool = False


class FakeMemories(FakeCopies):
    """The part of the driver in memory that keeps memory."""

    def freeze_with_memory(self, uuid: str, heads: Mapping[str, str], memory: str) -> float | None:
        with self._call("freeze_with_memory", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            if domain.live.host_devices:
                raise DriverError(_("A device of the host that the machine has cannot be kept."), private=uuid)
            if memory in self.world.memories:
                raise DriverError(_("The hypervisor refused: {reason}", reason=f"{memory} is there"))
            if self.world.memory_full:
                reason = f"unable to write {memory}: No space left on device"
                raise DriverError(_("The hypervisor refused: {reason}", reason=reason))
            if heads:
                self.freeze_disks(uuid, heads, quiesce=False)
            self.world.memories[memory] = FakeMemory(domain.live, copy.deepcopy(domain.guest.memory))
            return PAUSE_MS if domain.power is Power.RUNNING else None

    def memory_facts(self, memory: str) -> MemoryFacts | None:
        with self._call("memory_facts"):
            return self._facts(memory)

    def _facts(self, memory: str) -> MemoryFacts | None:
        image = self.world.memories.get(memory)
        if image is None or image.broken:
            return None
        live = image.live
        return MemoryFacts(
            uuid=live.uuid, machine=live.machine, memory_mib=live.memory_mib, vcpus=live.vcpus,
            file_bytes=live.memory_mib << 19, cpu=live.board.cpu_model, host_cpu=image.host_cpu,
            emulator=image.emulator, slots=tuple(sorted(d.slot for d in live.disks)),
            macs=tuple(sorted(n.mac.lower() for n in live.nics)),
        )  # fmt: skip

    def unfit(self, spec: DomainSpec, memory: str) -> Message | None:
        with self._call("unfit", spec.uuid):
            return self._unfit(spec, memory)

    def _unfit(self, spec: DomainSpec, memory: str) -> Message | None:
        why = rules.unfit(spec, self._facts(memory), EMULATOR, HOST_CPU)
        if why is not None:
            return why
        then, now = domain_xml(self.world.memories[memory].live), domain_xml(spec)
        return difference(ET.fromstring(then), ET.fromstring(now))

    def wake(self, spec: DomainSpec, memory: str, *, paused: bool = False) -> None:
        with self._call("wake", spec.uuid):
            domain = self.world.domains.get(spec.uuid)
            if domain is not None and domain.power in ACTIVE:
                now = self._plugged(domain)
                if any(d.slot not in now or now[d.slot].path != d.path for d in spec.disks if d.device == "disk"):
                    raise DriverError(_("The machine is running."), private=spec.uuid)
                domain.spec = spec
                return
            why = self._unfit(spec, memory)
            if why is not None:
                raise DriverError(_("The hypervisor refused: {reason}", reason=why))
            refuse_impossible(spec)
            image = self.world.memories[memory]
            if domain is None:
                domain = self.world.domains[spec.uuid] = FakeDomain(spec)
            domain.spec = spec
            domain.live = replace(
                spec, memory_mib=image.live.memory_mib, vcpus=image.live.vcpus, genid=str(uuid4())
            )
            domain.begun_mib = image.live.memory_mib
            domain.power, domain.reason = (Power.PAUSED if paused else Power.RUNNING), "user"
            # Nobody waits for its agent: it was there already, and is again as soon as the guest goes on.
            domain.started, domain.asked_for = time.monotonic() - self.world.boot_seconds, set()
            domain.guest.wake(spec.title, copy.deepcopy(image.guest))
        self.world.nudges.put(spec.uuid)

    def discard_memory(self, memory: str) -> None:
        with self._call("discard_memory"):
            self.world.memories.pop(memory, None)
