"""Runs on the first host of a fabric: service chains through machines that forward, on real OVN."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.real.fabric_room import FabricRoom, play
from tests.real.spaces import call, inside, make, ping, place, run, run_on, sniff, until
from yun.base.ids import new_id
from yun.base.messages import _
from yun.identity.model import Project
from yun.network import service
from yun.network.model import Port, RouterInterface
from yun.network.service import (
    ChainChanges,
    NewChain,
    NewHop,
    NewNetwork,
    NewPeering,
    NewRouter,
    NewRule,
    NewSubnet,
)
from yun.network.service.reach import Question, reach
from yun.operations import service as operations
from yun.operations.intent import Intent, Subject

WORLD = "198.51.100.2"
COUNT = """
add table inet seen
add counter inet seen out
add counter inet seen in
add chain inet seen pass { type filter hook forward priority 0; policy accept; }
add rule inet seen pass ct state invalid drop
add rule inet seen pass ip saddr 10.1.0.0/24 counter name out
add rule inet seen pass ip daddr 10.1.0.0/24 counter name in
"""


class ChainsRoom(FabricRoom):
    """The room with machines that pass on what others send."""

    def net(self, name: str, cidr: str, router: str = "r1") -> None:
        """A network with one subnet on a router."""
        subnet = NewSubnet(cidr, name=name, routed=False)
        self.do(lambda ctx: service.create_network(ctx, NewNetwork(name, subnet=subnet)))
        self.do(lambda ctx: service.add_interface(
            ctx, service.get_router(ctx, router), service.get_subnet(ctx, name)
        ))  # fmt: skip

    @contextmanager
    def being(self, project: str) -> Iterator[None]:
        """Ask on behalf of another project."""
        before, self.project = self.project, project
        try:
            yield
        finally:
            self.project = before

    def card(self, hostname: str, network: str) -> Port:
        """A plugged port of a machine of its own, without an endpoint."""
        return self._plug(hostname, network, new_id("ins"), "")

    def machine_in(self, name: str, network: str, host: str = "", *, floating: bool = False) -> tuple[Port, str]:
        """A plugged port in a network with an endpoint that has its address and the gateway; its outside address."""
        port, outside = self.port(name, network=network, host=host, floating=floating)
        inside(name, "ip", "addr", "add", f"{port.address}/24", "dev", name, check=True)
        inside(name, "ip", "route", "add", "default", "via", beside(port), check=True)
        return port, outside

    def function(self, name: str, networks: list[str], host: str = "") -> list[Port]:
        """A machine with a card in each network that forwards between them: what is for 10.1.0.0/24 by the first,
        everything else by the last."""
        instance, ports = new_id("ins"), []
        make(name, host)
        for number, network in enumerate(networks):
            port = self._plug(f"{name}{number}", network, instance, host)
            card = port.hostname
            interface = ["--", "set", "Interface", card, f"external_ids:iface-id={port.uuid}", "type=internal"]
            run_on(host, "ovs-vsctl", "add-port", "br-int", card, *interface)
            run_on(host, "ip", "link", "set", card, "netns", name)
            inside(name, "ip", "link", "set", card, "address", port.mac, "mtu", "1442", "up", check=True)
            inside(name, "ip", "addr", "add", f"{port.address}/24", "dev", card, check=True)
            ports.append(port)
        inside(name, "ip", "route", "add", "default", "via", beside(ports[-1]), check=True)
        inside(name, "ip", "route", "add", "10.1.0.0/24", "via", beside(ports[0]), check=True)
        inside(name, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", check=True)
        inside(name, "sysctl", "-qw", "net.ipv4.conf.all.send_redirects=0", check=True)
        inside(name, "nft", COUNT, check=True)
        return ports

    def _plug(self, hostname: str, network: str, instance: str, host: str) -> Port:
        found: list[str] = []

        def ask(ctx: Any) -> Intent:
            plan = service.plan_port(ctx, instance_id=instance, hostname=hostname, network=network)
            found.append(plan.id)
            arguments = {
                "instance_id": instance, "port_id": plan.id, "floating_id": None,
                "host_id": self._host(ctx.session, host).id,
            }  # fmt: skip
            return Intent("real.plug", _("Plug"), Subject("instance", instance), arguments, write=plan.write)

        self.do(ask)
        with self.database.read() as session:
            place(hostname, host)
            return session.get_one(Port, found[0])

    def traced(self, sender: Port, target: str) -> list[str]:
        """The MAC addresses to which OVN would hand what a port sends to TCP port 80 of an address elsewhere."""
        with self.database.read() as session:
            legs = {leg.network_id: leg.mac for leg in session.query(RouterInterface).filter_by(external=False)}
        family = "ip6" if ":" in target else "ip4"
        words = [
            f'inport == "{sender.uuid}"', f"eth.src == {sender.mac}", f"eth.dst == {legs[sender.network_id]}",
            f"{family}.src == {sender.address}", f"{family}.dst == {target}", "ip.ttl == 64", "tcp",
            "tcp.src == 40000", "tcp.dst == 80",
        ]  # fmt: skip
        said = run("ovn-trace", "--minimal", *(["--ct=new"] * 8), sender.network_id, " && ".join(words))
        return [
            said[:end].rsplit("eth.dst = ", 1)[1].split(";")[0]
            for end in [at for at in range(len(said)) if said.startswith('output("', at)] if "eth.dst = " in said[:end]
        ]

    def led(self, source: str, target: str) -> list[Any]:
        """Whether Yun says that one reaches the other, and whether it says that a service chain leads it."""
        with self.database.read() as session:
            answer = reach(self.context(session), Question(source, target, "tcp", 80))
            return [answer.ok, any(s.kind == "service_chain" for s in answer.steps), answer.verdict.code]

    def chain(self, *hops: list[Port], **wish: Any) -> str:
        """A chain for the subnet a; the operation."""
        wanted = [NewHop(ports[0].id, ports[-1].id) for ports in hops]
        return self.do(lambda ctx: service.create_chain(ctx, NewChain("c1", "a", wanted, **wish)))

    def change(self, **what: Any) -> str:
        """The chain is another; the operation."""
        return self.do(lambda ctx: service.update_chain(ctx, service.get_chain(ctx, "c1"), ChainChanges(**what)))

    def end(self) -> str:
        """The chain goes; the operation."""
        return self.do(lambda ctx: service.delete_chain(ctx, service.get_chain(ctx, "c1")))

    def settled(self) -> None:
        """What the engine was told has arrived on all hosts."""
        run("ovn-nbctl", "--wait=hv", "--timeout=20", "sync")


def beside(port: Port) -> str:
    """The router's address beside a port."""
    return port.address.rpartition(".")[0] + ".1"


