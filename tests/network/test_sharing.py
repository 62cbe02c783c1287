"""Networks that other projects use: who sees them, who may be on them, who may not change them, and how that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.network.conftest import Asking, Do
from tests.network.test_api import api, asking_as  # noqa: F401 (fixtures)
from yun.base.context import Actor, Context
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound
from yun.base.ids import new_id
from yun.base.messages import _
from yun.hosts.service import local_host
from yun.network import service
from yun.network.model import Network, Subnet
from yun.network.service import NetworkChanges, NewNetwork, NewSubnet
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.intent import Intent, Subject
from yun.operations.model import State

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.fixture
def lab(do: Do) -> str:
    new = NewNetwork("lab", subnet=NewSubnet("10.9.0.0/24", name="lab"))
    return do(lambda ctx: service.create_network(ctx, new)).subject_id


@pytest.fixture
def stranger(projects: tuple[str, str]) -> dict[str, Any]:
    """A member of the other project."""
    return {"actor": Actor("user", "usr_s", "s", {projects[1]: "member"}), "project": projects[1]}


def share(do: Do, whom: str) -> Any:
    return do(lambda ctx: service.share(ctx, service.get_network(ctx, "lab"), whom))


def plug(do: Do, who: dict[str, Any], network: str = "lab") -> Any:
    """A machine of the other project on the network."""

    def make(ctx: Context) -> Intent:
        plan = service.plan_port(ctx, network=network, instance_id=new_id("ins"), hostname="theirs")
        arguments = {
            "instance_id": plan.port.instance_id, "port_ids": [plan.id], "floating_ids": [],
            "host_id": local_host(ctx.session).id,
        }  # fmt: skip
        return Intent("test.plug", _("Plug"), Subject("port", plan.id), arguments, write=plan.write)

    return do(make, **who)


def test_a_network_is_nobody_elses_until_it_is_shared(
    do: Do, lab: str, asking: Asking, stranger: dict[str, Any]
) -> None:
    with asking(**stranger) as ctx:
        with pytest.raises(NotFound):
            service.get_network(ctx, "lab")
        with pytest.raises(NotFound):
            service.get_subnet(ctx, "lab")
    share(do, "other")
    with asking(**stranger) as ctx:
        assert service.get_network(ctx, "lab").id == lab
        assert service.get_subnet(ctx, "lab").network_id == lab
        assert lab in {n.id for n in service.list_of(ctx, Network).items}
        assert lab in {s.network_id for s in service.list_of(ctx, Subnet).items}
        plan = service.plan_port(ctx, network="lab")
        assert plan.port.project_id == stranger["project"]
    bare = {**stranger, "project": None}
    with asking(**bare) as ctx:
        assert lab in {n.id for n in service.list_of(ctx, Network).items}


def test_who_uses_it_cannot_change_it(do: Do, lab: str, asking: Asking, stranger: dict[str, Any]) -> None:
    share(do, "other")
    with asking(**stranger) as ctx:
        network, subnet = service.get_network(ctx, "lab"), service.get_subnet(ctx, "lab")
        for ask in (
            lambda: service.update_network(ctx, network, NetworkChanges(name="x")),
            lambda: service.delete_network(ctx, network),
            lambda: service.create_subnet(ctx, network, NewSubnet("10.8.0.0/24")),
            lambda: service.delete_subnet(ctx, subnet),
            lambda: service.reserve(ctx, subnet, "10.9.0.9"),
            lambda: service.create_record(ctx, network, "db", "10.9.0.9"),
            lambda: service.share(ctx, network, "default"),
            lambda: service.unshare(ctx, network, "other"),
            lambda: service.addresses_in(ctx, subnet),
        ):
            with pytest.raises(Forbidden):
                ask()


def test_it_is_not_taken_back_while_somebody_uses_it_and_says_who(
    do: Do, lab: str, asking: Asking, stranger: dict[str, Any]
) -> None:
    made = share(do, "other")
    plug(do, stranger)
    with asking() as ctx:
        network = service.get_network(ctx, "lab")
        with pytest.raises(Conflict) as caught:
            service.unshare(ctx, network, "other")
        assert "other (1)" in caught.value.message.render()
        with pytest.raises(Conflict) as used:
            service.delete_network(ctx, network)
        assert "10.9.0.2" in used.value.message.render()
        assert "theirs" not in used.value.message.render(), "names of other projects' machines are not told"
    refused = do(lambda ctx: operations.undo(ctx, made.id), state=State.FAILED)
    assert "other (1)" in str(refused.error)
    share(do, "*")
    do(lambda ctx: service.unshare(ctx, service.get_network(ctx, "lab"), "other"))
    with asking() as ctx, pytest.raises(Conflict):
        service.unshare(ctx, service.get_network(ctx, "lab"), "*")


def test_sharing_with_all_is_for_administrators_of_the_cloud(
    do: Do, lab: str, asking: Asking, projects: tuple[str, str], stranger: dict[str, Any]
) -> None:
    admin = Actor("user", "usr_a", "a", {projects[0]: "admin"})
    member = Actor("user", "usr_m", "m", {projects[0]: "member"})
    with asking(admin) as ctx:
        network = service.get_network(ctx, "lab")
        assert service.share(ctx, network, "other")
        with pytest.raises(Forbidden):
            service.share(ctx, network, "*")
        with pytest.raises(NotFound):
            service.share(ctx, network, "nobody")
    with asking(member) as ctx, pytest.raises(Forbidden):
        service.share(ctx, service.get_network(ctx, "lab"), "other")
    share(do, "*")
    with asking(**stranger) as ctx:
        assert service.plan_port(ctx, network="lab").network.id == lab
    with asking() as ctx:
        with pytest.raises(Conflict):
            service.share(ctx, service.get_network(ctx, "lab"), "*")
        with pytest.raises(Conflict):
            service.share(ctx, service.get_network(ctx, "lab"), "default")
        with pytest.raises(Conflict):
            service.unshare(ctx, service.get_network(ctx, "lab"), "other")


def test_ones_own_network_is_meant_before_a_shared_one_of_the_same_name(
    do: Do, lab: str, asking: Asking, stranger: dict[str, Any]
) -> None:
    share(do, "other")
    own = do(lambda ctx: service.create_network(ctx, NewNetwork("lab")), **stranger).subject_id
    with asking(**stranger) as ctx:
        assert service.get_network(ctx, "lab").id == own
        assert service.get_network(ctx, lab).id == lab
        with pytest.raises(Invalid):
            service.create_network(ctx, NewNetwork("net", subnet=NewSubnet("nonsense")))


def test_over_http_and_back(
    api: TestClient, asking_as: Callable[..., TestClient], engine: Engine, lab: str,  # noqa: F811
    stranger: dict[str, Any], projects: tuple[str, str],
) -> None:  # fmt: skip
    assert api.post("/networks/lab/share", json={"project": "other"}).status_code in (200, 202)
    engine.drain()
    assert api.get("/networks/lab").json()["shared_with"] == [projects[1]]
    with asking_as(stranger["actor"], projects[1]) as theirs:
        shown = theirs.get("/networks/lab")
        assert shown.status_code == 200
        assert shown.json()["shared_with"] == [projects[1]]
        assert theirs.patch("/networks/lab", json={"name": "x"}).status_code == 403
    plan = api.post("/networks/lab/unshare?dry_run=true", json={"project": "other"}).json()
    assert plan["effects"] == ["Members of other do not see the network lab any more."]
