"""Security groups that are made with rules, and those that come with a network in one operation."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.network.conftest import Do
from tests.network.test_api import api, asking_as  # noqa: F401
from yun.base.context import SYSTEM, Actor, Context
from yun.base.db import Database
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import Network, PortSecurityGroup, SecurityGroup, SecurityRule
from yun.network.service import NewGroup, NewNetwork, NewRule, NewSubnet
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.model import Event, State

pytestmark = pytest.mark.usefixtures("cloud")
SHOP = NewNetwork("shop", subnet=NewSubnet("10.9.0.0/24"), group=NewGroup(
    allow=["SSH", "tcp:8080", "udp:5000-5100", "own", "ssh"], rules=[NewRule(port_min=443, remote="192.0.2.0/24")],
))  # fmt: skip


def make(ctx: Context) -> Any:
    return service.create_network(ctx, SHOP)


def rows(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {m.__tablename__: session.scalar(sa.select(sa.func.count()).select_from(m)) or 0
                for m in (Network, SecurityGroup, SecurityRule)}  # fmt: skip


def test_one_operation_makes_network_router_leg_and_group(do: Do, world: World, database: Database) -> None:
    done = do(make)
    network = next(n for n in world.networks.values() if n.name == "shop")
    group = next(g for g in world.groups.values() if g.name == "shop")
    assert done.result == {"value": {"network_id": network.id, "security_group_id": group.id}}
    assert [leg.address for r in world.routers.values() for leg in r.interfaces if leg.network_id == network.id] == [
        "10.9.0.1/24"
    ]
    inward = {(r.family, r.protocol, r.port_min, r.port_max, r.remote) for r in group.rules if r.direction == "ingress"}
    both = [("tcp", 22, 22, None), ("tcp", 8080, 8080, None), ("udp", 5000, 5100, None),
            ("any", None, None, f"group:{group.id}")]  # fmt: skip
    assert inward == {(f, *rest) for f in ("ipv4", "ipv6") for rest in both} | {
        ("ipv4", "tcp", 443, 443, "192.0.2.0/24")
    }
    assert sorted(r.family for r in group.rules if r.direction == "egress") == ["ipv4", "ipv6"]
    with database.read() as session:
        told = sa.select(Event.kind, Event.subject_id).where(Event.subject_id.in_([network.id, group.id]))
        assert {("network.created", network.id), ("security_group.created", group.id)} <= set(
            map(tuple, session.execute(told))  # type: ignore[arg-type]
        )


def test_undo_takes_both_away(do: Do, world: World, database: Database) -> None:
    before, counted = world.snapshot(), rows(database)
    done = do(make)
    do(lambda ctx: operations.undo(ctx, done.id))
    assert (world.snapshot(), rows(database)) == (before, counted)


@pytest.mark.parametrize("place", ["apply_network", "apply_group", "apply_router"])
def test_a_failure_leaves_neither(do: Do, world: World, database: Database, place: str) -> None:
    before, counted = world.snapshot(), rows(database)
    world.fail(place)
    do(make, state=State.FAILED)
    assert (world.snapshot(), rows(database)) == (before, counted)


def test_undo_waits_for_whoever_uses_the_group_since(do: Do) -> None:
    done = do(make)
    do(lambda ctx: service.create_group(ctx, "other", rules=[NewRule(port_min=80, remote="group:shop")]))
    with pytest.raises(Conflict):
        do(lambda ctx: operations.undo(ctx, done.id))


def test_undo_waits_for_a_port_that_is_in_the_group_since(do: Do) -> None:
    done = do(make)
    do(lambda ctx: service.create_port(ctx, service.NewPort(network="default", groups=["shop"])))
    with pytest.raises(Conflict):
        do(lambda ctx: operations.undo(ctx, done.id))


def test_undo_of_a_group_ends_without_harm_where_a_port_joined_it_later(do: Do, world: World) -> None:
    done = do(make)
    do(lambda ctx: service.create_port(ctx, service.NewPort(network="default", changes=service.PortChanges(name="p1"))))
    there = world.snapshot()

    def undo_and_join(ctx: Context) -> Any:
        port = service.get_port(ctx, "p1")
        intent = operations.undo(ctx, done.id)
        ctx.session.execute(sa.insert(PortSecurityGroup).values(
            port_id=port.id, group_id=service.get_group(ctx, "shop").id
        ))  # fmt: skip
        return intent

    ended = do(undo_and_join, state=State.FAILED)
    assert ended.error is not None
    assert ended.error["code"] == "conflict"
    assert world.snapshot() == there


@pytest.mark.parametrize(
    ("group", "field"),
    [
        (NewGroup(allow=["sssh"]), "security_group.allow"),
        (NewGroup(allow=["tcp:0"]), "security_group.allow"),
        (NewGroup(allow=["tcp:99999"]), "security_group.allow"),
        (NewGroup(allow=["tcp:20-10"]), "security_group.allow"),
        (NewGroup(allow=["icmp:8"]), "security_group.allow"),
        (NewGroup(rules=[NewRule(port_min=80), NewRule(port_min=9, port_max=3)]), "security_group.rules.1.port_max"),
        (NewGroup(name="a/b"), "security_group.name"),
        (NewGroup(description="x" * 2000), "security_group.description"),
        (NewGroup(rules=[NewRule(port_min=n) for n in range(1, 200)]), "security_group.rules"),
    ],
)  # fmt: skip
def test_a_wrong_group_is_refused_by_its_field_and_nothing_is_made(
    do: Do, database: Database, group: NewGroup, field: str
) -> None:
    counted = rows(database)
    with pytest.raises(Invalid) as caught:
        do(lambda ctx: service.create_network(ctx, NewNetwork("shop", group=group)))
    assert list(caught.value.fields) == [field]
    assert rows(database) == counted


def test_a_taken_name_of_the_group_is_told_by_its_field(do: Do, database: Database) -> None:
    do(lambda ctx: service.create_group(ctx, "shop"))
    counted = rows(database)
    with pytest.raises(Conflict) as caught:
        do(make)
    assert list(caught.value.fields) == ["security_group.name"]
    assert rows(database) == counted


def test_an_external_network_has_no_group(do: Do) -> None:
    with pytest.raises(Invalid) as caught:
        do(lambda ctx: service.create_network(ctx, NewNetwork("up", external=True, group=NewGroup())), actor=SYSTEM)
    assert "security_group" in caught.value.fields or "physical" in caught.value.fields


def test_a_reader_may_not(do: Do, projects: tuple[str, str]) -> None:
    reader = Actor("user", "usr_1", "r", {projects[0]: "reader"})
    with pytest.raises(Forbidden):
        do(make, actor=reader)


def test_the_api_previews_and_makes_both(api: TestClient, engine: Engine) -> None:  # noqa: F811
    body = {"name": "shop", "subnet": {"cidr": "10.9.0.0/24"}, "security_group": {"allow": ["http"]}}
    shown = api.post("/networks", params={"dry_run": True}, json=body).json()
    assert "A security group shop is made; it lets everything out." in shown["effects"]
    assert api.get("/security-groups/shop").status_code == 404
    made = api.post("/networks", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["security_group"]["name"] == "shop"
    engine.drain()
    rules = api.get("/security-groups/shop").json()["rules"]
    inward = sorted((r["family"], r["port_min"]) for r in rules if r["direction"] == "ingress")
    assert inward == [("ipv4", 80), ("ipv6", 80)]
    wrong = api.post("/networks", json={"name": "n", "security_group": {"name": "shop"}})
    assert wrong.status_code == 409
    assert list(wrong.json()["fields"]) == ["security_group.name"]