def passed(function: str) -> list[int]:
    """How many packets a function has passed on outwards and inwards."""
    listed = [inside(function, "nft", "list", "counter", "inet", "seen", side, check=True) for side in ("out", "in")]
    return [int(text.split("packets ")[1].split()[0]) for text in listed]


def went(function: str, act: Any) -> list[Any]:
    """What ``act`` gives, and whether the function passed packets on meanwhile, outwards and inwards."""
    before = passed(function)
    got = act()
    return [got, *(now > then for now, then in zip(passed(function), before, strict=True))]


def explore(room: ChainsRoom) -> dict[str, Any]:
    """Everything, in the order in which a person would try it."""
    room.begin()
    room.do(lambda ctx: service.create_router(ctx, NewRouter("r1")))
    room.do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), NewRule(port_min=80, port_max=81)))
    for number, name in ((1, "a"), (2, "b"), (11, "in"), (12, "out"), (13, "mid")):
        room.net(name, f"10.{number}.0.0/24")
    a1, outside = room.machine_in("a1", "a", floating=True)
    a2, _none = room.machine_in("a2", "a", "h2")
    b1, _none = room.machine_in("b1", "b")
    fw, one = room.function("fw", ["in", "out"], "h2"), room.function("one", ["mid"])
    saw: dict[str, Any] = {"up": room.up(a1, a2, b1, *fw, *one)}
    for space in ("a1", "a2", "b1", "world"):
        room.serve(space, 80)
        room.serve(space, 81)
    saw["direct"] = went("fw", lambda: until(lambda: call("a1", b1.address, 80)))
    room.chain(fw)
    room.settled()
    judged(room, saw, [a1, a2, b1], fw)
    through(saw, "one_hop", [a1, a2, b1], outside)
    saw["next_to_it"] = [call("a1", a2.address, 80), ping("a1", "10.1.0.1"), ping("fw", a1.address)]
    refused(saw, b1)
    saw["outside_neighbour"] = neighbour(room, a1, "o1", "out")
    saw["inside_neighbour"] = neighbour(room, a1, "i1", "in")
    two_hops(room, saw, [a1, a2, b1], outside, (fw, one))
    ports_only(room, saw, b1, (fw, one))
    failing(room, saw, b1, fw)
    gone = room.end()
    room.settled()
    saw["ended"] = went("fw", lambda: until(lambda: call("a1", b1.address, 80)))
    saw["spoofed_without"] = spoofed("fw", b1)
    room.do(lambda ctx: operations.undo(ctx, gone))
    room.settled()
    saw["by_undo"] = went("fw", lambda: until(lambda: call("a1", b1.address, 80)))
    families(room, saw)
    partners(room, saw, a1, fw)
    return saw


