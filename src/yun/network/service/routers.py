"""The verbs of routers themselves: create, update, delete. Their legs and routes have verbs of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Unavailable
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.hosts.service import local_host
from yun.network import addresses, checks
from yun.network.model import Network, Router, RouterInterface, Subnet
from yun.network.service import chaining, look, paths, through
from yun.network.service.networks import tenancy
from yun.network.service.reach import foresee
from yun.operations.intent import Intent, Key, Subject


@dataclass(frozen=True)
class NewRouter:
    """A router to be made. ``external`` connects it to the outside: by ``network`` (name or id; the cloud's own where
    None), at ``address`` (the lowest free one where None); ``snat`` translates what leaves to that address."""

    name: str
    description: str = ""
    external: bool = True
    network: str | None = None
    address: str | None = None
    snat: bool = True


@dataclass(frozen=True)
class GatewayPlan:
    """An outside leg that can be made: row, network and subnet. ``write`` adds it, with another free address where
    nobody asked for a certain one and somebody was faster."""

    leg: RouterInterface
    network: Network
    subnet: Subnet
    fixed: bool
    capacity: Message

    @property
    def address(self) -> str:
        """The outside address, without prefix."""
        return self.leg.address.partition("/")[0]

    def write(self, session: Session) -> None:
        """Add the leg and the reservation of its address."""
        owner = ("router", self.leg.id)
        taken = addresses.take(session, self.subnet, self.address, owner, fixed=self.fixed)
        self.leg.address = f"{taken}/{checks.cidr(self.subnet.cidr).prefixlen}"
        session.add(self.leg)
        session.flush()


def subject_of(router: Router) -> Subject:
    """The router as an operation's subject."""
    return Subject("router", router.id, router.name)


def plan_gateway(ctx: Context, router: Router, network: str | None, address: str | None) -> GatewayPlan:
    """Choose a router's outside leg. Raises `Unavailable` while the cloud has no external network, `Conflict` for a
    network that is not external and for a taken address, `Invalid`, `NoCapacity`."""
    session = ctx.session
    found = look.get_network(ctx, network) if network else look.external_network(session)
    subnets = [s for s in look.subnets_of(session, found.id) if s.gateway] if found else []
    if found is not None and not found.external:
        raise checks.refuse(
            "network", _("{name} does not lead outside.", name=found.name), _("the name or id of an external network")
        )
    if found is None or not subnets:
        raise Unavailable(
            _("The cloud has no external network yet."),
            hint=_("An administrator sets it up: yun network ensure-default."),
        )
    look.must_allow_state(found)
    subnet = subnets[0]
    if address is not None:
        wanted = checks.address(address)
        subnet = next((s for s in subnets if wanted in checks.cidr(s.cidr)), subnet)
    chosen = addresses.choose(session, subnet, address)
    leg = RouterInterface(
        id=new_id(RouterInterface.PREFIX), router_id=router.id, network_id=found.id, subnet_id=subnet.id,
        address=f"{chosen}/{checks.cidr(subnet.cidr).prefixlen}", mac=addresses.new_mac(session), external=True,
    )  # fmt: skip
    capacity = _(
        "{free} of {total} addresses of {network} are free.", free=addresses.free(session, subnet),
        total=addresses.total(subnet), network=found.name,
    )  # fmt: skip
    return GatewayPlan(leg, found, subnet, address is not None, capacity)


def create_router(ctx: Context, new: NewRouter) -> Intent:
    """A router of the context's project, with a way out if asked. Raises `Invalid`, `Conflict` where the name or the
    address is taken, and like `plan_gateway`."""
    project_id = look.project_of(ctx)
    ctx.may("router.create")
    name = checks.name(new.name)
    look.refuse_taken(ctx.session, Router, name, project_id=project_id)
    if not new.external and (new.network or new.address):
        raise checks.refuse(
            "external", _("A router without a way out has no outside address."), _("yes, or no network and no address")
        )
    router = Router(
        id=new_id(Router.PREFIX), project_id=project_id, name=name, description=checks.description(new.description),
        snat=new.snat, host_id=local_host(ctx.session).id,
    )  # fmt: skip
    gateway = plan_gateway(ctx, router, new.network, new.address) if new.external else None

    def write(session: Session) -> None:
        look.refuse_taken(session, Router, name, project_id=project_id)
        session.add(router)
        session.flush()
        if gateway:
            gateway.write(session)

    return Intent(
        kind="router.create",
        title=_("Create router {name}", name=name),
        subject=subject_of(router),
        subjects=(tenancy(gateway.network.id),) if gateway else (),
        project_id=project_id,
        arguments={"router_id": router.id},
        keys=keys_of(router, *((gateway.network.id,) if gateway else ())),
        effects=(_("A router {name} is made.", name=name), *_way_out(router, gateway)),
        capacity=(gateway.capacity,) if gateway else (),
        write=write,
    )


