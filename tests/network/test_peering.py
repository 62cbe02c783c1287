"""Peerings: asked for by one project, accepted by the other, ended by either; nothing flows without both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.network.conftest import Asking, Do
from yun.base.context import Actor, Context
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.service import NewNetwork, NewPeering, NewRouter, NewSubnet
from yun.operations import service as operations
from yun.operations.intent import Intent
from yun.operations.model import State

pytestmark = pytest.mark.usefixtures("cloud")


@dataclass
class Sides:
    """Two projects, each with a network on a router of its own."""

    do: Do
    asking: Asking
    world: World
    ours: str
    theirs: str

    def build(self, project: str, name: str, cidr: str) -> None:
        """A network ``n`` and a router ``r`` of the project."""
        subnet = NewSubnet(cidr, name=f"s-{name}", routed=False)
        self.do(lambda ctx: service.create_network(ctx, NewNetwork(f"n-{name}", subnet=subnet)), project=project)
        self.do(lambda ctx: service.create_router(ctx, NewRouter(f"r-{name}", external=False)), project=project)
        self.connect(project, name, name)

    def connect(self, project: str, router: str, subnet: str) -> None:
        """A leg."""
        self.do(lambda ctx: service.add_interface(
            ctx, service.get_router(ctx, f"r-{router}"), service.get_subnet(ctx, f"s-{subnet}")
        ), project=project)  # fmt: skip

    def ask(self, ranges: tuple[str, ...] = ("s-a",), peer: tuple[str, ...] = ("10.2.0.0/24",), **more: Any) -> Any:
        """Ask for the peering p."""
        wish = {"name": "p", "router": "r-a", "project": self.theirs, "ranges": ranges, "peer_ranges": peer} | more
        return lambda ctx: service.create_peering(ctx, NewPeering(**wish))

    def accept(self, ctx: Context) -> Intent:
        """Agree."""
        return service.accept_peering(ctx, service.get_peering(ctx, "p"), "r-b")

    def end(self, ctx: Context) -> Intent:
        """End it."""
        return service.delete_peering(ctx, service.get_peering(ctx, "p"))

    def flows(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Router's name → (its own ranges, the other's) of each that lets something in from a peer."""
        return {r.name: (p.local, p.remote) for r in self.world.routers.values() for p in r.peers}

    def refused(self, make: Callable[[Context], Any], kind: Any, **who: Any) -> Any:
        """The error of a verb."""
        with self.asking(**who) as ctx, pytest.raises(kind) as caught:
            make(ctx)
        return caught.value


@pytest.fixture
def sides(do: Do, asking: Asking, world: World, projects: tuple[str, str]) -> Sides:
    made = Sides(do, asking, world, *projects)
    made.build(made.ours, "a", "10.1.0.0/24")
    made.build(made.theirs, "b", "10.2.0.0/24")
    return made


BOTH = {"r-a": (("10.1.0.0/24",), ("10.2.0.0/24",)), "r-b": (("10.2.0.0/24",), ("10.1.0.0/24",))}


def test_nothing_flows_before_both_agree_and_nothing_after_one_ends_it(sides: Sides) -> None:
    sides.do(sides.ask())
    sides.do(service.reconcile)
    assert sides.flows() == {}
    sides.do(sides.accept, project=sides.theirs)
    assert sides.flows() == BOTH
    ends = {p.id: p for r in sides.world.routers.values() for p in r.peers}
    assert {p.peer for p in ends.values()} == set(ends)
    ended = sides.do(sides.end, project=sides.theirs)
    assert sides.flows() == {}
    sides.do(lambda ctx: operations.undo(ctx, ended.id), project=sides.theirs)
    assert sides.flows() == BOTH
    sides.do(sides.end)
    assert sides.flows() == {}


def test_who_ended_it_too_is_not_peered_again_by_the_other_sides_undo(sides: Sides) -> None:
    sides.do(sides.ask())
    sides.do(sides.accept, project=sides.theirs)
    ended = sides.do(sides.end)
    sides.do(sides.end, project=sides.theirs)
    with pytest.raises(Conflict):
        sides.do(lambda ctx: operations.undo(ctx, ended.id))
    assert sides.flows() == {}
    sides.refused(sides.end, Conflict, project=sides.theirs)
    sides.refused(sides.end, Conflict)


