"""Runs on the first host of a fabric: networks across hosts, with their address ranges, packets' sizes and ways out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tests.real.fabric_room import FabricRoom, play
from tests.real.spaces import act, call, inside, ping, ping_whole, rate, sniff, until
from yun.network import service

RANGE = "10.50.0.0/24"


def explore(room: FabricRoom) -> dict[str, Any]:
    """Everything, in the order in which a person would try it."""
    room.begin()
    saw: dict[str, Any] = {}
    for name in ("red", "blue"):
        new = service.NewNetwork(name, subnet=service.NewSubnet(RANGE, routed=False))
        room.do(partial(service.create_network, new=new))
    near, _none = room.port("near", network="red")
    far, _none = room.port("far1", network="red", host="h2")
    blue, _none = room.port("blue1", network="blue", host="h2", address=near.address)
    out, outside = room.port("out", floating=True, host="h2")
    home, _none = room.port("home")
    ports = [near, far, blue, out, home]
    saw["up"] = room.up(*ports)
    saw["addresses"] = {p.hostname: p.address for p in ports}
    saw["leases"] = {p.hostname: room.lease(p.hostname) for p in ports}
    isolation(room, saw, near.mac)
    sizes(saw, far.address)
    ways_out(room, saw, home.address, outside)
    return saw


def isolation(room: FabricRoom, saw: dict[str, Any], mac: str) -> None:
    """Two networks with one range: each sees its own machine behind the same address."""
    near, far = saw["addresses"]["near"], saw["addresses"]["far1"]
    for name in ("near", "far1", "blue1"):
        room.serve(name, 80)
    room.serve("far1", 5001, "sink")
    saw["ping_across"] = bool(until(lambda: ping("near", far)))
    saw["tcp_across"] = call("near", far, 80)
    saw["tcp_back"] = call("far1", near, 80)
    saw["rate_across"] = rate("near", far, 5001)
    saw["blue_reaches_red"] = ping("blue1", far)
    inside("near", "ip", "neigh", "flush", "all")
    mine = bytes.fromhex(mac.replace(":", ""))
    saw["blue_hears_red"] = sum(f[6:12] == mine for f in listened("blue1", "near", far))
    saw["far_hears_near"] = sum(f[6:12] == mine for f in listened("far1", "near", far)) > 0


def listened(ear: str, mouth: str, address: str) -> list[bytes]:
    """What one endpoint's card sees while another one asks for an address."""
    with ThreadPoolExecutor() as pool:
        frames = pool.submit(sniff, ear, ear, 2.0)
        for _again in range(3):
            ping(mouth, address)
        return frames.result()


def sizes(saw: dict[str, Any], far: str) -> None:
    """The largest packet crosses the tunnel uncut, a larger one never does, whoever sends it."""
    saw["whole"] = ping_whole("near", far, 1442)
    saw["larger"] = ping_whole("near", far, 1443)
    for name in ("near", "far1"):
        inside(name, "ip", "link", "set", name, "mtu", "1500", check=True)
    saw["larger_from_a_liar"] = ping_whole("near", far, 1443)
    saw["whole_from_a_liar"] = ping_whole("near", far, 1442)


def ways_out(room: FabricRoom, saw: dict[str, Any], home: str, outside: str) -> None:
    """From another host to the world and back."""
    for space, number in (("out", 22), ("out", 8080), ("world", 80)):
        room.serve(space, number)
    saw["gateway"] = ping("out", "10.77.0.1")
    saw["neighbour"] = ping("out", home)
    saw["world_sees"] = until(lambda: call("out", "198.51.100.2", 80))
    saw["ssh_from_host"] = until(lambda: call("", outside, 22))
    saw["closed"] = call("", outside, 8080)
    saw["ping_from_host"] = ping("", outside)
    saw["name"] = act("out", "name", "home", "198.51.100.2")


if __name__ == "__main__":
    play(explore)
