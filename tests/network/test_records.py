"""Names of a network beside those of its machines: answered, refused where OVN cannot or a machine has them, undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.network.conftest import Asking, Do
from tests.network.test_api import api, asking_as  # noqa: F401 (fixtures)
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import DnsRecord, Port
from yun.network.service import NetworkChanges, NewNetwork, NewSubnet
from yun.operations import service as operations
from yun.operations.engine import Engine

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.fixture
def lab(do: Do) -> str:
    new = NewNetwork("lab", domain="lab.internal", subnet=NewSubnet("10.9.0.0/24", domain="db.internal"))
    return do(lambda ctx: service.create_network(ctx, new)).subject_id


def add(do: Do, name: str, address: str, kind: str = "") -> Any:
    return do(lambda ctx: service.create_record(ctx, service.get_network(ctx, "lab"), name, address, kind))


def test_a_name_is_answered_alone_and_in_the_networks_domains(do: Do, world: World, lab: str) -> None:
    add(do, "DB", "10.9.0.9")
    add(do, "db", "fd00::9", "AAAA")
    add(do, "mail.example.org.", "192.0.2.1")
    both = "10.9.0.9 fd00::9"
    assert world.networks[lab].dns_records == {
        "db": both, "db.lab.internal": both, "db.db.internal": both, "mail.example.org": "192.0.2.1",
    }  # fmt: skip
    do(lambda ctx: service.update_network(ctx, service.get_network(ctx, lab), NetworkChanges(domain="new")))
    assert set(world.networks[lab].dns_records) == {"db", "db.new", "db.db.internal", "mail.example.org"}


def test_those_who_use_a_network_do_not_stand_in_each_others_way(
    do: Do, lab: str, asking: Asking, plugged: Callable[..., Port]
) -> None:
    first = add(do, "db", "10.9.0.9")
    second = add(do, "web", "10.9.0.10")
    plugged("one", network="lab")
    do(lambda ctx: operations.undo(ctx, first.id))
    with asking() as ctx:
        assert [r.name for r in ctx.session.scalars(sa.select(DnsRecord))] == ["web"]
    do(lambda ctx: service.update_network(ctx, service.get_network(ctx, lab), NetworkChanges(domain="new")))
    do(lambda ctx: service.create_subnet(ctx, service.get_network(ctx, lab), NewSubnet("10.10.0.0/24", routed=False)))
    with asking() as ctx, pytest.raises(Conflict, match="later changes stand on it"):
        operations.undo(ctx, second.id)


def test_making_and_deleting_are_undone(do: Do, world: World, lab: str, asking: Asking) -> None:
    before = world.snapshot()
    made = add(do, "db", "10.9.0.9")
    with_it = world.snapshot()
    gone = do(lambda ctx: service.delete_record(ctx, service.get_record(ctx, made.subject_id)))
    assert world.snapshot() == before
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert world.snapshot() == with_it
    do(lambda ctx: operations.undo(ctx, made.id))
    assert world.snapshot() == before


WRONG = [
    ("name", "", "10.9.0.9", ""), ("name", "a b", "10.9.0.9", ""), ("name", "-x", "10.9.0.9", ""),
    ("name", "*.lab", "10.9.0.9", ""), ("name", "9.0.9.10.in-addr.arpa", "10.9.0.9", ""),
    ("name", "x" * 64, "10.9.0.9", ""), ("address", "db", "web1", ""), ("address", "db", "", ""),
    ("address", "db", "10.9.0.9", "AAAA"), ("kind", "db", "web1.lab", "CNAME"), ("kind", "db", "10 mx", "MX"),
]  # fmt: skip


def test_what_cannot_be_answered_is_refused_by_field(asking: Asking, lab: str) -> None:
    with asking() as ctx:
        network = service.get_network(ctx, lab)
        for field, name, address, kind in WRONG:
            with pytest.raises(Invalid) as caught:
                service.create_record(ctx, network, name, address, kind)
            assert set(caught.value.fields) == {field}, (name, address, kind)


def test_a_machines_name_and_the_same_record_twice_are_refused(
    do: Do, asking: Asking, lab: str, plugged: Callable[..., Port]
) -> None:
    plugged("web1", network="lab")
    add(do, "db", "10.9.0.9")
    with asking() as ctx:
        network = service.get_network(ctx, lab)
        for name in ("web1", "WEB1", "web1.lab.internal"):
            with pytest.raises(Conflict):
                service.create_record(ctx, network, name, "10.9.0.9")
        with pytest.raises(Conflict):
            service.create_record(ctx, network, "db", "10.9.0.9")
        assert service.create_record(ctx, network, "db", "10.9.0.10")


def test_other_projects_neither_see_nor_make_them(do: Do, asking: Asking, lab: str, projects: Any) -> None:
    made = add(do, "db", "10.9.0.9").subject_id
    stranger = Actor("user", "usr_s", "s", {projects[1]: "member"})
    with asking(stranger, projects[1]) as ctx:
        with pytest.raises(NotFound):
            service.get_record(ctx, made)
        with pytest.raises(Forbidden):
            service.create_record(ctx, service.get_network(ctx, "external"), "db", "192.0.2.1")


def test_a_purged_network_takes_its_records_along(do: Do, asking: Asking, lab: str) -> None:
    from yun.network import rows

    add(do, "db", "10.9.0.9")
    do(lambda ctx: service.delete_network(ctx, service.get_network(ctx, lab)))
    with asking() as ctx:
        rows.forget(ctx.session, "network", lab)
        assert ctx.session.scalar(sa.select(sa.func.count()).select_from(DnsRecord)) == 0


def test_over_http_and_back(api: TestClient, engine: Engine, lab: str) -> None:  # noqa: F811
    made = api.post("/dns-records", json={"network": "lab", "name": "db", "address": "10.9.0.9"})
    assert made.status_code == 201, made.text
    engine.drain()
    assert made.json()["kind"] == "A"
    listed = api.get("/dns-records?network=lab").json()["items"]
    assert [(r["name"], r["address"]) for r in listed] == [("db", "10.9.0.9")]
    refused = api.post("/dns-records", json={"network": "lab", "name": "www", "address": "db", "kind": "CNAME"})
    assert refused.status_code == 422
    assert "kind" in refused.json()["fields"]
    record = f"/dns-records/{listed[0]['id']}"
    assert api.get(record).json()["name"] == "db"
    assert api.delete(record).status_code in (200, 202)
    engine.drain()
    assert api.get(record).status_code == 404
