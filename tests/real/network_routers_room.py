"""Runs inside a private host: routers of two projects on real OVN with light endpoints; prints what it saw as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.real.network_room import Room
from tests.real.spaces import build_world, call, inside, ping, run, start, until
from yun.base.context import SYSTEM, Context
from yun.base.ids import new_id
from yun.identity.model import Project
from yun.network import service
from yun.network.model import Port
from yun.network.service import NewForwarding, NewNetwork, NewPeering, NewRouter, NewRule, NewSubnet
from yun.operations import service as operations

OUTSIDE = "198.51.100.2"
ENDPOINT6 = str(Path(__file__).with_name("endpoint6.py"))


class RoutersRoom(Room):
    """The room with a second project, networks of choice, and machines in them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ours, self.theirs = self.project, new_id("prj")
        with self.database.write() as session:
            session.add(Project(id=self.theirs, name="theirs"))

    @contextmanager
    def being(self, project: str) -> Iterator[None]:
        """Ask on behalf of another project."""
        before, self.project = self.project, project
        try:
            yield
        finally:
            self.project = before

    def net(self, name: str, cidr: str, router: str) -> None:
        """A network with one subnet, and a leg of a router in it."""
        subnet = NewSubnet(cidr, name=name, routed=False)
        self.do(lambda ctx: service.create_network(ctx, NewNetwork(name, subnet=subnet)))
        self.do(lambda ctx: service.add_interface(
            ctx, service.get_router(ctx, router), service.get_subnet(ctx, name)
        ))  # fmt: skip

    def machine_in(self, name: str, network: str) -> Port:
        """A plugged port in a network, with an endpoint that has its address and the gateway."""
        port, _none = self.port(name, network=network)
        inside(name, "ip", "addr", "add", f"{port.address}/24", "dev", name, check=True)
        gateway = port.address.rpartition(".")[0] + ".1"
        inside(name, "ip", "route", "add", "default", "via", gateway, check=True)
        return port

    def machine6_in(self, name: str, network: str) -> Port:
        """Such a port in a network of IPv6 alone."""
        port, _none = self.port(name, network=network)
        inside(name, "ip", "-6", "addr", "add", f"{port.address}/64", "dev", name, "nodad", check=True)
        gateway = port.address[: port.address.index("::")] + "::1"
        inside(name, "ip", "-6", "route", "add", "default", "via", gateway, "dev", name, check=True)
        return port

    def serve_here(self, port: int) -> None:
        """A TCP server on the host itself that answers with the caller's address."""
        child = start("", "serve", str(port))
        assert child is not None
        self.children.append(child)

    def heard(self, name: str, sender: str, act: Callable[[], Any]) -> int:
        """How many packets from a sender came to an endpoint while ``act`` was done."""
        tool = ("tcpdump", "--immediate-mode", "-n", "-l", "-i", name, "src", "host", sender)
        words = ("ip", "netns", "exec", name, *tool)
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as capture:
            assert capture.stdout is not None
            assert capture.stderr is not None
            while "listening on" not in capture.stderr.readline():
                pass
            act()
            capture.terminate()
            return len([line for line in capture.stdout.read().splitlines() if line])


def outside_of(room: RoutersRoom, router: str) -> str:
    """A router's outside address."""
    with room.database.read() as session:
        ctx = Context(actor=SYSTEM, session=session, settings=room.settings, project_id=room.project)
        return str(service.external_address(session, service.get_router(ctx, router).id))


def explore(room: RoutersRoom) -> dict[str, Any]:
    """Everything, in the order in which a person would try it."""
    room.do(service.ensure_default)
    build_world()
    room.do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), NewRule(port_min=24)))
    room.do(lambda ctx: service.create_router(ctx, NewRouter("r1")))
    room.net("a", "10.1.0.0/24", "r1")
    one, two = room.machine_in("a1", "a"), room.machine_in("a2", "a")
    room.serve("a1", 22)
    room.serve("a2", 24)
    room.serve("world", 80)
    room.serve_here(81)
    saw: dict[str, Any] = {"up": room.up(one, two)}
    translation(room, saw)
    forwarded(room, saw, one, two)
    moved(room, saw, one, two)
    routed(room, saw)
    peered(room, saw, one)
    peered6(room, saw)
    return saw


