"""Runs inside a private host: security groups in real OVN with light endpoints, and our judge against `ovn-trace`;
prints what it saw as JSON."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.real.network_room import Room
from tests.real.spaces import build_world, call, inside, ping, run, until
from yun.base.context import SYSTEM, Context
from yun.base.ids import new_id
from yun.base.messages import _
from yun.hosts.service import local_host
from yun.network import service
from yun.network.model import Port, RouterInterface, SecurityRule, Subnet
from yun.network.service import NewRule, group_changes, hits, sets
from yun.network.service.reach import Answer, Question, reach
from yun.operations import service as operations
from yun.operations.intent import Intent, Subject

PORTS = (22, 80, 443, 5432)
SERVER = """
import socket, sys, threading
def answer(c):
    with c:
        c.sendall(b"hello\\n")
        while data := c.recv(100):
            c.sendall(data)
def listen(port):
    with socket.create_server(("0.0.0.0", port)) as s:
        while True:
            threading.Thread(target=answer, args=(s.accept()[0],), daemon=True).start()
for port in map(int, sys.argv[1:]):
    threading.Thread(target=listen, args=(port,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
TALKER = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as c:
    c.settimeout(1.5)
    c.recv(100)
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            c.sendall(line.encode())
            print("yes" if c.recv(100) else "closed", flush=True)
        except OSError:
            print("no", flush=True)
"""


class Groups(Room):
    """The network room with ports in certain groups and networks."""

    def card(self, hostname: str, groups: Sequence[str], *, network: str | None = None, floating: bool = False) -> Port:
        """A plugged port without an endpoint."""
        found: dict[str, Any] = {}

        def make(ctx: Context) -> Intent:
            plan = service.plan_port(
                ctx, instance_id=new_id("ins"), hostname=hostname, groups=list(groups), network=network
            )
            outside = service.plan_floating_ip(ctx, port=plan) if floating else None
            found.update(id=plan.id)

            def write(session: Any) -> None:
                plan.write(session)
                if outside:
                    outside.write(session)

            arguments = {
                "instance_id": plan.port.instance_id, "port_id": plan.id, "host_id": local_host(ctx.session).id,
                "floating_id": outside.id if outside else None,
            }  # fmt: skip
            subject = Subject("instance", str(plan.port.instance_id))
            return Intent(kind="real.plug", title=_("Plug"), subject=subject, arguments=arguments, write=write)

        self.do(make)
        with self.database.read() as session:
            return session.get_one(Port, found["id"])

    def live(self, port: Port) -> Port:
        """The port with an endpoint that has its address, and answers on some TCP ports."""
        self.endpoint(port)
        name = port.hostname
        with self.database.read() as session:
            subnet = session.get_one(Subnet, port.subnet_id)
        length = subnet.cidr.partition("/")[2]
        inside(name, "ip", "addr", "add", f"{port.address}/{length}", "dev", name, check=True)
        if subnet.gateway:
            inside(name, "ip", "route", "add", "default", "via", subnet.gateway, check=True)
        self.start(name, SERVER, *map(str, PORTS))
        return port

    def start(self, space: str, program: str, *words: str) -> subprocess.Popen[str]:
        """A program in a namespace that has said that it is ready."""
        child = subprocess.Popen(
            ["ip", "netns", "exec", space, sys.executable, "-E", "-S", "-c", program, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        self.children.append(child)
        return child

    def ask(self, source: str, target: str, protocol: str | None = None, port: int | None = None) -> Answer:
        """What the judge says."""
        with self.database.read() as session:
            ctx = Context(actor=SYSTEM, session=session, settings=self.settings, project_id=self.project)
            return reach(ctx, Question(source, target, protocol, port))

    def rule(self, group: str, **values: Any) -> str:
        """One more rule; its id."""
        rule = NewRule(**values)
        self.do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, group), rule))
        with self.database.read() as session:
            ctx = Context(actor=SYSTEM, session=session, settings=self.settings, project_id=self.project)
            return service.rules_of(session, service.get_group(ctx, group).id)[-1].id

    def rules(self, group: str, direction: str) -> list[SecurityRule]:
        """The rules of a group in a direction."""
        with self.database.read() as session:
            ctx = Context(actor=SYSTEM, session=session, settings=self.settings, project_id=self.project)
            found = service.rules_of(session, service.get_group(ctx, group).id)
            return [r for r in found if r.direction == direction]

    def remove(self, group: str, rule_id: str) -> str:
        """One rule less; the operation."""
        return self.do(lambda ctx: service.remove_rule(ctx, service.get_group(ctx, group), rule_id))


def say(talker: subprocess.Popen[str]) -> str:
    """Whether a connection that stands still carries words and answers."""
    assert talker.stdin is not None
    assert talker.stdout is not None
    talker.stdin.write("word\n")
    talker.stdin.flush()
    return talker.stdout.readline().strip()


def made(room: Groups, *names: str) -> None:
    """Groups that let everything out and nothing in."""
    for name in names:
        room.do(lambda ctx, name=name: service.create_group(ctx, name))  # type: ignore[misc]


def everyday(room: Groups) -> dict[str, Any]:
    """Allowed, denied, answers, another group, a set, a stateless group, and what happens to a standing connection."""
    saw: dict[str, Any] = {}
    made(room, "web", "db", "raw")
    web_rule = room.rule("web", port_min=80)
    room.rule("web", port_min=5432, remote="group:db")
    room.do(lambda ctx: group_changes.update_group(ctx, service.get_group(ctx, "raw"), stateless=True))
    room.rule("raw", port_min=80)
    one = room.live(room.card("one", ["default"]))
    web = room.live(room.card("web", ["web"], floating=True))
    db = room.live(room.card("db", ["db"]))
    raw = room.live(room.card("raw", ["raw"]))
    saw["up"] = room.up(one, web, db, raw)
    saw["allowed"] = bool(until(lambda: call("one", web.address, 80)))
    saw["denied"] = call("one", web.address, 443)
    saw["other_group"] = [bool(call("db", web.address, 5432)), bool(call("one", web.address, 5432))]
    saw["judged"] = [
        room.ask(a, b, "tcp", p).ok
        for a, b, p in (("one", "web", 80), ("one", "web", 443), ("db", "web", 5432), ("one", "web", 5432))
    ]
    outside = next(
        o["external_ip"] for o in rows("NAT") if o["type"] == "dnat_and_snat" and o["logical_ip"] == web.address
    )
    saw["from_outside"] = [bool(until(lambda: call("", outside, 80))), bool(call("", outside, 443))]
    saw["loop"] = [bool(until(lambda: call("one", outside, 80))), room.ask("one", outside, "tcp", 80).ok]
    saw["set"] = by_set(room, one, web)
    saw["stateless"] = stateless(room, raw)
    saw["standing"] = standing(room, web, web_rule)
    return saw


def by_set(room: Groups, one: Port, web: Port) -> list[bool]:
    """A rule that names a set lets in who is in it, when he is in it."""
    room.do(lambda ctx: sets.create_set(ctx, "office", ["192.0.2.0/24"]))
    rule = room.rule("web", port_min=443, remote="set:office")
    before = bool(call("one", web.address, 443))
    room.do(lambda ctx: sets.update_set(ctx, sets.get_set(ctx, "office"), ranges=["192.0.2.0/24", one.address]))
    during = bool(until(lambda: call("one", web.address, 443)))
    judged = room.ask("one", "web", "tcp", 443).ok
    room.remove("web", rule)
    return [before, during, judged, bool(until(lambda: not call("one", web.address, 443)))]


def stateless(room: Groups, raw: Port) -> list[bool]:
    """Answers of a stateless group pass by its rule for the way out, and without one they do not."""
    through = bool(until(lambda: call("one", raw.address, 80)))
    judged = room.ask("one", "raw", "tcp", 80).ok
    gone = [room.remove("raw", r.id) for r in room.rules("raw", "egress") if r.family == "ipv4"]
    shut = bool(until(lambda: not call("one", raw.address, 80)))
    code = room.ask("one", "raw", "tcp", 80).verdict.code
    room.do(lambda ctx: operations.undo(ctx, gone[0]))
    return [through, judged, shut, code == "replies", bool(until(lambda: call("one", raw.address, 80)))]


def standing(room: Groups, web: Port, rule: str) -> dict[str, Any]:
    """A connection that stands while its rule is removed and comes back."""
    talker = room.start("one", TALKER, web.address, "80")
    before = say(talker)
    gone = room.remove("web", rule)
    stopped = until(lambda: say(talker) == "no")
    new = call("one", web.address, 80)
    room.do(lambda ctx: operations.undo(ctx, gone))
    again = until(lambda: say(talker) == "yes", 15)
    return {"before": before, "stopped": stopped, "new": new, "again": again}


# ── the judge and OVN ──


def rows(table: str) -> list[dict[str, Any]]:
    """Rows of the northbound database."""
    answer = json.loads(run("ovn-nbctl", "--format=json", "--data=bare", "list", table))
    return [dict(zip(answer["headings"], row, strict=True)) for row in answer["data"]]


REMOTES = ("", "", "10.77.0.0/20", "10.8.0.0/24", "group:g0", "group:g1", "group:g2", "set:some", "{address}")
TRAFFIC: tuple[tuple[str, int | None], ...] = (
    ("tcp", 22), ("tcp", 80), ("tcp", 443), ("tcp", 8050), ("udp", 53), ("udp", 8050), ("ping", None),
)  # fmt: skip


def random_cloud(room: Groups, dice: random.Random) -> list[Port]:
    """Groups with random rules, and ports in them on two networks that a router joins."""
    joined = service.NewNetwork("joined", subnet=service.NewSubnet("10.8.0.0/24"))
    room.do(lambda ctx: service.create_network(ctx, joined))
    made(room, "g0", "g1", "g2", "g3")
    room.do(lambda ctx: group_changes.update_group(ctx, service.get_group(ctx, "g3"), stateless=True))
    places: list[tuple[str, list[str], str | None]] = [
        ("p0", ["g0"], None), ("p1", ["g1"], None), ("p2", ["g0", "g1"], None), ("p3", ["g2"], None),
        ("p4", ["g3"], None), ("p5", [], None), ("p6", ["g2"], "joined"), ("p7", ["g1", "g2"], "joined"),
        ("p8", ["g3"], "joined"),
    ]  # fmt: skip
    ports = [room.card(name, groups, network=network) for name, groups, network in places]
    room.do(lambda ctx: sets.create_set(ctx, "some", [ports[0].address, ports[6].address, "10.77.0.64/26"]))
    for name in ("g1", "g2", "g3"):
        for rule in room.rules(name, "egress"):
            room.remove(name, rule.id)
    for name in ("g0", "g1", "g2", "g3"):
        for _number in range(7):
            remote = dice.choice(REMOTES).format(address=dice.choice(ports).address)
            protocol = dice.choice(("any", "tcp", "tcp", "udp", "icmp"))
            values: dict[str, Any] = {"protocol": protocol, "remote": remote or None}
            if protocol in ("tcp", "udp") and dice.random() < 0.8:
                low, high = dice.choice(((22, 22), (80, 80), (443, 443), (53, 53), (8000, 8100), (1, 1024)))
                values |= {"port_min": low, "port_max": high}
            try:
                room.rule(name, direction=dice.choice(("ingress", "egress")), **values)
            except Exception as error:
                if "already" not in str(error):
                    raise
    return ports


def traced(room: Groups, a: Port, b: Port, protocol: str, port: int | None) -> bool:
    """Whether `ovn-trace` lets a first packet through to the other port."""
    with room.database.read() as session:
        legs = {leg.network_id: leg.mac for leg in session.query(RouterInterface).filter_by(external=False)}
    target = b.mac if a.network_id == b.network_id else legs[a.network_id]
    words = [
        f'inport == "{a.uuid}"', f"eth.src == {a.mac}", f"eth.dst == {target}", f"ip4.src == {a.address}",
        f"ip4.dst == {b.address}", "ip.ttl == 64",
    ]  # fmt: skip
    if protocol == "ping":
        words += ["icmp4", "icmp4.type == 8", "icmp4.code == 0"]
    else:
        words += [protocol, f"{protocol}.src == 40000", f"{protocol}.dst == {port}"]
    said = run("ovn-trace", "--minimal", *(["--ct=new"] * 6), a.network_id, " && ".join(words))
    return 'output("' in said  # names that are UUIDs are cut short there; only the target's own card has this address


def compared(room: Groups, cases: int) -> dict[str, Any]:
    """Random questions to the judge and to OVN; where they disagree; and a few by real packets."""
    dice = random.Random(20_261_130)
    ports = random_cloud(room, dice)
    for port in ports:
        room.live(port)
    room.up(*ports)
    run("ovn-nbctl", "--wait=hv", "--timeout=20", "sync")
    same, wrong, yes = 0, [], 0
    asked: list[tuple[Port, Port, str, int | None, bool]] = []
    pairs = [(a, b) for a in ports for b in ports if a is not b]
    took = 0.0
    for _number in range(cases):
        a, b = dice.choice(pairs)
        protocol, port = dice.choice(TRAFFIC)
        start = time.monotonic()
        answer = room.ask(a.id, b.id, protocol, port)
        took += time.monotonic() - start
        # A first packet gets there also where its answers do not come back.
        ours = answer.verdict.code in ("", "replies")
        theirs = traced(room, a, b, protocol, port)
        yes += theirs
        same += ours == theirs
        if ours != theirs:
            wrong.append([a.hostname, b.hostname, protocol, port, ours, theirs, answer.text.render("en")])
        asked.append((a, b, protocol, port, answer.verdict.ok))
    return {
        "cases": cases, "same": same, "yes": yes, "wrong": wrong, "milliseconds": 1000 * took / cases,
        "packets": by_packets(asked),
    }  # fmt: skip


def by_packets(asked: list[tuple[Port, Port, str, int | None, bool]]) -> list[Any]:
    """The judge's answers for TCP and pings against what endpoints see."""
    found = []
    for a, b, protocol, port, judged in asked:
        if protocol == "ping":
            seen = ping(a.hostname, b.address)
        elif protocol == "tcp" and port in PORTS:
            seen = bool(call(a.hostname, b.address, port or 0))
        else:
            continue
        found.append([a.hostname, b.hostname, protocol, port, judged, seen])
        if len(found) == 24:
            break
    return found


def noted(room: Groups) -> dict[str, Any]:
    """The hits of the group ``web``: what its rule lets in and what is dropped, and nothing once it has ended."""
    with room.database.read() as session:
        ctx = Context(actor=SYSTEM, session=session, settings=room.settings, project_id=room.project)
        web = session.scalars(look_for(Port, hostname="web")).one()
        group = service.get_group(ctx, "web").id
    room.do(lambda ctx: hits.log_group(ctx, service.get_group(ctx, "web")))
    run("ovn-nbctl", "--wait=hv", "--timeout=20", "sync")
    for _number in range(3):
        call("one", web.address, 80)
        call("one", web.address, 443)

    def seen() -> dict[str, list[Any]]:
        room.engine.nudge("security_group.read_log", Subject("network", "cloud"))
        room.engine.drain()
        with room.database.read() as session:
            ctx = Context(actor=SYSTEM, session=session, settings=room.settings, project_id=room.project)
            found = hits.hits(ctx, service.get_group(ctx, "web"))["hits"]
            return {h["text"].render(): [h["count"], h["samples"][0]["target_port"]] for h in found}

    told = until(lambda: len(found := seen()) == 2 and found)
    room.do(lambda ctx: hits.stop_log(ctx, service.get_group(ctx, "web")))
    run("ovn-nbctl", "--wait=hv", "--timeout=20", "sync")
    logged = [r for r in rows("ACL") if r["log"] == "true"]
    return {"told": told, "still": len(logged), "group": group}


def look_for(model: Any, **values: Any) -> Any:
    """A query of rows by their values."""
    return sa.select(model).filter_by(**values)


def main() -> None:
    """Explore, and print."""
    room = Groups(Path(sys.argv[1]))
    try:
        saw: dict[str, Any] = {}
        room.do(service.ensure_default)
        build_world()
        parts: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("everyday", lambda: everyday(room)), ("noted", lambda: noted(room)),
            ("compared", lambda: compared(room, 100)),
        )  # fmt: skip
        for name, part in parts:
            start = time.monotonic()
            saw[name] = part()
            sys.stderr.write(f"{name}: {time.monotonic() - start:.1f} s\n")
        print(json.dumps(saw))  # noqa: T201
    finally:
        room.close()


if __name__ == "__main__":
    main()
