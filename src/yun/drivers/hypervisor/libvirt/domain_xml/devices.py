"""The devices of a machine: disks, network cards, consoles, and the small ones every machine gets."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from yun.drivers.hypervisor.host_device import HostDeviceSpec
from yun.drivers.hypervisor.libvirt.domain_xml import board
from yun.drivers.hypervisor.libvirt.domain_xml.element import add
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, IoLimits, NicSpec

ROOT_PORTS = 16
"""Empty PCIe slots: what is plugged in while the machine runs needs one each."""
SCSI_UNITS = 7
STATS_PERIOD = 10


def build(devices: ET.Element, spec: DomainSpec) -> None:
    """Add all devices of ``spec``."""
    _controllers(devices, spec)
    for disk in spec.disks:
        add_disk(devices, disk)
    for nic in spec.nics:
        add_nic(devices, nic)
    for device in spec.host_devices:
        add_host_device(devices, device)
    _serial(devices, spec)
    if spec.board.agent:
        channel = add(devices, "channel", type="unix")
        add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    # A tablet gives absolute positions: without it the pointer of a VNC viewer and the guest's drift apart.
    add(devices, "input", type="tablet", bus="usb")
    board.screen(devices, spec)
    add(devices, "audio", id="1", type="none")
    balloon = add(devices, "memballoon", model="virtio")
    add(balloon, "stats", period=STATS_PERIOD)
    board.small(devices, spec)


def _controllers(devices: ET.Element, spec: DomainSpec) -> None:
    if spec.machine.startswith(("q35", "pc-q35")):
        add(devices, "controller", type="pci", index=0, model="pcie-root")
        for _ in range(ROOT_PORTS):
            add(devices, "controller", type="pci", model="pcie-root-port")
    # Named here because libvirt's own choice for a further SCSI controller is one that guests have no driver for.
    letters = [ord(d.slot[-1]) - ord("a") for d in spec.disks if d.bus == "scsi"]
    for index in range(max(letters, default=0) // SCSI_UNITS + 1):
        add(devices, "controller", type="scsi", index=index, model="virtio-scsi")
    add(devices, "controller", type="usb", index=0, model="qemu-xhci")
    add(devices, "controller", type="virtio-serial", index=0)


def disk_xml(disk: DiskSpec) -> str:
    """One disk as its own document, for plugging it into a running domain."""
    holder = ET.Element("devices")
    add_disk(holder, disk)
    return ET.tostring(holder[0], encoding="unicode")


def add_disk(devices: ET.Element, disk: DiskSpec) -> None:
    """Add one disk."""
    element = add(devices, "disk", type="file", device=disk.device)
    writable = disk.device == "disk" and not disk.readonly
    add(
        element,
        "driver",
        name="qemu",
        type=disk.format,
        cache=disk.cache,
        # A full disk of the host pauses the machine instead of handing its guest write errors.
        error_policy=disk.error_policy if writable else None,
        io=disk.io,
        discard="unmap" if disk.discard and writable else None,
    )
    if disk.path:
        add(element, "source", file=disk.path)
    add(element, "target", dev=disk.slot, bus=disk.bus)
    if disk.readonly or disk.device == "cdrom":
        add(element, "readonly")
    add_limits(element, disk.limits)
    if disk.serial:
        add(element, "serial", text=disk.serial)
    if disk.boot_order is not None:
        add(element, "boot", order=disk.boot_order)
    if disk.bus == "scsi":
        unit = ord(disk.slot[-1]) - ord("a")
        add(
            element, "address", type="drive", controller=unit // SCSI_UNITS, bus=0, target=0, unit=unit % SCSI_UNITS
        )


def add_limits(disk: ET.Element, limits: IoLimits) -> None:
    """Add what a disk is held to, if anything."""
    if not limits.any:
        return
    element = add(disk, "iotune")
    for name, value in limits.rates.items():
        if value:
            add(element, name, text=str(value))
    if limits.group_name:
        add(element, "group_name", text=limits.group_name)


def nic_xml(nic: NicSpec) -> str:
    """One network card as its own document, for plugging it into a running domain."""
    holder = ET.Element("devices")
    add_nic(holder, nic)
    return ET.tostring(holder[0], encoding="unicode")


def add_nic(devices: ET.Element, nic: NicSpec) -> None:
    """Add one network card."""
    element = add(devices, "interface", type="bridge")
    add(element, "mac", address=nic.mac)
    add(element, "source", bridge=nic.bridge)
    add(add(element, "virtualport", type="openvswitch"), "parameters", interfaceid=nic.port_uuid)
    add(element, "model", type=nic.model)
    if not nic.host_checksum_offload:
        # The userspace datapath does not finish partial checksums: TCP between guests would stall.
        add(add(element, "driver", name="qemu"), "host", csum="off")
    add(element, "link", state="up" if nic.link_up else "down")
    add(element, "mtu", size=nic.mtu)
    if nic.boot_order is not None:
        add(element, "boot", order=nic.boot_order)


def host_device_xml(device: HostDeviceSpec) -> str:
    """One device of the host as its own document, for giving it to a running domain."""
    holder = ET.Element("devices")
    add_host_device(holder, device)
    return ET.tostring(holder[0], encoding="unicode")


def add_host_device(devices: ET.Element, device: HostDeviceSpec) -> None:
    """Add one device of the host. Libvirt takes it from its driver for as long as the machine runs."""
    element = add(devices, "hostdev", mode="subsystem", type=device.kind, managed="yes")
    if device.kind == "pci":
        add(element, "driver", name="vfio")
        domain, bus, rest = device.address.split(":")
        slot, function = rest.split(".")
        place = {"domain": domain, "bus": bus, "slot": slot, "function": function}
        add(add(element, "source"), "address", **{name: f"0x{value}" for name, value in place.items()})
    else:
        source = add(element, "source", startupPolicy="optional")
        add(source, "vendor", id=f"0x{device.vendor_id}")
        add(source, "product", id=f"0x{device.product_id}")
        if device.number:
            add(source, "address", bus=device.bus, device=device.number)
    add(element, "alias", name=f"ua-{device.key}")


def _serial(devices: ET.Element, spec: DomainSpec) -> None:
    element = add(devices, "serial", type="unix" if spec.serial_socket else "pty")
    if spec.serial_socket:
        add(element, "source", mode="bind", path=spec.serial_socket)
    if spec.serial_log:
        add(element, "log", file=spec.serial_log, append="on")
    add(add(element, "target", type="isa-serial", port=0), "model", name="isa-serial")
    for port in range(1, spec.board.serial_ports):
        extra = add(devices, "serial", type="pty")
        add(add(extra, "target", type="isa-serial", port=port), "model", name="isa-serial")
