"""The way that a packet takes between two ends, and back: directly, through routers, by an outside address. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yun.base.messages import Message, _
from yun.network.service.reach.facts import (
    BalancerFact,
    ForwarderFact,
    OutsideFact,
    PeerFact,
    Picture,
    PortFact,
    RouterFact,
)
from yun.network.service.reach.spans import address, network

MOST_HOPS = 8
NOBODY = ("192.0.2.1", "2001:db8::1")
"""Addresses outside, of each family, that are nobody's: what leads there is a default route."""


@dataclass(frozen=True)
class End:
    """One end of a question: a port by one of its addresses, or, without a port, an address outside of the cloud
    (``""``: any). ``by`` is the outside address by which the port is called, where it is; ``through`` the
    load balancer whose member it is meant as."""

    address: str = ""
    port: PortFact | None = None
    subnet_id: str = ""
    by: str = ""
    through: BalancerFact | None = None


@dataclass(frozen=True)
class Step:
    """Something that lets through or stops, in words; ``kind``, ``id`` and ``name`` are the thing it is about."""

    ok: bool
    text: Message
    kind: str = ""
    id: str = ""
    name: str = ""


@dataclass(frozen=True)
class Way:
    """How packets go. ``sent`` is the address that the sender writes on them, ``seen`` the one that the receiver sees
    as theirs (``""``: any); ``code`` says what stands in the way, if anything. ``outside`` is the address by which
    they come in; ``doors`` are the listeners of a load balancer, one of which they come through."""

    steps: tuple[Step, ...]
    sent: str = ""
    seen: str = ""
    code: str = ""
    outside: OutsideFact | None = None
    doors: tuple[OutsideFact, ...] = ()

    @property
    def open(self) -> bool:
        """Whether packets get there, and answers back."""
        return not self.code


def blocked(code: str, text: Message, *before: Step, thing: tuple[str, str, str] = ("", "", "")) -> Way:
    """No way: what stands in it."""
    return Way((*before, Step(False, text, *thing)), code=code)


def way(picture: Picture, a: End, b: End) -> Iterator[Way]:
    """The ways from ``a`` to ``b``, the best first; at least one, which says what is missing where there is none."""
    if b.through is not None:
        yield _balanced(picture, a, b, b.through)
    elif a.port is not None and b.port is not None and b.by:
        yield from _by_outside_address(picture, a, b) or [no_entry(picture, b)]
    elif a.port is not None and b.port is not None:
        inner = _inside(picture, a, b)
        yield inner
        if not inner.open:
            yield from _by_outside_address(picture, a, b)
    elif b.port is not None:
        yield from _in(picture, a, b)
    elif a.port is not None:
        yield _out(picture, a, b.address)


# ── within the cloud ──


def _inside(picture: Picture, a: End, b: End) -> Way:
    assert a.port is not None
    assert b.port is not None
    if a.port.network_id == b.port.network_id and (a.subnet_id == b.subnet_id or not (a.subnet_id and b.subnet_id)):
        net = picture.networks.get(a.port.network_id)
        name = net.name if net else a.port.network_id
        text = _("Both are on the network {network}.", network=name)
        return Way((Step(True, text, "network", a.port.network_id, name),), sent=b.address, seen=a.address)
    there = _walk(picture, a.subnet_id, b.subnet_id, b.address, a.address)
    if isinstance(there, Way):
        peered = _peered(picture, a, b.address)
        far = gateway_of(picture, b.subnet_id)
        if peered is not None and far is not None and peered[0].router_id == far.id:
            return Way(peered[1], sent=b.address, seen=a.address)
        return there
    back = _walk(picture, b.subnet_id, a.subnet_id, a.address, b.address)
    if isinstance(back, Way):
        text = _("Answers do not find back: the gateway of {name} does not lead to {address}.", name=b.port.name,
                 address=a.address)  # fmt: skip
        return blocked("no_way_back", text, *there, thing=("port", b.port.id, b.port.name))
    return Way(tuple(there), sent=b.address, seen=a.address)