def translation(room: RoutersRoom, saw: dict[str, Any]) -> None:
    """Source NAT, without it, and by undo with it again; nothing at all without a way out."""
    own = outside_of(room, "r1")
    run("ip", "route", "add", "10.1.0.0/24", "via", own)
    saw["own"] = own
    saw["world"] = until(lambda: call("a1", OUTSIDE, 80))
    saw["translated"] = call("a1", "172.31.240.1", 81)
    off = room.do(lambda ctx: service.update_router(ctx, service.get_router(ctx, "r1"), snat=False))
    saw["untranslated"] = until(lambda: (got := call("a1", "172.31.240.1", 81)) != own and got)
    room.do(lambda ctx: operations.undo(ctx, off))
    saw["again"] = until(lambda: (got := call("a1", "172.31.240.1", 81)) == own and got)
    cleared = room.do(lambda ctx: service.clear_gateway(ctx, service.get_router(ctx, "r1")))
    saw["cleared"] = until(lambda: not call("a1", "172.31.240.1", 81))
    room.do(lambda ctx: operations.undo(ctx, cleared))
    saw["way_out_by_undo"] = until(lambda: call("a1", "172.31.240.1", 81))
    run("ip", "route", "del", "10.1.0.0/24", "via", own)


def forwarded(room: RoutersRoom, saw: dict[str, Any], one: Port, two: Port) -> None:
    """Two machines behind one address: the router's own, and a floating IP without a port."""
    def forward(port: Port, outside: int, inner: int, floating: str | None = None) -> str:
        wish = NewForwarding(port.id, outside, inner_port=inner, floating_ip=floating)
        return room.do(lambda ctx: service.create_forwarding(ctx, wish))

    own = saw["own"]
    forward(one, 2201, 22)
    forward(two, 2202, 24)
    saw["forwarded"] = [until(lambda: call("", own, 2201)), until(lambda: call("", own, 2202)), call("", own, 2203)]
    saw["out_beside_it"] = call("a1", OUTSIDE, 80)
    room.do(lambda ctx: service.allocate(ctx, "172.31.240.90"))
    forward(one, 80, 22, "172.31.240.90")
    forward(two, 81, 24, "172.31.240.90")
    at = "172.31.240.90"
    saw["forwarded_floating"] = [until(lambda: call("", at, 80)), until(lambda: call("", at, 81)), ping("", at)]
    ended = room.do(lambda ctx: service.delete_forwarding(ctx, service.get_forwarding(ctx, f"{at}:80")))
    saw["ended"] = bool(until(lambda: not call("", at, 80))) and bool(call("", at, 81))
    room.do(lambda ctx: operations.undo(ctx, ended))
    saw["forwarded_by_undo"] = until(lambda: call("", at, 80))


def moved(room: RoutersRoom, saw: dict[str, Any], one: Port, two: Port) -> None:
    """A floating IP from one machine to the other, in one operation."""
    at = "172.31.240.91"
    room.do(lambda ctx: service.allocate(ctx, at, name="portal"))

    def lead(port: Port, *, move: bool = False) -> str:
        return room.do(lambda ctx: service.associate(
            ctx, service.get_floating_ip(ctx, "portal"), service.get_port(ctx, port.id), move=move
        ))  # fmt: skip

    lead(one)
    saw["floating_one"] = [until(lambda: call("", at, 22)), call("", at, 24)]
    move = lead(two, move=True)
    saw["floating_two"] = [until(lambda: call("", at, 24)), call("", at, 22)]
    saw["from_floating"] = call("a2", "172.31.240.1", 81)
    room.do(lambda ctx: operations.undo(ctx, move))
    saw["floating_back"] = [until(lambda: call("", at, 22)), call("", at, 24)]


def routed(room: RoutersRoom, saw: dict[str, Any]) -> None:
    """A network behind a second router, reached by a static route of the first."""
    room.do(lambda ctx: service.create_router(ctx, NewRouter("r2", external=False)))
    room.net("b", "10.2.0.0/24", "r2")
    room.do(lambda ctx: service.add_interface(
        ctx, service.get_router(ctx, "r2"), service.get_subnet(ctx, "a"), "10.1.0.200"
    ))  # fmt: skip
    far = room.machine_in("b1", "b")
    saw["without_route"] = ping("a1", far.address)
    added = room.do(lambda ctx: service.add_route(ctx, service.get_router(ctx, "r1"), "10.2.0.0/24", "10.1.0.200"))
    saw["with_route"] = bool(until(lambda: ping("a1", far.address)))
    room.do(lambda ctx: operations.undo(ctx, added))
    saw["route_undone"] = bool(until(lambda: not ping("a1", far.address)))
    room.do(lambda ctx: service.add_route(ctx, service.get_router(ctx, "r2"), "0.0.0.0/0", "10.1.0.1"))
    room.do(lambda ctx: service.add_route(ctx, service.get_router(ctx, "r1"), "10.2.0.0/24", "10.1.0.200"))
    saw["routed_again"] = bool(until(lambda: ping("a1", far.address)))


