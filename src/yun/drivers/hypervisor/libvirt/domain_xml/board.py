"""The parts of a machine that its board names: memory that grows, processors' shape, screen, small devices."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from yun.drivers.hypervisor.libvirt.domain_xml.element import add
from yun.drivers.hypervisor.port import DomainSpec

BLOCK_MIB = 2
"""Memory grows and shrinks by multiples of this."""
VIDEO_MEMORY = {"vga": "16384", "cirrus": "16384", "bochs": "16384"}


def problems(spec: DomainSpec) -> list[str]:
    """What keeps this board from being a domain's."""
    board, found = spec.board, []
    most = board.max_vcpus or spec.vcpus
    if most < spec.vcpus:
        found.append("more vcpus than the most")
    shape = (board.sockets, board.cores, board.threads)
    if any(shape) and board.sockets * board.cores * board.threads != most:
        found.append(f"topology {shape} of {most} vcpus")
    if len(board.pins) not in (0, 1, most):
        found.append(f"{len(board.pins)} pins of {most} vcpus")
    if board.memory_max_mib and board.memory_max_mib < spec.memory_mib:
        found.append("more memory than the most")
    if board.serial_ports < 1:
        found.append("no serial port")
    return found


def memory(root: ET.Element, spec: DomainSpec) -> None:
    """Memory, how far it grows, and what pages it lies on."""
    board = spec.board
    grows = room_to_grow(spec)
    if grows:
        add(root, "maxMemory", text=str(spec.memory_mib + grows), slots=16, unit="MiB")
    add(root, "memory", text=str(spec.memory_mib), unit="MiB")
    add(root, "currentMemory", text=str(spec.memory_mib), unit="MiB")
    if board.huge_pages:
        add(add(root, "memoryBacking"), "hugepages")


def room_to_grow(spec: DomainSpec) -> int:
    """By how many MiB its memory can grow while it runs; whole blocks."""
    return max(spec.board.memory_max_mib - spec.memory_mib, 0) // BLOCK_MIB * BLOCK_MIB


def vcpus(root: ET.Element, spec: DomainSpec) -> None:
    """How many there are, how many there may be, and where they run."""
    most = spec.board.max_vcpus or spec.vcpus
    current = spec.vcpus if most > spec.vcpus else None
    add(root, "vcpu", text=str(most), placement="static", current=current)
    if spec.board.pins:
        tune = add(root, "cputune")
        for number in range(most):
            add(tune, "vcpupin", vcpu=number, cpuset=pin_of(spec.board.pins, number))


def pin_of(pins: tuple[str, ...], number: int) -> str:
    """The host processors of one vCPU."""
    return pins[number] if len(pins) > 1 else pins[0]


def cpu(root: ET.Element, spec: DomainSpec) -> None:
    """The processor's model and shape."""
    board, kvm = spec.board, spec.accel == "kvm"
    model = board.cpu_model or ("host-passthrough" if kvm else "qemu64")
    if model == "host-passthrough":
        element = add(root, "cpu", mode=model, check="none", migratable="on")
    elif model in ("host-model", "maximum"):
        element = add(root, "cpu", mode=model, check="none" if model == "maximum" else "partial")
    else:
        element = add(root, "cpu", mode="custom", match="exact", check="none")
        add(element, "model", text=model, fallback="forbid")
    if board.sockets:
        add(element, "topology", sockets=board.sockets, dies=1, cores=board.cores, threads=board.threads)
    if room_to_grow(spec):
        # Memory that is plugged in needs a node to belong to.
        most = board.max_vcpus or spec.vcpus
        cell: dict[str, Any] = {"id": 0, "cpus": f"0-{most - 1}", "memory": spec.memory_mib, "unit": "MiB"}
        add(add(element, "numa"), "cell", **cell)


def screen(devices: ET.Element, spec: DomainSpec) -> None:
    """What shows the machine's picture, and to which viewers."""
    board = spec.board
    for kind in ("vnc", "spice"):
        if board.display not in (kind, "both"):
            continue
        graphics = add(devices, "graphics", type=kind, keymap=board.keyboard or None)
        add(graphics, "listen", type="socket")
        if kind == "spice":
            add(graphics, "image", compression="auto_glz")
    if board.display != "vnc":
        channel = add(devices, "channel", type="spicevmc")
        add(channel, "target", type="virtio", name="com.redhat.spice.0")
    add(
        add(devices, "video"), "model", type=board.video, vram=VIDEO_MEMORY.get(board.video), heads="1",
        primary="yes",
    )  # fmt: skip


def small(devices: ET.Element, spec: DomainSpec) -> None:
    """Watchdog, random numbers, TPM, the device that tells of panics, memory that grows."""
    board = spec.board
    if board.watchdog:
        add(devices, "watchdog", model=board.watchdog, action=board.watchdog_action)
    if board.rng:
        add(add(devices, "rng", model="virtio"), "backend", text="/dev/urandom", model="random")
    if board.tpm:
        # Its state must outlive the definition: a deleted machine comes back from the trash with its keys.
        tpm = add(devices, "tpm", model="tpm-crb")
        add(tpm, "backend", type="emulator", version="2.0", persistent_state="yes")
    if board.panic != "ignore":
        add(devices, "panic", model="isa")
    if grows := room_to_grow(spec):
        memory_device = add(devices, "memory", model="virtio-mem")
        target = add(memory_device, "target")
        add(target, "size", text=str(grows), unit="MiB")
        add(target, "node", text="0")
        add(target, "block", text=str(BLOCK_MIB), unit="MiB")
        add(target, "requested", text="0", unit="MiB")