def judged(room: ChainsRoom, saw: dict[str, Any], machines: list[Port], fw: list[Port]) -> None:
    """What Yun says of a way, and where OVN would send its packets."""
    a1, a2, b1 = machines
    saw["judged"] = {
        "out": [room.led("a1", "b1"), room.traced(a1, b1.address) == [fw[0].mac]],
        "in": [room.led("b1", "a2"), room.traced(b1, a2.address) == [fw[1].mac]],
        "neighbours": room.led("a1", "a2"),
    }


def families(room: ChainsRoom, saw: dict[str, Any]) -> None:
    """The same for IPv6, as OVN would do it."""
    for name, cidr in (("a6", "fd00:1::/64"), ("b6", "fd00:2::/64"), ("i6", "fd00:11::/64"), ("o6", "fd00:12::/64")):
        room.net(name, cidr)
    near, far, instance = room.card("near6", "a6"), room.card("far6", "b6"), new_id("ins")
    fw = [room._plug(f"fw6{n}", network, instance, "") for n, network in enumerate(("i6", "o6"))]
    direct = room.traced(near, far.address)
    hop = NewHop(fw[0].id, fw[1].id)
    room.do(lambda ctx: service.create_chain(ctx, NewChain("c6", "a6", [hop])))
    room.settled()
    out, back = room.traced(near, far.address), room.traced(far, near.address)
    saw["ipv6"] = [direct == [far.mac], out == [fw[0].mac], back == [fw[1].mac]]


def partners(room: ChainsRoom, saw: dict[str, Any], a1: Port, fw: list[Port]) -> None:
    """What comes from a peering goes through the chain too, and nothing that was not agreed comes in."""
    theirs = new_id("prj")
    with room.database.write() as session:
        session.add(Project(id=theirs, name="theirs"))
    room.do(service.ensure_default)
    room.do(lambda ctx: service.create_peering(ctx, NewPeering("p", "r1", theirs, ["a"], ["10.3.0.0/24"])))
    with room.being(theirs):
        room.do(lambda ctx: service.create_router(ctx, NewRouter("r3", external=False)))
        room.net("c", "10.3.0.0/24", "r3")
        room.net("d", "10.4.0.0/24", "r3")
        room.do(lambda ctx: service.accept_peering(ctx, service.get_peering(ctx, "p"), "r3"))
        agreed, other = room.card("c1", "c"), room.card("d1", "d")
    room.settled()
    saw["peered"] = [
        room.traced(agreed, a1.address) == [fw[1].mac], room.traced(a1, agreed.address) == [fw[0].mac],
        room.traced(other, a1.address),
    ]  # fmt: skip


def through(saw: dict[str, Any], key: str, machines: list[Port], outside: str) -> None:
    """Both ways, on both hosts, out by SNAT, and in by a floating IP."""
    a1, a2, b1 = machines
    saw[key] = {
        "out": went("fw", lambda: until(lambda: call("a1", b1.address, 80))),
        "from_the_other_host": went("fw", lambda: until(lambda: call("a2", b1.address, 80))),
        "in": went("fw", lambda: until(lambda: call("b1", a1.address, 80))),
        "in_to_the_other_host": went("fw", lambda: until(lambda: call("b1", a2.address, 80))),
        "world": went("fw", lambda: until(lambda: call("a2", WORLD, 80))),
        "world_by_floating": went("fw", lambda: until(lambda: call("a1", WORLD, 80))),
        "floating": went("fw", lambda: until(lambda: call("", outside, 80))),
        "ping": went("fw", lambda: bool(until(lambda: ping("b1", a1.address)))),
    }


def refused(saw: dict[str, Any], b1: Port) -> None:
    """What the function drops does not arrive, and nothing goes around it."""
    inside("fw", "nft", "insert rule inet seen pass tcp dport 81 drop", check=True)
    saw["dropped"] = [call("a1", b1.address, 81), bool(call("a1", b1.address, 80)), call("a2", WORLD, 81)]
    inside("fw", "sysctl", "-qw", "net.ipv4.ip_forward=0", check=True)
    saw["not_forwarding"] = [call("a1", b1.address, 80), ping("b1", "10.1.0.2"), call("a2", WORLD, 80)]
    inside("fw", "sysctl", "-qw", "net.ipv4.ip_forward=1", check=True)


