"""`DomainSpec` to libvirt's domain XML: pure text, the same bytes for the same spec."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping

from yun.drivers.hypervisor.libvirt.domain_xml import devices, machine, overlay
from yun.drivers.hypervisor.libvirt.domain_xml.element import NAMESPACE, add, clean
from yun.drivers.hypervisor.libvirt.domain_xml.kept import kept_root
from yun.drivers.hypervisor.port import DomainSpec

__all__ = ["NAMESPACE", "domain_xml", "mark"]


def domain_xml(spec: DomainSpec) -> str:
    """The XML of ``spec``, ready for ``defineXML``.

    Characters that XML cannot carry become U+FFFD, line ends in the title become spaces; everything else survives.
    Raises ``ValueError`` for a spec that no domain can be made of (a bug of the caller).
    """
    if spec.kept is not None:
        root = kept_root(spec, spec.kept, devices.add_disk, devices.add_nic)
        plugs = root.find("devices")
        assert plugs is not None
        for device in spec.host_devices:
            devices.add_host_device(plugs, device)
        if spec.metadata:
            holder = root.find("metadata")
            if holder is None:
                holder = add(root, "metadata")
            holder.append(_mark(spec.metadata))
        ET.indent(root)
        return ET.tostring(root, encoding="unicode") + "\n"
    machine.check(spec)
    root = ET.Element("domain", {"type": "kvm" if spec.accel == "kvm" else "qemu"})
    add(root, "name", text=spec.name)
    add(root, "uuid", text=spec.uuid)
    add(root, "genid", text=spec.genid or spec.uuid)
    add(root, "title", text=" ".join(clean(spec.title).splitlines()) or spec.name)
    if spec.description:
        add(root, "description", text=clean(spec.description))
    if spec.metadata:
        _metadata(root, spec)
    machine.build(root, spec)
    devices.build(add(root, "devices"), spec)
    overlay.lay(root, spec.board.overlay)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _metadata(root: ET.Element, spec: DomainSpec) -> None:
    add(root, "metadata").append(_mark(spec.metadata))


def mark(metadata: Mapping[str, str]) -> str:
    """Our mark on a domain as its own document, without its namespace: the daemon adds that itself and refuses one
    that is there already."""
    return ET.tostring(_mark(metadata, ""), encoding="unicode")


def _mark(metadata: Mapping[str, str], space: str = f"{{{NAMESPACE}}}") -> ET.Element:
    ET.register_namespace("yun", NAMESPACE)
    ours = ET.Element(f"{space}domain")
    for key in sorted(metadata):
        entry = ET.SubElement(ours, f"{space}value", {"key": clean(key)})
        entry.text = clean(metadata[key])
    return ours