def peered(room: RoutersRoom, saw: dict[str, Any], one: Port) -> None:
    """A network of another project: nothing crosses before it agrees, only what was agreed while it does, and nothing
    after either side has ended it."""
    with room.being(room.theirs):
        room.do(lambda ctx: service.create_router(ctx, NewRouter("r3", external=False)))
        room.net("c", "10.3.0.0/24", "r3")
        room.net("d", "10.4.0.0/24", "r3")
        agreed, other = room.machine_in("c1", "c"), room.machine_in("d1", "d")
    room.net("e", "10.5.0.0/24", "r1")
    stranger = room.machine_in("e1", "e")
    saw["theirs_up"] = room.up(agreed, other, stranger)

    def reach() -> list[Any]:
        pings = [("a1", agreed), ("a1", other), ("e1", agreed), ("c1", one), ("d1", one), ("c1", stranger)]
        return [ping(space, port.address) for space, port in pings]

    def from_ours() -> int:
        return room.heard("c1", one.address, lambda: [ping("a1", agreed.address) for _n in range(2)])

    saw["before_asking"] = reach()
    wish = NewPeering("p", "r1", room.theirs, ["a"], ["10.3.0.0/24"])
    room.do(lambda ctx: service.create_peering(ctx, wish))
    saw["crossed_before_consent"] = from_ours()
    saw["before_consent"] = reach()
    with room.being(room.theirs):
        room.do(lambda ctx: service.accept_peering(ctx, service.get_peering(ctx, "p"), "r3"))
    until(lambda: ping("a1", agreed.address))
    saw["crossed_with_consent"] = from_ours()
    saw["with_consent"] = reach()
    saw["crossed_from_elsewhere"] = room.heard(
        "c1", stranger.address, lambda: [ping("e1", agreed.address) for _n in range(2)]
    )
    saw["way_out_through_peer"] = call("c1", OUTSIDE, 80)
    with room.being(room.theirs):
        ended = room.do(lambda ctx: service.delete_peering(ctx, service.get_peering(ctx, "p")))
    until(lambda: not ping("a1", agreed.address))
    saw["crossed_after_end"] = from_ours()
    saw["after_end"] = reach()
    with room.being(room.theirs):
        room.do(lambda ctx: operations.undo(ctx, ended))
    saw["peered_by_undo"] = bool(until(lambda: ping("a1", agreed.address)))


def peered6(room: RoutersRoom, saw: dict[str, Any]) -> None:
    """The same by IPv6, between the routers that peer already."""
    with room.being(room.theirs):
        room.net("f", "fd00:f::/64", "r3")
        room.net("h", "fd00:11::/64", "r3")
        agreed, other = room.machine6_in("f1", "f"), room.machine6_in("h1", "h")
    room.net("g", "fd00:10::/64", "r1")
    mine = room.machine6_in("g1", "g")
    saw["six_up"] = room.up(agreed, other, mine)
    saw["six_apart"] = ping6("g1", agreed.address)
    wish = NewPeering("p6", "r1", room.theirs, ["g"], ["fd00:f::/64"])
    room.do(lambda ctx: service.create_peering(ctx, wish))
    with room.being(room.theirs):
        room.do(lambda ctx: service.accept_peering(ctx, service.get_peering(ctx, "p6"), "r3"))
    saw["six_peered"] = [
        bool(until(lambda: ping6("g1", agreed.address))), ping6("f1", mine.address),
        ping6("g1", other.address), ping6("h1", mine.address),
    ]  # fmt: skip
    ended = room.do(lambda ctx: service.delete_peering(ctx, service.get_peering(ctx, "p6")))
    saw["six_ended"] = bool(until(lambda: not ping6("g1", agreed.address)))
    room.do(lambda ctx: operations.undo(ctx, ended))
    saw["six_by_undo"] = bool(until(lambda: ping6("g1", agreed.address)))


def ping6(space: str, address: str) -> bool:
    """Whether a ping by IPv6 is answered within a second."""
    return inside(space, sys.executable, "-E", "-S", ENDPOINT6, "ping", address, check=True) == "yes"


def main() -> None:
    """Explore, and print."""
    room = RoutersRoom(Path(sys.argv[1]))
    try:
        print(json.dumps(explore(room)))  # noqa: T201
    finally:
        room.close()


if __name__ == "__main__":
    main()
