"""The XML with which a machine goes on from a memory image: the image's own, where its guest can see it, with
everything of the host's side as the definition has it now. Pure."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET

SAID_ANEW = (
    "name", "uuid", "genid", "title", "description", "metadata", "cputune", "blkiotune", "memtune", "on_crash",
    "on_reboot", "on_poweroff",
)  # fmt: skip
OF_A_DISK = ("driver", "source", "iotune")
OF_A_CARD = ("mac", "source", "virtualport", "link", "mtu", "bandwidth", "filterref", "vlan")


def woken(then: ET.Element, now: ET.Element) -> ET.Element:
    """The image's root ``then``, changed to run as the definition ``now``. Precondition: both are of one machine."""
    for tag in SAID_ANEW:
        _take_over(then, now, tag)
    nvram, wanted = then.find("os/nvram"), now.find("os/nvram")
    if nvram is not None and wanted is not None:
        nvram.text = wanted.text
    devices, ours = then.find("devices"), now.find("devices")
    assert devices is not None
    assert ours is not None
    _disks(devices, ours)
    _cards(devices, ours)
    _consoles(devices, ours)
    for graphics in devices.findall("graphics"):
        graphics.attrib.pop("socket", None)
        for listen in graphics.findall("listen"):
            listen.attrib.pop("socket", None)
    return then


def _take_over(then: ET.Element, now: ET.Element, tag: str) -> None:
    """Children of that name are as the definition has them, at the place that they had."""
    there = then.findall(tag)
    place = list(then).index(there[0]) if there else len(then)
    for old in there:
        then.remove(old)
    for new in reversed(now.findall(tag)):
        then.insert(place, copy.deepcopy(new))


def _disks(devices: ET.Element, ours: ET.Element) -> None:
    wanted = {_slot(disk): disk for disk in ours.findall("disk")}
    for disk in devices.findall("disk"):
        for chain in disk.findall("backingStore"):
            disk.remove(chain)
        new = wanted.get(_slot(disk))
        if new is None:
            continue
        disk.set("type", new.get("type", "file"))
        for tag in OF_A_DISK:
            _take_over(disk, new, tag)
        target = disk.find("target")
        if target is not None and new.find("source") is not None:
            target.attrib.pop("tray", None)


def _slot(disk: ET.Element) -> str:
    target = disk.find("target")
    return target.get("dev", "") if target is not None else ""


def _cards(devices: ET.Element, ours: ET.Element) -> None:
    """Each card of the image becomes the definition's of the same MAC, else the next of its model."""
    wanted = ours.findall("interface")
    known = {_mac(card) for card in devices.findall("interface")}
    left = [card for card in wanted if _mac(card) not in known]
    for card in devices.findall("interface"):
        for made in card.findall("target"):
            card.remove(made)
        new = next((w for w in wanted if _mac(w) == _mac(card)), None)
        if new is None:
            new = next((w for w in left if _model(w) == _model(card)), None)
            if new is None:
                continue
            left.remove(new)
        card.set("type", new.get("type", "bridge"))
        for tag in OF_A_CARD:
            _take_over(card, new, tag)


def _mac(card: ET.Element) -> str:
    mac = card.find("mac")
    return mac.get("address", "").lower() if mac is not None else ""


def _model(card: ET.Element) -> str:
    model = card.find("model")
    return model.get("type", "") if model is not None else ""


def _consoles(devices: ET.Element, ours: ET.Element) -> None:
    for old, new in zip(devices.findall("serial"), ours.findall("serial"), strict=False):
        old.set("type", new.get("type", "pty"))
        for tag in ("source", "log"):
            _take_over(old, new, tag)
    # The daemon writes a console for the first serial port itself; an old one would contradict it.
    for console in devices.findall("console"):
        target = console.find("target")
        if target is None or target.get("type", "serial") == "serial":
            devices.remove(console)
    wanted = {_name(channel): channel for channel in ours.findall("channel")}
    for channel in devices.findall("channel[@type='unix']"):
        _take_over(channel, wanted.get(_name(channel), ET.Element("channel")), "source")


def _name(channel: ET.Element) -> str:
    target = channel.find("target")
    return target.get("name", "") if target is not None else ""