def _walk(picture: Picture, start: str, end: str, target: str, sender: str) -> list[Step] | Way:
    """The routers, and machines that forward, from a subnet to an address in another one; or what is missing."""
    subnet = picture.subnets.get(start)
    router = gateway_of(picture, start)
    if router is None or subnet is None:
        cidr = subnet.cidr if subnet else ""
        return blocked("no_router", _("No router is the gateway of the subnet {cidr}.", cidr=cidr))
    steps: list[Step] = []
    for _hop in range(MOST_HOPS):
        steps.append(_through(router))
        if router.leg_in(end) is not None:
            return steps
        following = _next(picture, router, target)
        machine = _forwarder(picture, router, target) if following is None else None
        if machine is not None:
            handed = _handed(picture, machine, router, end, (target, sender))
            if isinstance(handed, Way):
                return Way((*steps, *handed.steps), code=handed.code)
            steps.append(handed[0])
            if isinstance(handed[1], str):
                return steps
            following = handed[1]
        if following is None:
            text = _("The router {router} has no way to {address}.", router=router.name, address=target)
            return blocked("no_route", text, *steps[:-1], thing=("router", router.id, router.name))
        router = following
    return blocked("loop", _("The routes go around in a circle."), *steps)


def _peered(picture: Picture, a: End, target: str) -> tuple[PeerFact, tuple[Step, ...]] | None:
    """The peering by which a port reaches an address, and the way."""
    router = gateway_of(picture, a.subnet_id)
    for peer in router.peers if router else ():
        ours = any(address(a.address) in network(r) for r in peer.local)
        if router is not None and ours and any(address(target) in network(r) for r in peer.remote):
            text = _("It goes through the peering {name}.", name=peer.name)
            return peer, (_through(router), Step(True, text, "network_peering", peer.id, peer.name))
    return None


def gateway_of(picture: Picture, subnet_id: str) -> RouterFact | None:
    """The router that is the gateway of a subnet."""
    subnet = picture.subnets.get(subnet_id)
    for router in picture.routers.values():
        leg = router.leg_in(subnet_id)
        if leg is not None and subnet is not None and leg.address == subnet.gateway:
            return router
    return None


def _next(picture: Picture, router: RouterFact, target: str) -> RouterFact | None:
    """The router to which a static route for an address leads."""
    hop = _next_hop(router, target)
    for other in picture.routers.values():
        shared = {leg.network_id for leg in router.legs}
        if hop and other.id != router.id and any(g.address == hop and g.network_id in shared for g in other.legs):
            return other
    return None


def _next_hop(router: RouterFact, target: str) -> str:
    """The next hop of the static route that fits an address best; nothing without one."""
    wanted = address(target)
    fitting = [(network(cidr).prefixlen, hop) for cidr, hop in router.routes if wanted in network(cidr)]
    return max(fitting)[1] if fitting else ""


def _forwarder(picture: Picture, router: RouterFact, target: str) -> ForwarderFact | None:
    """The machine to which a static route for an address leads."""
    shared = {leg.network_id for leg in router.legs}
    found = picture.forwarders.get(_next_hop(router, target), ())
    return next((m for m in found if m.network_id in shared), None)


def _handed(
    picture: Picture, machine: ForwarderFact, router: RouterFact, end: str, what: tuple[str, str]
) -> tuple[Step, RouterFact | str] | Way:
    """What becomes of a packet that a machine is to send on to an address in the subnet ``end``: it is there (its
    address), or goes to a router; or what is missing. ``what`` are the packet's target and sender."""
    target, sender = what
    thing = ("port", machine.id, machine.name)
    if not machine.up:
        text = _("The router {router} hands it to {name}, which does not run.", router=router.name, name=machine.name)
        return blocked("forwarder", text, thing=thing)
    beyond = {s: lets for s, lets in machine.arms if s == end} or {
        s: lets for s, lets in machine.arms if (g := gateway_of(picture, s)) is not None and g.id != router.id
    }
    if not beyond:
        text = _("The router {router} hands it to {name}, which has no card from which {address} is reached.",
                 router=router.name, name=machine.name, address=target)  # fmt: skip
        return blocked("no_route", text, thing=thing)
    subnet, lets = next(iter(beyond.items()))
    if lets is not None and not any(address(sender) in network(r) for r in lets if (":" in r) == (":" in sender)):
        text = _("The router {router} hands it to {name}, whose port security lets only its own addresses through.",
                 router=router.name, name=machine.name)  # fmt: skip
        return blocked("forwarder", text, thing=thing)
    text = _("The router {router} hands it to {name}; whether that sends it on, Yun does not know.", router=router.name,
             name=machine.name)  # fmt: skip
    step = Step(True, text, *thing)
    following = gateway_of(picture, subnet)
    return step, target if subnet == end or following is None else following


