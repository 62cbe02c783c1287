"""Networks on what is beyond the hosts' cards: described by operators, with tags, for machines or as a way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.network.conftest import Asking, Do
from tests.network.test_api import api, asking_as  # noqa: F401 (fixtures)
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.drivers.host.fake import FakeMachine
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import Port
from yun.network.service import NewNetwork, NewPhysical, NewSubnet
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.model import State

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.fixture
def lan(do: Do) -> str:
    return do(lambda ctx: service.create_physical(ctx, NewPhysical("lan", "br-lan", "eth1"))).subject_id


def put(do: Do, name: str, **rest: Any) -> Any:
    subnet = NewSubnet("192.0.2.0/24", name=name)
    return do(lambda ctx: service.create_network(ctx, NewNetwork(name, subnet=subnet, physical="lan", **rest)))


def test_a_described_network_is_mapped_and_its_undo_and_deletion_unmap_it(
    do: Do, machine: FakeMachine, lan: str
) -> None:
    assert machine.mappings == {"lan": ("br-lan", "eth1")}
    gone = do(lambda ctx: service.delete_physical(ctx, service.get_physical(ctx, "lan")))
    assert machine.mappings == {}
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert machine.mappings == {"lan": ("br-lan", "eth1")}


def test_a_card_that_is_not_there_fails_and_leaves_nothing(do: Do, machine: FakeMachine, asking: Asking) -> None:
    new = NewPhysical("lan", "br-lan", "eth0")
    do(lambda ctx: service.create_physical(ctx, new), state=State.FAILED)
    assert machine.mappings == {}
    with asking() as ctx:
        assert not service.list_physical(ctx).items


WRONG = [
    ("name", NewPhysical("", "br-lan")), ("name", NewPhysical("LAN 1", "br-lan")), ("bridge", NewPhysical("x", "")),
    ("bridge", NewPhysical("x", "a" * 16)), ("bridge", NewPhysical("x", "br/lan")),
    ("interface", NewPhysical("x", "br-x", "eth 1")), ("name", NewPhysical("physnet1", "br-x")),
]  # fmt: skip


def test_wrong_descriptions_name_their_field(asking: Asking, lan: str) -> None:
    with asking() as ctx:
        for field, new in WRONG:
            with pytest.raises(Invalid) as caught:
                service.create_physical(ctx, new)
            assert set(caught.value.fields) == {field}, new
        for new in (NewPhysical("lan", "br-other"), NewPhysical("other", "br-lan")):
            with pytest.raises(Conflict):
                service.create_physical(ctx, new)


def test_a_network_on_it_has_its_tag_and_machines_and_no_router_of_ours(
    do: Do, world: World, lan: str, plugged: Callable[..., Port]
) -> None:
    made = put(do, "dmz", vlan=42).subject_id
    spec = world.networks[made]
    assert (spec.physical, spec.vlan, spec.subnets[0].mtu) == ("lan", 42, 1500)
    assert all(leg.network_id != made for r in world.routers.values() for leg in r.interfaces)
    assert plugged(network="dmz").address == "192.0.2.2"


def test_two_networks_do_not_share_a_tag_and_what_is_in_use_is_not_forgotten(
    do: Do, asking: Asking, lan: str
) -> None:
    put(do, "dmz", vlan=42)
    with asking() as ctx:
        for new in (NewNetwork("b", physical="lan", vlan=42),):
            with pytest.raises(Conflict) as caught:
                service.create_network(ctx, new)
            assert "dmz" in caught.value.message.render()
        for field, new in (
            ("vlan", NewNetwork("b", physical="lan", vlan=0)), ("vlan", NewNetwork("b", physical="lan", vlan=4095)),
            ("physical", NewNetwork("b", physical="wan")), ("physical", NewNetwork("b", vlan=7)),
            ("physical", NewNetwork("b", external=True)), ("mtu", NewNetwork("b", physical="lan", mtu=9001)),
        ):  # fmt: skip
            with pytest.raises(Invalid) as wrong:
                service.create_network(ctx, new)
            assert field in wrong.value.fields, new
        with pytest.raises(Conflict) as used:
            service.delete_physical(ctx, service.get_physical(ctx, "lan"))
        assert "dmz" in used.value.message.render()


def test_a_way_out_is_everybodys_and_holds_no_machines(
    do: Do, asking: Asking, lan: str, projects: tuple[str, str]
) -> None:
    made = put(do, "uplink", external=True).subject_id
    member = Actor("user", "usr_m", "m", {projects[1]: "member"})
    with asking(member, projects[1]) as ctx:
        network = service.get_network(ctx, "uplink")
        assert (network.id, network.project_id) == (made, None)
        with pytest.raises(Invalid):
            service.plan_port(ctx, network="uplink")
        with pytest.raises(Forbidden):
            service.delete_network(ctx, network)
    gone = do(lambda ctx: service.delete_network(ctx, service.get_network(ctx, "uplink")))
    do(lambda ctx: operations.undo(ctx, gone.id))
    with asking() as ctx, pytest.raises(Conflict):
        service.delete_network(ctx, service.get_network(ctx, "external"))


def test_only_administrators_of_the_cloud_describe_and_use_them(
    asking: Asking, lan: str, projects: tuple[str, str]
) -> None:
    admin = Actor("user", "usr_a", "a", {projects[0]: "admin"})
    with asking(admin) as ctx:
        with pytest.raises(Forbidden):
            service.create_physical(ctx, NewPhysical("x", "br-x"))
        with pytest.raises(Forbidden):
            service.create_network(ctx, NewNetwork("b", physical="lan", vlan=7))
        with pytest.raises(Forbidden):
            service.list_physical(ctx)


def test_over_http_and_back(api: TestClient, engine: Engine) -> None:  # noqa: F811
    made = api.post("/physical-networks", json={"name": "lan", "bridge": "br-lan"})
    assert made.status_code == 201, made.text
    engine.drain()
    body = {"name": "dmz", "physical": "lan", "vlan": 42, "subnet": {"cidr": "192.0.2.0/24"}}
    assert api.post("/networks", json=body).status_code == 201
    engine.drain()
    shown = api.get("/networks/dmz").json()
    assert (shown["physical"], shown["vlan"], shown["mtu"]) == ("lan", 42, 1500)
    assert api.get("/physical-networks").json()["items"][0]["bridge"] == "br-lan"
    assert api.delete("/physical-networks/lan").status_code == 409


def test_every_page_of_these_verbs_is_drawn(
    api: TestClient, engine: Engine, lan: str, plugged: Callable[..., Port]  # noqa: F811
) -> None:
    plugged("web1", floating=True)
    shown = api.get("/networks/default").json()
    network, subnet = shown["id"], shown["subnets"][0]["id"]
    api.post(f"/subnets/{subnet}/reserve", json={"range": "10.77.0.9", "note": "db"})
    api.post("/dns-records", json={"network": "default", "name": "db", "address": "10.77.0.9"})
    engine.drain()
    for page in (
        "/networks/physical", "/networks/physical/new", f"/networks/{network}", f"/networks/{network}/edit",
        f"/networks/{network}/names", f"/networks/{network}/names/new", f"/networks/{network}/share",
        f"/subnets/{subnet}/edit", f"/subnets/{subnet}/addresses", f"/subnets/{subnet}/reserve", "/networks/new",
        f"/networks/physical/{lan}/delete/preview",
    ):  # fmt: skip
        drawn = api.get(f"http://localhost{page}")
        assert drawn.status_code == 200, (page, drawn.text[:300])