def test_a_request_is_taken_back_or_turned_down(sides: Sides) -> None:
    sides.do(sides.ask())
    back = sides.do(sides.end)
    sides.refused(sides.accept, Conflict, project=sides.theirs)
    sides.do(lambda ctx: operations.undo(ctx, back.id))
    sides.do(sides.end, project=sides.theirs)
    sides.refused(sides.accept, Conflict, project=sides.theirs)
    assert sides.flows() == {}


def test_an_accepted_request_is_a_request_again_by_undo(sides: Sides) -> None:
    sides.do(sides.ask())
    done = sides.do(sides.accept, project=sides.theirs)
    sides.do(lambda ctx: operations.undo(ctx, done.id), project=sides.theirs)
    assert sides.flows() == {}
    with sides.asking(project=sides.theirs) as ctx:
        found = service.get_peering(ctx, "p")
        assert (found.state, found.peer_router_id, found.peer_agreed) == ("requested", None, False)
    sides.do(sides.accept, project=sides.theirs)
    assert sides.flows() == BOTH


def test_only_a_part_of_a_subnet_may_be_agreed_to(sides: Sides) -> None:
    sides.do(sides.ask(("10.1.0.64/26",), ("10.2.0.7/32",)))
    sides.do(sides.accept, project=sides.theirs)
    assert sides.flows() == {
        "r-a": (("10.1.0.64/26",), ("10.2.0.7/32",)), "r-b": (("10.2.0.7/32",), ("10.1.0.64/26",))
    }  # fmt: skip


def test_nobody_accepts_for_another(sides: Sides) -> None:
    sides.do(sides.ask())
    ours = Actor("user", "usr_a", "a", {sides.ours: "admin"})
    theirs = Actor("user", "usr_b", "b", {sides.theirs: "reader"})
    stranger = Actor("user", "usr_c", "c", {"prj_elsewhere": "admin"})
    with sides.asking() as ctx:
        found = service.get_peering(ctx, "p").id

    def accept(ctx: Context) -> Intent:
        return service.accept_peering(ctx, service.get_peering(ctx, found), "r-b")

    sides.refused(accept, Forbidden, actor=ours)
    sides.refused(accept, Forbidden, actor=theirs, project=sides.theirs)
    sides.refused(accept, NotFound, actor=stranger, project="prj_elsewhere")
    sides.refused(sides.end, NotFound, actor=stranger, project="prj_elsewhere")
    sides.refused(sides.end, Forbidden, actor=theirs, project=sides.theirs)
    with sides.asking(actor=stranger, project="prj_elsewhere") as ctx:
        assert not service.list_peerings(ctx).items


def test_each_side_sees_its_own_ranges_first_and_no_more_of_the_other(sides: Sides) -> None:
    from yun.network.api import show

    sides.do(sides.ask())
    with sides.asking(project=sides.theirs, actor=Actor("user", "u", "u", {sides.theirs: "member"})) as ctx:
        seen = show.peering(ctx, service.list_peerings(ctx).items[0])
    assert (seen["own_ranges"], seen["other_ranges"]) == (["10.2.0.0/24"], ["10.1.0.0/24"])
    assert (seen["asker"], seen["other_project"], seen["router_id"]) == (False, "default", None)
    with sides.asking(actor=Actor("user", "u", "u", {sides.ours: "member"})) as ctx:
        seen = show.peering(ctx, service.list_peerings(ctx).items[0])
    assert (seen["own_ranges"], seen["other_project"]) == (["10.1.0.0/24"], sides.theirs)


WRONG = [
    ("ranges", {"ranges": ("10.9.0.0/24",)}),
    ("ranges", {"ranges": ()}),
    ("ranges", {"ranges": ("nonsense",)}),
    ("peer_ranges", {"peer": ()}),
    ("peer_ranges", {"peer": ("0.0.0.0/0",)}),
    ("peer_ranges", {"peer": ("10.2.0.1/24",)}),
    ("peer_ranges", {"peer": ("10.1.0.128/25",)}),
    ("peer_ranges", {"peer": tuple(f"10.2.{n}.0/24" for n in range(21))}),
    ("name", {"name": "a/b"}),
]


