"""Runs inside a private host: real OVN, real rows and operations, two light endpoints; prints what it saw as JSON.

Endpoints are Open vSwitch's own internal ports in network namespaces: they need no virtual machine. The namespace
``world`` stands for everything beyond the host.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.real import spaces
from tests.real.spaces import act, build_world, call, inside, ping, run_on, until
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database
from yun.base.ids import new_id
from yun.base.messages import _
from yun.drivers.bundle import Drivers, HostDrivers
from yun.drivers.host.linux import LinuxMachine
from yun.drivers.hypervisor.fake import FakeHypervisor
from yun.drivers.network.ovn import OvnNetworkEngine
from yun.hosts.model import Host
from yun.hosts.service import local_host
from yun.identity.model import Project
from yun.network import flows, service, steps
from yun.network.model import FloatingIp, Port
from yun.operations import flows as _operations  # noqa: F401
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation
from yun.operations.intent import Intent, Subject
from yun.operations.model import Operation


@operation("real.plug")
def plug(op: Op, instance_id: str, port_id: str, floating_id: str | None, host_id: str) -> None:
    """What a creation of an instance does to the network."""
    op.step(steps.keep_ports, instance_id)
    op.step(steps.plug_port, port_id, host_id)
    if floating_id:
        op.step(steps.apply_floating_ip, floating_id)


@operation("real.unplug")
def unplug(op: Op, port_id: str) -> None:
    """What a deletion of an instance does to the network."""
    op.step(steps.unplug_port, port_id)


class Room:
    """The cloud's network room on this private host."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.settings = Settings(state_dir=folder, dns_upstream="198.51.100.2")
        self.machine = machine = LinuxMachine(self.settings)
        for name in ("openvswitch", "ovn-central", "ovn-controller"):
            machine.start_service(name)
        local = HostDrivers(hypervisor=FakeHypervisor(), volume=None, machine=machine)  # type: ignore[arg-type]
        self.network = OvnNetworkEngine(self.settings.ovn_nb, south=self.settings.ovn_sb)
        self.database = Database(self.settings.url)
        self.database.create()
        self.project = new_id("prj")
        with self.database.write() as session:
            session.add(Project(id=self.project, name="default"))
        self.drivers = Drivers(network=self.network, connect=lambda _h: local)
        self.engine = Engine(self.database, self.drivers, self.settings)
        flows.attach(self.engine)
        self.children: list[subprocess.Popen[str]] = []

    def do(self, make: Callable[[Context], Intent]) -> str:
        """Submit what ``make`` returns and run it to its end; the operation's id. RuntimeError where it failed."""
        identifier = self.submit(make)
        self.engine.drain()
        self.must_have_succeeded(identifier)
        return identifier

    def submit(self, make: Callable[[Context], Intent]) -> str:
        """Submit what ``make`` returns and let it wait; the operation's id."""
        with self.database.write() as session:
            ctx = self.context(session)
            return operations.submit(ctx, make(ctx)).id

    def context(self, session: Any) -> Context:
        """Who asks: the system, in the project."""
        return Context(actor=SYSTEM, session=session, settings=self.settings, project_id=self.project)

    def operation(self, identifier: str) -> Operation:
        """What its row says."""
        with self.database.read() as session:
            return session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()

    def must_have_succeeded(self, identifier: str) -> None:
        """RuntimeError with the operation's error where it did not."""
        done = self.operation(identifier)
        if done.state != "succeeded":
            raise RuntimeError(f"{done.kind}: {done.state}: {done.error}")

    def port(
        self, hostname: str, *, floating: bool = False, host: str = "", veth: bool = False, **plan: Any
    ) -> tuple[Port, str]:
        """A plugged port with its `endpoint` on a host (this one where it is empty), and its outside address.

        ``plan`` goes to `service.plan_port`: network, address, groups…
        """
        found: dict[str, Any] = {}

        def make(ctx: Context) -> Intent:
            planned = service.plan_port(ctx, instance_id=new_id("ins"), hostname=hostname, **plan)
            outside = service.plan_floating_ip(ctx, port=planned) if floating else None
            found.update(id=planned.id, floating=outside.id if outside else None)

            def write(session: Any) -> None:
                planned.write(session)
                if outside:
                    outside.write(session)

            return Intent(
                kind="real.plug", title=_("Plug"), subject=Subject("instance", str(planned.port.instance_id)),
                arguments={
                    "instance_id": planned.port.instance_id, "port_id": planned.id, "floating_id": found["floating"],
                    "host_id": self._host(ctx.session, host).id,
                },
                write=write,
            )  # fmt: skip

        self.do(make)
        with self.database.read() as session:
            port = session.get_one(Port, found["id"])
            floating_ip = session.get(FloatingIp, found["floating"] or "")
        self.endpoint(port, host, veth=veth)
        return port, floating_ip.address if floating_ip else ""

    def _host(self, session: Any, name: str) -> Host:
        if not name:
            return local_host(session)
        return session.scalars(sa.select(Host).where(Host.name == name)).one()

    def endpoint(self, port: Port, host: str = "", *, veth: bool = False) -> None:
        """A namespace named like the port's host name, with the port's card in it, on a host (this one: empty).

        The card is a port of Open vSwitch's own; with ``veth`` one that outlives a restart of Open vSwitch.
        """
        name = port.hostname
        spaces.make(name, host)
        interface = ["--", "set", "Interface", name, f"external_ids:iface-id={port.uuid}"]
        if veth:
            run_on(host, "ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", name)
            run_on(host, "ip", "link", "set", name, "up")
            inside(name, "ethtool", "-K", name, "tx", "off", check=True)
            run_on(host, "ovs-vsctl", "add-port", "br-int", name, *interface)
        else:
            run_on(host, "ovs-vsctl", "add-port", "br-int", name, *interface, "type=internal")
            run_on(host, "ip", "link", "set", name, "netns", name)
        inside(name, "ip", "link", "set", name, "address", port.mac, "mtu", "1442", "up", check=True)

    def up(self, *ports: Port) -> bool:
        """Wait until the rows say that the ports are up, as the engine's notices made them."""
        ids = [p.id for p in ports]
        return bool(until(lambda: self._states(ids) == ["up"] * len(ids)))

    def _states(self, ids: list[str]) -> list[str]:
        self.engine.drain()
        with self.database.read() as session:
            return [session.get_one(Port, i).state for i in ids]

    def lease(self, name: str) -> str:
        """Ask for an address by DHCP and take it; what was granted."""
        granted = act(name, "lease", name)
        if granted:
            address, _mask, router = granted.split()[:3]
            inside(name, "ip", "addr", "add", f"{address}/20", "dev", name, check=True)
            inside(name, "ip", "route", "add", "default", "via", router, check=True)
        return granted

    def serve(self, space: str, port: int, what: str = "serve") -> None:
        """A TCP server in a namespace that answers with the caller's address (or another of the endpoint's)."""
        if child := spaces.start(space, what, str(port)):
            self.children.append(child)

    def close(self) -> None:
        """End what was started here; the private host ends the daemons."""
        for child in self.children:
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()
        self.network.close()
        self.database.close()


