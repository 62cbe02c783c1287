"""Runs on the first host of a fabric: OVN's daemons die, lose their files or are meddled with, and changes go on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.real.fabric_room import FabricRoom, play
from tests.real.spaces import call, ping, run, run_on, until
from yun.base.errors import DriverError
from yun.base.messages import Message
from yun.network import service
from yun.network.model import Port
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.intent import Subject
from yun.operations.model import Event, Notice

OVS_CTL = "/usr/share/openvswitch/scripts/ovs-ctl"
NB, SB = "ovnnb_db", "ovnsb_db"


class Faulty(FabricRoom):
    """A room that knows how it looks when all is well: across the tunnel, and from the host by the floating IP."""

    inner = outside = ""

    def well(self) -> bool:
        """Whether it is."""
        return ping("one", self.inner) and bool(call("one", self.inner, 8080)) and bool(call("", self.outside, 22))


def explore(room: Faulty) -> dict[str, Any]:
    """Everything, in the order in which a person would try it."""
    room.begin()
    saw: dict[str, Any] = {}
    (one, outside), (two, _none) = room.port("one", floating=True, veth=True), room.port("two", host="h2", veth=True)
    saw["up"] = room.up(one, two)
    for name in ("one", "two"):
        room.lease(name)
    room.serve("two", 8080)
    room.serve("one", 22)
    room.inner, room.outside = two.address, outside
    saw["well"] = until(room.well)
    for scene in (drift, leftovers, northd_away, northbound_away, northbound_lost, southbound_lost, switches, names):
        saw[scene.__name__] = scene(room, two)
    return saw


def reconcile(room: Faulty) -> dict[str, Any]:
    """Compare; what was told of it, if anything."""
    with room.database.read() as session:
        before = session.scalar(sa.select(sa.func.max(Event.seq))) or 0
    room.engine.nudge("network.reconcile", Subject("network", "cloud"))
    room.engine.drain()
    with room.database.read() as session:
        kinds = ("network.mended", "network.swept")
        news = session.scalars(sa.select(Event).where(Event.seq > before, Event.kind.in_(kinds)))
        return {e.kind: e.data for e in news}


def drift(room: Faulty, two: Port) -> dict[str, Any]:
    """Somebody meddles with rows of ours, and has rows of his own."""
    reconcile(room)
    saw: dict[str, Any] = {"at_rest": reconcile(room)}
    run("ovn-nbctl", "ls-add", "strange", "--", "lsp-add", "strange", "strange1")
    run("ovn-nbctl", "lsp-set-addresses", two.uuid, "52:54:00:00:00:99 10.77.9.9")
    group = run("ovn-nbctl", "--bare", "--columns=name", "find", "Port_Group", "external_ids:yun_kind=group")
    run("ovn-nbctl", "acl-del", group)
    saw["told"] = reconcile(room)
    saw["again"] = reconcile(room)
    saw["strange"] = run("ovn-nbctl", "--bare", "--columns=name", "list", "Logical_Switch").split().count("strange")
    saw["well"] = until(room.well)
    with room.database.read() as session:
        notice = session.get(Notice, "network.drift")
        saw["notice"] = notice is not None and two.id in Message.from_json(notice.message).render("en")
    return saw


def leftovers(room: Faulty, two: Port) -> dict[str, Any]:
    """Cards that a machine's sudden end left in the switch: ours and a stranger's, with libvirt's marks."""
    mac = "external_ids:attached-mac=52\\:54\\:00\\:00\\:00\\:01"
    for name, interface in (("vnet7", two.uuid), ("vnet8", "3f0cb1d6-6e5a-4f45-8d8e-0f6b3f9a7c11")):
        run("ovs-vsctl", "add-port", "br-int", name, "--", "set", "Interface", name,
            f"external_ids:iface-id={interface}", mac)  # fmt: skip
    told = reconcile(room)
    left = run("ovs-vsctl", "list-ports", "br-int").split()
    run("ovs-vsctl", "del-port", "vnet8")
    return {"told": told, "left": [name for name in ("vnet7", "vnet8", "one") if name in left]}


def daemon(name: str) -> int:
    """The process of a daemon of OVN's."""
    return int(Path(f"/run/ovn/{name}.pid").read_text())


def end(name: str) -> None:
    """A daemon dies at once, and whoever would start it again before it."""
    pid = daemon(name)
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    monitor = Path(f"/proc/{parent}/cmdline").read_bytes() if parent > 1 else b""
    if b"monitor" in monitor:
        os.kill(parent, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists())


def answers(room: Faulty) -> bool:
    """Whether the northbound database does."""
    try:
        return bool(room.network.alive())
    except DriverError:
        return False


