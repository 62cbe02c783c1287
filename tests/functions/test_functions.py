"""Network functions as instances: made, changed live and at rest, looked at, mended, gone with their machine."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import both
from tests.functions.conftest import KEY, PEER, Street
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound
from yun.compute import service as compute
from yun.compute.model import Instance
from yun.functions import service
from yun.functions.model import NetworkFunction
from yun.network.model import Port
from yun.operations.model import Operation, State

WEB = {"rules": [{"action": "allow", "way": "in", "protocol": "tcp", "ports": "80"}]}
PROXY = {"backends": [{"target": "10.0.0.9", "port": 8080}]}


def test_a_firewall_has_two_open_cards_and_its_rules_from_the_first_start_on(street: Street) -> None:
    street.make("firewall", WEB, inner_network="inside")
    shown = street.shown()
    assert shown["networks"] == ["default", "inside"]
    with street.lab.database.read() as session:
        cards = session.execute(sa.select(Port.device_index, Port.port_security).order_by(Port.device_index)).all()
    assert [tuple(card) for card in cards] == [(0, False), (1, False)]
    assert shown["settings"]["masquerade"] is True
    assert street.lab.row("f1").memory_mib == 256


def test_settings_that_change_live_are_in_force_at_once_and_undo_gives_the_old_ones_back(street: Street) -> None:
    street.make("firewall", WEB, inner_network="inside")
    before, seed = street.guest().archive, street.seed()
    with street.lab.asking() as ctx:
        plan = service.update(ctx, *service.get(ctx, "f1"), {"rules": [{"action": "deny"}], "masquerade": True})
        said = [m.render("en") for m in plan.effects]
    assert said == ["No more: Allowed, inwards: TCP 80", "New: Denied, both ways: everything",
                    "It is in force at once.", "Connections that stand go on; counters begin at 0."]  # fmt: skip
    done = street.update({"rules": [{"action": "deny"}]})
    assert street.guest().archive not in (None, before)
    assert street.seed() != seed, "the next start brings the same"
    assert street.shown()["seen"]["health"] == "working"
    assert street.refresh()["seen"]["facts"]["counters"]["r1"] == [30, 2520]
    street.lab.undo(done)
    assert street.shown()["settings"]["rules"][0]["ports"] == "80"
    assert street.seed() == seed
    assert street.shown()["seen"]["current"]


def test_one_that_is_off_reads_its_settings_at_the_next_start(street: Street) -> None:
    street.make("proxy", PROXY)
    street.do(lambda ctx: compute.stop(ctx, compute.get(ctx, "f1"), force=True))
    seed, had = street.seed(), street.guest().archive
    street.update({**PROXY, "port": 8000})
    assert street.seed() != seed
    assert street.guest().archive == had
    assert street.shown()["seen"]["health"] == "off"


def test_a_guest_that_refuses_keeps_what_it_had_and_so_do_the_rows(street: Street) -> None:
    street.make("proxy", PROXY)
    street.update({**PROXY, "port": 81})
    had = street.guest().archive
    street.guest().refuses = "haproxy: cannot bind\nline two"
    failed = street.update({**PROXY, "port": 82}, state=State.FAILED)
    error = street.lab.operation(failed).error
    assert error is not None
    assert "cannot bind / line two" in str(error)
    assert street.shown()["settings"]["port"] == 81
    assert street.guest().archive == had
    street.guest().refuses = ""
    street.update({**PROXY, "port": 82})
    assert street.refresh()["seen"]["health"] == "working"


def test_one_whose_agent_is_away_is_not_changed_and_says_so(street: Street) -> None:
    street.make("proxy", PROXY)
    street.refresh()
    street.lab.world.guest(street.lab.row("f1").uuid, agent=False)
    street.do(lambda ctx: compute.tend(ctx, compute.get(ctx, "f1")))
    with street.lab.asking() as ctx, pytest.raises(Conflict):
        service.update(ctx, *service.get(ctx, "f1"), {**PROXY, "port": 81})
    with street.lab.asking() as ctx, pytest.raises(Conflict):
        service.refresh(ctx, *service.get(ctx, "f1"))


def test_one_that_stands_still_for_a_copy_is_not_changed(street: Street) -> None:
    street.make("proxy", PROXY)
    street.do(lambda ctx: compute.freeze(ctx, compute.get(ctx, "f1")))
    with street.lab.asking() as ctx, pytest.raises(Conflict):
        service.update(ctx, *service.get(ctx, "f1"), {**PROXY, "port": 81})
    assert street.shown()["settings"]["port"] == 80


@both
def test_backends_are_followed_by_instance_and_their_state_is_seen(street: Street) -> None:
    street.lab.create("web")
    street.make("proxy", {"backends": [{"target": "web", "port": 8080}, {"target": "10.0.0.9"}]})
    street.guest().down = {"b2"}
    assert street.guest().archive is None, "a guest in memory has read no seed"
    seen = street.refresh()["seen"]
    assert seen["health"] == "working", "it was given its configuration again"
    assert {n: b["state"] for n, b in seen["facts"]["backends"].items()} == {"b1": "up", "b2": "down"}
    assert street.lab.events("function.seen")
    assert street.shown()["targets"] == {street.lab.row("web").id: "web"}
    street.lab.do(compute.delete, "web")
    street.refresh()
    assert list(street.refresh()["seen"]["facts"]["backends"]) == ["b2"], "who is gone is asked no more"


def test_one_that_stands_is_started_again_and_nonsense_is_told(street: Street) -> None:
    street.make("proxy", PROXY)
    street.refresh()
    street.guest().stands = True
    seen = street.refresh()["seen"]
    assert not street.guest().stands
    assert seen["health"] in ("faulty", "working")
    assert street.refresh()["seen"]["health"] == "working"
    inside = street.lab.domain("f1").guest.inside
    inside.broken.add("guest-exec")
    seen = street.refresh()["seen"]
    assert [seen["health"], seen["reason"]] == ["faulty", "its guest does not tell what a function tells"]
    assert seen["facts"]["backends"], "what it last told is still shown"


def test_a_gateway_has_a_key_of_its_own_that_nobody_is_told(street: Street) -> None:
    street.make("vpn", {"peers": [PEER]})
    shown = street.shown()
    assert shown["settings"]["networks"] == ["10.77.0.0/24"] or len(shown["settings"]["networks"]) == 1
    with street.lab.database.read() as session:
        secret = session.scalars(sa.select(NetworkFunction.secret)).one()
        kept = str([list(row) for row in session.execute(sa.select(Operation.arguments, Operation.result))])
    assert len(secret) == 44
    assert secret not in str(shown)
    street.update({"peers": []})
    with street.lab.database.read() as session:
        kept += str([list(row) for row in session.execute(sa.text("SELECT * FROM operation_step"))])
    assert secret not in kept
    own = {**PEER, "public_key": shown["public_key"]}
    with street.lab.asking() as ctx, pytest.raises(Invalid) as caught:
        service.update(ctx, *service.get(ctx, "f1"), {"peers": [own]})
    assert list(caught.value.fields) == ["peers"]


def test_a_peers_file_names_where_the_gateway_is_reached(street: Street) -> None:
    street.make("vpn", {"peers": [PEER]}, floating_ip=True)
    with street.lab.asking() as ctx:
        row, instance = service.get(ctx, "f1")
        text = service.client_config(ctx, row, instance, "laptop")
    assert f"Endpoint = {street.shown()['floating_ips'][0]}:51820" in text
    assert f"PublicKey = {row.public_key}" in text
    street.make("proxy", PROXY, name="f2")
    with street.lab.asking() as ctx, pytest.raises(Conflict):
        service.client_config(ctx, *service.get(ctx, "f2"), "laptop")


def new(**rest: Any) -> service.NewFunction:
    """A function to be asked for."""
    return service.NewFunction(**{"name": "f1", "kind": "firewall", **rest})


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (new(kind="router"), "kind"), (new(image="tiny"), "image"), (new(inner_network="default"), "inner_network"),
        (new(kind="vpn", inner_network="inside"), "inner_network"), (new(settings=WEB), "rules"),
        (new(kind="proxy", settings={"backends": [{"target": "nobody"}]}), "backends"), (new(name=""), "name"),
        (new(kind="proxy", settings={}), "backends"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_made(street: Street, asked: service.NewFunction, field: str) -> None:
    with street.lab.asking() as ctx, pytest.raises(Invalid) as caught:
        service.create(ctx, asked)
    assert field in caught.value.fields
    assert not street.lab.rows(NetworkFunction)
    assert not street.lab.rows(Instance)


def test_without_its_image_a_function_says_how_to_get_it(street: Street) -> None:
    with street.lab.asking() as ctx, pytest.raises(NotFound):
        service.create(ctx, new(image="nothing"))


@both
def test_it_goes_to_the_trash_with_its_instance_and_comes_back(street: Street) -> None:
    street.make("proxy", PROXY)
    done = street.do(lambda ctx: service.delete(ctx, *service.get(ctx, "f1")))
    with street.lab.asking() as ctx:
        assert not service.list_functions(ctx).items
        assert service.list_functions(ctx, q="state:trashed").items
    street.lab.undo(done)
    with street.lab.asking() as ctx:
        assert [f.kind for f in service.list_functions(ctx, kind="proxy").items] == ["proxy"]
    street.lab.do(compute.delete, "f1")
    street.lab.do(compute.purge, "f1")
    assert not street.lab.rows(NetworkFunction)


def test_strangers_see_no_function_and_readers_change_none(street: Street) -> None:
    street.make("vpn", {"peers": [PEER]})
    project = street.lab.project_id
    stranger = Actor("user", "usr_x", "x", {"prj_other": "admin"})
    reader = Actor("user", "usr_y", "y", {project: "reader"})
    with street.lab.asking(stranger, project_id="prj_other") as ctx, pytest.raises(NotFound):
        service.get(ctx, street.shown()["id"])
    with street.lab.asking(reader) as ctx:
        row, instance = service.get(ctx, "f1")
        for ask in (
            lambda: service.update(ctx, row, instance, {"peers": []}), lambda: service.delete(ctx, row, instance),
            lambda: service.client_config(ctx, row, instance, "laptop"), lambda: service.create(ctx, new(name="f2")),
            lambda: service.refresh(ctx, row, instance),
        ):  # fmt: skip
            with pytest.raises(Forbidden):
                ask()


def test_two_that_change_it_at_once_do_not_overwrite_each_other(street: Street) -> None:
    street.make("proxy", PROXY)
    with street.lab.asking() as ctx:
        from yun.operations.service import submit

        row, instance = service.get(ctx, "f1")
        first = submit(ctx, service.update(ctx, row, instance, {**PROXY, "port": 81})).id
        second = submit(ctx, service.update(ctx, row, instance, {**PROXY, "port": 82})).id
    street.lab.drain()
    assert street.lab.operation(first).state == State.SUCCEEDED
    assert street.lab.operation(second).state == State.FAILED
    assert street.shown()["settings"]["port"] == 81
    assert KEY not in str(street.shown())
