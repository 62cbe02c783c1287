"""Physical networks of this host: a bridge for each, OVN's mapping to it, and the card that leads out."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.host import ovs
from yun.drivers.host.gateway import addresses

MAPPINGS = "ovn-bridge-mappings"
MARK = "physical"


def mappings() -> dict[str, str]:
    """Physical network → bridge, as OVN's controller of this host is told."""
    listed = ovs.external_ids().get(MAPPINGS, "").split(",")
    return dict(part.split(":", 1) for part in listed if ":" in part)


def apply(name: str, bridge: str, interface: str, kind: str) -> None:
    """OVN reaches the physical network ``name`` by ``bridge``, which exists on datapath ``kind`` and holds the card
    ``interface`` where one is named. A bridge that somebody else made is used as it is, and never removed.

    Raises `DriverError` for a bridge of the cloud's own, a mapping to another bridge, and a card that does not exist
    or by which the host itself is reached.
    """
    if bridge in (ovs.BRIDGE, ovs.INTEGRATION):
        raise DriverError(_("The bridge {name} is the cloud's own.", name=bridge))
    have = mappings().get(name)
    if have not in (None, bridge):
        raise DriverError(_("The physical network {name} leads to the bridge {bridge} already.", name=name,
                            bridge=str(have)))  # fmt: skip
    if interface:
        _refuse_card(interface, bridge)
    known = {str(row["name"]): dict(row["external_ids"]) for row in ovs.rows("Bridge", "name,external_ids")}
    if bridge not in known:
        ovs.vsctl(
            "add-br", bridge, "--", "set", "Bridge", bridge, f"datapath_type={kind}", "fail_mode=standalone",
            f"external_ids:yun={MARK}",
        )  # fmt: skip
    if interface and interface not in ovs.vsctl("list-ports", bridge).split():
        ovs.vsctl("add-port", bridge, interface, "--", "set", "Port", interface,
                  f"external_ids:yun={json.dumps(MARK)}")  # fmt: skip
    if have is None:
        text = ovs.merged(ovs.external_ids().get(MAPPINGS, ""), f"{name}:{bridge}", f"{name}:")
        ovs.set_external_ids({MAPPINGS: text})


def _refuse_card(interface: str, bridge: str) -> None:
    try:
        socket.if_nametoindex(interface)
    except OSError:
        raise DriverError(_("The host has no network card {name}.", name=interface)) from None
    owner = ""
    with suppress(DriverError):  # it is in no bridge
        owner = ovs.vsctl("port-to-br", interface).strip()
    if owner == bridge:
        return
    if owner:
        raise DriverError(_("The card {name} is in the bridge {bridge} already.", name=interface, bridge=owner))
    own = [a for a in addresses(interface) if not a.startswith("fe80:")]
    if own:
        raise DriverError(
            _("The card {name} has the host's own address {address}: it would be lost.", name=interface,
              address=own[0]),
            hint=_("Name another card, or move the address to the bridge yourself."),
        )  # fmt: skip


def remove(name: str) -> None:
    """OVN does not reach the physical network any more. Its bridge, where we made it and nothing else leads to it, is
    gone; a card that we put into another's bridge is out of it."""
    have = mappings()
    bridge = have.pop(name, None)
    if bridge is None:
        return
    text = ovs.merged(ovs.external_ids().get(MAPPINGS, ""), "", f"{name}:")
    ovs.set_external_ids({MAPPINGS: text or None})
    if bridge in have.values():
        return
    marks = {str(row["name"]): dict(row["external_ids"]).get("yun") for row in ovs.rows("Bridge", "name,external_ids")}
    if marks.get(bridge) == MARK:
        ovs.vsctl("--if-exists", "del-br", bridge)
        return
    ports = {str(row["name"]): dict(row["external_ids"]).get("yun") for row in ovs.rows("Port", "name,external_ids")}
    for port in ovs.vsctl("list-ports", bridge).split() if bridge in marks else ():
        if ports.get(port) == MARK:
            ovs.vsctl("--if-exists", "del-port", bridge, port)
