"""Reachability at 1,000 networks with 5 ports each: the question, what reaches a machine, the preview of a rule of a
group in which all 5,000 ports are.

Run: python -m bench.reach [--json] [--networks N]. It needs no machines.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench.report import Figure, median, percentile, show
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database
from yun.base.ids import new_id
from yun.identity.model import Project
from yun.network import service
from yun.network.model import (
    FloatingIp,
    Network,
    Port,
    PortSecurityGroup,
    Router,
    RouterInterface,
    SecurityGroup,
    SecurityRule,
    Subnet,
)
from yun.network.service import NewRule
from yun.network.service.groups import welcoming
from yun.network.service.reach import Question, of_ports, reach

PORTS = 5
BOUND_MS = 200.0


def networks() -> int:
    """How many networks."""
    return int(sys.argv[sys.argv.index("--networks") + 1]) if "--networks" in sys.argv else 1000


def subnet_of(network: Network, cidr: str, gateway: str) -> Subnet:
    """A subnet's row."""
    return Subnet(
        id=new_id("sub"), network_id=network.id, project_id=network.project_id, name=cidr, cidr=cidr, gateway=gateway,
        pool_start=gateway, pool_end=gateway, dns_servers=[], domain="", state="active",
    )  # fmt: skip


def fill(session: Session, count: int) -> tuple[str, list[str], str]:
    """The rows of a cloud: one project, one group with everything in it, a router for each ten networks; returns the
    project, the ports and the group."""
    project = Project(id=new_id("prj"), name="bench")
    group = SecurityGroup(id=new_id("sgr"), project_id=project.id, name="default", is_default=True, state="active")
    outside = Network(id=new_id("net"), name="external", external=True, physical="physnet1", state="active")
    session.add_all([project, outside])
    session.flush()
    outer = subnet_of(outside, "172.16.0.0/12", "172.16.0.1")
    session.add_all([group, outer])
    session.flush()
    session.add_all(welcoming(group.id))
    ports: list[str] = []
    rows: list[sa.Row[object] | object] = []
    router: Router | None = None
    for n in range(count):
        network = Network(id=new_id("net"), project_id=project.id, name=f"n{n}", state="active")
        base = f"10.{n // 250}.{n % 250}"
        if n % 10 == 0:
            router = Router(id=new_id("rtr"), project_id=project.id, name=f"r{n}", snat=True, state="active")
            session.add(router)
        assert router is not None
        session.add(network)
        session.flush()
        subnet = subnet_of(network, f"{base}.0/24", f"{base}.1")
        session.add(subnet)
        session.flush()
        legs = [(subnet, f"{base}.1/24", False)]
        if n % 10 == 0:
            legs.append((outer, f"172.16.{n // 250}.{n % 250 + 2}/12", True))
        for where, address, external in legs:
            rows.append(RouterInterface(
                id=new_id("rif"), router_id=router.id, network_id=where.network_id, subnet_id=where.id, address=address,
                mac=f"0a:00:00:{n // 256:02x}:{n % 256:02x}:{'01' if external else '00'}", external=external,
            ))  # fmt: skip
        for k in range(PORTS):
            port = Port(
                id=new_id("prt"), project_id=project.id, network_id=network.id, subnet_id=subnet.id, state="up",
                mac=f"52:54:00:{n // 256:02x}:{n % 256:02x}:{k:02x}", address=f"{base}.{10 + k}", plugged=True,
                hostname=f"m{n}-{k}", instance_id=new_id("ins"), port_security=True, link_up=True,
            )  # fmt: skip
            ports.append(port.id)
            session.add(port)
            rows.append(PortSecurityGroup(port_id=port.id, group_id=group.id))
        if n % 10 == 0:
            rows.append(FloatingIp(
                id=new_id("fip"), project_id=project.id, network_id=outside.id, subnet_id=outer.id,
                address=f"172.20.{n // 250}.{n % 250}", port_id=ports[-1], state="active",
            ))  # fmt: skip
    session.flush()
    session.add_all(rows)
    session.add(SecurityRule(id=new_id("sru"), group_id=group.id, direction="ingress", port_min=80, port_max=90,
                             protocol="tcp", family="ipv4", remote_cidr="10.0.0.0/8", description=""))  # fmt: skip
    return project.id, ports, group.id


def timed(database: Database, ask: Callable[[Context], object], project: str, times: int) -> list[float]:
    """How many milliseconds each of ``times`` questions takes, each in a session of its own."""
    took = []
    for _n in range(times):
        begun = time.perf_counter()
        with database.read() as session:
            ask(Context(actor=SYSTEM, session=session, settings=Settings(), project_id=project))
        took.append((time.perf_counter() - begun) * 1000)
    return took


def main() -> None:
    """Fill, ask, print."""
    dice = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        database.create()
        with database.write() as session:
            project, ports, group_id = fill(session, networks())

        def question(ctx: Context) -> object:
            a, b = dice.sample(ports, 2)
            return reach(ctx, Question(a, b, "tcp", 80))

        def near(ctx: Context) -> object:
            first = dice.randrange(len(ports) - 1)
            return reach(ctx, Question(ports[first], ports[first + 1]))

        def outside(ctx: Context) -> object:
            return reach(ctx, Question("anywhere", dice.choice(ports), "tcp", 22))

        def machine(ctx: Context) -> object:
            return of_ports(ctx.session, [ctx.session.get_one(Port, dice.choice(ports))])

        def rule(ctx: Context) -> object:
            return service.add_rule(ctx, service.get_group(ctx, group_id), NewRule(port_min=443))

        figures = [Figure("ports", len(ports), "")]
        for name, ask, times, bound in (
            ("can A talk to B, two machines", question, 60, BOUND_MS), ("two machines nearby", near, 60, BOUND_MS),
            ("from outside", outside, 60, BOUND_MS), ("what reaches a machine", machine, 60, BOUND_MS),
            ("preview of a rule for all of them", rule, 5, None),
        ):  # fmt: skip
            took = timed(database, ask, project, times)
            figures.append(Figure(f"{name}, median", median(took), "ms", bound))
            figures.append(Figure(f"{name}, 95 %", percentile(took, 0.95), "ms", bound))
        show(f"Reachability, {networks()} networks of {PORTS} ports", figures)
        database.close()


if __name__ == "__main__":
    main()