def northd_away(room: Faulty, two: Port) -> dict[str, Any]:
    """Changes go on while northd is dead; they come into force when it is back."""
    end("ovn-northd")
    saw: dict[str, Any] = {"traffic_meanwhile": room.well()}
    rule = service.NewRule(port_min=9090)
    room.do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), rule))
    three, _none = room.port("three", host="h2", veth=True)
    late = service.NewNetwork("late", subnet=service.NewSubnet("10.60.0.0/24"))
    room.do(lambda ctx: service.create_network(ctx, late))
    saw["down_meanwhile"] = three.state
    room.machine.start_service("ovn-central")
    saw["up"] = room.up(three)
    saw["lease"] = room.lease("three").split()[:1] == [three.address]
    saw["reached"] = bool(until(lambda: ping("one", three.address)))
    saw["told"] = reconcile(room)
    return saw


def northbound_away(room: Faulty, two: Port) -> dict[str, Any]:
    """Operations wait for the database, say so, can be taken back, and end well when it is there."""
    end(NB)
    engine = Engine(room.database, room.drivers, room.settings)
    engine.start()
    wanted = room.submit(lambda ctx: service.create_group(ctx, "waiting"))
    unwanted = room.submit(lambda ctx: service.create_group(ctx, "unwanted"))
    saw: dict[str, Any] = {}
    for name in ("wanted", "unwanted"):
        identifier = wanted if name == "wanted" else unwanted
        until(lambda i=identifier: room.operation(i).progress_text is not None, 20)
    waiting = room.operation(wanted)
    saw["state"] = waiting.state
    saw["says"] = Message.from_json(waiting.progress_text or {}).render("en") if waiting.progress_text else ""
    saw["traffic_meanwhile"] = room.well()
    with room.database.write() as session:
        operations.cancel(room.context(session), unwanted)
    time.sleep(6)  # longer than the first pauses
    saw["still"] = room.operation(wanted).state
    room.machine.start_service("ovn-central")
    saw["ended"] = until(lambda: (s := room.operation(wanted).state) != "running" and s, 60)
    saw["cancelled"] = until(lambda: (s := room.operation(unwanted).state) not in ("running", "undoing") and s, 60)
    engine.stop()
    groups = run("ovn-nbctl", "--columns=external_ids", "find", "Port_Group", "external_ids:yun_kind=group")
    saw["groups"] = ["waiting" in groups, "unwanted" in groups]
    saw["well"] = until(room.well)
    return saw


def northbound_lost(room: Faulty, two: Port) -> dict[str, Any]:
    """The northbound database is killed and its file is gone: everything is made again from the rows."""
    end(NB)
    Path(f"/var/lib/ovn/{NB}.db").unlink()
    room.machine.start_service("ovn-central")
    until(lambda: answers(room), 20)

    def compared() -> bool:
        room.engine.drain()
        return len(room.network.inventory()["port"]) == 3

    until(compared, 30)  # the reconnection wakes the comparison
    saw: dict[str, Any] = {"well": until(room.well, 20)}
    saw["inventory"] = {kind: len(ids) for kind, ids in room.network.inventory().items()}
    with room.database.read() as session:
        told = session.scalars(sa.select(Event).where(Event.kind == "network.mended").order_by(Event.seq.desc()))
        saw["told"] = dict(told.first().data["counts"])  # type: ignore[union-attr]
    saw["again"] = reconcile(room)
    return saw


def southbound_lost(room: Faulty, two: Port) -> dict[str, Any]:
    """The southbound database is killed and its file is gone: northd and the controllers fill it again."""
    end(SB)
    Path(f"/var/lib/ovn/{SB}.db").unlink()
    room.machine.start_service("ovn-central")
    room.open_southbound()
    saw: dict[str, Any] = {"chassis": bool(until(lambda: room.chassis() == {"h1", "h2"}, 30))}
    saw["well"] = until(room.well, 30)
    saw["up"] = room.up(two)
    return saw


def switches(room: Faulty, two: Port) -> dict[str, Any]:
    """Open vSwitch restarts on both hosts, then their controllers die and come back."""
    saw: dict[str, Any] = {}
    for host in ("", "h2"):
        run_on(host, OVS_CTL, "restart", f"--system-id={host or 'h1'}", "--no-mlockall")
    saw["after_switches"] = until(room.well, 20)
    room.machine.stop_service("ovn-controller")
    saw["controller_away"] = room.machine.services()[2].state
    room.machine.start_service("ovn-controller")
    run_on("h2", "/usr/share/ovn/scripts/ovn-ctl", "restart_controller")
    saw["after_controllers"] = until(room.well, 20)
    saw["told"] = reconcile(room)
    return saw


def names(room: Faulty, two: Port) -> dict[str, Any]:
    """The first host gets another name and its daemons start anew: ports pinned to it stay where they are."""
    run("hostname", "renamed")
    run(OVS_CTL, "restart", "--system-id=random", "--no-mlockall")  # as the package does: keeps what it was
    room.machine.stop_service("ovn-controller")
    room.machine.start_service("ovn-controller")
    saw: dict[str, Any] = {"well": until(room.well, 20)}
    room.do(service.ensure_default)
    four, _none = room.port("four", veth=True)
    saw["up"] = room.up(four)
    saw["chassis"] = sorted(room.chassis())
    saw["well_again"] = until(room.well, 20)
    return saw


if __name__ == "__main__":
    play(explore, Faulty)