def neighbour(room: ChainsRoom, a1: Port, name: str, network: str) -> list[Any]:
    """A machine beside the function: it calls, and is called."""
    port, _none = room.machine_in(name, network)
    room.up(port)
    room.serve(name, 80)
    return [
        went("fw", lambda: until(lambda: call(name, a1.address, 80))),
        went("fw", lambda: until(lambda: call("a1", port.address, 80))),
    ]


def two_hops(
    room: ChainsRoom, saw: dict[str, Any], machines: list[Port], outside: str, functions: tuple[list[Port], list[Port]]
) -> None:
    """A second function behind the first, with one card for both sides."""
    fw, one = functions
    hops = [NewHop(fw[0].id, fw[1].id), NewHop(one[0].id)]
    changed = room.change(hops=hops)
    room.settled()
    before = passed("one")
    through(saw, "two_hops", machines, outside)
    saw["second_passed"] = [now - then for now, then in zip(passed("one"), before, strict=True)]
    room.do(lambda ctx: operations.undo(ctx, changed))
    room.settled()
    saw["one_hop_by_undo"] = [went("one", lambda: call("a1", machines[2].address, 80)), passed("fw")[0] > 0]
    saw["spoofed"] = [spoofed("fw", machines[2]), spoofed("one", machines[2])]


def ports_only(
    room: ChainsRoom, saw: dict[str, Any], b1: Port, functions: tuple[list[Port], list[Port]]
) -> None:
    """Only connections to one port go through, whoever begins them."""
    room.change(protocol="tcp", port_min=80)
    room.settled()
    saw["classified"] = [
        went("fw", lambda: until(lambda: call("a1", b1.address, 80))),
        went("fw", lambda: until(lambda: call("b1", "10.1.0.2", 80))),
        went("fw", lambda: until(lambda: call("a1", b1.address, 81))),
        went("fw", lambda: ping("a1", b1.address)),
    ]
    room.change(protocol="any")
    room.settled()


def failing(room: ChainsRoom, saw: dict[str, Any], b1: Port, fw: list[Port]) -> None:
    """The function's card goes and comes back, while nothing may go around it, and while it may."""
    def unplug() -> None:
        run_on("h2", "ovs-vsctl", "remove", "Interface", "fw1", "external_ids", "iface-id")
        until(lambda: room._states([fw[1].id]) == ["down"])
        room.settled()

    def plug() -> None:
        run_on("h2", "ovs-vsctl", "set", "Interface", "fw1", f"external_ids:iface-id={fw[1].uuid}")
        until(lambda: room._states([fw[1].id]) == ["up"])
        room.settled()

    unplug()
    saw["blocked"] = [call("a1", b1.address, 80), call("b1", "10.1.0.2", 80), status(room)]
    saw["judged_blocked"] = room.led("a1", "b1")
    room.change(on_failure="bypass")
    room.settled()
    saw["bypassed"] = [went("fw", lambda: until(lambda: call("a1", b1.address, 80))), status(room)]
    plug()
    saw["back_again"] = [went("fw", lambda: until(lambda: call("a1", b1.address, 80), 20)), status(room)]
    unplug()
    saw["bypassed_by_itself"] = [went("fw", lambda: until(lambda: call("a1", b1.address, 80))), status(room)]
    plug()
    room.change(on_failure="block")
    room.settled()


def status(room: ChainsRoom) -> str:
    """How the chain works, as the rows say."""
    with room.database.read() as session:
        chain = service.get_chain(room.context(session), "c1")
        return service.status_of(chain, service.hops_of(session, chain))


def spoofed(function: str, target: Port) -> bool:
    """Whether a function can speak with a sender of the subnet's."""
    inside(function, "ip", "addr", "add", "10.1.0.2/32", "dev", "lo", check=True)
    with ThreadPoolExecutor() as pool:
        heard = pool.submit(sniff, target.hostname, target.hostname, 5.0)
        for _again in range(4):
            ping(function, target.address, "10.1.0.2")
        frames = heard.result()
    inside(function, "ip", "addr", "del", "10.1.0.2/32", "dev", "lo", check=True)
    return any(f[26:30] == bytes([10, 1, 0, 2]) for f in frames)


if __name__ == "__main__":
    play(explore, ChainsRoom)