def _way_out(router: Router, gateway: GatewayPlan | None) -> tuple[Message, ...]:
    if gateway is None:
        return (_("It connects networks with each other, and none with the outside."),)
    return (way_out(gateway), translation(router.snat, gateway.address))


def way_out(gateway: GatewayPlan) -> Message:
    """Where a router leads."""
    return _("Its way out is {network}, at {address}.", network=gateway.network.name, address=gateway.address)


def translation(snat: bool, address: str) -> Message:
    """What becomes of the senders of what leaves a router."""
    if snat:
        return _("What leaves through it comes from {address} (source NAT).", address=address)
    return _("What leaves through it keeps its sender: the outside needs a route back to the networks behind it.")


def update_router(
    ctx: Context, router: Router, *, name: str | None = None, description: str | None = None, snat: bool | None = None
) -> Intent:
    """Another name, description, or source NAT on or off; None leaves it. Raises `Invalid`, `Conflict` for a name
    that is taken and where nothing would change."""
    ctx.may("router.update", router.project_id)
    look.must_allow(router, "update")
    values: dict[str, Any] = {}
    effects: list[Message] = []
    if name is not None and (clean := checks.name(name)) != router.name:
        look.refuse_taken(ctx.session, Router, clean, project_id=router.project_id)
        values["name"] = clean
        effects.append(_("Its name is {name} instead of {before}.", name=clean, before=router.name))
    if description is not None and (text := checks.description(description)) != router.description:
        values["description"] = text
        effects.append(_("Its description changes."))
    if snat is not None and snat != router.snat:
        values["snat"] = snat
        effects += _translated(ctx.session, router, snat)
    if not values:
        raise Conflict(_("Nothing would change."))
    return Intent(
        kind="router.update",
        title=_("Change router {name}", name=router.name),
        subject=subject_of(router),
        project_id=router.project_id,
        arguments={"router_id": router.id, "values": values},
        keys=keys_of(router),
        effects=tuple(effects),
    )


def _translated(session: Session, router: Router, snat: bool) -> list[Message]:
    found = paths.legs(session, router.id)
    outer = paths.outside(found)
    if outer is None:
        return [_("It has no way out: source NAT counts once it has one.")]
    told = [translation(snat, outer.address)]
    ports = paths.behind(session, paths.gated(session, router.id, found))
    if ports and not snat:
        told.append(_("Connections that {count} {count:port has|ports have} to the outside end: {names}.",
                      count=len(ports),
                      names=paths.named(ports)))  # fmt: skip
    return [*told, *foresee.rerouted(session, router.id, lambda known: replace(known, snat=snat))]


def delete_router(ctx: Context, router: Router) -> Intent:
    """The router and its legs go to the trash. Raises `Conflict` while something leads through it; says what."""
    ctx.may("router.delete", router.project_id)
    look.must_allow(router, "delete")
    session = ctx.session
    through.refuse_through(session, router)
    through.refuse_peered(session, router)
    chaining.refuse_chained(session, router)
    found = paths.legs(session, router.id)
    return Intent(
        kind="router.delete",
        title=_("Delete router {name}", name=router.name),
        subject=subject_of(router),
        subjects=tuple(Subject("subnet", leg.subnet.id, leg.subnet.name) for leg in found if not leg.row.external),
        project_id=router.project_id,
        arguments={"router_id": router.id},
        keys=keys_of(router, *(leg.row.network_id for leg in found)),
        effects=(_("The router {name} goes to the trash.", name=router.name), *losses(session, router, found)),
    )


def losses(session: Session, router: Router, gone: list[paths.Leg]) -> tuple[Message, ...]:
    """Who loses what when these legs of a router go: the way out, or the way to each other."""
    every = paths.legs(session, router.id)
    leaving = {leg.subnet.id for leg in gone if not leg.row.external}
    told: list[Message] = []
    inner = [leg for leg in every if not leg.row.external]
    if leaving and len(inner) > 1:
        apart = [leg.subnet.cidr for leg in inner if leg.subnet.id in leaving]
        rest = [leg.subnet.cidr for leg in inner if leg.subnet.id not in leaving]
        if rest:
            told.append(_("{gone} and {rest} no longer reach each other through it.", gone=", ".join(apart),
                          rest=", ".join(rest)))  # fmt: skip
        else:
            told.append(_("{ranges} no longer reach each other through it.", ranges=", ".join(apart)))
    lost = foresee.rerouted(session, router.id, foresee.without_subnets([leg.subnet.id for leg in gone]))
    return (*told, *lost)


def keys_of(router: Router, *network_ids: str) -> tuple[Key, ...]:
    """The keys of a change to a router with legs in these networks."""
    return (Key(f"router:{router.id}"), *(Key(f"network:{n}") for n in sorted(set(network_ids))))
