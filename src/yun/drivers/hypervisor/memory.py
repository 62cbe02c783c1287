"""Whether a guest can go on from an image of its memory: what must be the same as when it was taken. Pure."""

from __future__ import annotations

from yun.base.messages import Message, _
from yun.drivers.hypervisor.port.answers import MemoryFacts
from yun.drivers.hypervisor.port.spec import DomainSpec


def unfit(spec: DomainSpec, facts: MemoryFacts | None, emulator: str, host_cpu: str) -> Message | None:
    """What speaks against it, on a host with this QEMU and this processor; None for nothing."""
    if facts is None:
        return _("its file is missing or damaged")
    if (facts.memory_mib, facts.vcpus) != (spec.memory_mib, spec.vcpus):
        return _("it is of a machine with {vcpus} vCPU and {memory} MiB", vcpus=facts.vcpus, memory=facts.memory_mib)
    if set(facts.slots) != {disk.slot for disk in spec.disks}:
        return _("it is of a machine with the disks {disks}", disks=", ".join(facts.slots))
    if set(facts.macs) != {nic.mac.lower() for nic in spec.nics}:
        return _("it is of a machine with other network cards")
    if facts.emulator and version(facts.emulator) > version(emulator):
        return _("it was written by QEMU {then}, and this host has {now}", then=facts.emulator, now=emulator)
    if facts.host_cpu and facts.host_cpu != host_cpu:
        return _("it ran on a processor {then}, and this host has {now}", then=facts.host_cpu, now=host_cpu)
    return None


def version(text: str) -> tuple[int, ...]:
    """``7.2.22`` as numbers, of which the first two count: those between have the same format."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
