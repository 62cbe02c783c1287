"""The verbs of a router's legs: into subnets, which it so connects with each other, and to the outside."""

from __future__ import annotations

import ipaddress

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import addresses, checks
from yun.network.model import ACTIVE, Network, Router, RouterInterface, RouterRoute, Subnet
from yun.network.service import chaining, look, paths, through
from yun.network.service.networks import tenancy
from yun.network.service.paths import Leg
from yun.network.service.reach import foresee
from yun.network.service.routers import keys_of, losses, plan_gateway, subject_of, translation, way_out
from yun.operations.intent import Intent, Subject


def add_interface(ctx: Context, router: Router, subnet: Subnet, address: str | None = None) -> Intent:
    """The router has a leg in the subnet: at its gateway address, or at ``address``, or, where another router is the
    gateway or there is none, at the lowest free one.

    Raises `Invalid` for a subnet of another project, of the outside, or whose range overlaps another one there (both
    are named), `Conflict` where the router has a leg in it already or the address is taken.
    """
    ctx.may("router.add_interface", router.project_id)
    look.must_allow(router, "add_interface")
    look.must_allow_state(subnet)
    session = ctx.session
    network = session.get_one(Network, subnet.network_id)
    look.must_allow_state(network)
    if network.external:
        raise checks.refuse(
            "subnet", _("{name} leads outside: set it as the router's gateway.", name=network.name),
            _("a subnet of the project"),
        )  # fmt: skip
    if subnet.project_id != router.project_id:
        raise checks.refuse(
            "subnet", _("The subnet {name} belongs to another project.", name=subnet.name),
            _("a subnet of the project"),
        )  # fmt: skip
    found = paths.legs(session, router.id)
    _refuse_overlap(session, router, subnet, found)
    leg, told = _plan(session, router, subnet, address)

    def write(into: Session) -> None:
        _refuse_overlap(into, router, subnet, paths.legs(into, router.id))
        _refuse_second_gateway(into, subnet, leg.address.partition("/")[0])
        if leg.address.partition("/")[0] != subnet.gateway:
            taken = addresses.take(
                into, subnet, leg.address.partition("/")[0], ("router", leg.id), fixed=address is not None
            )
            leg.address = f"{taken}/{checks.cidr(subnet.cidr).prefixlen}"
        into.add(leg)
        into.flush()

    return Intent(
        kind="router.add_interface",
        title=_("Connect router {router} with subnet {subnet}", router=router.name, subnet=subnet.name),
        subject=subject_of(router),
        subjects=(Subject("subnet", subnet.id, subnet.name), tenancy(network.id)),
        project_id=router.project_id,
        arguments={"router_id": router.id, "interface_id": leg.id},
        keys=keys_of(router, network.id),
        effects=(*told, *_gains(session, router, subnet, found, leg)),
        write=write,
    )


def _refuse_overlap(session: Session, router: Router, subnet: Subnet, found: list[Leg]) -> None:
    if any(leg.subnet.id == subnet.id for leg in found):
        raise Conflict(_("The router {router} has a leg in {subnet} already.", router=router.name, subnet=subnet.name))
    net = ipaddress.ip_network(subnet.cidr)
    for name, text in paths.ranges_on(session, router):
        have = ipaddress.ip_network(text)
        if have.version == net.version and have.overlaps(net):
            raise checks.refuse(
                "subnet",
                _(
                    "{subnet} ({cidr}) overlaps {other} ({range}) on the router {router}.", subnet=subnet.name,
                    cidr=subnet.cidr, other=name, range=text, router=router.name,
                ),
                _("a subnet whose range no other one there overlaps"),
            )  # fmt: skip


def _gateway_holder(session: Session, subnet: Subnet) -> Router | None:
    """The router whose leg has the subnet's gateway address."""
    holding = sa.select(RouterInterface.router_id).where(
        RouterInterface.subnet_id == subnet.id, RouterInterface.state == ACTIVE,
        RouterInterface.address.startswith(f"{subnet.gateway}/"),
    )  # fmt: skip
    return session.scalar(sa.select(Router).where(Router.id.in_(holding)).limit(1)) if subnet.gateway else None


