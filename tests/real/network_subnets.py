"""Runs inside a private host: subnets of both families and what their guests are told, with real OVN; prints what it
saw as JSON. Endpoints are namespaces: their kernels take up router advertisements, a client of ours asks DHCPv6."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.real.network_room import Room
from tests.real.spaces import build_world, inside, run, until
from yun.base.context import Context
from yun.base.ids import new_id
from yun.base.messages import _
from yun.hosts.service import local_host
from yun.network import service
from yun.network.model import Port
from yun.network.service import NetworkChanges, NewNetwork, NewSubnet, SubnetChanges
from yun.operations import service as operations
from yun.operations.intent import Intent, Subject
from yun.operations.model import Operation

ENDPOINT = str(Path(__file__).with_name("endpoint6.py"))
RESOLVER = str(Path(__file__).with_name("resolver.py"))


def act(space: str, *words: str) -> str:
    """What an endpoint's command answers in a namespace."""
    return inside(space, sys.executable, "-E", "-S", ENDPOINT, *words, check=True)


class Subnets(Room):
    """The network room with endpoints that speak IPv6."""

    def plug(self, hostname: str, network: str, **wish: Any) -> Port:
        """A plugged port with its endpoint, whose kernel hears routers."""
        return self.plugging(hostname, network, **wish)[1]

    def plugging(self, hostname: str, network: str, **wish: Any) -> tuple[str, Port]:
        """Such a port, after the operation that plugged it."""

        def make(ctx: Context) -> Intent:
            plan = service.plan_port(ctx, network=network, instance_id=new_id("ins"), hostname=hostname, **wish)
            return Intent(
                kind="real.plug", title=_("Plug"), subject=Subject("instance", str(plan.port.instance_id)),
                arguments={
                    "instance_id": plan.port.instance_id, "port_id": plan.id, "floating_id": None,
                    "host_id": local_host(ctx.session).id,
                },
                write=plan.write,
            )  # fmt: skip

        done = self.do(make)
        with self.database.read() as session:
            port = session.scalars(sa.select(Port).where(Port.hostname == hostname)).one()
        self.endpoint(port)
        return done, port

    def endpoint(self, port: Port, host: str = "", *, veth: bool = False) -> None:
        """Before its card comes up the endpoint is told to make addresses of its MAC, and to ask for routers soon."""
        name = port.hostname
        interface = ("--", "set", "Interface", name, "type=internal", f"external_ids:iface-id={port.uuid}")
        run("ovs-vsctl", "add-port", "br-int", name, *interface)
        run("ip", "netns", "add", name)
        run("ip", "link", "set", name, "netns", name)
        for setting in ("accept_ra=2", "addr_gen_mode=0", "router_solicitation_interval=1", "dad_transmits=0"):
            inside(name, "sysctl", "-qw", f"net.ipv6.conf.{name}.{setting}", check=True)
        inside(name, "ip", "link", "set", "lo", "up", check=True)
        inside(name, "ip", "link", "set", name, "address", port.mac, "mtu", "1442", "up", check=True)

    def addresses(self, port: Port) -> list[str]:
        """What the rows say."""
        with self.database.read() as session:
            return [a for _s, a in service.places_of(session, session.get_one(Port, port.id))]

    def make(self, name: str, *subnets: NewSubnet, **rest: Any) -> None:
        """A network with these subnets."""
        self.do(lambda ctx: service.create_network(ctx, NewNetwork(name, subnet=subnets[0], **rest)))
        for more in subnets[1:]:
            self.do(lambda ctx, more=more: service.create_subnet(ctx, service.get_network(ctx, name), more))  # type: ignore[misc]


def made_of_mac(name: str) -> str:
    """The global address that the endpoint's kernel made itself."""
    lines = inside(name, "ip", "-6", "addr", "show", "dev", name, "scope", "global").splitlines()
    words = next((line.split() for line in lines if "inet6 fd" in line), ["", ""])
    return words[1].partition("/")[0]


def way_out(name: str) -> bool:
    """Whether the endpoint's kernel has heard of a router."""
    return "default" in inside(name, "ip", "-6", "route")