def _through(router: RouterFact) -> Step:
    text = _("It goes through the router {router}.", router=router.name)
    return Step(True, text, "router", router.id, router.name)


# ── out of the cloud and into it ──


def exit_of(picture: Picture, end: End) -> tuple[str, list[Step]] | Way:
    """The outside address under which a port's packets leave, and through what; or what is missing."""
    assert end.port is not None
    net = picture.networks.get(end.port.network_id)
    if net is not None and net.physical and not net.external:
        text = _("The network {network} is one with a network outside.", network=net.name)
        return end.address, [Step(True, text, "network", net.id, net.name)]
    router = gateway_of(picture, end.subnet_id)
    subnet = picture.subnets.get(end.subnet_id)
    if router is None:
        cidr = subnet.cidr if subnet else ""
        return blocked("no_router", _("No router is the gateway of the subnet {cidr}.", cidr=cidr))
    outer = router.outside
    if outer is None or (":" in outer.address) != (":" in end.address):
        machine = _forwarder(picture, router, NOBODY[":" in end.address])
        if machine is not None:
            return _let_out(router, machine, end)
        text = _("The router {router} has no way out of the cloud.", router=router.name)
        return blocked("no_gateway", text, thing=("router", router.id, router.name))
    if ":" in end.address:
        text = _("IPv6 addresses are not translated: outside it is known by its own.")
        return end.address, [_through(router), Step(True, text, "port", end.port.id, end.port.name)]
    own = next((o for o in picture.outside.get(end.port.id, ()) if _whole(o, outer.network_id)), None)
    steps = [_through(router)]
    if own is not None and end.address == (own.inner_address or end.port.addresses[0]):
        text = _("Outside it is known by its floating IP {address}.", address=own.address)
        return own.address, [*steps, Step(True, text, "floating_ip", own.id, own.address)]
    if not router.snat:
        text = _("The router {router} translates no source addresses, and {name} has no floating IP: answers do not "
                 "find back.", router=router.name, name=end.port.name)  # fmt: skip
        return blocked("no_snat", text, *steps, thing=("router", router.id, router.name))
    text = _("Outside it is known by the router's address {address}.", address=outer.address)
    return outer.address, [*steps, Step(True, text, "router", router.id, router.name)]


def _let_out(router: RouterFact, machine: ForwarderFact, end: End) -> tuple[str, list[Step]] | Way:
    """What becomes of a packet for the outside that a default route hands to a machine: under which address that sends
    it on, if at all, it alone knows."""
    thing = ("port", machine.id, machine.name)
    if not machine.up:
        text = _("The router {router} hands it to {name}, which does not run.", router=router.name, name=machine.name)
        return blocked("forwarder", text, _through(router), thing=thing)
    text = _("The router {router} hands it to {name}; whether that sends it on, Yun does not know.", router=router.name,
             name=machine.name)  # fmt: skip
    return end.address, [_through(router), Step(True, text, *thing)]


def _whole(outside: OutsideFact, network_id: str) -> bool:
    return outside.kind == "floating_ip" and outside.network_id == network_id


