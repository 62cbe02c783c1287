"""Runs inside a private host: what ports may say, how much, what is counted and recorded; prints what it saw as JSON.

The endpoints hang on pairs of links whose outer end stays on the host, as the tap of a machine does.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.real.network_room import Room, spoof
from tests.real.spaces import act, inside, ping, rate, run, until
from yun.drivers.host.captures import Captures
from yun.drivers.host.port import CaptureFacts, CaptureSpec
from yun.network import service
from yun.network.model import Capture, Port
from yun.network.service import NewPort, PortChanges
from yun.operations import service as operations

VIP, OTHER_VIP, VRRP = "10.77.0.100", "10.77.0.101", "00:00:5e:00:01:07"
START = """
import sys, time
from pathlib import Path
from yun.drivers.host.captures import Captures
from yun.drivers.host.port import CaptureSpec
Captures(Path(sys.argv[1])).start(CaptureSpec("cap_orphan", sys.argv[2], 3, 1 << 20, ("icmp",)))
print("begun", flush=True)
time.sleep(60)
"""


class PortsRoom(Room):
    """A room that changes ports and records them."""

    def change(self, port: Port, **changes: Any) -> str:
        """Change a port; the operation's id."""
        return self.do(
            lambda ctx: service.update_port(ctx, service.get_port(ctx, port.id), PortChanges(**changes))
        )

    def recording(self, identifier: str) -> Capture:
        """Its row."""
        with self.database.read() as session:
            return session.get_one(Capture, identifier)


def reached(room: Room, space: str, address: str) -> bool:
    """Whether a ping is answered before long."""
    return bool(until(lambda: ping(space, address), 4))


def moving(room: PortsRoom, one: Port, two: Port) -> dict[str, Any]:
    """An address that moves between two machines, with their own MAC and with one of its own."""
    saw: dict[str, Any] = {}
    room.do(lambda ctx: service.create_port(ctx, NewPort(addresses=[VIP, OTHER_VIP], changes=PortChanges(name="vip"))))
    inside("one", "ip", "addr", "add", f"{VIP}/20", "dev", "one", check=True)
    saw["not_allowed"] = ping("three", VIP)
    for port in (one, two):
        room.change(port, allowed_pairs=[{"cidr": VIP}, {"cidr": OTHER_VIP, "mac": VRRP}])
    act("one", "announce", "one", VIP)
    saw["at_one"] = reached(room, "three", VIP)
    inside("one", "ip", "addr", "del", f"{VIP}/20", "dev", "one", check=True)
    inside("two", "ip", "addr", "add", f"{VIP}/20", "dev", "two", check=True)
    begun = time.monotonic()
    act("two", "announce", "two", VIP)
    saw["at_two"] = reached(room, "three", VIP)
    saw["moved_in"] = time.monotonic() - begun
    for name in ("one", "two"):  # whoever is master takes the MAC of the virtual router
        inside(name, "ip", "link", "set", name, "address", VRRP, check=True)
        inside(name, "ip", "addr", "add", f"{OTHER_VIP}/20", "dev", name, check=True)
        act(name, "announce", name, OTHER_VIP)
        saw[f"virtual_mac_at_{name}"] = reached(room, "three", OTHER_VIP)
        inside(name, "ip", "addr", "del", f"{OTHER_VIP}/20", "dev", name, check=True)
        mac = (one if name == "one" else two).mac
        inside(name, "ip", "link", "set", name, "address", mac, check=True)
        act(name, "announce", name, (one if name == "one" else two).address)
    saw["themselves_again"] = [reached(room, "three", p.address) for p in (one, two)]
    return saw


def several(room: PortsRoom, one: Port) -> dict[str, Any]:
    """A second address of a port."""
    added = room.do(lambda ctx: service.add_address(ctx, service.get_port(ctx, one.id), "10.77.0.77"))
    inside("one", "ip", "addr", "add", "10.77.0.77/20", "dev", "one", check=True)
    saw: dict[str, Any] = {"second": reached(room, "three", "10.77.0.77")}
    saw["named"] = run("ovn-nbctl", "--bare", "--columns=records", "list", "DNS")
    room.do(lambda ctx: operations.undo(ctx, added))
    saw["second_after_undo"] = bool(until(lambda: ping("three", "10.77.0.77"), 2))
    inside("one", "ip", "addr", "del", "10.77.0.77/20", "dev", "one", check=True)
    return saw


def opened(room: PortsRoom, one: Port, two: Port) -> dict[str, Any]:
    """False senders, with port security and without."""
    saw: dict[str, Any] = {"spoofed": spoof(two.address)}
    done = room.change(one, port_security=False)
    saw["spoofed_without"] = bool(until(lambda: spoof(two.address), 4))
    room.do(lambda ctx: operations.undo(ctx, done))
    saw["spoofed_again"] = bool(until(lambda: not spoof(two.address), 4))
    return saw


def limited(room: PortsRoom, one: Port, two: Port) -> dict[str, Any]:
    """How much TCP gets through, free and limited either way."""
    room.serve("two", 5001, "sink")
    saw: dict[str, Any] = {"free": rate("one", two.address, 5001, 1.5)}
    for side, port in (("ingress", two), ("egress", one)):
        for kbps in (10_000, 40_000):
            done = room.change(port, **{f"{side}_kbps": kbps})
            run("ovn-nbctl", "--wait=hv", "--timeout=20", "sync")
            saw[f"{side}_{kbps}"] = rate("one", two.address, 5001, 4.0)
            room.do(lambda ctx, done=done: operations.undo(ctx, done))  # type: ignore[misc]
    run("ovn-nbctl", "--wait=hv", "--timeout=20", "sync")
    saw["free_again"] = rate("one", two.address, 5001, 1.5)
    saw["rules_left"] = run("ovn-nbctl", "--bare", "--columns=_uuid", "list", "QoS")
    room.change(one, dscp=46)
    run("ovn-nbctl", "--wait=hv", "--timeout=20", "sync")
    frames = heard(room, two, lambda: [ping("one", two.address) for _n in range(3)])
    saw["marks"] = sorted({f[15] >> 2 for f in frames if source(f) == one.address and f[23] == 1})
    room.change(one, dscp=0)
    return saw


