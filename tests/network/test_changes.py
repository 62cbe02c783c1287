"""Networks and subnets that change while ports go on: what is refused, what guests are told, and two at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.network.conftest import Asking, Do
from tests.network.test_api import api, asking_as  # noqa: F401 (fixtures)
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import Port
from yun.network.service import NetworkChanges, NewNetwork, NewSubnet, SubnetChanges
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.model import State

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.fixture
def lab(do: Do) -> str:
    new = NewNetwork("lab", subnet=NewSubnet("10.9.0.0/24", name="lab", routed=False))
    return do(lambda ctx: service.create_network(ctx, new)).subject_id


def subnet_of(world: World, network_id: str) -> Any:
    return world.networks[network_id].subnets[0]


def change_subnet(do: Do, **changes: Any) -> Any:
    return do(lambda ctx: service.update_subnet(ctx, service.get_subnet(ctx, "lab"), SubnetChanges(**changes)))


def test_a_networks_names_end_in_the_projects_domain_until_it_is_told_another(do: Do, world: World, lab: str) -> None:
    assert world.networks[lab].domain == "default.internal"
    assert subnet_of(world, lab).domain == "default.internal"
    done = do(lambda ctx: service.update_network(ctx, service.get_network(ctx, lab), NetworkChanges(domain="Lab.")))
    assert world.networks[lab].domain == subnet_of(world, lab).domain == "lab"
    change_subnet(do, domain="db.lab")
    assert (world.networks[lab].domain, subnet_of(world, lab).domain) == ("lab", "db.lab")
    do(lambda ctx: operations.undo(ctx, done.id))
    assert (world.networks[lab].domain, subnet_of(world, lab).domain) == ("default.internal", "db.lab")


def test_what_guests_are_told_changes_at_once_and_back_by_undo(do: Do, world: World, lab: str) -> None:
    before = world.snapshot()
    way = {"destination": "192.168.7.0/24", "nexthop": "10.9.0.9"}
    done = change_subnet(
        do, dns_servers=["192.0.2.9"], ntp_servers=["192.0.2.7", "192.0.2.7"], routes=[way], lease_seconds=600
    )
    told = subnet_of(world, lab)
    assert (told.dns_servers, told.ntp_servers, told.lease_seconds) == (("192.0.2.9",), ("192.0.2.7",), 600)
    assert told.routes == (("192.168.7.0/24", "10.9.0.9"),)
    do(lambda ctx: operations.undo(ctx, done.id))
    assert world.snapshot() == before


def test_an_mtu_goes_to_every_subnet_and_no_further_than_tunnels_carry(do: Do, world: World, lab: str) -> None:
    do(lambda ctx: service.update_network(ctx, service.get_network(ctx, lab), NetworkChanges(mtu=1300)))
    assert subnet_of(world, lab).mtu == 1300
    with pytest.raises(Invalid) as caught:
        do(lambda ctx: service.update_network(ctx, service.get_network(ctx, lab), NetworkChanges(mtu=1443)))
    assert "1442" in caught.value.fields["mtu"].render()


WRONG = [
    ("gateway", {"gateway": "10.8.0.1"}),
    ("pool_start", {"pool_start": "10.9.1.1"}),
    ("pool_start", {"pool_start": "10.9.0.9", "pool_end": "10.9.0.2"}),
    ("dns_servers", {"dns_servers": ["2001:db8::1"]}),
    ("ntp_servers", {"ntp_servers": ["time.example"]}),
    ("routes", {"routes": [{"destination": "0.0.0.0/0", "nexthop": "10.9.0.9"}]}),
    ("routes", {"routes": [{"destination": "10.9.0.0/25", "nexthop": "10.9.0.9"}]}),
    ("routes", {"routes": [{"destination": "192.168.7.5/24", "nexthop": "10.9.0.9"}]}),
    ("routes", {"routes": [{"destination": "192.168.7.0/24", "nexthop": "10.8.0.9"}]}),
    ("routes", {"routes": [{"destination": "192.168.7.0/24", "nexthop": "10.9.0.9"}] * 2}),
    ("lease_seconds", {"lease_seconds": 5}),
    ("domain", {"domain": "a b"}),
    ("name", {"name": ""}),
]


def test_a_wrong_change_names_its_field_and_nothing_is_changed(asking: Asking, lab: str) -> None:
    with asking() as ctx:
        subnet = service.get_subnet(ctx, "lab")
        before = service.told_subnet(subnet)
        for field, values in WRONG:
            with pytest.raises(Invalid) as caught:
                service.update_subnet(ctx, subnet, SubnetChanges(**values))
            assert field in caught.value.fields, values
        with pytest.raises(Invalid):
            service.update_subnet(ctx, subnet, SubnetChanges())
        with pytest.raises(Conflict):
            service.update_subnet(ctx, subnet, SubnetChanges(name="lab", dhcp=True))
        assert service.told_subnet(subnet) == before


def test_a_gateway_moves_unless_a_router_stands_on_it_or_somebody_has_the_new_one(
    do: Do, asking: Asking, lab: str, plugged: Callable[..., Port], world: World
) -> None:
    port = plugged(network="lab")
    with pytest.raises(Conflict) as caught:
        change_subnet(do, gateway=port.address)
    assert "gateway" in caught.value.fields
    done = change_subnet(do, gateway="10.9.0.254")
    assert subnet_of(world, lab).gateway == "10.9.0.254"
    with asking() as ctx:
        assert service.plan_port(ctx, network="lab", address="10.9.0.1").port.address == "10.9.0.1"
        with pytest.raises(Conflict):
            service.plan_port(ctx, network="lab", address="10.9.0.254")
    do(lambda ctx: operations.undo(ctx, done.id))
    assert subnet_of(world, lab).gateway == "10.9.0.1"
    with asking() as ctx:
        home = service.subnets_of(ctx.session, service.get_network(ctx, "default").id)[0]
        with pytest.raises(Conflict) as stands:
            service.update_subnet(ctx, home, SubnetChanges(gateway="10.77.0.9"))
    assert "default" in stands.value.message.render()


def test_of_two_who_change_the_same_the_later_is_told_even_in_the_queue(
    do: Do, asking: Asking, engine: Engine, lab: str
) -> None:
    with asking() as ctx:
        first = operations.submit(ctx, service.update_network(
            ctx, service.get_network(ctx, lab), NetworkChanges(description="mine")
        )).id  # fmt: skip
        second = operations.submit(ctx, service.update_network(
            ctx, service.get_network(ctx, lab), NetworkChanges(description="yours")
        )).id  # fmt: skip
    engine.drain()
    with asking() as ctx:
        assert operations.get(ctx, first).state == State.SUCCEEDED
        failed = operations.get(ctx, second)
        assert failed.state == State.FAILED
        assert service.get_network(ctx, lab).description == "mine"


def test_only_members_change_and_what_lies_in_the_trash_is_not_changed(
    do: Do, asking: Asking, projects: tuple[str, str], lab: str
) -> None:
    from yun.base.context import Actor

    reader = Actor("user", "usr_r", "r", {projects[0]: "reader"})
    with asking(reader) as ctx:
        with pytest.raises(Forbidden):
            service.update_network(ctx, service.get_network(ctx, lab), NetworkChanges(name="x"))
        with pytest.raises(Forbidden):
            service.update_subnet(ctx, service.get_subnet(ctx, "lab"), SubnetChanges(name="x"))
    member = Actor("user", "usr_m", "m", {projects[0]: "member"})
    with asking(member) as ctx, pytest.raises(Forbidden):
        service.update_network(ctx, service.get_network(ctx, "external"), NetworkChanges(name="x"))
    do(lambda ctx: service.delete_network(ctx, service.get_network(ctx, lab)))
    with asking() as ctx, pytest.raises(Conflict):
        service.update_network(ctx, service.get_network(ctx, lab), NetworkChanges(name="x"))


def test_a_change_over_http_says_what_differs_where_somebody_was_faster(
    api: TestClient, engine: Engine, lab: str  # noqa: F811
) -> None:
    shown = api.get("/networks/lab").json()
    seen = api.get("/networks/lab").headers["etag"]
    done = api.patch("/networks/lab", json={"description": "mine", "was": {"description": shown["description"]}})
    assert done.status_code == 202, done.text
    engine.drain()
    late = api.patch("/networks/lab", json={"description": "yours"}, headers={"If-Match": seen})
    assert late.status_code == 409, late.text
    assert late.json()["details"]["difference"] == [{"field": "description", "theirs": "mine", "yours": "yours"}]
    crossed = api.patch("/networks/lab", json={"description": "yours", "was": {"description": ""}})
    assert crossed.status_code == 409
    plan = api.patch("/networks/lab?dry_run=true", json={"mtu": 1400}).json()
    assert plan["effects"] == ["MTU: 1400 instead of 1442."]
    shown = api.patch("/subnets/lab", json={"routes": [{"destination": "192.168.7.0/24", "nexthop": "10.9.0.9"}]})
    assert shown.status_code == 202, shown.text
    engine.drain()
    assert api.get("/subnets/lab").json()["routes"] == [{"destination": "192.168.7.0/24", "nexthop": "10.9.0.9"}]
