"""Many ports in one request: all or none, addresses and names in a row, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.network.conftest import Do
from tests.network.test_api import api, asking_as  # noqa: F401
from yun.base.db import Database
from yun.base.errors import Conflict, Invalid, NoCapacity
from yun.network import service
from yun.network.model import Port, PortAddress, PortSecurityGroup, Reservation
from yun.network.service import NewNetwork, NewPort, NewSubnet, PortChanges
from yun.operations import service as operations
from yun.operations.model import Event

pytestmark = pytest.mark.usefixtures("cloud")
FIVE = NewPort(network="lab", count=5, hostname="node{n}", changes=PortChanges(name="p-{n:02d}", ingress_kbps=10_000))


@pytest.fixture
def lab(do: Do) -> None:
    subnet = NewSubnet("10.9.0.0/24", pool_start="10.9.0.10", pool_end="10.9.0.19")
    do(lambda ctx: service.create_network(ctx, NewNetwork("lab", subnet=subnet)))


def counted(database: Database) -> list[int]:
    with database.read() as session:
        return [session.scalar(sa.select(sa.func.count()).select_from(t)) or 0
                for t in (Port, PortAddress, PortSecurityGroup, Reservation)]  # fmt: skip


def of_lab(database: Database) -> list[Port]:
    with database.read() as session:
        inside = sa.select(Port).where(Port.address.startswith("10.9.")).order_by(Port.address)
        return list(session.scalars(inside))


def test_many_have_addresses_in_a_row_names_limits_groups_and_events(do: Do, database: Database, lab: None) -> None:
    do(lambda ctx: service.create_port(ctx, NewPort(network="lab", addresses=["10.9.0.12"])))
    do(lambda ctx: service.reserve(ctx, service.get_subnet(ctx, "10.9.0.0-24"), "10.9.0.14", "printer"))
    done = do(lambda ctx: service.create_port(ctx, FIVE))
    ports = [p for p in of_lab(database) if p.name]
    assert [p.address for p in ports] == [f"10.9.0.{n}" for n in (10, 11, 13, 15, 16)]
    assert [(p.name, p.hostname) for p in ports] == [(f"p-0{n}", f"node{n}") for n in range(1, 6)]
    assert {p.ingress_kbps for p in ports} == {10_000}
    assert len({p.mac for p in ports}) == 5
    assert done.result == {"value": {"port_id": ports[0].id, "port_ids": [p.id for p in ports]}}
    with database.read() as session:
        told = sa.select(Event.subject_id).where(Event.kind == "port.created")
        assert {p.id for p in ports} <= set(session.scalars(told))
        grouped = sa.select(sa.func.count()).select_from(PortSecurityGroup)
        assert session.scalar(grouped.where(PortSecurityGroup.port_id.in_([p.id for p in ports]))) == 5


def test_undo_takes_all_of_them_away(do: Do, database: Database, lab: None) -> None:
    before = counted(database)
    done = do(lambda ctx: service.create_port(ctx, FIVE))
    do(lambda ctx: operations.undo(ctx, done.id))
    assert counted(database) == before


def test_undo_waits_where_one_of_them_has_changed_since(do: Do, lab: None) -> None:
    done = do(lambda ctx: service.create_port(ctx, FIVE))
    change = PortChanges(name="other")
    do(lambda ctx: service.update_port(ctx, service.get_port(ctx, "p-03"), change))
    with pytest.raises(Conflict):
        do(lambda ctx: operations.undo(ctx, done.id))


def test_a_pool_that_is_too_small_gives_none_and_says_its_numbers(do: Do, database: Database, lab: None) -> None:
    before = counted(database)
    with pytest.raises(NoCapacity) as caught:
        do(lambda ctx: service.create_port(ctx, replace(FIVE, count=11)))
    said = caught.value.message.render("en")
    assert "10 of 10" in said
    assert "11 are needed" in said
    assert counted(database) == before
    do(lambda ctx: service.create_port(ctx, replace(FIVE, count=10)))


def test_a_network_of_both_families_gives_each_port_an_address_of_each(do: Do, database: Database, lab: None) -> None:
    for name, mode, cidr in (("six", "slaac", "fd00:9::/64"),):
        new = NewSubnet(cidr, name=name, ipv6_mode=mode)
        do(lambda ctx, new=new: service.create_subnet(ctx, service.get_network(ctx, "lab"), new))
    do(lambda ctx: service.create_port(ctx, FIVE))
    with database.read() as session:
        ids = [p.id for p in of_lab(database)]
        found = list(session.scalars(sa.select(PortAddress.address).where(PortAddress.port_id.in_(ids))))
    assert len(set(found)) == 5
    assert all(a.startswith("fd00:9::") for a in found)


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (replace(FIVE, count=0), "count"), (replace(FIVE, count=-3), "count"), (replace(FIVE, count=101), "count"),
        (replace(FIVE, addresses=["10.9.0.11"]), "addresses"), (replace(FIVE, mac="52:54:00:00:00:01"), "mac"),
        (replace(FIVE, hostname="a_{n}"), "hostname"), (replace(FIVE, hostname="a{nn}"), "hostname"),
        (replace(FIVE, changes=PortChanges(name="-{n}")), "name"),
        (replace(FIVE, changes=PortChanges(dscp=99)), "dscp"),
    ],
)  # fmt: skip
def test_what_many_cannot_have_is_refused_by_its_field(
    do: Do, database: Database, lab: None, new: NewPort, field: str
) -> None:
    before = counted(database)
    with pytest.raises(Invalid) as caught:
        do(lambda ctx: service.create_port(ctx, new))
    assert list(caught.value.fields) == [field]
    assert counted(database) == before


def test_names_without_a_number_get_one_and_none_stay_none(do: Do, database: Database, lab: None) -> None:
    do(lambda ctx: service.create_port(ctx, NewPort(network="lab", count=2, changes=PortChanges(name="web"))))
    do(lambda ctx: service.create_port(ctx, NewPort(network="lab", count=2)))
    assert [p.name for p in of_lab(database)] == ["web-1", "web-2", "", ""]


def test_the_api_previews_many_and_names_all_of_them(api: TestClient, lab: None) -> None:  # noqa: F811
    body: dict[str, Any] = {"network": "lab", "count": 3, "name": "p-{n:02d}"}
    shown = api.post("/ports", params={"dry_run": True}, json=body).json()
    assert shown["title"] == "Create 3 ports in lab"
    assert "3 ports are made in lab: p-01, p-02, p-03." in shown["effects"]
    made = api.post("/ports", json=body)
    assert made.status_code == 201, made.text
    assert [p["name"] for p in made.json()["ports"]] == ["p-01", "p-02", "p-03"]
    assert made.json()["operation"]["state"] == "succeeded"
    assert api.post("/ports", json={**body, "count": 200}).json()["fields"].keys() == {"count"}