def _balanced(picture: Picture, a: End, b: End, balancer: BalancerFact) -> Way:
    """To a member of a load balancer, by the balancer's inner address or by its floating IP."""
    thing = ("load_balancer", balancer.id, balancer.name)
    if a.port is not None and a.port.network_id in balancer.network_ids and b.by in ("", balancer.address):
        inner = _inside(picture, a, b)
        if not inner.open:
            return inner
        text = _("The load balancer {name} hands it to {member}.", name=balancer.name, member=_member(b))
        steps = (*inner.steps, Step(True, text, *thing))
        return Way(steps, sent=balancer.address, seen=a.address, doors=balancer.doors(balancer.address))
    if not balancer.floating:
        text = _("No floating IP leads to the load balancer {name}: nothing from outside gets there.",
                 name=balancer.name)  # fmt: skip
        return blocked("no_floating_ip", text, thing=thing)
    before: list[Step] = []
    seen = a.address
    if a.port is not None:
        left = exit_of(picture, a)
        if isinstance(left, Way):
            return left
        seen, before = left
    text = _("The load balancer {name} at {address} hands it to {member}.", name=balancer.name,
             address=balancer.floating, member=_member(b))  # fmt: skip
    return Way((*before, Step(True, text, *thing)), balancer.floating, seen, doors=balancer.doors(balancer.floating))


def _member(b: End) -> str:
    return b.port.name if b.port else b.address


def _out(picture: Picture, a: End, target: str) -> Way:
    peered = _peered(picture, a, target) if target else None
    if peered is not None:
        text = _("Whether the other side lets it in, its project knows.")
        return Way((*peered[1], Step(True, text)), sent=target, seen=a.address)
    inside = [s for s in picture.subnets.values() if target and not _outer(picture, s.network_id)]
    for subnet in inside:
        if address(target) in network(subnet.cidr):
            text = _("Nobody has the address {address} in the subnet {cidr}.", address=target, cidr=subnet.cidr)
            return blocked("nobody", text)
    left = exit_of(picture, a)
    return left if isinstance(left, Way) else Way(tuple(left[1]), sent=target, seen=left[0])


def _outer(picture: Picture, network_id: str) -> bool:
    net = picture.networks.get(network_id)
    return net is not None and (net.external or net.physical)


def entries(picture: Picture, b: End) -> Iterator[tuple[OutsideFact, list[Step]]]:
    """The outside addresses by which a port is reached at the address ``b``, and through what."""
    assert b.port is not None
    router = gateway_of(picture, b.subnet_id)
    outer = router.outside if router else None
    if router is None or outer is None:
        return
    for outside in picture.outside.get(b.port.id, ()):
        meant = outside.inner_address or b.port.addresses[0]
        if outside.network_id != outer.network_id or b.by not in ("", outside.address) or b.address != meant:
            continue
        if outside.kind == "floating_ip":
            text = _("The floating IP {address} leads to {name}.", address=outside.address, name=b.port.name)
        else:
            text = _("The forwarding of {address} leads to {name}.", address=outside.address, name=b.port.name)
        yield outside, [Step(True, text, outside.kind, outside.id, outside.address), _through(router)]


def _in(picture: Picture, a: End, b: End) -> Iterator[Way]:
    assert b.port is not None
    net = picture.networks.get(b.port.network_id)
    found = False
    if net is not None and net.physical and not net.external:
        found = True
        text = _("The network {network} is one with a network outside.", network=net.name)
        yield Way((Step(True, text, "network", net.id, net.name),), sent=b.address, seen=a.address)
    for outside, steps in entries(picture, b):
        found = True
        yield Way(tuple(steps), sent=outside.address, seen=a.address, outside=outside)
    if not found:
        yield no_entry(picture, b)


def no_entry(picture: Picture, b: End) -> Way:
    """Why nothing from outside leads to a port."""
    assert b.port is not None
    thing = ("port", b.port.id, b.port.name)
    if picture.outside.get(b.port.id):
        router = gateway_of(picture, b.subnet_id)
        text = _("{name} has a floating IP, but no router leads from there to its subnet.", name=b.port.name)
        return blocked("no_gateway" if router else "no_router", text, thing=thing)
    text = _("No floating IP leads to {name}: nothing from outside gets there.", name=b.port.name)
    return blocked("no_floating_ip", text, thing=thing)


def _by_outside_address(picture: Picture, a: End, b: End) -> list[Way]:
    """From inside, out, and in again by an outside address."""
    left = exit_of(picture, a)
    return [
        left if isinstance(left, Way) else Way((*left[1], *steps), outside.address, left[0], outside=outside)
        for outside, steps in entries(picture, b)
    ]