def _refuse_second_gateway(session: Session, subnet: Subnet, address: str) -> None:
    holder = _gateway_holder(session, subnet) if address == subnet.gateway else None
    if holder is not None:
        raise Conflict(
            _("The router {router} has the gateway address {address} already.", router=holder.name, address=address),
            fields={"address": _("an address that is free, or none for the lowest free one")},
        )


def _plan(
    session: Session, router: Router, subnet: Subnet, address: str | None
) -> tuple[RouterInterface, tuple[Message, ...]]:
    """The leg's row and what is said of it."""
    net = ipaddress.ip_network(subnet.cidr)
    if address is not None:
        chosen = str(checks.address(address, within=net))
        _refuse_second_gateway(session, subnet, chosen)
    else:
        chosen = subnet.gateway if subnet.gateway and _gateway_holder(session, subnet) is None else ""
    if chosen != subnet.gateway or not chosen:
        chosen = addresses.choose(session, subnet, chosen or None)
    leg = RouterInterface(
        id=new_id(RouterInterface.PREFIX), router_id=router.id, network_id=subnet.network_id, subnet_id=subnet.id,
        address=f"{chosen}/{net.prefixlen}", mac=addresses.new_mac(session), external=False,
    )  # fmt: skip
    told = [_("{router} gets a leg in {subnet} at {address}.", router=router.name, subnet=subnet.name, address=chosen)]
    if chosen != subnet.gateway:
        told.append(
            _("That is not the subnet's gateway: its machines use this router only by static routes of their own or"
              " of their gateway.")
        )  # fmt: skip
    return leg, tuple(told)


def _gains(
    session: Session, router: Router, subnet: Subnet, found: list[Leg], leg: RouterInterface
) -> tuple[Message, ...]:
    """Who can reach whom through the new leg."""
    if leg.address.partition("/")[0] != subnet.gateway:
        return ()
    told: list[Message] = []
    others = [leg.subnet.cidr for leg in found if not leg.row.external]
    if others:
        told.append(_("{subnet} and {others} reach each other through it.", subnet=subnet.cidr,
                      others=", ".join(others)))  # fmt: skip
    outer = paths.outside(found)
    if outer is not None and not router.snat and paths.behind(session, [subnet.id]):
        told.append(translation(False, outer.address))
    return (*told, *foresee.rerouted(session, router.id, foresee.with_leg(leg), [subnet.network_id]))


def interface_of(session: Session, router: Router, reference: str) -> Leg:
    """A living inner leg by its id, its address, or its subnet's id, name or range. Raises `NotFound`, `Conflict` for
    a reference that fits several."""
    found = [leg for leg in paths.legs(session, router.id) if not leg.row.external and reference in (
        leg.row.id, leg.row.address, leg.address, leg.subnet.id, leg.subnet.name, leg.subnet.cidr
    )]  # fmt: skip
    if not found:
        raise not_found("interface", reference.replace("\0", "�")[:60])
    if len(found) > 1:
        raise Conflict(_("{reference} fits several things.", reference=reference), hint=_("Name its id."))
    return found[0]


def remove_interface(ctx: Context, router: Router, leg: Leg) -> Intent:
    """The router's leg goes to the trash; its address stays reserved as long as this can be undone. Raises `Conflict`
    while floating IPs lead through it or static routes go out there; says which."""
    ctx.may("router.remove_interface", router.project_id)
    look.must_allow(router, "remove_interface")
    session = ctx.session
    through.refuse_through(session, router, [leg.subnet.id])
    through.refuse_peered(session, router, leg.subnet.cidr)
    chaining.refuse_chained(session, router, [leg.subnet.id])
    _refuse_routes(session, router, leg)
    return Intent(
        kind="router.remove_interface",
        title=_("Take router {router} off subnet {subnet}", router=router.name, subnet=leg.subnet.name),
        subject=subject_of(router),
        subjects=(Subject("subnet", leg.subnet.id, leg.subnet.name),),
        project_id=router.project_id,
        arguments={"router_id": router.id, "interface_id": leg.row.id},
        keys=keys_of(router, leg.row.network_id),
        effects=(
            _("{router} loses its leg in {subnet}.", router=router.name, subnet=leg.subnet.name),
            *losses(session, router, [leg]),
        ),
    )


