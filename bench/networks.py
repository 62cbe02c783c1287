"""Networks through the API against the same rows written by hand with ovsdbapp, and a cloud of a thousand networks.

A creation lasts from the request until its operation has ended. By hand it is one transaction with the same rows. Then
a thousand networks with five ports each, in two requests, are made by some clients at once while a person looks at
lists; all ports are plugged, as running machines would, by the comparison with the rows; the process is started anew
with that database. Needs a running cloud on this machine that is there for benches only, on SQLite, and root.
Run: python -m bench.networks [--json] [--count N]
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from ovsdbapp.backend.ovs_idl import command, connection
from ovsdbapp.schema.ovn_northbound import impl_idl

from bench.report import Figure, median, percentile, show
from bench.ten_thousand import resident
from yun.base.config import Settings, load
from yun.base.errors import YunError
from yun.setup import process
from yun.web.client import Client
from yun.web.command import Failure, Shell

ROUNDS, CLIENTS, PORTS = 30, 4, 5


def count() -> int:
    """How many networks the large cloud has."""
    return int(sys.argv[sys.argv.index("--count") + 1]) if "--count" in sys.argv else 1000


class Hand:
    """The northbound database, written to without Yun."""

    def __init__(self, remote: str) -> None:
        self.api = impl_idl.OvnNbApiIdlImpl(
            connection.Connection(connection.OvsdbIdl.from_server(remote, "OVN_Northbound"), timeout=60)
        )

    def run(self, work: Callable[[Any], None]) -> float:
        """Milliseconds of one transaction."""
        begun = time.perf_counter()
        with self.api.transaction(check_error=True) as txn:
            txn.add(_Work(self.api, work))
        return (time.perf_counter() - begun) * 1000

    def network(self, n: int) -> float:
        """Switch, DHCP options, router with both legs, source NAT, and a port group with its rules."""
        return self.run(lambda txn: _rows_of_network(self.api.idl, txn, n))

    def port(self, n: int, k: int) -> float:
        """A port on the switch and in the group of network ``n``."""

        def work(txn: Any) -> None:
            switch, group = self.api.lookup("Logical_Switch", f"hand-{n}"), self.api.lookup("Port_Group", f"hand_{n}")
            pair = f"02:00:00:00:{n:02x}:{k:02x} 10.0.0.{10 + k}"
            columns = {"name": str(uuid.uuid4()), "addresses": [pair], "port_security": [pair]}
            port = _row(self.api.idl, txn, "Logical_Switch_Port", **columns)
            switch.addvalue("ports", port)
            group.addvalue("ports", port)

        return self.run(work)

    def clear(self) -> None:
        """What was written is gone."""

        def work(_txn: Any) -> None:
            for table in ("Logical_Switch", "Logical_Router", "Port_Group", "DHCP_Options"):
                for row in list(self.api.idl.tables[table].rows.values()):
                    if row.external_ids.get("by") == "hand":
                        row.delete()

        self.run(work)


class _Work(command.BaseCommand):  # type: ignore[misc]
    def __init__(self, api: Any, work: Callable[[Any], None]) -> None:
        super().__init__(api)
        self.work = work

    def run_idl(self, txn: Any) -> None:
        self.work(txn)


def _row(idl: Any, txn: Any, table: str, **columns: Any) -> Any:
    row = txn.insert(idl.tables[table])
    for name, value in columns.items():
        setattr(row, name, value)
    return row


def _rows_of_network(idl: Any, txn: Any, n: int) -> None:
    mark, mac = {"by": "hand"}, f"0a:00:00:00:00:{n:02x}"
    options = {"server_id": "10.0.0.1", "server_mac": mac, "lease_time": "3600", "router": "10.0.0.1", "mtu": "1442"}
    _row(idl, txn, "DHCP_Options", cidr="10.0.0.0/24", options=options, external_ids=mark)
    leg = _row(idl, txn, "Logical_Router_Port", name=f"hand-{n}-leg", mac=mac, networks=["10.0.0.1/24"])
    nat = _row(idl, txn, "NAT", type="snat", external_ip="203.0.113.10", logical_ip="10.0.0.0/24")
    _row(idl, txn, "Logical_Router", name=f"hand-{n}-router", ports=[leg], nat=[nat], external_ids=mark)
    peer = _row(
        idl, txn, "Logical_Switch_Port", name=f"hand-{n}-peer", type="router", addresses=["router"],
        options={"router-port": f"hand-{n}-leg"},
    )  # fmt: skip
    _row(idl, txn, "Logical_Switch", name=f"hand-{n}", ports=[peer], external_ids=mark)
    rules = [
        ("to-lport", 1001, f"outport == @hand_{n} && ip", "drop"),
        ("from-lport", 1002, f"inport == @hand_{n} && ip4", "allow-related"),
        ("to-lport", 1002, f"outport == @hand_{n} && ip4 && tcp.dst == 22", "allow-related"),
    ]
    names = ("direction", "priority", "match", "action")
    acls = [_row(idl, txn, "ACL", **dict(zip(names, rule, strict=True))) for rule in rules]
    _row(idl, txn, "Port_Group", name=f"hand_{n}", acls=acls, external_ids=mark)


class Bench:
    """One cloud, asked through its API."""

    def __init__(self) -> None:
        self.settings: Settings = load()
        self.client = Client.found(Shell(format="json", wait=False))
        self.serial = uuid.uuid4().hex[:6]
        self.requests: list[float] = []
        self.operations: list[float] = []
        self.worked = 0.0
        self.ports: list[str] = []

    def ask(self, client: Client, path: str, body: dict[str, Any]) -> tuple[float, str, str]:
        """Milliseconds of a request that makes something, its id, and its operation's."""
        begun = time.perf_counter()
        answer = client.send("POST", path, json=body).json()
        return (time.perf_counter() - begun) * 1000, answer["id"], answer["operation"]["id"]

    def ended(self, client: Client, operation: str) -> float:
        """Milliseconds from an operation's acceptance to its end, by the cloud's own clock; waits for it."""
        while True:
            found = client.get(f"/operations/{operation}")
            if found["state"] not in ("queued", "running"):
                assert found["state"] == "succeeded", found
                begun, done = (datetime.fromisoformat(found[name]) for name in ("created_at", "finished_at"))
                return (done - begun).total_seconds() * 1000
            time.sleep(0.1)  # the answer has its own clock; asking more often would only keep the cloud from its work

    def make(self, path: str, body: dict[str, Any]) -> tuple[float, str]:
        """Milliseconds from the request to the operation's end, and the thing's id."""
        asked, identifier, operation = self.ask(self.client, path, body)
        self.requests.append(asked)
        self.worked = self.ended(self.client, operation)
        return asked + self.worked, identifier

    def network(self, n: int) -> tuple[float, str]:
        """A network with its subnet on the project's router, which translates for it, and a group with its rules: one
        request, one operation."""
        body = {"name": f"bench-{self.serial}-{n}", "subnet": {"cidr": f"10.{128 + n // 256}.{n % 256}.0/24"}}
        took, identifier = self.make("/networks", {**body, "security_group": {"allow": ["tcp:22"]}})
        self.operations.append(self.worked)
        return took, identifier

    def apart(self, n: int) -> float:
        """The same as two requests, one for the network and one for the group, each with its operation."""
        subnet = {"cidr": f"10.{192 + n // 256}.{n % 256}.0/24"}
        took, _network = self.make("/networks", {"name": f"apart-{self.serial}-{n}", "subnet": subnet})
        more, _group = self.make("/security-groups", {"name": f"apart-{self.serial}-{n}", "allow": ["tcp:22"]})
        return took + more

    def large(self, networks: int) -> float:
        """Seconds until so many networks of five ports each are there, made by some clients at once."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(self._share, range(CLIENTS), [networks] * CLIENTS))
        return time.perf_counter() - begun

    def _share(self, number: int, networks: int) -> None:
        client = Client.found(Shell(format="json", wait=False))
        last = ""
        for n in range(number, networks, CLIENTS):
            body = {"name": f"large-{self.serial}-{n}", "subnet": {"cidr": "10.9.0.0/24", "routed": False}}
            _took, identifier, last = self.ask(client, "/networks", body)
            answer = client.send("POST", "/ports", json={"network": identifier, "count": PORTS}).json()
            self.ports += [port["id"] for port in answer["ports"]]
        if last:
            self.ended(client, last)
        client.close()

    def questions(self, amount: int = 50) -> list[float]:
        """Milliseconds of each of so many questions whether one port can talk to another."""
        took = []
        for n in range(amount):
            a, b = self.ports[n * 7 % len(self.ports)], self.ports[n * 11 % len(self.ports)]
            begun = time.perf_counter()
            self.client.get("/network/reach", **{"from": a, "to": b}, protocol="tcp", port=22)
            took.append((time.perf_counter() - begun) * 1000)
        return took

    def plug_all(self) -> float:
        """Seconds until the engine has every port, as if its machine ran on this host: made anew from the rows."""
        path = self.settings.url.removeprefix("sqlite:///")
        with sqlite3.connect(path, timeout=30) as rows:
            rows.execute("UPDATE port SET plugged = 1, host_id = (SELECT id FROM host) WHERE state != 'trashed'")
        begun = time.perf_counter()
        self.client.send("POST", "/networks/reconcile")
        while self.ports_made() < rows_of(path, "port"):
            time.sleep(0.2)
        return time.perf_counter() - begun

    def ports_made(self) -> int:
        """How many ports of the cloud the engine has."""
        words = ["ovn-nbctl", f"--db={self.settings.ovn_nb}", "--timeout=30", "--bare", "--columns=name", "find"]
        found = subprocess.run(
            [*words, "Logical_Switch_Port", "external_ids:yun_kind=port"], check=True, capture_output=True, text=True
        )
        return len(found.stdout.split())

    def start_anew(self) -> tuple[float, int]:
        """Seconds until a fresh process answers with this database, and its number."""
        process.stop(self.settings)
        begun = time.perf_counter()
        pid = process.start(self.settings, os.environ)
        while True:
            try:
                self.client = Client.found(Shell(format="json", wait=False))
                self.client.get("/networks", limit=1)
            except (Failure, YunError):  # it does not listen yet
                time.sleep(0.05)
            else:
                return time.perf_counter() - begun, pid


def rows_of(path: str, table: str) -> int:
    """How many rows a table of the cloud's database has."""
    with sqlite3.connect(path, timeout=30) as rows:
        return int(rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


class Person(threading.Thread):
    """Somebody who looks at lists meanwhile."""

    PATHS = (("/networks", 100), ("/ports", 100), ("/security-groups", 100), ("/operations", 50))

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.client = Client.found(Shell(format="json", wait=False))
        self.took: list[float] = []
        self.enough = threading.Event()

    def run(self) -> None:
        """Look, until it is enough."""
        while not self.enough.wait(0.1):
            self.look()

    def look(self) -> None:
        """Once."""
        path, limit = self.PATHS[len(self.took) % len(self.PATHS)]
        begun = time.perf_counter()
        self.client.get(path, limit=limit)
        self.took.append((time.perf_counter() - begun) * 1000)


def looks(bench: Bench, amount: int = 50) -> list[float]:
    """Milliseconds of each of so many requests that show one row: what a request costs that does next to nothing."""
    took = []
    operation = bench.client.get("/operations", limit=1)["items"][0]["id"]
    for _n in range(amount):
        begun = time.perf_counter()
        bench.client.get(f"/operations/{operation}")
        took.append((time.perf_counter() - begun) * 1000)
    return took


def small(bench: Bench, hand: Hand) -> list[Figure]:
    """One network, one port at a time, in turn through the API and by hand."""
    ours, apart, raw, ports, raw_ports, many = [], [], [], [], [], []
    for n in range(ROUNDS):
        took, network = bench.network(n)
        ours.append(took)
        raw.append(hand.network(n))
        ports.append(bench.make("/ports", {"network": network})[0])
        raw_ports.append(hand.port(n, 0))
        many.append(bench.make("/ports", {"network": network, "count": PORTS})[0])
    alone = [bench.requests[n] for n in range(0, len(bench.requests), 3)]
    for n in range(ROUNDS):
        apart.append(bench.apart(n))
    hand.clear()
    return [
        Figure("network, subnet, router, NAT and group through the API, p50", median(ours), "ms", 50),
        Figure("the same by hand, p50", median(raw), "ms"),
        Figure("ratio", median(ours) / median(raw), "x", 2),
        Figure("of that the request, p50", median(alone), "ms"),
        Figure("of that the operation, p50", median(bench.operations), "ms"),
        Figure("the same as two requests, network and group apart, p50", median(apart), "ms"),
        Figure("a request that shows one row, p50", median(looks(bench)), "ms"),
        Figure("port through the API, p50", median(ports), "ms", 15),
        Figure("port by hand, p50", median(raw_ports), "ms"),
        Figure(f"{PORTS} ports in one request, p50", median(many), "ms"),
    ]


def main() -> None:
    """Measure and print."""
    bench = Bench()
    figures = small(bench, Hand(bench.settings.ovn_nb))
    person = Person()
    person.start()
    took = bench.large(count())
    person.enough.set()
    person.join()
    figures += [
        Figure(f"{count()} networks, {PORTS} ports of each in one request, {CLIENTS} clients at once", took, "s", 60),
        Figure("a list meanwhile, p95", percentile(person.took, 0.95), "ms", 100),
        Figure("all ports plugged by a comparison", bench.plug_all(), "s"),
    ]
    begun, pid = bench.start_anew()
    after = Person()
    for _n in range(100):
        after.look()
    figures += [
        Figure("start with that database, until the API answers", begun, "s", 15),
        Figure("a list afterwards, p95", percentile(after.took, 0.95), "ms", 100),
        Figure("can A talk to B, p95", percentile(bench.questions(), 0.95), "ms", 200),
        Figure("memory of the process", resident(pid), "MiB", 300),
    ]
    show("networks through the API and by hand, and a large cloud of them", figures)


if __name__ == "__main__":
    main()
