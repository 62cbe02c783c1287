"""Extra XML that an expert lays over a machine's definition: only elements that cannot take the machine out of the
cloud's hands."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import defusedxml.ElementTree

LIMIT = 8192
TOP = ("blkiotune", "clock", "cpu", "devices", "features", "iothreads", "memtune", "perf", "pm", "sysinfo")
INSIDE = {
    "devices": ("crypto", "hub", "input", "iommu", "redirdev", "smartcard", "sound", "vsock"),
    "cpu": ("cache", "feature", "maxphysaddr"),
    "clock": ("timer",),
}
"""Of what else the cloud writes itself, only these children are taken."""


def parse(text: str) -> list[ET.Element]:
    """The elements of an overlay. Raises ``ValueError`` saying what is wrong."""
    return list(_read(text))


def check(text: str) -> None:
    """Raises ``ValueError`` for what `parse` refuses, and for words outside of elements, which would say nothing."""
    root = _read(text)
    for words in (root.text, *(element.tail for element in root)):
        if words and words.strip():
            raise ValueError(words.strip()[:60])


def _read(text: str) -> ET.Element:
    if len(text.encode()) > LIMIT:
        raise ValueError(f"more than {LIMIT} bytes")
    try:
        root = defusedxml.ElementTree.fromstring(f"<domain>{text}</domain>", forbid_dtd=True)
    except (ET.ParseError, defusedxml.DefusedXmlException) as error:
        raise ValueError(str(error)) from error
    for element in root:
        if element.tag not in TOP:
            raise ValueError(f"<{element.tag}>")
        for child in element:
            if element.tag in INSIDE and child.tag not in INSIDE[element.tag]:
                raise ValueError(f"<{element.tag}><{child.tag}>")
        if element.tag in INSIDE and element.attrib:
            raise ValueError(f"<{element.tag} {next(iter(element.attrib))}=…>")
    return root


def lay(root: ET.Element, text: str) -> None:
    """Add the overlay's elements; children of what is there already join it."""
    for element in parse(text) if text else ():
        there = root.find(element.tag)
        if there is None:
            root.append(element)
        else:
            there.extend(list(element))
