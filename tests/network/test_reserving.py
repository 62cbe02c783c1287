"""Addresses that are given to nobody, clear refusals of what is taken, and who has which address since when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.network.conftest import Asking, Do
from tests.network.test_api import api, asking_as  # noqa: F401 (fixtures)
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound
from yun.network import service
from yun.network.model import Port
from yun.network.service import NewNetwork, NewSubnet
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.model import State

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.fixture
def lab(do: Do) -> str:
    subnet = NewSubnet("10.9.0.0/24", name="lab", routed=False, pool_start="10.9.0.2", pool_end="10.9.0.6")
    return do(lambda ctx: service.create_network(ctx, NewNetwork("lab", subnet=subnet))).subject_id


def reserve(do: Do, text: str, note: str = "") -> Any:
    return do(lambda ctx: service.reserve(ctx, service.get_subnet(ctx, "lab"), text, note))


def seen(asking: Asking, **who: Any) -> list[tuple[str, str, str]]:
    """(first, last, kind) of each entry."""
    with asking(**who) as ctx:
        page = service.addresses_in(ctx, service.get_subnet(ctx, "lab"))
        return [
            (e.first, e.last, e.holder.kind if e.holder else "reserved" if e.reserved else "free")
            for e in page.entries
        ]


def test_what_is_reserved_is_given_to_nobody_until_it_is_taken_back(
    do: Do, lab: str, plugged: Callable[..., Port], asking: Asking
) -> None:
    reserve(do, "10.9.0.2-10.9.0.3", "printers")
    assert plugged(network="lab").address == "10.9.0.4"
    with asking() as ctx:
        with pytest.raises(Conflict) as caught:
            service.plan_port(ctx, network="lab", address="10.9.0.3")
        assert "printers" in caught.value.message.render()
        assert service.pool_use(ctx.session, service.get_subnet(ctx, "lab")) == (2, 5)
    gone = do(lambda ctx: service.unreserve(ctx, service.get_subnet(ctx, "lab"), "10.9.0.3"))
    assert plugged(network="lab").address == "10.9.0.2"
    refused = do(lambda ctx: operations.undo(ctx, gone.id), state=State.FAILED)
    assert "hello" in str(refused.error)


def test_a_full_pool_is_told_with_its_numbers_and_reservations_count(do: Do, lab: str, asking: Asking) -> None:
    reserve(do, "10.9.0.2-10.9.0.7")
    with asking() as ctx:
        with pytest.raises(NoCapacity) as caught:
            service.plan_port(ctx, network="lab")
        assert caught.value.details["total"] == 5
        assert caught.value.details["free"] == 0


WRONG = ["", "10.9.0.300", "10.9.1.0/24", "10.9.0.9-10.9.0.2", "10.8.0.1", "10.9.0.5/29", "10.9.0.0", "x-y", "fd00::1"]


def test_a_wrong_range_names_its_field(lab: str, asking: Asking) -> None:
    with asking() as ctx:
        subnet = service.get_subnet(ctx, "lab")
        for text in WRONG:
            with pytest.raises(Invalid) as caught:
                service.reserve(ctx, subnet, text)
            assert set(caught.value.fields) == {"range"}, text
        with pytest.raises(NotFound):
            service.unreserve(ctx, subnet, "10.9.0.77")


def test_what_somebody_has_is_not_reserved_and_says_whose_it_is(
    do: Do, lab: str, plugged: Callable[..., Port], asking: Asking
) -> None:
    port = plugged("web1", network="lab")
    with asking() as ctx:
        subnet = service.get_subnet(ctx, "lab")
        for text, word in (("10.9.0.0/25", "web1"), ("10.9.0.1", "lab"), (port.address, port.address)):
            with pytest.raises(Conflict) as caught:
                service.reserve(ctx, subnet, text)
            assert word in caught.value.message.render()
    reserve(do, "10.9.0.100-10.9.0.109")
    with asking() as ctx, pytest.raises(Conflict):
        service.reserve(ctx, service.get_subnet(ctx, "lab"), "10.9.0.109-10.9.0.120")


def test_what_lies_in_the_trash_keeps_its_address_and_says_so(
    do: Do, lab: str, plugged: Callable[..., Port], asking: Asking
) -> None:
    from yun.base.messages import _
    from yun.operations.intent import Intent, Subject

    port = plugged("web1", network="lab")
    do(lambda _ctx: Intent("test.unplug", _("Unplug"), Subject("port", port.id), {"port_ids": [port.id]}))
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.plan_port(ctx, network="lab", address=port.address)
    assert "web1" in caught.value.message.render()
    assert "trash" in caught.value.message.render()


def test_everybody_who_has_an_address_is_listed_with_the_free_ones_between(
    do: Do, lab: str, plugged: Callable[..., Port], asking: Asking
) -> None:
    assert seen(asking) == [("10.9.0.1", "10.9.0.1", "gateway"), ("10.9.0.2", "10.9.0.6", "free")]
    plugged("web1", network="lab", address="10.9.0.4")
    reserve(do, "10.9.0.5", "db")
    reserve(do, "10.9.0.200-10.9.0.210")
    assert seen(asking) == [
        ("10.9.0.1", "10.9.0.1", "gateway"), ("10.9.0.2", "10.9.0.3", "free"), ("10.9.0.4", "10.9.0.4", "port"),
        ("10.9.0.5", "10.9.0.5", "reserved"), ("10.9.0.6", "10.9.0.6", "free"),
        ("10.9.0.200", "10.9.0.210", "reserved"),
    ]  # fmt: skip
    with asking() as ctx:
        subnet = service.get_subnet(ctx, "lab")
        entry = service.addresses_in(ctx, subnet).entries[2]
        assert entry.holder is not None
        assert entry.holder.name == "web1"
        assert entry.holder.since is not None
        first = service.addresses_in(ctx, subnet, limit=1)
        assert [e.first for e in first.entries] == ["10.9.0.1"]
        rest = service.addresses_in(ctx, subnet, after=first.after or 0)
        assert [e.first for e in rest.entries] == ["10.9.0.2", "10.9.0.4", "10.9.0.5", "10.9.0.6", "10.9.0.200"]


def test_floating_ips_and_routers_are_listed_by_name(do: Do, plugged: Callable[..., Port], asking: Asking) -> None:
    plugged("web1", floating=True)
    with asking() as ctx:
        outside = service.subnets_of(ctx.session, service.get_network(ctx, "external").id)[0]
        listed = [e.holder for e in service.addresses_in(ctx, outside).entries if e.holder]
        assert {h.kind for h in listed} == {"gateway", "router", "floating_ip"}
        assert {h.name for h in listed if h.kind == "router"} == {"default"}


def test_names_of_other_projects_things_are_not_told(do: Do, plugged: Any, asking: Asking, projects: Any) -> None:
    plugged("secret", floating=True)
    stranger = Actor("user", "usr_s", "s", {projects[1]: "member"})
    with asking(stranger, projects[1]) as ctx:
        outside = service.subnets_of(ctx.session, service.get_network(ctx, "external").id)[0]
        listed = [e.holder for e in service.addresses_in(ctx, outside).entries if e.holder]
        theirs = [h for h in listed if h.project_id == projects[0]]
        assert theirs
        assert all(not h.name and not h.id for h in theirs)
        with pytest.raises(Forbidden):
            service.reserve(ctx, outside, str(outside.pool_end))


def test_what_guests_of_ipv6_made_themselves_is_listed_too(
    do: Do, lab: str, plugged: Callable[..., Port], asking: Asking
) -> None:
    six = NewSubnet("fd00:1::/64", name="six", routed=False)
    do(lambda ctx: service.create_subnet(ctx, service.get_network(ctx, "lab"), six))
    near, far = plugged("near", network="lab"), plugged("far", network="lab", mac="fa:54:00:00:00:01")
    with asking() as ctx:
        listed = service.addresses_in(ctx, service.get_subnet(ctx, "six")).entries
        assert [(e.first, e.holder and e.holder.name) for e in listed] == [
            ("fd00:1::1", "six"), (service.places_of(ctx.session, near)[1][1], "near"),
            (service.places_of(ctx.session, far)[1][1], "far"),
        ]  # fmt: skip


def test_over_http_and_back(api: TestClient, engine: Engine, lab: str) -> None:  # noqa: F811
    made = api.post("/subnets/lab/reserve", json={"range": "10.9.0.2-10.9.0.3", "note": "打印机"})
    assert made.status_code in (200, 202), made.text
    engine.drain()
    listed = api.get("/subnets/lab/addresses").json()
    kept = next(i for i in listed["items"] if i["kind"] == "reserved")
    assert (kept["first"], kept["last"], kept["note"], kept["text"]) == ("10.9.0.2", "10.9.0.3", "打印机", "打印机")
    assert listed["next"] is None
    assert api.get("/subnets/lab/addresses?limit=1").json()["next"] is None
    assert api.post("/subnets/lab/reserve", json={"range": "10.9.0.3"}).status_code == 409
    plan = api.post("/subnets/lab/unreserve?dry_run=true", json={"range": kept["id"]})
    assert plan.json()["effects"] == ["The addresses 10.9.0.2-10.9.0.3 can be given out again."]