def test_a_wrong_request_names_its_field(sides: Sides) -> None:
    for field, wish in WRONG:
        assert set(sides.refused(sides.ask(**wish), Invalid).fields) == {field}, wish
    sides.refused(sides.ask(project=sides.ours), Invalid)
    member = Actor("user", "usr_a", "a", {sides.ours: "member"})
    for unknown in ("other", "prj_00000000000000000000000000", "nowhere"):  # the name of a project one is not in
        sides.refused(sides.ask(project=unknown), NotFound, actor=member)


def test_overlapping_ranges_are_refused_by_both_names_and_the_others_secrets_kept(sides: Sides) -> None:
    clash = NewSubnet("10.1.0.0/25", name="s-c", routed=False)
    sides.do(lambda ctx: service.create_network(ctx, NewNetwork("n-c", subnet=clash)), project=sides.theirs)
    sides.do(sides.ask())
    sides.connect(sides.theirs, "b", "c")
    error = sides.refused(sides.accept, Invalid, project=sides.theirs)
    assert "10.1.0.0/24 overlaps s-c (10.1.0.0/25)" in str(error)
    sides.do(lambda ctx: service.remove_interface(
        ctx, service.get_router(ctx, "r-b"),
        service.interface_of(ctx.session, service.get_router(ctx, "r-b"), "s-c"),
    ), project=sides.theirs)  # fmt: skip
    near = NewSubnet("10.2.0.0/25", name="s-d", routed=False)
    sides.do(lambda ctx: service.create_network(ctx, NewNetwork("n-d", subnet=near)))
    sides.connect(sides.ours, "a", "d")
    error = sides.refused(sides.accept, Conflict, project=sides.theirs)
    assert "s-d" not in str(error)
    assert "10.2.0.0/25" not in str(error)


def test_what_a_peering_leads_to_takes_its_place_on_both_routers(sides: Sides) -> None:
    sides.do(sides.ask())
    sides.do(sides.accept, project=sides.theirs)
    near = NewSubnet("10.2.0.0/25", name="s-d", routed=False)
    sides.do(lambda ctx: service.create_network(ctx, NewNetwork("n-d", subnet=near)))
    error = sides.refused(lambda ctx: service.add_interface(
        ctx, service.get_router(ctx, "r-a"), service.get_subnet(ctx, "s-d")
    ), Invalid)  # fmt: skip
    assert "p (10.2.0.0/24)" in str(error)
    for verb in (
        lambda ctx: service.delete_router(ctx, service.get_router(ctx, "r-a")),
        lambda ctx: service.remove_interface(
            ctx, service.get_router(ctx, "r-a"),
            service.interface_of(ctx.session, service.get_router(ctx, "r-a"), "s-a"),
        ),
    ):  # fmt: skip
        assert "p" in str(sides.refused(verb, Conflict))
    sides.refused(
        lambda ctx: service.add_route(ctx, service.get_router(ctx, "r-a"), "10.2.0.0/16", "10.1.0.9"), Invalid
    )


def test_of_an_acceptance_and_a_withdrawal_at_once_the_first_counts(sides: Sides) -> None:
    sides.do(sides.ask())
    with sides.asking(project=sides.theirs) as ctx:
        accepting = sides.accept(ctx)
    sides.do(sides.end)
    done = sides.do(lambda _ctx: accepting, project=sides.theirs, state=State.FAILED)
    assert "took it back" in str(done.error)
    assert sides.flows() == {}


def test_a_peering_to_a_project_that_is_gone_ends_by_itself(sides: Sides) -> None:
    sides.do(sides.ask())
    sides.do(sides.accept, project=sides.theirs)
    from yun.network import rows

    with sides.asking() as ctx:
        router = service.get_peering(ctx, "p").peer_router_id or ""
        rows.trash(ctx.session, "router", router, ctx.clock.now())
    sides.do(service.reconcile)
    assert sides.flows() == {}