def six(room: Subnets, saw: dict[str, Any]) -> None:
    """Three ways to get an IPv6 address, and the way between two subnets."""
    servers = ["fd00:a::53"]
    room.make("slaac", NewSubnet("10.1.0.0/24"), NewSubnet("fd00:a::/64", dns_servers=servers))
    room.make("given", NewSubnet("10.2.0.0/24"), NewSubnet(
        "fd00:b::/64", ipv6_mode="dhcpv6-stateful", dns_servers=servers, domain="given.internal"
    ))  # fmt: skip
    room.make("mixed", NewSubnet("fd00:c::/64", ipv6_mode="dhcpv6-stateless", dns_servers=servers))
    own, given, mixed = room.plug("own", "slaac"), room.plug("given", "given"), room.plug("mixed", "mixed")
    saw["up"] = room.up(own, given, mixed)
    saw["made"] = [until(lambda n=n: made_of_mac(n)) for n in ("own", "mixed")]  # type: ignore[misc]
    saw["planned"] = [room.addresses(own)[1], room.addresses(mixed)[0]]
    saw["routers"] = [bool(until(lambda n=n: way_out(n))) for n in ("own", "given", "mixed")]  # type: ignore[misc]
    saw["not_made"] = made_of_mac("given")
    saw["given"] = act("given", "lease", "given")
    saw["given_row"] = room.addresses(given)[1]
    saw["told"] = act("mixed", "lease", "mixed", "stateless")
    inside("given", "ip", "-6", "addr", "add", f"{saw['given_row']}/64", "dev", "given", check=True)
    saw["across"] = bool(until(lambda: act("given", "ping", saw["planned"][0]) == "yes"))
    saw["across_full"] = act("given", "ping", saw["planned"][0], str(1442 - 48)) == "yes"
    saw["both_ways"] = act("own", "ping", saw["given_row"]) == "yes"
    inside("own", "ip", "-6", "addr", "add", "fd00:a::bad/64", "dev", "own", check=True)
    inside("own", "ip", "-6", "addr", "del", f"{saw['planned'][0]}/64", "dev", "own", check=True)
    saw["spoofed"] = act("own", "ping", saw["given_row"]) == "yes"
    inside("own", "ip", "-6", "addr", "add", f"{saw['planned'][0]}/64", "dev", "own", check=True)


def late(room: Subnets, saw: dict[str, Any]) -> None:
    """A subnet of the other family comes to a network with a machine, goes, and comes back."""
    room.make("late", NewSubnet("10.3.0.0/24"))
    port = room.plug("late", "late")
    room.up(port)
    before = made_of_mac("late")
    made = room.do(lambda ctx: service.create_subnet(
        ctx, service.get_network(ctx, "late"), NewSubnet("fd00:d::/64", name="late6")
    ))  # fmt: skip
    inside("late", "ip", "link", "set", "late", "down", check=True)
    inside("late", "ip", "link", "set", "late", "up", check=True)
    saw["late"] = [before, until(lambda: made_of_mac("late")) == room.addresses(port)[1]]
    saw["late_speaks"] = bool(until(lambda: act("own", "ping", room.addresses(port)[1]) == "yes"))
    room.do(lambda ctx: operations.undo(ctx, made))
    saw["late_undone"] = room.addresses(port)


def told(room: Subnets, saw: dict[str, Any]) -> None:
    """What DHCP of IPv4 says, before and after a change, without the port being touched."""
    room.make("told", NewSubnet("10.4.0.0/24", name="told4"), domain="told.internal")
    port = room.plug("told", "told")
    room.up(port)

    def options() -> str:
        return act("told", "options", "told")

    saw["options"] = until(options)
    room.do(lambda ctx: service.update_subnet(ctx, service.get_subnet(ctx, "told4"), SubnetChanges(
        ntp_servers=["10.4.0.7"], routes=[{"destination": "192.168.7.0/24", "nexthop": "10.4.0.9"}],
        dns_servers=["10.4.0.8"], lease_seconds=600,
    )))  # fmt: skip
    other = NetworkChanges(mtu=1400, domain="new")
    change = room.do(lambda ctx: service.update_network(ctx, service.get_network(ctx, "told"), other))
    saw["changed"] = until(lambda: (said := options()) != saw["options"] and said)
    room.do(lambda ctx: operations.undo(ctx, change))
    saw["undone"] = until(lambda: "1442" in (said := options()) and said)
    off = room.do(lambda ctx: service.update_subnet(ctx, service.get_subnet(ctx, "told4"), SubnetChanges(dhcp=False)))
    saw["silent"] = until(lambda: options() == "")
    room.do(lambda ctx: operations.undo(ctx, off))
    saw["serves_again"] = until(options) == saw["undone"]


