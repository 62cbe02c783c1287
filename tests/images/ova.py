"""Makes OVAs for tests: sound ones, and each kind of bad one."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

GIB = 1024**3
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vmw="http://www.vmware.com/schema/ovf">
"""


def vmdk(size: int = GIB, text: bytes = b"") -> bytes:
    """What begins like a sparse VMDK of ``size`` bytes."""
    return (b"KDMV" + struct.pack("<IIQ", 1, 3, size // 512)).ljust(512, b"\0") + text.ljust(1024, b"\0")


@dataclass
class Wanted:
    """What a test wants to be in an OVA; the defaults make a sound one."""

    files: dict[str, bytes] = field(default_factory=lambda: {"d1.vmdk": vmdk(text=b"one")})
    capacity: str = "1"
    units: str = "byte * 2^30"
    nics: Sequence[str] = ("E1000",)
    vcpus: str = "2"
    memory: str = "1024"
    controller: tuple[str, str] = ("6", "lsilogic")
    firmware: str = ""
    compression: str = ""
    name: str = "old-server"
    described: Sequence[str] | None = None


def ovf(wanted: Wanted) -> bytes:
    """The description of what is wanted."""
    names = list(wanted.described if wanted.described is not None else wanted.files)
    packed = f' ovf:compression="{wanted.compression}"' if wanted.compression else ""
    files = "".join(f'<File ovf:href="{n}" ovf:id="f{i}"{packed}/>' for i, n in enumerate(names))
    disks = "".join(
        f'<Disk ovf:capacity="{wanted.capacity}" ovf:capacityAllocationUnits="{wanted.units}" ovf:diskId="k{i}"'
        f' ovf:fileRef="f{i}"/>'
        for i, _name in enumerate(names)
    )
    kind, subtype = wanted.controller
    items = [
        item(1, 3, f"<rasd:VirtualQuantity>{wanted.vcpus}</rasd:VirtualQuantity>"),
        item(
            2, 4,
            "<rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>"
            f"<rasd:VirtualQuantity>{wanted.memory}</rasd:VirtualQuantity>",
        ),
        item(3, int(kind), f"<rasd:ResourceSubType>{subtype}</rasd:ResourceSubType>"),
        *(
            item(10 + i, 17, f"<rasd:HostResource>ovf:/disk/k{i}</rasd:HostResource><rasd:Parent>3</rasd:Parent>")
            for i, _name in enumerate(names)
        ),
        *(
            item(40 + i, 10, f"<rasd:ResourceSubType>{model}</rasd:ResourceSubType>")
            for i, model in enumerate(wanted.nics)
        ),
    ]  # fmt: skip
    firmware = f'<vmw:Config vmw:key="firmware" vmw:value="{wanted.firmware}"/>' if wanted.firmware else ""
    return (
        f"{HEAD}<References>{files}</References><DiskSection><Info/>{disks}</DiskSection>"
        f'<VirtualSystem ovf:id="vm"><Name>{wanted.name}</Name>'
        "<OperatingSystemSection ovf:id='96'><Description>Debian 10</Description></OperatingSystemSection>"
        f"<VirtualHardwareSection>{''.join(items)}{firmware}</VirtualHardwareSection></VirtualSystem></Envelope>"
    ).encode()


def item(identifier: int, kind: int, rest: str) -> str:
    """An item of hardware."""
    return (
        f"<Item><rasd:InstanceID>{identifier}</rasd:InstanceID><rasd:ResourceType>{kind}</rasd:ResourceType>"
        f"{rest}</Item>"
    )


def manifest(files: dict[str, bytes], algorithm: str = "sha256") -> bytes:
    """The manifest of files."""
    lines = [f"{algorithm.upper()}({n})= {hashlib.new(algorithm, c).hexdigest()}\n" for n, c in files.items()]
    return "".join(lines).encode()


def tar(files: Sequence[tuple[str, bytes]], extra: Sequence[tarfile.TarInfo] = ()) -> bytes:
    """A tar of files, and of entries without content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
        for info in extra:
            made.addfile(info)
    return out.getvalue()


def ova(wanted: Wanted | None = None, algorithm: str | None = "sha256") -> bytes:
    """A whole OVA; ``algorithm`` None: without a manifest."""
    wanted = wanted or Wanted()
    files = {"vm.ovf": ovf(wanted), **wanted.files}
    sums = [("vm.mf", manifest(files, algorithm))] if algorithm else []
    return tar([("vm.ovf", files["vm.ovf"]), *sums, *wanted.files.items()])


def write(path: Path, content: bytes) -> str:
    """The path of a file with this content."""
    path.write_bytes(content)
    return str(path)