def heard(room: PortsRoom, port: Port, act_now: Any, **wish: Any) -> list[bytes]:
    """The frames that a recording of the port has of what happens meanwhile."""
    identifier = room.submit(lambda ctx: service.capture(ctx, service.get_port(ctx, port.id), **wish))
    room.engine.drain()
    room.must_have_succeeded(identifier)
    captured = str(room.operation(identifier).subject_id)
    act_now()
    time.sleep(0.5)
    room.do(lambda ctx: service.stop_capture(ctx, service.get_capture(ctx, captured)))
    row = room.recording(captured)
    frames = frames_of(Path(row.path))
    assert row.packets == len(frames), (row.packets, len(frames))
    return frames


def frames_of(path: Path) -> list[bytes]:
    """The packets of a file that tcpdump wrote."""
    data, at, found = path.read_bytes(), 24, []
    while at < len(data):
        length = int.from_bytes(data[at + 8 : at + 12], "little")
        found.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    assert at == len(data), "whole packets only"
    return found


def source(frame: bytes) -> str:
    """Who sent an IPv4 packet."""
    return ".".join(map(str, frame[26:30]))


def target(frame: bytes) -> str:
    """For whom an IPv4 packet is."""
    return ".".join(map(str, frame[30:34]))


def recorded(room: PortsRoom, one: Port, two: Port, three: Port) -> dict[str, Any]:
    """Recordings: what is in them, how they end, and what a death leaves."""

    def talk() -> None:
        for _n in range(4):
            ping("one", two.address)
            ping("one", three.address)
        rate("three", two.address, 5001, 0.3)

    frames = heard(room, two, talk, filter="icmp")
    saw: dict[str, Any] = {"pairs": sorted({f"{source(f)}>{target(f)}" for f in frames}), "count": len(frames)}
    saw["kinds"] = sorted({f[23] for f in frames})
    machine = room.machine
    machine.start_capture(CaptureSpec("cap_short", two.uuid, 2, 1 << 20, ()))
    machine.start_capture(CaptureSpec("cap_small", two.uuid, 60, 64 * 1024, ()))
    machine.start_capture(CaptureSpec("cap_small", two.uuid, 60, 64 * 1024, ()))
    rate("one", two.address, 5001, 0.5)
    small = ended(machine, "cap_small")
    saw["small"] = [small.size, bool(small.packets), len(frames_of(Path(small.path))) == small.packets]
    begun = time.monotonic()
    saw["short_ended"] = not ended(machine, "cap_short").running
    saw["short_took"] = time.monotonic() - begun
    folder = Path(small.path).parent
    child = subprocess.Popen(
        [sys.executable, "-c", START, str(folder), two.uuid], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    orphans = Captures(folder)
    saw["goes_on"] = orphans.all()["cap_orphan"].running
    ping("one", two.address)
    saw["orphan_ended"] = bool(until(lambda: not orphans.all()["cap_orphan"].running, 6))
    saw["orphan_packets"] = orphans.all()["cap_orphan"].packets
    for name in ("cap_short", "cap_small", "cap_orphan"):
        machine.remove_capture(name)
    saw["left"] = sorted(p.name for p in folder.iterdir() if "cap_s" in p.name or "cap_o" in p.name)
    saw["mirrors"] = run("ovs-vsctl", "--bare", "--columns=_uuid", "list", "Mirror")
    return saw


def ended(machine: Any, name: str) -> CaptureFacts:
    """A recording once it has ended."""
    until(lambda: not machine.captures()[name].running, 8)
    facts: CaptureFacts = machine.captures()[name]
    return facts


def counted(room: PortsRoom, one: Port, two: Port) -> dict[str, Any]:
    """Counters before and after a known amount, on both ends."""
    before = room.machine.port_counters()
    megabits = rate("one", two.address, 5001, 1.0)
    after = room.machine.port_counters()
    return {
        "sent": after[one.uuid].bytes_out - before[one.uuid].bytes_out,
        "received": after[two.uuid].bytes_in - before[two.uuid].bytes_in,
        "acknowledged": after[one.uuid].bytes_in - before[one.uuid].bytes_in,
        "poured": int(megabits * 1e6 / 8),
    }


def explore(room: PortsRoom) -> dict[str, Any]:
    """Everything."""
    room.do(service.ensure_default)
    (one, _a), (two, _b), (three, _c) = (room.port(name, veth=True) for name in ("one", "two", "three"))
    saw: dict[str, Any] = {"up": room.up(one, two, three)}
    saw["leases"] = [room.lease(name).split()[0] for name in ("one", "two", "three")]
    saw["addresses"] = [p.address for p in (one, two, three)]
    for part in (lambda: several(room, one), lambda: moving(room, one, two), lambda: opened(room, one, two),
                 lambda: limited(room, one, two), lambda: recorded(room, one, two, three),
                 lambda: counted(room, one, two)):  # fmt: skip
        saw |= part()
    return saw


def main() -> None:
    """Explore, and print."""
    room = PortsRoom(Path(sys.argv[1]))
    try:
        print(json.dumps(explore(room)))  # noqa: T201
    finally:
        room.close()


if __name__ == "__main__":
    main()
