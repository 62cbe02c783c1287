"""Reading libvirt's node devices, and what the host's kernel says it does with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drivers.hypervisor.contract import blank
from yun.base.errors import DriverError
from yun.drivers.hypervisor.fake import FakeHypervisor, FakeWorld
from yun.drivers.hypervisor.host_device import HostDeviceSpec
from yun.drivers.hypervisor.libvirt import host_devices
from yun.drivers.hypervisor.libvirt.host_devices import in_use, read

GPU = """<device><name>pci_0000_01_00_0</name><path>/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0</path>
<parent>pci_0000_00_01_0</parent><driver><name>nouveau</name></driver><capability type='pci'><class>0x030000</class>
<domain>0</domain><bus>1</bus><slot>0</slot><function>0</function><product id='0x1eb8'>TU104GL [Tesla T4]</product>
<vendor id='0x10de'>NVIDIA Corporation</vendor><iommuGroup number='13'>
<address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
<address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/></iommuGroup></capability></device>"""
BRIDGE = """<device><name>pci_0000_00_01_0</name><path>/sys/devices/pci0000:00/0000:00:01.0</path>
<driver><name>pcieport</name></driver><capability type='pci'><class>0x060400</class><domain>0</domain><bus>0</bus>
<slot>1</slot><function>0</function><product id='0x1901'/><vendor id='0x8086'/></capability></device>"""
KEY = """<device><name>usb_1_4</name><path>/sys/devices/pci0000:00/0000:00:14.0/usb1/1-4</path><parent>usb_usb1</parent>
<driver><name>usb</name></driver><capability type='usb_device'><bus>1</bus><device>7</device>
<product id='0x0407'>Yubikey 4/5  OTP+U2F+CCID</product><vendor id='0x1050'>Yubico.com</vendor></capability></device>"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A kernel's view of a small server: a USB key, an NVMe disk under LVM, SATA, two cards, one in a bridge."""
    pci = tmp_path / "sys/devices/pci0000:00"
    key = pci / "0000:00:14.0/usb1/1-4"
    key.mkdir(parents=True)
    (key / "serial").write_text("00112233\n")
    (key / "bDeviceClass").write_text("00\n")
    for path in ("0000:02:00.0/nvme/nvme0/nvme0n1/nvme0n1p2", "0000:00:17.0/ata1/sda/sda1", "0000:00:18.0/ata2/sdb"):
        (pci / path).mkdir(parents=True)
    blocks, numbers = tmp_path / "sys/class/block", tmp_path / "sys/dev/block"
    blocks.mkdir(parents=True)
    numbers.mkdir(parents=True)
    (blocks / "sda1").symlink_to(pci / "0000:00:17.0/ata1/sda/sda1")
    mapped = tmp_path / "sys/devices/virtual/block/dm-0"
    (mapped / "slaves").mkdir(parents=True)
    (mapped / "slaves/nvme0n1p2").symlink_to(pci / "0000:02:00.0/nvme/nvme0/nvme0n1/nvme0n1p2")
    (numbers / "253:0").symlink_to(mapped)
    net = tmp_path / "sys/class/net"
    net.mkdir(parents=True)
    for name, place in (("eth0", "0000:03:00.0"), ("eth1", "0000:04:00.0"), ("eth2", "0000:05:00.0")):
        card = pci / place / "net" / name
        card.mkdir(parents=True)
        (card / "device").symlink_to(pci / place)
        (net / name).symlink_to(card)
    (net / "eth1").resolve().joinpath("master").symlink_to(net)
    (net / "lo").mkdir()
    (tmp_path / "dev").mkdir()
    process = tmp_path / "proc/self"
    process.mkdir(parents=True)
    process.joinpath("mountinfo").write_text(
        "27 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n28 27 0:40 / /data rw - btrfs /dev/sda1 rw\n"
        "29 27 0:5 / /proc rw - proc proc rw\n"
    )
    (tmp_path / "proc/net").mkdir()
    (tmp_path / "proc/net/route").write_text(
        "Iface\tDestination\tGateway\neth0\t00000000\t0100A8C0\t0003\neth2\t0000A8C0\t00000000\t0001\n"
    )
    return tmp_path


def test_a_pci_device_is_read_with_its_names_and_group(root: Path) -> None:
    device = read(GPU, root, in_use(root))
    assert device is not None
    assert (device.kind, device.address, device.vendor_id, device.product_id) == ("pci", "0000:01:00.0", "10de", "1eb8")
    assert (device.vendor, device.product) == ("NVIDIA Corporation", "TU104GL [Tesla T4]")
    assert (device.category, device.driver, device.iommu_group, device.host_use) == ("030000", "nouveau", 13, "")
    bridge = read(BRIDGE, root, in_use(root))
    assert bridge is not None
    assert (bridge.host_use, bridge.iommu_group, bridge.vendor) == ("bridge", None, "")


def test_a_usb_device_is_read_with_its_port_and_serial_number_and_a_hub_is_not(root: Path) -> None:
    device = read(KEY, root, ())
    assert device is not None
    assert (device.kind, device.address, device.bus, device.number) == ("usb", "1-4", 1, 7)
    assert (device.product, device.serial, device.iommu_group) == ("Yubikey 4/5 OTP+U2F+CCID", "00112233", None)
    (root / "sys/devices/pci0000:00/0000:00:14.0/usb1/1-4/bDeviceClass").write_text("09\n")
    assert read(KEY, root, ()) is None


