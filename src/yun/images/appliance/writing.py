"""Writing the description and the manifest of an OVA, as other hypervisors read them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
VSSD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
VMDK = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
OWN = "urn:yun:ovf"


@dataclass(frozen=True)
class DiskFile:
    """A disk in its file: ``capacity`` as its guest sees it, ``length`` and ``sha256`` of the file, and its bus."""

    file: str
    length: int
    capacity: int
    sha256: str
    bus: str


@dataclass(frozen=True)
class Card:
    """A network card and the name of its network."""

    model: str
    network: str


@dataclass(frozen=True)
class Machine:
    """What is written of a machine."""

    name: str
    description: str
    system: str
    vcpus: int
    memory_mib: int
    firmware: str
    disks: Sequence[DiskFile]
    cards: Sequence[Card]


def describe(machine: Machine) -> bytes:
    """The OVF 1 description of the machine.

    Disks are said to be on SATA and cards to be e1000: what every hypervisor and every guest knows. What they are here
    is written beside it, in elements that others must pass over, so that it comes back when it is read here.
    """
    networks = list(dict.fromkeys(card.network for card in machine.cards))
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"'
        f' xmlns:rasd="{RASD}" xmlns:vssd="{VSSD}" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:yun="{OWN}">',
        "<References>",
        *(
            f'<File ovf:href={quoteattr(disk.file)} ovf:id="file{n}" ovf:size="{disk.length}"/>'
            for n, disk in enumerate(machine.disks, 1)
        ),
        "</References>",
        "<DiskSection><Info>Virtual disks</Info>",
        *(
            f'<Disk ovf:capacity="{disk.capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk{n}"'
            f' ovf:fileRef="file{n}" ovf:format="{VMDK}"/>'
            for n, disk in enumerate(machine.disks, 1)
        ),
        "</DiskSection>",
        "<NetworkSection><Info>Networks</Info>",
        *(f"<Network ovf:name={quoteattr(name)}><Description/></Network>" for name in networks),
        "</NetworkSection>",
        *_system(machine),
        "</Envelope>",
    ]
    return "\n".join(parts).encode()


def _system(machine: Machine) -> list[str]:
    name = escape(machine.name)
    note = machine.description
    return [
        f"<VirtualSystem ovf:id={quoteattr(machine.name)}>",
        "<Info>A virtual machine</Info>",
        f"<Name>{name}</Name>",
        *([f"<AnnotationSection><Info/><Annotation>{escape(note)}</Annotation></AnnotationSection>"] if note else []),
        '<OperatingSystemSection ovf:id="102" vmw:osType="otherGuest64"><Info>The guest system</Info>'
        f"<Description>{escape(machine.system or 'Other 64-bit')}</Description></OperatingSystemSection>",
        "<VirtualHardwareSection><Info>Virtual hardware</Info>",
        "<System><vssd:ElementName>Virtual Hardware Family</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID>"
        "<vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType></System>",
        *_items(machine),
        *_firmware(machine.firmware),
        "</VirtualHardwareSection>",
        "</VirtualSystem>",
    ]


def _firmware(firmware: str) -> list[str]:
    if firmware == "bios":
        return []
    found = ['<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>']
    if firmware == "uefi-secure":
        found.append(
            '<vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="true"/>'
        )
    return found


def _items(machine: Machine) -> list[str]:
    found = [
        _item(1, 3, f"{machine.vcpus} virtual CPU(s)", VirtualQuantity=machine.vcpus),
        _item(
            2, 4, f"{machine.memory_mib} MiB of memory", AllocationUnits="byte * 2^20",
            VirtualQuantity=machine.memory_mib,
        ),
        _item(3, 20, "SATA controller", Address=0, ResourceSubType="AHCI"),
    ]  # fmt: skip
    for n, disk in enumerate(machine.disks, 1):
        found.append(
            _item(
                9 + n, 17, f"Disk {n}", own=("bus", disk.bus), AddressOnParent=n - 1,
                HostResource=f"ovf:/disk/vmdisk{n}", Parent=3,
            )
        )  # fmt: skip
    for n, card in enumerate(machine.cards, 1):
        found.append(
            _item(
                39 + n, 10, f"Network card {n}", own=("model", card.model), AutomaticAllocation="true",
                Connection=card.network, ResourceSubType="E1000",
            )
        )  # fmt: skip
    return found


def _item(identifier: int, kind: int, name: str, *, own: tuple[str, str] | None = None, **values: object) -> str:
    """One item; its elements stand in the order of their names, as the standard wants it."""
    said = {**values, "ElementName": name, "InstanceID": identifier, "ResourceType": kind}
    inside = "".join(f"<rasd:{key}>{escape(str(said[key]))}</rasd:{key}>" for key in sorted(said))
    mark = f'<yun:Config ovf:required="false" yun:key="{own[0]}" yun:value={quoteattr(own[1])}/>' if own else ""
    return f"<Item>{inside}{mark}</Item>"


def manifest(sums: Sequence[tuple[str, str]]) -> bytes:
    """The manifest of files and their SHA-256 checksums."""
    return "".join(f"SHA256({name})= {digest}\n" for name, digest in sums).encode()
