"""Runs inside a private host: a network on what is beyond a card, with a VLAN tag; prints what it saw as JSON. The
namespace ``wire`` is the switch at the other end of the cable."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.real.network_subnets import ENDPOINT, Subnets
from tests.real.spaces import act as act4
from tests.real.spaces import build_world, inside, ping, run, until
from yun.network import service
from yun.network.service import NewNetwork, NewPhysical, NewSubnet
from yun.operations import service as operations


def build_wire() -> None:
    """A card of the host, and the other end of its cable with a machine that hears frames without a tag."""
    run("ip", "netns", "add", "wire")
    run("ip", "link", "add", "card", "type", "veth", "peer", "name", "far", "netns", "wire")
    run("ip", "link", "set", "card", "up")
    inside("wire", "ip", "link", "set", "far", "up", check=True)
    inside("wire", "ip", "addr", "add", "192.168.42.2/24", "dev", "far", check=True)


def mappings() -> str:
    """What OVN's controller is told of bridges."""
    return run("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:ovn-bridge-mappings").strip('"')


def explore(room: Subnets) -> dict[str, Any]:
    """Describe, use, look at the wire, take back."""
    saw: dict[str, Any] = {}
    room.do(service.ensure_default)
    build_world()
    build_wire()
    try:
        room.do(lambda ctx: service.create_physical(ctx, NewPhysical("oops", "br-oops", "beyond")))
        saw["own_address"] = "accepted"
    except RuntimeError as error:
        saw["own_address"] = str(error)
    saw["left"] = [mappings(), "br-oops" in run("ovs-vsctl", "list-br").split()]
    described = room.do(lambda ctx: service.create_physical(ctx, NewPhysical("lan", "br-lan", "card")))
    saw["mapped"] = mappings()
    new = NewNetwork("dmz", physical="lan", vlan=42, subnet=NewSubnet("192.168.42.0/24", pool_start="192.168.42.10"))
    made = room.do(lambda ctx: service.create_network(ctx, new))
    plugged, port = room.plugging("dmz1", "dmz")
    saw["up"] = room.up(port)
    saw["lease"] = act4("dmz1", "lease", "dmz1")
    inside("dmz1", "ip", "addr", "add", f"{port.address}/24", "dev", "dmz1", check=True)
    listener = subprocess.Popen(
        ("ip", "netns", "exec", "wire", sys.executable, "-E", "-S", ENDPOINT, "tagged", "far", "192.168.42.1", "42",
         port.mac, "6"),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert listener.stdout is not None
    listener.stdout.readline()
    saw["tagged"] = bool(until(lambda: ping("dmz1", "192.168.42.1")))
    saw["untagged"] = ping("dmz1", "192.168.42.2")
    saw["wire"] = listener.communicate(timeout=20)[0].strip()
    run("ovs-vsctl", "--if-exists", "del-port", "br-int", "dmz1")
    for operation in (plugged, made, described):
        room.do(lambda ctx, operation=operation: operations.undo(ctx, operation))  # type: ignore[misc]
    saw["after"] = [mappings(), "br-lan" in run("ovs-vsctl", "list-br").split()]
    return saw


def main() -> None:
    """Explore, and print."""
    room = Subnets(Path(sys.argv[1]))
    try:
        print(json.dumps(explore(room)))  # noqa: T201
    finally:
        room.close()


if __name__ == "__main__":
    main()
