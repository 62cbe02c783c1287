"""Network cards of a running domain: plugging them in, asking for them back, their cables, and what is really there."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt.domain_xml.devices import nic_xml
from yun.drivers.hypervisor.port import NicSpec, PluggedNic

LIVE = 1


def find(domain: Any, mac: str) -> ET.Element | None:
    """The live ``<interface>`` of the card with this MAC."""
    for card in ET.fromstring(domain.XMLDesc(0)).iterfind("./devices/interface"):
        if _mac(card) == mac.lower():
            return card
    return None


def attach(domain: Any, nic: NicSpec) -> None:
    """Plug ``nic`` in unless it is there."""
    there = find(domain, nic.mac)
    if there is None:
        domain.attachDeviceFlags(nic_xml(nic), LIVE)
    elif _port(there) != nic.port_uuid:
        raise DriverError(_("Another card has the MAC address {mac}.", mac=nic.mac), private=nic.port_uuid)


def detach(domain: Any, mac: str) -> None:
    """Ask the guest for the card, if it is there."""
    there = find(domain, mac)
    if there is None:
        return
    try:
        domain.detachDeviceFlags(ET.tostring(there, encoding="unicode"), LIVE)
    except Exception:
        if find(domain, mac) is not None:  # it may have gone in this very moment
            raise


def set_link(domain: Any, mac: str, up: bool) -> None:
    """The card's cable is in, or out. All else of the card is sent back as it runs: libvirt refuses other changes."""
    card = find(domain, mac)
    if card is None:
        raise DriverError(_("No card has the MAC address {mac}.", mac=mac))
    if _link_up(card) is up:
        return
    link = card.find("link")
    if link is None:
        link = ET.SubElement(card, "link")
    link.set("state", "up" if up else "down")
    domain.updateDeviceFlags(ET.tostring(card, encoding="unicode"), LIVE)


def plugged(domain: Any) -> dict[str, PluggedNic]:
    """The domain's cards by MAC."""
    found = {}
    for card in ET.fromstring(domain.XMLDesc(0)).iterfind("./devices/interface"):
        model = card.find("model")
        kind = model.get("type", "") if model is not None else ""
        found[_mac(card)] = PluggedNic(_port(card), kind, _link_up(card))
    return found


def _mac(card: ET.Element) -> str:
    mac = card.find("mac")
    return mac.get("address", "").lower() if mac is not None else ""


def _port(card: ET.Element) -> str:
    wire = card.find("./virtualport/parameters")
    return wire.get("interfaceid", "") if wire is not None else ""


def _link_up(card: ET.Element) -> bool:
    link = card.find("link")
    return link is None or link.get("state", "up") == "up"