def _refuse_routes(session: Session, router: Router, leg: Leg) -> None:
    near: list[RouterRoute] = [
        route for route in paths.routes_of(session, router.id) if ipaddress.ip_address(route.next_hop) in leg.net
    ]
    if near:
        listed = ", ".join(f"{r.destination} → {r.next_hop}" for r in near)
        raise Conflict(
            _("Static routes of {router} go out there: {routes}.", router=router.name, routes=listed),
            hint=_("Remove them first."),
            details={"routes": [r.id for r in near]},
        )


# ── the way out ──


def set_gateway(ctx: Context, router: Router, network: str | None = None, address: str | None = None) -> Intent:
    """The router leads to an external network, at ``address`` or the lowest free one. Raises `Conflict` where it has
    a way out or a static route for everything, `Invalid` where the outside overlaps a subnet on the router."""
    ctx.may("router.set_gateway", router.project_id)
    look.must_allow(router, "set_gateway")
    session = ctx.session
    _refuse_way_out(session, router)
    plan = plan_gateway(ctx, router, network, address)
    found = paths.legs(session, router.id)
    _refuse_overlap(session, router, plan.subnet, found)
    gains = foresee.rerouted(session, router.id, foresee.with_leg(plan.leg), [plan.network.id])

    def write(into: Session) -> None:
        _refuse_way_out(into, router)
        plan.write(into)

    return Intent(
        kind="router.set_gateway",
        title=_("Connect router {router} with {network}", router=router.name, network=plan.network.name),
        subject=subject_of(router),
        subjects=(tenancy(plan.network.id),),
        project_id=router.project_id,
        arguments={"router_id": router.id, "interface_id": plan.leg.id},
        keys=keys_of(router, plan.network.id),
        effects=(way_out(plan), translation(router.snat, plan.address), *gains),
        capacity=(plan.capacity,),
        write=write,
    )


def _refuse_way_out(session: Session, router: Router) -> None:
    outer = paths.outside(paths.legs(session, router.id))
    if outer is not None:
        raise Conflict(
            _("The router {router} has a way out already, at {address}.", router=router.name, address=outer.address),
            hint=_("Take it away first: yun router clear-gateway."),
        )
    if any(r.destination in ("0.0.0.0/0", "::/0") for r in paths.routes_of(session, router.id)):
        raise Conflict(
            _("A static route of {router} says where everything else goes.", router=router.name),
            hint=_("Remove that route first."),
        )


def clear_gateway(ctx: Context, router: Router) -> Intent:
    """The router leads nowhere outside; its address stays reserved as long as this can be undone. Raises `Conflict`
    where it has no way out, and while floating IPs lead through it; says which."""
    ctx.may("router.clear_gateway", router.project_id)
    look.must_allow(router, "clear_gateway")
    session = ctx.session
    outer = paths.outside(paths.legs(session, router.id))
    if outer is None:
        raise Conflict(_("The router {router} has no way out.", router=router.name))
    through.refuse_through(session, router)
    _refuse_routes(session, router, outer)
    return Intent(
        kind="router.clear_gateway",
        title=_("Take the way out from router {router}", router=router.name),
        subject=subject_of(router),
        project_id=router.project_id,
        arguments={"router_id": router.id, "interface_id": outer.row.id},
        keys=keys_of(router),
        effects=(
            _("{router} no longer leads outside; {address} stays reserved for a while.", router=router.name,
              address=outer.address),
            *losses(session, router, [outer]),
        ),
    )  # fmt: skip