def names(room: Subnets, saw: dict[str, Any]) -> None:
    """Names forward and backward, of both families; what the network does not know is the resolver's to answer."""
    child = run_resolver(room)
    inside("own", "ip", "addr", "add", "10.1.0.2/24", "dev", "own", check=True)
    inside("own", "ip", "route", "add", "default", "via", "10.1.0.1", check=True)
    room.plug("only4", "slaac", groups=[])
    room.do(lambda ctx: service.create_network(ctx, NewNetwork("four", subnet=NewSubnet("10.5.0.0/24"))))
    four, asker = room.plug("web4", "four"), room.plug("asker", "four")
    room.up(four, asker)
    inside("asker", "ip", "addr", "add", f"{asker.address}/24", "dev", "asker", check=True)
    inside("asker", "ip", "route", "add", "default", "via", "10.5.0.1", check=True)
    server = "198.51.100.2"
    questions = (
        ("own", "given", "A"), ("own", "only4", "A"), ("own", "ONLY4.default.internal", "AAAA"),
        ("asker", "web4", "A"), ("asker", "web4.default.internal", "A"),
        ("asker", "2.0.5.10.in-addr.arpa", "PTR"),
        ("asker", "web4.default.internal", "AAAA"), ("asker", "example.org", "A"), ("asker", "nowhere.example", "A"),
    )  # fmt: skip
    saw["names"] = {f"{space} {name} {kind}": act(space, "ask", name, server, kind) for space, name, kind in questions}
    saw["web4"] = four.address
    made = room.do(lambda ctx: service.create_record(ctx, service.get_network(ctx, "four"), "db", "192.0.2.33"))
    room.do(lambda ctx: service.create_record(ctx, service.get_network(ctx, "four"), "db", "fd00::33"))
    asked = [("db", "A"), ("db.default.internal", "A"), ("db", "AAAA")]
    saw["record"] = [until(lambda n=n, k=k: answered(n, server, k)) for n, k in asked]  # type: ignore[misc]
    room.do(lambda ctx: service.delete_record(ctx, service.get_record(ctx, _record(room, made))))
    saw["record_gone"] = until(lambda: act("asker", "ask", "db", server, "A") == "3")
    saw["quick"] = act("asker", "look", "web4", server, "default.internal")
    child.kill()
    child.wait()


def answered(name: str, server: str, kind: str) -> str:
    """What the asker is told, once it is told something."""
    found = act("asker", "ask", name, server, kind)
    return found if found.startswith("0 ") else ""


def _record(room: Subnets, operation_id: str) -> str:
    with room.database.read() as session:
        return str(session.scalars(sa.select(Operation.subject_id).where(Operation.id == operation_id)).one())


def run_resolver(room: Subnets) -> Any:
    """A name server in the world beyond: it knows example.org, and nothing else exists."""
    import subprocess

    words = ("ip", "netns", "exec", "world", sys.executable, "-E", "-S", RESOLVER, "198.51.100.2")
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    room.children.append(child)
    return child


def main() -> None:
    """Explore, and print."""
    room = Subnets(Path(sys.argv[1]))
    saw: dict[str, Any] = {}
    try:
        room.do(service.ensure_default)
        build_world()
        for part in (six, late, told, names):
            part(room, saw)
        print(json.dumps(saw))  # noqa: T201
    finally:
        room.close()


if __name__ == "__main__":
    main()