def test_what_the_host_works_with_is_found_below_lvm_btrfs_bridges_and_routes(root: Path) -> None:
    used = {path.split("pci0000:00/")[1].split("/")[0]: word for path, word in in_use(root) if "pci0000:00/" in path}
    assert used == {
        "0000:02:00.0": "disk", "0000:00:17.0": "disk", "0000:03:00.0": "network", "0000:04:00.0": "network",
    }  # fmt: skip
    nvme = GPU.replace("0000:00:01.0/0000:01:00.0", "0000:02:00.0")
    assert read(nvme, root, in_use(root)).host_use == "disk"  # type: ignore[union-attr]
    free = GPU.replace("0000:00:01.0/0000:01:00.0", "0000:05:00.0")
    assert read(free, root, in_use(root)).host_use == ""  # type: ignore[union-attr]


def disks_in_use(root: Path) -> set[str]:
    """The addresses of what the host has disks on."""
    return {path.split("pci0000:00/")[1].split("/")[0] for path, word in in_use(root) if word == "disk"
            and "pci0000:00/" in path}  # fmt: skip


def a_free_disk(root: Path) -> Path:
    """A disk with one partition that nobody uses; the partition."""
    part = root / "sys/devices/pci0000:00/0000:00:19.0/ata3/sdc/sdc1"
    part.mkdir(parents=True)
    (root / "sys/class/block/sdc1").symlink_to(part)
    (root / "sys/dev/block/8:33").symlink_to(part)
    assert "0000:00:19.0" not in disks_in_use(root)
    return part


def test_every_disk_of_a_btrfs_counts_not_only_the_one_that_it_is_mounted_by(root: Path) -> None:
    part = a_free_disk(root)
    devices = root / "sys/fs/btrfs/2f9c/devices"
    devices.mkdir(parents=True)
    (devices / "sdc1").symlink_to(part)
    assert "0000:00:19.0" in disks_in_use(root)


def test_a_disk_that_lvm_or_raid_holds_counts_though_nothing_of_it_is_mounted(root: Path) -> None:
    part = a_free_disk(root)
    (part / "holders").mkdir()
    assert "0000:00:19.0" not in disks_in_use(root)
    (part / "holders/dm-3").symlink_to(root / "sys/devices/virtual/block/dm-0")
    assert "0000:00:19.0" in disks_in_use(root)


def test_members_of_zfs_pools_count_while_there_are_pools(root: Path) -> None:
    a_free_disk(root)
    udev = root / "run/udev/data"
    udev.mkdir(parents=True)
    (udev / "b8:33").write_text("S:disk/by-id/x\nE:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=tank\n")
    assert "0000:00:19.0" not in disks_in_use(root), "left over from a pool that nobody has imported"
    (root / "proc/spl/kstat/zfs/tank").mkdir(parents=True)
    assert "0000:00:19.0" in disks_in_use(root)


def test_a_controller_is_in_use_where_something_plugged_into_it_is(root: Path) -> None:
    above = GPU.replace("/0000:00:01.0/0000:01:00.0", "/0000:00:17.0")
    assert read(above, root, in_use(root)).host_use == "disk"  # type: ignore[union-attr]
    near = GPU.replace("/0000:00:01.0/0000:01:00.0", "/0000:00:17")
    assert read(near, root, in_use(root)).host_use == "", "a name that only begins alike"  # type: ignore[union-attr]


def test_a_host_that_tells_nothing_of_itself_uses_nothing(tmp_path: Path) -> None:
    assert in_use(tmp_path) == set()


class Node:
    """A node device that goes away when it is asked."""

    def __init__(self, text: str, code: int = 0) -> None:
        self.text, self.code = text, code

    def XMLDesc(self, _flags: int) -> str:
        if self.code:
            error = RuntimeError("gone")
            error.get_error_code = lambda: self.code  # type: ignore[attr-defined]
            raise error
        return self.text


class Connection:
    """A connection with a few node devices."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = nodes

    def listAllDevices(self, flags: int) -> list[Node]:
        assert flags == 6
        return list(self.nodes)


def test_what_goes_away_while_it_is_looked_at_is_left_out(root: Path) -> None:
    found = host_devices.inventory(Connection(Node(KEY), Node("", 53), Node(GPU)), root)
    assert [d.address for d in found] == ["0000:01:00.0", "1-4"]
    with pytest.raises(RuntimeError):
        host_devices.inventory(Connection(Node("", 38)), root)


def test_one_device_is_given_to_one_running_machine_alone() -> None:
    driver = FakeHypervisor(FakeWorld())
    key = HostDeviceSpec("hdv_1", "usb", vendor_id="1050", product_id="0407")
    first, second = blank(), blank(host_devices=(key,))
    for spec in (first, second):
        driver.define(spec)
    driver.start(first.uuid)
    for _again in range(2):
        driver.attach_host_device(first.uuid, key)
    assert driver.plugged_host_devices(first.uuid) == {"hdv_1"}
    with pytest.raises(DriverError):
        driver.start(second.uuid)
    driver.detach_host_device(first.uuid, "hdv_1")
    assert driver.plugged_host_devices(first.uuid) == set()
    driver.start(second.uuid)
    assert driver.plugged_host_devices(second.uuid) == {"hdv_1"}
    driver.world.unplug("1-1")
    assert driver.plugged_host_devices(second.uuid) == set()
