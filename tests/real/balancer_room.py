"""Runs inside a private host: load balancers on real OVN with light endpoints; prints what it saw as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.real.network_room import Room, build_world, call, inside, until
from tests.real.spaces import ENDPOINT, run
from yun.base.context import Context
from yun.network import service
from yun.network.model import FloatingIp, LoadBalancer, MemberHealth, Port
from yun.operations import service as operations
from yun.operations.intent import Intent


class BalancerRoom(Room):
    """The room with servers that say their names."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.servers: dict[str, subprocess.Popen[str]] = {}

    def serve_name(self, space: str, port: int) -> None:
        """A TCP server that answers with its name."""
        words = ("ip", "netns", "exec", space, sys.executable, ENDPOINT, "serve", str(port), space)
        child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        self.servers[space] = child

    def silence(self, space: str) -> None:
        """The server is gone."""
        child = self.servers.pop(space)
        child.kill()
        child.wait()

    def health(self) -> dict[str, str]:
        """Host name → how the last look found it."""
        self.engine.drain()
        with self.database.read() as session:
            query = sa.select(Port.hostname, MemberHealth.state).join(MemberHealth, MemberHealth.port_id == Port.id)
            return {name: state for name, state in session.execute(query)}  # noqa: C416

    def on(self, verb: Any, *words: Any, **rest: Any) -> str:
        """Ask a verb of the load balancer."""
        return self.do(lambda ctx: verb(ctx, service.get_balancer(ctx, "shop"), *words, **rest))


def answers(space: str, address: str, times: int = 16) -> list[str]:
    """Who answers calls at port 80."""
    return sorted({call(space, address, 80) for _again in range(times)})


def explore(room: BalancerRoom) -> dict[str, Any]:
    """Everything, in the order in which a person would try it."""
    saw: dict[str, Any] = {}
    room.do(service.ensure_default)
    build_world()
    net = service.NewNetwork("side", subnet=service.NewSubnet(cidr="10.88.0.0/24"))
    room.do(lambda ctx: service.create_network(ctx, net))
    ports = [room.port(name, floating=False)[0] for name in ("client", "web1", "web2")]
    room.up(*ports)
    for name in ("client", "web1", "web2"):
        room.lease(name)
    for name in ("web1", "web2"):
        room.serve_name(name, 8080)
    checked = service.NewListener(80, member_port=8080, check_seconds=1, check_timeout=1, check_failures=2)
    new = service.NewBalancer(
        "shop", network="default", floating_ip="new", listeners=(checked,),
        members=tuple(("port", p.id) for p in ports[1:]),
    )  # fmt: skip
    made = room.do(lambda ctx: service.create_balancer(ctx, new))
    with room.database.read() as session:
        balancer = session.scalars(sa.select(LoadBalancer)).one()
        outside = session.get_one(FloatingIp, balancer.floating_ip_id).address
    inner = balancer.address
    saw["healthy"] = until(lambda: set(room.health().values()) == {"online"} and room.health(), 15)
    saw["same_group"] = until(lambda: len(answers("client", inner)) == 2 and answers("client", inner))
    saw["outside_closed"] = call("", outside, 80)
    rule = service.NewRule(port_min=8080)
    room.do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), rule))
    saw["outside"] = until(lambda: len(answers("", outside)) == 2 and answers("", outside))
    saw["world"] = answers("world", outside) if route_world(outside) else []
    saw["itself"] = answers("web1", inner)
    room.silence("web1")
    saw["dying"] = until(lambda: room.health().get("web1") == "offline" and room.health(), 15)
    saw["without_the_dead"] = [answers("client", inner), answers("", outside)]
    room.serve_name("web1", 8080)
    saw["back"] = until(lambda: room.health().get("web1") == "online" and answers("client", inner), 15)
    listener = room_listener(room)
    sticky = service.NewListener(80, member_port=8080, affinity_seconds=30, check_seconds=0)
    stuck = room.on(service.change_listener, listener, sticky)
    call("client", inner, 80)
    saw["sticky"] = len(answers("client", inner, 20))
    room.do(lambda ctx: operations.undo(ctx, stuck))
    saw["loose_by_undo"] = until(lambda: len(answers("client", inner)) == 2)
    one = room.do(remove_first)
    saw["one_less"] = answers("client", inner)
    room.do(lambda ctx: operations.undo(ctx, one))
    gone = room.on(service.delete_balancer)
    saw["deleted"] = [call("client", inner, 80), call("", outside, 80)]
    room.do(lambda ctx: operations.undo(ctx, gone))
    saw["back_by_undo"] = until(lambda: len(answers("client", inner)) == 2 and len(answers("", outside)) == 2)
    room.on(service.delete_balancer)
    saw["left"] = run("ovn-nbctl", "--bare", "--columns=name", "list", "Load_Balancer")
    saw["made"] = bool(made)
    return saw


def route_world(outside: str) -> bool:
    """The namespace beyond the host knows the way to the outside addresses."""
    inside("world", "ip", "route", "replace", "default", "via", "198.51.100.1", check=True)
    return bool(outside)


def room_listener(room: BalancerRoom) -> str:
    """The id of the only listener."""
    with room.database.read() as session:
        return service.listeners_of(session, session.scalars(sa.select(LoadBalancer)).one().id)[0].id


def remove_first(ctx: Context) -> Intent:
    """Take the first member away."""
    balancer = service.get_balancer(ctx, "shop")
    return service.remove_member(ctx, balancer, service.members_of(ctx.session, balancer.id)[0].id)


def main() -> None:
    """Explore, and print."""
    room = BalancerRoom(Path(sys.argv[1]))
    try:
        print(json.dumps(explore(room)))  # noqa: T201
    finally:
        for child in room.servers.values():
            room.children.append(child)
        room.close()


if __name__ == "__main__":
    main()
