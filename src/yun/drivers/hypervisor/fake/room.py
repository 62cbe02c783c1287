"""What is plugged into the machine room in memory: the PCI and USB devices of a small server."""

from __future__ import annotations

from yun.drivers.hypervisor.host_device import HostDevice

INTEL, NVIDIA, SAMSUNG = "Intel Corporation", "NVIDIA Corporation", "Samsung Electronics Co Ltd"
DEVICES = (
    HostDevice("pci", "0000:00:01.0", "8086", "1901", INTEL, "PCIe Controller (x16)", category="060400",
               driver="pcieport", iommu_group=1, host_use="bridge"),
    HostDevice("pci", "0000:00:17.0", "8086", "a282", INTEL, "SATA Controller [AHCI mode]", category="010601",
               driver="ahci", iommu_group=8),
    HostDevice("pci", "0000:00:17.1", "8086", "a2af", INTEL, "USB 3.0 xHCI Controller", category="0c0330",
               driver="xhci_hcd", iommu_group=8, host_use="disk"),
    HostDevice("pci", "0000:01:00.0", "10de", "1eb8", NVIDIA, "TU104GL [Tesla T4]", category="030200",
               driver="nouveau", iommu_group=1),
    HostDevice("pci", "0000:01:00.1", "10de", "10f8", NVIDIA, "TU104 HD Audio Controller", category="040300",
               driver="snd_hda_intel", iommu_group=1),
    HostDevice("pci", "0000:02:00.0", "144d", "a808", SAMSUNG, "NVMe SSD Controller SM981", category="010802",
               driver="nvme", iommu_group=14, host_use="disk"),
    HostDevice("pci", "0000:03:00.0", "8086", "10fb", INTEL, "82599ES 10-Gigabit SFI/SFP+", category="020000",
               driver="ixgbe", iommu_group=15, host_use="network"),
    HostDevice("pci", "0000:04:00.0", "8086", "10fb", INTEL, "82599ES 10-Gigabit SFI/SFP+", category="020000",
               driver="ixgbe", iommu_group=16),
    HostDevice("usb", "1-1", "1050", "0407", "Yubico.com", "Yubikey 4/5 OTP+U2F+CCID", driver="usb", bus=1, number=4),
    HostDevice("usb", "1-2", "0403", "6001", "Future Technology Devices International", "FT232 Serial (UART) IC",
               serial="A1", driver="usb", bus=1, number=5),
    HostDevice("usb", "1-3", "0403", "6001", "Future Technology Devices International", "FT232 Serial (UART) IC",
               serial="A2", driver="usb", bus=1, number=6),
    HostDevice("usb", "2-1", "0781", "5581", "SanDisk Corp.", "Ultra", serial="4C53", driver="usb", bus=2, number=2,
               host_use="disk"),
)  # fmt: skip
