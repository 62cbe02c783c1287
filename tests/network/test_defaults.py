"""The default networks: made once, for every project, and kept in line with the engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.config import Settings
from yun.base.db import Database
from yun.drivers.host.fake import FakeMachine
from yun.drivers.network.fake import FakeNetworkEngine, World
from yun.drivers.network.port import GroupSpec, NatSpec, NetworkSpec
from yun.identity.model import Project
from yun.network import service
from yun.network.defaults import host_resolvers
from yun.network.model import FloatingIp, Network, Port, Reservation, SecurityGroup, Subnet
from yun.operations.engine import Engine
from yun.operations.intent import Subject
from yun.operations.model import Notice, Operation

pytestmark = pytest.mark.usefixtures("cloud")


def test_the_host_is_the_gateway_and_its_chassis_carries_its_name(machine: FakeMachine) -> None:
    assert machine.gateway == ("172.31.240.0/24", "172.31.240.1/24")
    assert machine.chassis == "node1"


def test_each_project_has_a_network_with_dhcp_names_and_a_way_out(world: World, projects: tuple[str, str]) -> None:
    inner = [n for n in world.networks.values() if n.physical is None]
    assert len(inner) == len(projects)
    subnet = inner[0].subnets[0]
    assert (subnet.cidr, subnet.gateway, subnet.dhcp, subnet.mtu) == ("10.77.0.0/24", "10.77.0.1", True, 1442)
    assert subnet.dns_servers == ("192.0.2.53",)
    outside = {r.external.address for r in world.routers.values() if r.external}
    assert outside == {"172.31.240.2/24", "172.31.240.3/24"}
    for router in world.routers.values():
        assert router.routes == {"0.0.0.0/0": "172.31.240.1"}
        assert router.gateway_chassis == "node1"
        assert router.external is not None
        assert router.nat == (NatSpec("snat", router.external.address.partition("/")[0], "10.77.0.0/24"),)


def test_the_default_group_lets_all_out_and_ssh_ping_and_its_own_in(world: World) -> None:
    group = next(iter(world.groups.values()))
    said = {(r.direction, r.family, r.protocol, r.port_min, r.remote) for r in group.rules}
    assert said == {
        ("egress", "ipv4", "any", None, None),
        ("egress", "ipv6", "any", None, None),
        ("ingress", "ipv4", "tcp", 22, None),
        ("ingress", "ipv4", "icmp", None, None),
        ("ingress", "ipv6", "tcp", 22, None),
        ("ingress", "ipv6", "icmp", None, None),
        ("ingress", "ipv4", "any", None, f"group:{group.id}"),
        ("ingress", "ipv6", "any", None, f"group:{group.id}"),
    }


def test_setting_up_again_changes_nothing(do: Do, world: World, database: Database) -> None:
    before = world.snapshot()
    do(service.ensure_default)
    assert world.snapshot() == before
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Network)) == 3


def test_what_a_project_deleted_does_not_come_back(do: Do, asking: Asking, world: World) -> None:
    do(lambda ctx: service.delete_network(ctx, service.get_network(ctx, "default")))
    do(service.ensure_default)
    assert len([n for n in world.networks.values() if n.physical is None]) == 1


def test_a_new_project_gets_its_own_at_the_next_comparison(database: Database, engine: Engine, world: World) -> None:
    with database.write() as session:
        session.add(Project(id="prj_new", name="new"))
    compare(engine)
    assert len(world.routers) == 3
    with database.read() as session:
        assert session.scalar(sa.select(Network.name).where(Network.project_id == "prj_new")) == "default"


def compare(engine: Engine) -> None:
    engine.nudge("network.reconcile", Subject("network", "cloud"))
    engine.drain()


def test_a_comparison_without_findings_leaves_no_trace(engine: Engine, database: Database) -> None:
    compare(engine)
    with database.read() as session:
        assert session.scalar(sa.select(Operation.id).where(Operation.kind == "network.reconcile")) is None


def test_what_is_missing_in_the_engine_is_made_again(
    engine: Engine, world: World, plugged: Callable[..., Port]
) -> None:
    plugged(floating=True)
    before = world.snapshot()
    world.networks.clear()
    world.routers.clear()
    world.groups.clear()
    world.ports.clear()
    compare(engine)
    assert world.snapshot() == before


def test_leftovers_of_ours_are_removed_and_told(engine: Engine, world: World, database: Database) -> None:
    world.groups["sgr_ghost"] = GroupSpec("sgr_ghost", "ghost")
    compare(engine)
    assert "sgr_ghost" not in world.groups
    with database.read() as session:
        notice = session.get(Notice, "network.leftovers")
        assert notice is not None
        assert "sgr_ghost" in notice.message["params"]["list"]


def test_what_another_cloud_made_is_no_leftover_and_what_carries_no_mark_is_taken_over(
    engine: Engine, world: World, plugged: Callable[..., Port], database: Database
) -> None:
    plugged()
    before = set(world.networks)
    other = FakeNetworkEngine(world)
    other.own("prj_two")
    other.apply_network(NetworkSpec("net_theirs", "theirs"))
    engine.drivers.network.own("prj_one")
    compare(engine)
    assert set(world.networks) == {*before, "net_theirs"}
    assert set(world.marks.values()) == {"prj_one", "prj_two"}
    assert engine.drivers.network.inventory()["network"] == before
    with database.read() as session:
        assert session.get(Notice, "network.leftovers") is None


def test_what_is_wanted_again_while_a_comparison_removes_it_stays(
    engine: Engine, world: World, plugged: Callable[..., Port], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = plugged()
    spec = world.ports[port.id]
    with database.write() as session:
        session.get_one(Port, port.id).plugged = False
    remove = FakeNetworkEngine.remove_port

    def meanwhile(self: FakeNetworkEngine, port_id: str) -> None:
        """Somebody plugs it between the comparison's look at the rows and its removal."""
        with database.write() as session:
            session.get_one(Port, port_id).plugged = True
        self.apply_port(spec)
        remove(self, port_id)

    monkeypatch.setattr(FakeNetworkEngine, "remove_port", meanwhile)
    compare(engine)
    assert world.ports[port.id] == spec


