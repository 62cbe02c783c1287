"""Security groups and address sets: what changes of them, what is refused and by whom it is used, copies, previews."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.network.conftest import Asking, Do
from yun.base.db import Database
from yun.base.errors import Conflict, Invalid, NotFound
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import Port
from yun.network.service import NewRule, group_changes, sets
from yun.network.service.reach import Question, reach
from yun.operations import service as operations

pytestmark = pytest.mark.usefixtures("cloud")
Plugged = Callable[..., Port]


def english(messages: Any) -> list[str]:
    return [m.render("en") for m in messages]


@pytest.fixture
def web(do: Do) -> None:
    do(lambda ctx: service.create_group(ctx, "web"))
    do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "web"), NewRule(port_min=80)))


def rule_id(asking: Asking, group: str = "web", *, ingress: bool = True) -> str:
    with asking() as ctx:
        rules = service.rules_of(ctx.session, service.get_group(ctx, group).id)
        return next(r.id for r in rules if (r.direction == "ingress") == ingress and r.family == "ipv4")


def test_a_stateless_group_is_so_in_the_engine_and_undo_makes_it_follow_again(
    do: Do, web: None, world: World, asking: Asking
) -> None:
    with asking() as ctx:
        identifier = service.get_group(ctx, "web").id
        told = english(group_changes.update_group(ctx, service.get_group(ctx, "web"), stateless=True).effects)
    assert "answers to what is allowed need rules of their own" in told[0]
    done = do(lambda ctx: group_changes.update_group(ctx, service.get_group(ctx, "web"), stateless=True))
    assert world.groups[identifier].stateless
    do(lambda ctx: operations.undo(ctx, done.id))
    assert not world.groups[identifier].stateless


def test_answers_through_a_stateless_group_need_a_rule_of_their_own(
    do: Do, web: None, plugged: Plugged, asking: Asking
) -> None:
    do(lambda ctx: group_changes.update_group(ctx, service.get_group(ctx, "web"), stateless=True))
    outward = rule_id(asking, ingress=False)
    do(lambda ctx: service.remove_rule(ctx, service.get_group(ctx, "web"), outward))
    plugged("one"), plugged("two", groups=["web"])

    def ask() -> Any:
        with asking() as ctx:
            return reach(ctx, Question("one", "two", "tcp", 80))

    answer = ask()
    assert answer.verdict.code == "replies"
    assert "is stateless, and no rule lets the answers out of two" in answer.text.render("en")
    missing = answer.missing
    assert missing is not None
    wish = NewRule(missing.direction, missing.protocol, remote=missing.remote)
    do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "web"), wish))
    assert ask().ok


def test_stateful_and_stateless_groups_do_not_share_a_card(
    do: Do, web: None, plugged: Plugged, asking: Asking
) -> None:
    plugged("one", groups=["default", "web"])
    with asking() as ctx, pytest.raises(Conflict) as caught:
        group_changes.update_group(ctx, service.get_group(ctx, "web"), stateless=True)
    assert "one are in stateful groups too" in caught.value.message.render("en")
    do(lambda ctx: service.create_group(ctx, "raw"))
    do(lambda ctx: group_changes.update_group(ctx, service.get_group(ctx, "raw"), stateless=True))
    with asking() as ctx, pytest.raises(Invalid) as refused:
        service.plan_port(ctx, groups=["raw", "web"])
    assert set(refused.value.fields) == {"groups"}


def test_a_group_is_renamed_but_for_the_default_one_and_to_no_taken_name(do: Do, web: None, asking: Asking) -> None:
    do(lambda ctx: group_changes.update_group(ctx, service.get_group(ctx, "web"), name="网站", description="x"))
    with asking() as ctx:
        assert service.get_group(ctx, "网站").description == "x"
        with pytest.raises(Conflict):
            group_changes.update_group(ctx, service.get_group(ctx, "default"), name="other")
        with pytest.raises(Conflict):
            group_changes.update_group(ctx, service.get_group(ctx, "网站"), name="default")
        with pytest.raises(Conflict):
            group_changes.update_group(ctx, service.get_group(ctx, "网站"), name="网站")


def test_a_rule_changes_in_its_place_and_tells_who_gains_and_loses(
    do: Do, web: None, plugged: Plugged, asking: Asking, world: World
) -> None:
    plugged("one", groups=["web"])
    identifier = rule_id(asking)

    def change(ctx: Any) -> Any:
        found = service.get_group(ctx, "web")
        wish = group_changes.changed_wish(group_changes.rule_of(ctx, found, identifier), {"port_min": 443})
        return group_changes.update_rule(ctx, found, identifier, wish)

    with asking() as ctx:
        assert english(change(ctx).effects) == [
            "Instead of TCP 80 from anybody it allows TCP 443 from anybody.",
            "Lost by one: TCP 80 from anybody.", "Gained by one: TCP 443 from anybody.",
        ]  # fmt: skip
    done = do(change)
    assert rule_id(asking) == identifier
    with asking() as ctx:
        spec = world.groups[service.get_group(ctx, "web").id]
    assert [r.port_min for r in spec.rules if r.direction == "ingress"] == [443]
    do(lambda ctx: operations.undo(ctx, done.id))
    with asking() as ctx:
        spec = world.groups[service.get_group(ctx, "web").id]
    assert [r.port_min for r in spec.rules if r.direction == "ingress"] == [80]


def test_another_protocol_takes_the_ports_with_it(do: Do, web: None, asking: Asking) -> None:
    identifier = rule_id(asking)

    def change(ctx: Any) -> Any:
        found = service.get_group(ctx, "web")
        wish = group_changes.changed_wish(group_changes.rule_of(ctx, found, identifier), {"protocol": "icmp"})
        return group_changes.update_rule(ctx, found, identifier, wish)

    do(change)
    with asking() as ctx:
        found = group_changes.rule_of(ctx, service.get_group(ctx, "web"), identifier)
        assert (found.protocol, found.port_min) == ("icmp", None)
        with pytest.raises(NotFound):
            group_changes.rule_of(ctx, service.get_group(ctx, "default"), identifier)


def test_a_clone_has_the_same_rules_and_names_itself(do: Do, asking: Asking) -> None:
    do(lambda ctx: group_changes.clone_group(ctx, service.get_group(ctx, "default"), "copy"))
    with asking() as ctx:
        copy, source = service.get_group(ctx, "copy"), service.get_group(ctx, "default")
        rules = service.rules_of(ctx.session, copy.id)
        assert len(rules) == len(service.rules_of(ctx.session, source.id))
        assert {r.remote_group_id for r in rules} == {None, copy.id}
        assert not copy.is_default


def test_deleting_what_is_in_use_says_by_whom(do: Do, web: None, plugged: Plugged, asking: Asking) -> None:
    plugged("one", groups=["web"]), plugged("two", groups=["web"])
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.delete_group(ctx, service.get_group(ctx, "web"))
    assert "is in use by: one, two." in caught.value.message.render("en")
    do(lambda ctx: service.create_group(ctx, "db"))
    do(lambda ctx: service.create_group(ctx, "other"))
    do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "other"), NewRule(port_min=1, remote="db")))
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.delete_group(ctx, service.get_group(ctx, "db"))
    assert "Rules of other name this group." in caught.value.message.render("en")


# ── address sets ──


@pytest.fixture
def office(do: Do, web: None) -> None:
    do(lambda ctx: sets.create_set(ctx, "office", ["198.51.100.0/24", "2001:db8::/32"]))
    do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "web"), NewRule(port_min=22, remote="office")))


def test_rules_follow_their_address_set(
    do: Do, office: None, plugged: Plugged, asking: Asking, world: World
) -> None:
    plugged("one", groups=["web"], floating=True)

    def can(source: str) -> bool:
        with asking() as ctx:
            return reach(ctx, Question(source, "one", "tcp", 22)).ok

    assert can("198.51.100.9")
    assert not can("203.0.113.9")
    with asking() as ctx:
        identifier = sets.get_set(ctx, "office").id
        told = english(sets.update_set(ctx, sets.get_set(ctx, "office"), ranges=["203.0.113.9"]).effects)
    assert told == [
        "New in it: 203.0.113.9/32.", "No longer in it: 198.51.100.0/24, 2001:db8::/32.",
        "Lost by one: TCP 22 from 198.51.100.0/24.", "Gained by one: TCP 22 from 203.0.113.9.",
        "Rules of these security groups name it: web.",
    ]  # fmt: skip
    done = do(lambda ctx: sets.update_set(ctx, sets.get_set(ctx, "office"), ranges=["203.0.113.9"]))
    assert world.sets[identifier].ranges == ("203.0.113.9/32",)
    assert can("203.0.113.9")
    do(lambda ctx: sets.update_set(ctx, sets.get_set(ctx, "office"), ranges=[]))
    assert not can("203.0.113.9")
    assert not can("anywhere")
    assert done.undoable


def test_an_address_set_in_use_stays_and_one_that_is_not_goes_and_comes_back(
    do: Do, office: None, asking: Asking, world: World
) -> None:
    with asking() as ctx, pytest.raises(Conflict) as caught:
        sets.delete_set(ctx, sets.get_set(ctx, "office"))
    assert "Rules of web name this address set." in caught.value.message.render("en")
    do(lambda ctx: sets.create_set(ctx, "lone", ["192.0.2.1"]))
    done = do(lambda ctx: sets.delete_set(ctx, sets.get_set(ctx, "lone")))
    assert len(world.sets) == 1
    do(lambda ctx: operations.undo(ctx, done.id))
    assert len(world.sets) == 2


WRONG_RANGES = [["10.0.0.0/33"], ["office"], ["10.0.0.1", "::/129"], ["10.0.0.1/24x"]]


@pytest.mark.parametrize("ranges", WRONG_RANGES, ids=str)
def test_ranges_that_are_none_are_refused_by_their_field(ranges: list[str], asking: Asking) -> None:
    with asking() as ctx, pytest.raises(Invalid) as caught:
        sets.create_set(ctx, "s", ranges)
    assert set(caught.value.fields) == {"ranges"}


def test_a_set_has_at_most_500_ranges(asking: Asking) -> None:
    many = [f"10.{i // 250}.{i % 250}.0/24" for i in range(501)]
    with asking() as ctx, pytest.raises(Invalid):
        sets.create_set(ctx, "s", many)
    with asking() as ctx:
        assert sets.create_set(ctx, "s", many[:500]).kind == "address_set.create"


# ── limits and what makes no sense ──

WRONG_RULES: list[tuple[dict[str, Any], str]] = [
    ({"port_min": 90, "port_max": 80}, "port_max"), ({"protocol": "gre"}, "protocol"), ({"port_min": 0}, "port_min"),
    ({"port_min": 65536}, "port_min"), ({"port_max": 80}, "port_min"), ({"protocol": "any", "port_min": 1}, "port_min"),
    ({"direction": "up"}, "direction"), ({"family": "ipx"}, "family"), ({"icmp_type": 8}, "icmp_type"),
    ({"protocol": "icmp", "icmp_code": 1}, "icmp_type"), ({"protocol": "icmp", "icmp_type": 256}, "icmp_type"),
    ({"remote": "10.0.0.0/40"}, "remote"), ({"remote": "2001:db8::/32"}, "remote"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "field"), WRONG_RULES, ids=str)
def test_rules_that_make_no_sense_name_the_field_new_or_changed(
    values: dict[str, Any], field: str, web: None, asking: Asking
) -> None:
    identifier = rule_id(asking)
    with asking() as ctx:
        found = service.get_group(ctx, "web")
        for make in (service.add_rule, lambda c, g, r: group_changes.update_rule(c, g, identifier, r)):
            with pytest.raises(Invalid) as caught:
                make(ctx, found, NewRule(**values))
            assert field in caught.value.fields


def test_the_201st_rule_is_refused_and_200_are_judged(do: Do, plugged: Plugged, asking: Asking) -> None:
    do(lambda ctx: service.create_group(ctx, "many"))
    from yun.network import rows
    from yun.network.service.groups import plan_rule, rule_values

    with asking() as ctx:
        found = service.get_group(ctx, "many")
        for number in range(198):
            planned = plan_rule(ctx, found, NewRule(port_min=1000 + 2 * number))
            rows.insert_rule(ctx.session, found.id, rule_values(planned))
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.add_rule(ctx, service.get_group(ctx, "many"), NewRule(port_min=9))
    assert "at most 200 rules" in caught.value.message.render("en")
    plugged("one"), plugged("two", groups=["many"])
    with asking() as ctx:
        answer = reach(ctx, Question("one", "two", "tcp"))
        assert len(answer.passes) == 198
        assert answer.steps[-1].text.render("en") == "And 188 further rules."


def test_sixty_groups_on_a_card_work_and_sixty_one_do_not(
    do: Do, plugged: Plugged, asking: Asking, database: Database
) -> None:
    names = [f"g{n}" for n in range(61)]
    for name in names:
        do(lambda ctx, name=name: service.create_group(ctx, name))
    do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "g59"), NewRule(port_min=7)))
    with asking() as ctx, pytest.raises(Invalid) as caught:
        service.plan_port(ctx, groups=names)
    assert set(caught.value.fields) == {"groups"}
    plugged("one"), plugged("two", groups=names[:60])
    with asking() as ctx:
        assert reach(ctx, Question("one", "two", "tcp", 7)).ok
