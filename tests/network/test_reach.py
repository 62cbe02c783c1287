"""Can A talk to B: the way, the groups of both, the answers; what reaches a machine in words; what a change does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.db import Database
from yun.base.errors import Conflict, Invalid, NotFound
from yun.network import service
from yun.network.model import FloatingIp, Network, Port, Router, SecurityRule
from yun.network.service import NewRule, paths
from yun.network.service.reach import Answer, Question, of_ports, reach

pytestmark = pytest.mark.usefixtures("cloud")
Plugged = Callable[..., Port]


@pytest.fixture
def can(asking: Asking) -> Callable[..., Answer]:
    def ask(source: str, target: str, protocol: str | None = None, port: int | None = None) -> Answer:
        with asking() as ctx:
            return reach(ctx, Question(source, target, protocol, port))

    return ask


def english(parts: Any) -> list[str]:
    return [p if isinstance(p, str) else p.render("en") for p in parts]


def group(do: Do, name: str, *rules: NewRule) -> None:
    do(lambda ctx: service.create_group(ctx, name))
    for rule in rules:
        do(lambda ctx, rule=rule: service.add_rule(ctx, service.get_group(ctx, name), rule))


def test_neighbours_of_the_default_group_reach_each_other_by_everything(plugged: Plugged, can: Any) -> None:
    plugged("one"), plugged("two")
    answer = can("one", "two")
    assert answer.ok
    assert english(answer.passes) == ["everything"]
    assert answer.text.render("en") == "Yes: one can reach two by everything."
    assert any("ports of group default" in s.text.render("en") for s in answer.steps)


def test_the_deciding_rule_is_named(plugged: Plugged, can: Any, do: Do) -> None:
    group(do, "web", NewRule(protocol="tcp", port_min=80, remote="10.77.0.0/24"))
    plugged("one"), plugged("two", groups=["web"])
    answer = can("one", "two", "tcp", 80)
    assert answer.ok
    assert [s.ok for s in answer.steps] == [True, True, True]
    assert answer.steps[-1].text.render("en") == (
        "The rule “TCP 80 from 10.77.0.0/24” of the group web lets it in to two."
    )
    assert answer.steps[-1].kind == "security_group"


def test_what_is_lacking_is_said_with_the_rule_that_would_help(plugged: Plugged, can: Any, do: Do) -> None:
    group(do, "web", NewRule(protocol="tcp", port_min=80))
    one = plugged("one")
    plugged("two", groups=["web"])
    answer = can("one", "two", port=443)
    assert not answer.ok
    assert answer.verdict.code == "ingress"
    assert f"Nothing in the groups of two (web) lets TCP 443 in from one ({one.address})." in answer.text.render("en")
    missing = answer.missing
    assert missing is not None
    assert (missing.group_name, missing.direction, missing.protocol, missing.number) == ("web", "ingress", "tcp", 443)
    wish = NewRule(missing.direction, missing.protocol, missing.number, None, missing.remote, missing.family)
    do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, missing.group_id), wish))
    assert can("one", "two", port=443).ok


def test_a_sender_whose_groups_let_nothing_out_is_the_one_at_fault(plugged: Plugged, can: Any, do: Do) -> None:
    group(do, "shut")
    with_rules = do(lambda ctx: service.add_rule(ctx, service.get_group(ctx, "shut"), NewRule(protocol="udp")))
    assert with_rules.state == "succeeded"

    def out(ctx: Any) -> Any:
        found = service.get_group(ctx, "shut")
        rules = service.rules_of(ctx.session, found.id)
        rule = next(r for r in rules if r.direction == "egress" and r.family == "ipv4")
        return service.remove_rule(ctx, found, rule.id)

    do(out)
    plugged("one", groups=["shut"]), plugged("two")
    answer = can("one", "two", port=22)
    assert answer.verdict.code == "egress"
    assert "lets TCP 22 out to" in answer.text.render("en")


def test_a_port_in_no_group_lets_nothing_in(plugged: Plugged, can: Any) -> None:
    plugged("one"), plugged("two", groups=[])
    answer = can("one", "two", port=22)
    assert "two is in no security group" in answer.text.render("en")
    assert answer.missing is None


def test_without_a_port_it_says_which_ones_get_through(plugged: Plugged, can: Any, do: Do) -> None:
    group(do, "web", NewRule(port_min=80, port_max=90), NewRule(port_min=85, port_max=99), NewRule(port_min=443),
          NewRule(protocol="icmp"), NewRule(protocol="udp", port_min=53))  # fmt: skip
    plugged("one"), plugged("two", groups=["web"])
    assert english(can("one", "two").passes) == ["TCP 80-99", "TCP 443", "UDP 53", "ICMP"]
    assert english(can("one", "two", "tcp").passes) == ["TCP 80-99", "TCP 443"]
    assert can("one", "two", "ping").ok


def test_from_outside_there_is_a_way_only_by_a_floating_ip(plugged: Plugged, can: Any) -> None:
    plugged("one", floating=True), plugged("two")
    inside = can("anywhere", "one", port=22)
    assert inside.ok
    assert "The floating IP" in inside.steps[0].text.render("en")
    assert can("198.51.100.9", "one", port=80).verdict.code == "ingress"
    outside = can("anywhere", "two", port=22)
    assert outside.verdict.code == "no_floating_ip"
    assert can("two", "198.51.100.9", port=443).ok


def test_a_rule_for_a_range_lets_in_from_there_and_not_anybody(plugged: Plugged, can: Any, do: Do) -> None:
    group(do, "office", NewRule(port_min=22, remote="198.51.100.0/24"))
    plugged("one", floating=True, groups=["office"])
    assert can("198.51.100.9", "one", port=22).ok
    assert not can("203.0.113.9", "one", port=22).ok
    assert not can("anywhere", "one", port=22).ok


def test_a_machine_behind_the_same_router_comes_in_by_the_routers_address(
    plugged: Plugged, can: Any, database: Database
) -> None:
    plugged("two")
    one = plugged("one", floating=True)
    with database.read() as session:
        floating = service.floating_of(session, [one.id])[one.id].address
    answer = can("two", floating, port=22)
    assert answer.ok
    assert answer.verdict.sent == floating
    assert answer.verdict.seen.startswith("172.31.")


def test_networks_without_a_common_router_do_not_reach_each_other(plugged: Plugged, can: Any, do: Do) -> None:
    lone = service.NewNetwork("lone", subnet=service.NewSubnet("10.9.0.0/24", routed=False))
    joined = service.NewNetwork("joined", subnet=service.NewSubnet("10.8.0.0/24"))
    do(lambda ctx: service.create_network(ctx, lone))
    do(lambda ctx: service.create_network(ctx, joined))
    plugged("one"), plugged("two", network="lone"), plugged("three", network="joined")
    assert can("one", "three", port=22).ok
    assert "goes through the router default" in can("one", "three", port=22).steps[0].text.render("en")
    assert can("one", "two", port=22).verdict.code == "no_route"
    assert can("two", "one", port=22).verdict.code == "no_router"
    assert can("two", "198.51.100.1").verdict.code == "no_router"


def test_without_source_nat_only_floating_ips_get_out(plugged: Plugged, can: Any, database: Database) -> None:
    plugged("one"), plugged("two", floating=True)
    with database.write() as session:
        for router in session.scalars(sa.select(Router)):
            router.snat = False
    assert can("one", "198.51.100.9", port=443).verdict.code == "no_snat"
    assert can("two", "198.51.100.9", port=443).ok


def test_a_pulled_cable_and_a_machine_that_is_off_are_told(
    plugged: Plugged, can: Any, database: Database, world: Any, do: Do
) -> None:
    plugged("one")
    two = plugged("two")
    with database.write() as session:
        session.get_one(Port, two.id).link_up = False
    assert can("one", "two", port=22).verdict.code == "cable"
    with database.write() as session:
        port = session.get_one(Port, two.id)
        port.link_up, port.state = True, "down"
    answer = can("one", "two", port=22)
    assert not answer.ok
    assert answer.text.render("en").startswith("No: two is not wired now.")


WRONG: list[tuple[tuple[Any, ...], type[Exception], str]] = [
    (("one", ""), Invalid, "to"), (("one", "300.1.1.1"), Invalid, "to"), (("one", "two", "gre"), Invalid, "protocol"),
    (("one", "two", "tcp", 70000), Invalid, "port"), (("one", "two", "icmp", 8), Invalid, "protocol"),
    (("anywhere", "198.51.100.1"), Invalid, "from"), (("one", "nobody"), NotFound, ""),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "error", "field"), WRONG, ids=lambda v: str(v)[:30])
def test_questions_that_mean_nothing_name_the_field(
    asked: Any, error: type[Exception], field: str, plugged: Plugged, can: Any
) -> None:
    plugged("one"), plugged("two")
    with pytest.raises(error) as caught:
        can(*asked)
    assert not field or field in caught.value.fields  # type: ignore[attr-defined]


def test_a_name_of_several_machines_is_refused(plugged: Plugged, can: Any) -> None:
    plugged("one"), plugged("one"), plugged("two")
    with pytest.raises(Conflict):
        can("one", "two")


def test_another_projects_ports_do_not_exist(plugged: Plugged, asking: Asking, projects: tuple[str, str]) -> None:
    from yun.base.context import Actor

    one = plugged("one")
    stranger = Actor("user", "u", "u", {projects[1]: "admin"})
    for ref in ("one", one.id, str(one.instance_id)):
        with asking(stranger, projects[1]) as ctx, pytest.raises(NotFound):
            reach(ctx, Question(ref, "anywhere"))


def test_what_can_reach_a_machine_is_said_in_sentences(
    plugged: Plugged, database: Database, do: Do
) -> None:
    one = plugged("one", floating=True)
    with database.read() as session:
        port = session.get_one(Port, one.id)
        found = of_ports(session, [port])[port.id]
        floating = service.floating_of(session, [port.id])[port.id].address
    assert english(found.inward) == [
        "anybody: TCP 22, ICMP.", "ports of group default: everything."
    ]  # fmt: skip
    assert english(found.outward) == ["anybody: everything."]
    assert english(found.outside)[0] == f"From outside it is reached at {floating}."


# ── previews ──


def effects(asking: Asking, make: Callable[..., Any]) -> list[str]:
    with asking() as ctx:
        return english(make(ctx).effects)


def test_a_new_rule_tells_who_gains_and_one_that_adds_nothing_says_so(
    plugged: Plugged, asking: Asking, do: Do
) -> None:
    for name in ("one", "two"):
        plugged(name)
    told = effects(asking, lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), NewRule(port_min=443)))
    assert told[1:] == ["Gained by one, two: TCP 443 from anybody."]
    narrower = NewRule(port_min=22, remote="10.0.0.0/8")
    told = effects(asking, lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), narrower))
    assert told[1:] == ["Nothing changes for its machines: other rules say the same."]


def test_a_removed_rule_tells_who_loses_unless_another_group_says_the_same(
    plugged: Plugged, asking: Asking, do: Do, database: Database
) -> None:
    group(do, "ssh", NewRule(port_min=22))
    plugged("one"), plugged("two", groups=["default", "ssh"])
    with database.read() as session:
        rule = session.scalars(sa.select(SecurityRule).where(SecurityRule.description == "SSH")).first()
        assert rule is not None
    told = effects(asking, lambda ctx: service.remove_rule(ctx, service.get_group(ctx, rule.group_id), rule.id))
    assert told[1:] == ["Lost by one: TCP 22 from anybody."]


def test_a_preview_names_ten_machines_and_counts_the_others(plugged: Plugged, asking: Asking) -> None:
    for number in range(13):
        plugged(f"m{number:02}")
    told = effects(asking, lambda ctx: service.add_rule(ctx, service.get_group(ctx, "default"), NewRule(port_min=80)))
    assert told[1].startswith("Gained by m00, m01, ")
    assert told[1].endswith("m09 and 3 more: TCP 80 from anybody.")


def test_ways_that_come_and_go_are_differences_too(
    plugged: Plugged, database: Database, projects: tuple[str, str]
) -> None:
    from dataclasses import replace

    from yun.network.service.reach import difference, foresee

    plugged("one"), plugged("two", floating=True)
    with database.read() as session:
        net = session.scalars(
            sa.select(Network).where(Network.name == "default", Network.project_id == projects[0])
        ).one()
        before = foresee.of_networks(session, [net.id])
    router = next(iter(before.routers.values()))
    assert english(difference(before, before.with_router(replace(router, snat=False)))) == [
        "Lost by one: the way out of the cloud."
    ]
    closed = english(difference(before, before.without_router(router.id)))
    assert closed[0] == "Lost by one, two: the way out of the cloud."
    assert "the way in by" in closed[1]
    assert english(difference(before.without_router(router.id), before))[0].startswith("Gained by one, two")


def test_the_number_of_queries_does_not_grow_with_the_cloud(
    plugged: Plugged, can: Any, database: Database, asking: Asking
) -> None:
    plugged("one"), plugged("two", floating=True)

    def queries() -> int:
        seen: list[str] = []

        def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            seen.append(statement)

        sa.event.listen(database.engine, "before_cursor_execute", count)
        try:
            assert can("one", "two", port=22).ok
        finally:
            sa.event.remove(database.engine, "before_cursor_execute", count)
        return len([s for s in seen if s.startswith("SELECT")])

    few = queries()
    for number in range(20):
        plugged(f"more{number}")
    assert queries() == few
    assert few <= 25


# ── load balancers, and addresses that nobody has ──


def test_a_load_balancer_is_reached_where_one_of_its_members_lets_it_in(
    plugged: Plugged, can: Any, do: Do
) -> None:
    group(do, "web", NewRule(port_min=8080))
    plugged("one")
    members = tuple(("port", plugged(name, groups=["web"]).id) for name in ("two", "three"))
    new = service.NewBalancer(
        "shop", members=members, floating_ip="new", listeners=(service.NewListener(80, member_port=8080),)
    )
    do(lambda ctx: service.create_balancer(ctx, new))
    answer = can("one", "shop", port=80)
    assert answer.ok, answer.text.render("en")
    assert "The load balancer shop hands it to" in answer.steps[1].text.render("en")
    assert can("one", "shop", port=443).verdict.code == "no_listener"
    assert english(can("one", "shop").passes) == ["TCP 80"]
    outside = can("anywhere", "shop", port=80)
    assert outside.ok
    assert outside.verdict.sent.startswith("172.31.")
    assert not can("one", "two", port=80).ok, "its member listens on another port"


def test_an_inner_address_that_nobody_has_is_not_the_outside(plugged: Plugged, can: Any) -> None:
    plugged("one")
    answer = can("one", "10.77.0.200", port=80)
    assert answer.verdict.code == "nobody"
    assert "Nobody has the address 10.77.0.200" in answer.text.render("en")


# ── what routers do besides ──


def test_a_leg_that_was_taken_off_leads_nowhere(plugged: Plugged, can: Any, do: Do) -> None:
    joined = service.NewNetwork("joined", subnet=service.NewSubnet("10.8.0.0/24"))
    do(lambda ctx: service.create_network(ctx, joined))
    plugged("one"), plugged("two", network="joined")
    assert can("one", "two", port=22).ok

    def off(ctx: Any) -> Any:
        router = service.get_router(ctx, "default")
        leg = next(leg for leg in paths.legs(ctx.session, router.id) if leg.subnet.cidr == "10.8.0.0/24")
        return service.remove_interface(ctx, router, leg)

    do(off)
    assert not can("one", "two", port=22).ok
    assert can("two", "198.51.100.9").verdict.code == "no_router"


def test_a_forwarded_port_leads_in_under_another_number(plugged: Plugged, can: Any, do: Do, database: Database) -> None:
    one = plugged("one")
    done = do(service.allocate)
    with database.read() as session:
        outside = session.get_one(FloatingIp, done.subject_id).address
    new = service.NewForwarding(port=one.id, floating_ip=outside, protocol="tcp", outside_port=2222, inner_port=22)
    do(lambda ctx: service.create_forwarding(ctx, new))
    answer = can("anywhere", outside, port=2222)
    assert answer.ok, answer.text.render("en")
    assert english(can("anywhere", "one").passes) == ["TCP 2222"]
    assert not can("anywhere", outside, port=22).ok


def test_a_machine_is_meant_by_its_full_name_and_by_a_port_of_its_routers_address(
    plugged: Plugged, can: Any, do: Do, database: Database
) -> None:
    group(do, "web", NewRule(protocol="tcp", port_min=80))
    one = plugged("one", groups=["web"])
    with database.read() as session:
        domain = session.get_one(Network, one.network_id).domain
        router = session.scalars(sa.select(Router)).first()
        assert router is not None
        own = service.external_address(session, router.id)
    assert domain
    by_name, by_domain = can("anywhere", "one", port=80), can("anywhere", f"ONE.{domain}.", port=80)
    assert by_domain.text.render("en") == by_name.text.render("en")
    with pytest.raises(NotFound):
        can("anywhere", "one.elsewhere.internal")
    do(lambda ctx: service.create_forwarding(ctx, service.NewForwarding(port=one.id, outside_port=8080, inner_port=80)))
    assert can("anywhere", own, port=8080).ok
    assert not can("anywhere", own, port=80).ok


def test_a_peering_leads_to_the_ranges_both_sides_agreed_to_and_no_further(
    plugged: Plugged, asking: Asking, do: Do, projects: tuple[str, str]
) -> None:
    ours, theirs = projects
    for project, name, cidr in ((ours, "a", "10.1.0.0/24"), (theirs, "b", "10.2.0.0/24")):
        subnet = service.NewSubnet(cidr, name=f"s-{name}", routed=False)
        new = service.NewNetwork(f"n-{name}", subnet=subnet)
        do(lambda ctx, new=new: service.create_network(ctx, new), project=project)
        router = service.NewRouter(f"r-{name}", external=False)
        do(lambda ctx, router=router: service.create_router(ctx, router), project=project)
        do(lambda ctx, name=name: service.add_interface(
            ctx, service.get_router(ctx, f"r-{name}"), service.get_subnet(ctx, f"s-{name}")
        ), project=project)  # fmt: skip
    plugged("one", network="n-a")
    wish = service.NewPeering(name="p", router="r-a", project=theirs, ranges=["s-a"], peer_ranges=["10.2.0.0/24"])
    do(lambda ctx: service.create_peering(ctx, wish))

    def ask(target: str) -> Answer:
        with asking() as ctx:
            return reach(ctx, Question("one", target, "tcp", 22))

    assert ask("10.2.0.9").verdict.code == "no_gateway"
    do(lambda ctx: service.accept_peering(ctx, service.get_peering(ctx, "p"), "r-b"), project=theirs)
    answer = ask("10.2.0.9")
    assert answer.ok
    assert [s.text.render("en") for s in answer.steps][1:3] == [
        "It goes through the peering p.", "Whether the other side lets it in, its project knows."
    ]  # fmt: skip
    assert ask("10.3.0.9").verdict.code == "no_gateway"