def explore(room: Room) -> dict[str, Any]:
    """Everything, in the order in which a person would try it."""
    saw: dict[str, Any] = {}
    room.do(service.ensure_default)
    build_world()
    (one, outside), (two, _none) = room.port("one", floating=True), room.port("two", floating=False)
    saw["up"] = room.up(one, two)
    saw["addresses"] = [one.address, two.address]
    saw["leases"] = [room.lease("one"), room.lease("two")]
    for space, number in (("one", 22), ("one", 8080), ("two", 8080)):
        room.serve(space, number)
    room.serve("world", 80)
    saw["ping"] = bool(until(lambda: ping("one", two.address)))
    saw["spoofed"] = spoof(two.address)
    saw["name"] = act("one", "name", "two", "198.51.100.2")
    saw["group_member"] = call("two", one.address, 8080)
    saw["ssh_from_host"] = until(lambda: call("", outside, 22))
    saw["ping_from_host"] = ping("", outside)
    saw["closed"] = call("", outside, 8080)
    rule = service.NewRule(port_min=8080)
    opened = room.do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), rule))
    saw["opened"] = until(lambda: call("", outside, 8080))
    room.do(lambda ctx: operations.undo(ctx, opened))
    saw["closed_by_undo"] = until(lambda: not call("", outside, 8080))
    saw["world_sees"] = [until(lambda s=space: call(s, "198.51.100.2", 80)) for space in ("one", "two")]
    off = room.do(lambda ctx: service.disassociate(ctx, service.get_floating_ip(ctx, outside)))
    saw["floating_off"] = until(lambda: not ping("", outside))
    room.do(lambda ctx: operations.undo(ctx, off))
    saw["floating_on_by_undo"] = bool(until(lambda: ping("", outside)))
    gone = room.do(lambda _ctx: Intent("real.unplug", _("Unplug"), Subject("port", one.id), {"port_id": one.id}))
    saw["unplugged"] = until(lambda: not ping("two", one.address))
    room.do(lambda ctx: operations.undo(ctx, gone))
    saw["plugged_by_undo"] = bool(until(lambda: ping("two", one.address) and ping("", outside)))
    return saw


def spoof(target: str) -> bool:
    """Whether a packet with a false sender gets through."""
    inside("one", "ip", "addr", "add", "10.77.9.9/32", "dev", "lo", check=True)
    through = ping("one", target, "10.77.9.9")
    inside("one", "ip", "addr", "del", "10.77.9.9/32", "dev", "lo", check=True)
    return through


def main() -> None:
    """Explore, and print."""
    room = Room(Path(sys.argv[1]))
    try:
        print(json.dumps(explore(room)))  # noqa: T201
    finally:
        room.close()


if __name__ == "__main__":
    main()
