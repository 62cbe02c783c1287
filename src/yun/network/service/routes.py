"""The verbs of a router's static routes."""

from __future__ import annotations

import ipaddress

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import addresses, checks
from yun.network.model import ACTIVE, Port, Reservation, Router, RouterInterface, RouterRoute
from yun.network.service import look, paths
from yun.network.service.paths import Leg
from yun.network.service.reach import foresee
from yun.network.service.routers import keys_of, subject_of
from yun.operations.intent import Intent

MOST_ROUTES = 100


def add_route(ctx: Context, router: Router, destination: str, next_hop: str) -> Intent:
    """What goes to ``destination`` (a range) is handed to ``next_hop``, which is in a subnet of one of the router's
    legs. Raises `Invalid` for a next hop that is on no leg or the router's own, for ranges that a leg has, and where
    the families differ; `Conflict` for a destination that has a route, and for everything where there is a way out."""
    ctx.may("router.add_route", router.project_id)
    look.must_allow(router, "add_route")
    session = ctx.session
    found = paths.legs(session, router.id)
    net = _destination(destination)
    hop = checks.address(next_hop, "next_hop")
    leg = _leg_to(router, found, hop)
    if hop.version != net.version:
        raise checks.refuse(
            "next_hop", _("{address} and {range} are of different families.", address=str(hop), range=str(net)),
            _("an address of the family of the destination"),
        )  # fmt: skip
    _refuse(session, router, found, net)
    route = RouterRoute(
        id=new_id(RouterRoute.PREFIX), router_id=router.id, destination=str(net), next_hop=str(hop)
    )

    def write(into: Session) -> None:
        _refuse(into, router, paths.legs(into, router.id), net)
        into.add(route)
        into.flush()

    return Intent(
        kind="router.add_route",
        title=_("Add a route to {destination} to router {router}", destination=str(net), router=router.name),
        subject=subject_of(router),
        project_id=router.project_id,
        arguments={"router_id": router.id, "route_id": route.id},
        keys=keys_of(router),
        effects=(
            _("What {router} gets for {destination} it hands to {next_hop}.", router=router.name, destination=str(net),
              next_hop=str(hop)),
            *_notes(session, net, hop, leg),
            *foresee.rerouted(session, router.id, foresee.with_route(str(net), str(hop))),
        ),
        write=write,
    )  # fmt: skip


def _destination(text: str) -> checks.Net:
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError as error:
        right = _("a range such as 10.1.0.0/24")
        try:
            loose = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            loose = None
        if loose is not None and "/" in text:
            right = _("{cidr}, or another range whose host bits are zero", cidr=str(loose))
        raise checks.refuse("destination", _("{value} is not a range of addresses.", value=text[:60]), right) from error


def _leg_to(router: Router, found: list[Leg], hop: checks.Address) -> Leg:
    leg = next((leg for leg in found if hop in leg.net), None)
    if leg is None:
        ranges = ", ".join(f.subnet.cidr for f in found) or "–"
        raise checks.refuse(
            "next_hop", _("{address} is on no leg of the router {router}.", address=str(hop), router=router.name),
            _("an address in {ranges}", ranges=ranges),
        )  # fmt: skip
    if str(hop) == leg.address:
        raise checks.refuse(
            "next_hop", _("{address} is the router's own.", address=str(hop)),
            _("the address of another router, or of a machine that forwards"),
        )  # fmt: skip
    checks.address(str(hop), "next_hop", within=leg.net)
    return leg


def _refuse(session: Session, router: Router, found: list[Leg], net: checks.Net) -> None:
    have = paths.routes_of(session, router.id)
    same = next((r for r in have if r.destination == str(net)), None)
    if same is not None:
        raise Conflict(
            _("{router} has a route to {destination} already, by {next_hop}.", router=router.name,
              destination=str(net), next_hop=same.next_hop),
            hint=_("Remove that route first."),
            fields={"destination": _("a range that has no route yet")},
        )  # fmt: skip
    outer = paths.outside(found)
    if net.prefixlen == 0 and outer is not None and outer.net.version == net.version:
        raise Conflict(
            _("The router's way out is where everything else goes."),
            hint=_("Take it away first: yun router clear-gateway."),
            fields={"destination": _("a smaller range")},
        )
    for leg in found:
        if paths.inside(net, leg.net):
            raise checks.refuse(
                "destination",
                _("{range} is in the subnet {subnet} ({cidr}), which is on the router itself.", range=str(net),
                  subnet=leg.subnet.name, cidr=leg.subnet.cidr),
                _("a range that is not on the router"),
            )  # fmt: skip
    for peering in paths.peerings_of(session, router.id, ACTIVE):
        for text in peering.peer_ranges if peering.router_id == router.id else peering.ranges:
            theirs = ipaddress.ip_network(text)
            if theirs.version == net.version and net.prefixlen and theirs.overlaps(net):
                raise checks.refuse(
                    "destination",
                    _("{range} overlaps {cidr}, which the peering {name} leads to.", range=str(net), cidr=text,
                      name=peering.name),
                    _("a range that is not on the router"),
                )  # fmt: skip
    if len(have) >= MOST_ROUTES:
        raise Conflict(_("A router has at most {most} static routes.", most=MOST_ROUTES))


def _notes(session: Session, net: checks.Net, hop: checks.Address, leg: Leg) -> tuple[Message, ...]:
    told: list[Message] = []
    if net.prefixlen == 0:
        told.append(_("That is everything that has no route of its own: the router's way out becomes this."))
    owner = session.get(Reservation, (leg.subnet.id, addresses.place_of(leg.subnet, str(hop))))
    if owner is None:
        told.append(_("Nobody has the address {address} now: until somebody does, this leads nowhere.", address=hop))
        return tuple(told)
    if owner.owner_kind == "port" and (port := session.get(Port, owner.owner_id)) is not None:
        name = port.hostname or port.name or port.address
        told.append(_("The next hop is {port}; it must forward, and its port security lets only its own addresses"
                      " through.", port=name) if port.port_security else _("The next hop is {port}.", port=name))
    elif (other := session.scalar(
        sa.select(Router).where(Router.id.in_(sa.select(RouterInterface.router_id).where(
            RouterInterface.subnet_id == leg.subnet.id, RouterInterface.address.startswith(f"{hop}/"))))
    )) is not None:
        told.append(_("The next hop is the router {router}.", router=other.name))
    return tuple(told)  # fmt: skip


def remove_route(ctx: Context, router: Router, reference: str) -> Intent:
    """The route is gone; undo brings it back. ``reference`` is its id or destination. Raises `NotFound`."""
    ctx.may("router.remove_route", router.project_id)
    look.must_allow(router, "remove_route")
    have = paths.routes_of(ctx.session, router.id)
    route = next((r for r in have if reference in (r.id, r.destination)), None)
    if route is None:
        raise not_found("route", reference.replace("\0", "�")[:60])
    return Intent(
        kind="router.remove_route",
        title=_("Remove the route to {destination} from router {router}", destination=route.destination,
                router=router.name),
        subject=subject_of(router),
        project_id=router.project_id,
        arguments={"router_id": router.id, "route_id": route.id},
        keys=keys_of(router),
        effects=(
            _("{router} no longer hands {destination} to {next_hop}.", router=router.name,
              destination=route.destination, next_hop=route.next_hop),
            *foresee.rerouted(ctx.session, router.id, foresee.without_route(route.destination)),
        ),
    )  # fmt: skip