def test_an_engine_that_is_away_is_no_failure_of_the_comparison(
    engine: Engine, world: World, database: Database
) -> None:
    world.away = True
    compare(engine)
    with database.read() as session:
        assert session.scalar(sa.select(Operation.id).where(Operation.kind == "network.reconcile")) is None


def test_setting_up_waits_for_an_engine_that_comes_back(
    engine: Engine, do: Do, world: World, database: Database
) -> None:
    world.fail("apply_network", times=2, retryable=True)
    done = do(service.ensure_default)
    assert done.result is not None


def test_ports_say_whether_they_are_up(
    engine: Engine, world: World, plugged: Callable[..., Port], database: Database
) -> None:
    port = plugged()
    assert port.state == "up"
    world.dark.add(port.id)
    world.nudge(port.id)
    engine.drain()
    with database.read() as session:
        assert session.get_one(Port, port.id).state == "down"
    world.dark.clear()
    compare(engine)
    with database.read() as session:
        assert session.get_one(Port, port.id).state == "up"


def test_the_trash_is_purged_after_the_undo_window(
    do: Do, engine: Engine, database: Database, settings: Settings, projects: tuple[str, str]
) -> None:
    do(lambda ctx: service.delete_network(ctx, service.get_network(ctx, "default")))
    do(lambda ctx: service.create_group(ctx, "web"))
    do(lambda ctx: service.delete_group(ctx, service.get_group(ctx, "web")))
    do(lambda ctx: service.allocate(ctx, "172.31.240.9"))
    do(lambda ctx: service.release(ctx, service.get_floating_ip(ctx, "172.31.240.9")))
    compare(engine)
    with database.write() as session:
        assert session.scalar(sa.select(sa.func.count()).where(Network.state == "trashed")) == 1
        old = datetime.now(UTC) - timedelta(days=settings.undo_days + 1)
        for model in (Network, Subnet, SecurityGroup, FloatingIp):
            session.execute(sa.update(model).where(model.state == "trashed").values(trashed_at=old))
    compare(engine)
    with database.read() as session:
        for model in (Network, Subnet, SecurityGroup, FloatingIp):
            assert session.scalar(sa.select(sa.func.count()).where(model.state == "trashed")) == 0
        mine = sa.select(Network.id).where(Network.project_id == projects[0])
        assert session.scalar(mine) is None
        owners = set(session.scalars(sa.select(Reservation.owner_kind)))
    assert owners == {"gateway", "router"}


def test_the_hosts_own_resolvers_are_read_without_loopback_ones(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fe80::1\nnameserver bad\nsearch a\n")
    assert host_resolvers(file) == ["192.0.2.1"]
    assert host_resolvers(tmp_path / "missing") == []
