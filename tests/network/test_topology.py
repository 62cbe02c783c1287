"""The topology of a project: what is on it, whose it is, and how it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.network.conftest import Asking, Do
from tests.network.test_api import ROOT, asking_as  # noqa: F401  (a fixture)
from yun.base.context import Actor
from yun.base.db import Database
from yun.base.errors import Forbidden, Invalid
from yun.base.ids import new_id
from yun.network import service
from yun.network.cli.topology import tree
from yun.network.model import (
    FloatingIp,
    Network,
    NetworkPeering,
    Port,
    PortForwarding,
    PortSample,
    RouterInterface,
    Subnet,
)
from yun.network.topology.graph import Topology

pytestmark = pytest.mark.usefixtures("cloud")


def look(asking: Asking, who: dict[str, Any] | None = None, **wish: Any) -> Topology:
    with asking(**(who or {})) as ctx:
        return service.topology(ctx, **wish)


@pytest.fixture
def ports(database: Database) -> Callable[..., None]:
    """Puts so many ports on a network by its name, each of an instance of its own, as rows alone."""

    def make(name: str, count: int, project: str) -> None:
        with database.write() as session:
            wanted = sa.select(Network).where(Network.name == name, Network.project_id == project)
            network = session.scalars(wanted).one()
            subnet = session.scalars(sa.select(Subnet).where(Subnet.network_id == network.id)).one()
            before = subnet.cidr.rpartition(".")[0].rpartition(".")[0]
            session.add_all(
                Port(
                    id=new_id("prt"), project_id=project, network_id=network.id, subnet_id=subnet.id, state="up",
                    mac=f"52:54:01:{count % 256:02x}:{n // 256:02x}:{n % 256:02x}", instance_id=new_id("ins"),
                    address=f"{before}.{n // 200 + 1}.{n % 200}", hostname=f"host-{n:05}",
                )
                for n in range(count)
            )  # fmt: skip

    return make


def statements(database: Database, work: Callable[[], Any]) -> int:
    """How many statements the work asks of the database."""
    seen: list[str] = []

    def heard(_c: Any, _cursor: Any, text: str, *_rest: Any) -> None:
        seen.append(text)

    engine = database.engine
    sa.event.listen(engine, "before_cursor_execute", heard)
    try:
        work()
    finally:
        sa.event.remove(engine, "before_cursor_execute", heard)
    return len(seen)


def test_it_shows_what_hangs_on_what(asking: Asking, plugged: Callable[..., Port]) -> None:
    port = plugged("web", floating=True)
    found = look(asking)
    assert [(n.name, n.external, n.machines) for n in found.networks] == [("external", True, 0), ("default", False, 1)]
    router, leg, thing = found.routers[0], found.legs[0], found.things[0]
    assert router.gateway == found.networks[0].id
    assert router.address is not None
    assert router.address.startswith("172.31.240.")
    assert (leg.router_id, leg.network_id, leg.addresses) == (router.id, found.networks[1].id, ("10.77.0.1",))
    assert (thing.id, thing.name, thing.kind, thing.plugs[0].addresses) == (
        port.instance_id, "web", "machine", (port.address,)
    )  # fmt: skip
    assert [address for _id, address in thing.floating] == ["172.31.240.4"]
    assert [name for _id, name in found.groups] == ["default"]
    assert thing.groups == (found.groups[0][0],)


def test_a_floating_ip_that_leads_nowhere_hangs_on_its_network(asking: Asking, do: Do) -> None:
    do(service.allocate)
    found = look(asking)
    assert [(address, where) for _id, address, where in found.idle] == [("172.31.240.4", found.networks[0].id)]


def test_another_projects_things_are_never_on_it(
    asking: Asking, do: Do, plugged: Callable[..., Port], projects: tuple[str, str]
) -> None:
    plugged("mine", floating=True)
    do(lambda ctx: service.create_network(ctx, service.NewNetwork("secret")), project=projects[1])
    do(service.allocate, project=projects[1])
    member = Actor("user", "usr_x", "x", {projects[1]: "member"})
    for project in (projects[1], None):
        theirs = look(asking, {"actor": member, "project": project})
        assert {n.name for n in theirs.networks} == {"external", "default", "secret"}
        assert theirs.things == ()
        assert len(theirs.routers) == 1
        assert len(theirs.idle) == 1
    ours = look(asking, {"actor": Actor("user", "usr_y", "y", {projects[0]: "reader"})})
    assert "secret" not in {n.name for n in ours.networks}
    assert ours.idle == ()
    with asking(actor=member) as ctx, pytest.raises(Forbidden):
        service.topology(ctx)


def test_of_a_large_network_the_first_machines_are_shown_until_it_is_opened(
    asking: Asking, ports: Callable[..., None], projects: tuple[str, str]
) -> None:
    ports("default", 200, projects[0])
    found = look(asking)
    network = found.networks[1]
    assert [t.name for t in found.things] == [f"host-{n:05}" for n in range(12)]
    assert (network.machines, found.hidden(network)) == (200, 188)
    opened = look(asking, opened=[network.id])
    assert (len(opened.things), opened.hidden(network)) == (200, 0)
    assert len(look(asking, everything=True).things) == 200


def test_networks_are_chosen_by_a_query_and_the_others_counted(asking: Asking, do: Do) -> None:
    for name in ("a1", "a2", "a3", "b1"):
        do(lambda ctx, name=name: service.create_network(ctx, service.NewNetwork(name)))
    few = look(asking, limit=2, q="a")
    assert len([n for n in few.networks if n.name.startswith("a")]) == 2
    assert few.networks_left >= 1
    some = look(asking, q="name~b1")
    assert [n.name for n in some.networks] == ["b1"]
    assert some.routers == ()
    with pytest.raises(Invalid) as refused:
        look(asking, q="nonsense:yes")
    assert set(refused.value.fields) == {"q"}


def test_it_asks_the_database_no_more_for_many_things_than_for_few(
    asking: Asking, database: Database, do: Do, ports: Callable[..., None], projects: tuple[str, str]
) -> None:
    ports("default", 3, projects[0])
    few = statements(database, lambda: look(asking))
    with database.write() as session:
        session.add_all(Network(id=new_id("net"), project_id=projects[0], name=f"n{i:04}") for i in range(1000))
    many = statements(database, lambda: look(asking))
    assert few <= 18
    assert many <= few + 3  # the count of those that are left out


def test_the_rate_of_a_port_is_that_of_its_last_two_measurements(
    asking: Asking, database: Database, plugged: Callable[..., Port]
) -> None:
    port = plugged("web")
    assert look(asking).things[0].rate is None
    with asking() as ctx:
        now = ctx.clock.now()
    counted = [(90, 0, 0), (30, 5000, 700), (10, 25000, 700)]
    with database.write() as session:
        session.add_all(
            PortSample(
                port_id=port.id, at=now - timedelta(seconds=ago), bytes_in=into, bytes_out=out, packets_in=0,
                packets_out=0, dropped_in=0, dropped_out=0,
            )
            for ago, into, out in counted
        )  # fmt: skip
    assert look(asking).things[0].rate == (1000.0, 0.0)
    with database.write() as session:
        session.execute(sa.update(PortSample).values(bytes_in=sa.case((PortSample.bytes_in == 25000, 3), else_=9)))
    assert look(asking).things[0].rate is None  # the card was plugged anew: its counters began again


def test_a_leg_that_was_taken_off_is_not_on_it_and_forwarded_ports_and_peerings_are(
    asking: Asking, database: Database, plugged: Callable[..., Port], projects: tuple[str, str]
) -> None:
    port = plugged("web")
    found = look(asking)
    router, network = found.routers[0], found.networks[1]
    assert [leg.network_id for leg in found.legs] == [network.id]
    with database.write() as session:
        address = session.scalars(sa.select(FloatingIp)).first()
        subnet = session.scalars(sa.select(Subnet).where(Subnet.network_id == found.networks[0].id)).one()
        assert address is None
        floating = FloatingIp(
            id=new_id("fip"), project_id=projects[0], network_id=subnet.network_id, subnet_id=subnet.id,
            address="172.31.240.9",
        )  # fmt: skip
        session.add(floating)
        session.flush()
        session.add(PortForwarding(
            id=new_id("pfw"), project_id=projects[0], floating_ip_id=floating.id, port_id=port.id, protocol="tcp",
            outside_port=8080, outside_port_max=8081, inner_port=80,
        ))  # fmt: skip
        session.add(NetworkPeering(
            id=new_id("pee"), project_id=projects[0], peer_project_id=projects[1], router_id=router.id, name="partner",
            link=1, state="requested",
        ))  # fmt: skip
        session.execute(sa.update(RouterInterface).where(RouterInterface.external.is_(False)).values(state="trashed"))
    found = look(asking)
    assert found.legs == ()
    assert found.routers[0].peers == ("partner",)
    assert found.things[0].outside == [(floating.id, "172.31.240.9:8080-8081")]
    assert found.idle == ()
    theirs = look(asking, {"project": projects[1]})
    assert [r.peers for r in theirs.routers] == [()]


def test_over_http_it_is_nodes_and_edges(
    asking_as: Callable[..., TestClient],  # noqa: F811
    plugged: Callable[..., Port], projects: tuple[str, str],
) -> None:  # fmt: skip
    port = plugged("web", floating=True)
    with asking_as(ROOT, projects[0]) as api:
        found = api.get("/network/topology").json()
        kinds = [n["kind"] for n in found["nodes"]]
        assert kinds == ["network", "network", "router", "machine", "floating_ip"]
        names = {n["id"] for n in found["nodes"]}
        assert all({e["source"], e["target"]} <= names for e in found["edges"])
        plug = next(e for e in found["edges"] if e["kind"] == "port")
        assert (plug["source"], plug["port_id"], plug["addresses"]) == (port.instance_id, port.id, [port.address])
        assert {e["kind"] for e in found["edges"]} == {"gateway", "interface", "port", "floating_ip"}
        assert found["left_out"] == {"networks": 0, "routers": 0}
        assert api.get("/network/topology", params={"q": "nonsense:1"}).status_code == 422
        assert api.get("/network/topology", params={"limit": 0}).status_code == 422
    stranger = Actor("user", "usr_x", "x", {projects[1]: "admin"})
    with asking_as(stranger, projects[0]) as api:
        assert api.get("/network/topology").status_code == 403


def test_by_command_it_is_a_tree(
    asking_as: Callable[..., TestClient],  # noqa: F811
    plugged: Callable[..., Port], projects: tuple[str, str],
) -> None:  # fmt: skip
    port = plugged("web", floating=True)
    with asking_as(ROOT, projects[0]) as api:
        found = api.get("/network/topology").json()
    lines = list(tree(found, lambda m: m.render("en"), 10))
    assert lines == [
        "external network external  172.31.240.0/24",
        "└─ router default  172.31.240.2  source NAT",
        "   └─ network default  10.77.0.0/24  via 10.77.0.1",
        f"      └─ web  {port.address}  ⇄ 172.31.240.4  [default]",
    ]
    assert list(tree(found, lambda m: m.render("zh"), 0))[-1] == "      └─ 另有 1 台"
