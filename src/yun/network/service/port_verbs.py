"""The verbs of ports as things of their own: create, update, delete, one address more, one less."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.crossing import readable
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.base.messages import Message, _
from yun.network import addresses, checks, rates
from yun.network.model import ACTIVE, LoadBalancer, Member, Network, Port, PortForwarding, Subnet
from yun.network.service import chaining, families, look, ports
from yun.network.service.rights import may_change
from yun.operations.intent import Intent, Key, Subject

MOST_ADDRESSES = 16
MOST_PAIRS = 20
PORT_TITLES: dict[str, Message] = {
    "name": _("Name"), "security_groups": _("Security groups"), "mac": _("MAC"), "address": _("Address"),
    "port_security": _("Port security"), "allowed_pairs": _("Further senders"),
    "ingress_kbps": _("Limit inwards, kbit/s"), "ingress_burst_kbit": _("Burst inwards, kbit"),
    "egress_kbps": _("Limit outwards, kbit/s"), "egress_burst_kbit": _("Burst outwards, kbit"),
    "dscp": Message("DSCP"),
}  # fmt: skip
"""What can be changed of a port, as people call it."""
PORT_NUMBERS = {
    "ingress_kbps": (rates.LOWEST, rates.HIGHEST), "egress_kbps": (rates.LOWEST, rates.HIGHEST),
    "ingress_burst_kbit": (1, rates.MOST_BURST), "egress_burst_kbit": (1, rates.MOST_BURST), "dscp": (1, 63),
}  # fmt: skip
"""Limits and marks; 0 takes one away."""


@dataclass(frozen=True)
class PortChanges:
    """What `update_port` may change; None leaves a field as it is. Limits in kbit/s, bursts in kbit; 0 takes a limit, a
    burst or the mark away. ``allowed_pairs`` are ``{"cidr": range or address, "mac": its own where None}``."""

    name: str | None = None
    security_groups: Sequence[str] | None = None
    mac: str | None = None
    address: str | None = None
    port_security: bool | None = None
    allowed_pairs: Sequence[Mapping[str, Any]] | None = None
    ingress_kbps: int | None = None
    ingress_burst_kbit: int | None = None
    egress_kbps: int | None = None
    egress_burst_kbit: int | None = None
    dscp: int | None = None

    def given(self) -> dict[str, Any]:
        """What was given at all."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True)
class NewPort:
    """A port to be made. ``addresses``: certain ones of the network's subnets, the first one is what DHCP gives; none:
    one is chosen. ``groups``: names or ids, None: the project's default one. ``changes`` are what else of it is to be
    so from the beginning. ``count`` ports alike at once have numbers in their names and host names, as in
    `numbered`."""

    network: str | None = None
    addresses: Sequence[str] = ()
    groups: Sequence[str] | None = None
    mac: str | None = None
    hostname: str = ""
    count: int = 1
    changes: PortChanges = field(default_factory=PortChanges)


def told_port(session: Session, port: Port) -> dict[str, Any]:
    """What can be changed of a port, as it is; no limit is 0."""
    return {
        "name": port.name, "security_groups": sorted(g.name for g in look.groups_of(session, port.id)),
        "mac": port.mac, "address": port.address, "port_security": port.port_security,
        "allowed_pairs": port.allowed_pairs, **{name: getattr(port, name) or 0 for name in PORT_NUMBERS},
    }  # fmt: skip


def told_wish(ctx: Context, port: Port, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for, in the words of `told_port`. Raises `Invalid`, `NotFound`."""
    told = dict(given)
    if "security_groups" in told:
        told["security_groups"] = sorted(g.name for g in _groups(ctx, port, told["security_groups"]))
    if "mac" in told:
        told["mac"] = str(told["mac"]).strip().lower().replace("-", ":")
    if "allowed_pairs" in told:
        told["allowed_pairs"] = pairs(told["allowed_pairs"])
    return told


def update_port(ctx: Context, port: Port, changes: PortChanges) -> Intent:
    """Other name, groups, limits, senders; MAC and first address where it is in no instance.

    Raises `Invalid` naming fields, `Conflict` where nothing would change or the address is taken, `Forbidden` where
    senders or port security would change in a network of others.
    """
    ctx.may("port.update", port.project_id)
    look.must_allow(port, "update")
    session = ctx.session
    network = session.get_one(Network, port.network_id)
    given = changes.given()
    if not given:
        raise Invalid(_("Nothing to change was given."))
    if port.instance_id is not None and (wrong := set(given) & {"mac", "address"}):
        raise Conflict(
            _("The port is a card of an instance: its MAC and first address change there."),
            hint=_("yun instance change-nic INSTANCE {mac}", mac=port.mac),
            fields={name: _("as it is") for name in sorted(wrong)},
        )
    values = checked(ctx, port, network, given)
    effects = list(said(port, network, values))
    if "security_groups" in given:
        groups = _groups(ctx, port, given["security_groups"])
        if {g.id for g in groups} != {g.id for g in look.groups_of(session, port.id)}:
            values["groups"] = sorted(g.id for g in groups)
            effects.append(groups_said([g.name for g in groups]))
    if not values:
        raise Conflict(_("Nothing would change: the port is already so."))
    floating = look.floating_of(session, [port.id]).get(port.id)
    place = values.get("place")
    loose = floating if floating is not None and place and place["subnet_id"] != port.subnet_id else None
    if loose is not None:
        effects.append(_("The floating IP {address} leads nowhere and stays the project's.", address=loose.address))
    near = {port.subnet_id, place["subnet_id"]} if place and floating is not None else set()
    routers = sorted({r.id for s in near if (r := look.router_of(session, s)) is not None})
    return Intent(
        kind="port.update",
        title=_("Change port {name}", name=look.title_of(port)),
        subject=subject(port),
        project_id=port.project_id,
        arguments={
            "port_id": port.id, "values": values, "was": look.card_now(session, port),
            "floating_ip_ids": [loose.id] if loose else [],
            "targets": [["port", port.id], *(["router", r] for r in routers)],
        },
        keys=(Key(f"port:{port.id}"), *((Key(f"floating_ip:{loose.id}"),) if loose else ())),
        subjects=(Subject("floating_ip", loose.id, loose.address),) if loose else (),
        effects=tuple(effects),
        back=(_("Its old address comes back only where nobody has taken it since."),) if place else (),
    )  # fmt: skip


def delete_port(ctx: Context, port: Port) -> Intent:
    """The port goes to the trash; addresses and MAC stay reserved until it is purged. Raises `Conflict` where it is in
    an instance, a member of a load balancer by its name, or in a hop of a service chain."""
    ctx.may("port.delete", port.project_id)
    look.must_allow(port, "delete")
    if port.instance_id is not None:
        raise Conflict(
            _("The port {name} is a card of the instance {instance}.", name=look.title_of(port),
              instance=port.hostname or port.instance_id),
            hint=_("Take it out first: yun instance remove-nic INSTANCE {mac}.", mac=port.mac),
        )  # fmt: skip
    serves = sa.select(LoadBalancer.name).join(Member, Member.load_balancer_id == LoadBalancer.id)
    named = ctx.session.scalar(serves.where(Member.kind == "port", Member.target == port.id).limit(1))
    if named is not None:
        raise Conflict(
            _("The port {name} is a member of the load balancer {balancer}.", name=look.title_of(port), balancer=named),
            hint=_("Take it out there first."),
        )
    if chained := chaining.chains_of_ports(ctx.session, [port.id]):
        raise Conflict(
            _("The service chain {chain} goes through the port {name}.", chain=chained[0].name,
              name=look.title_of(port)),
            hint=_("Change or delete that chain first: yun service-chain update."),
            details={"service_chains": [c.id for c in chained]},
        )  # fmt: skip
    floating = look.floating_of(ctx.session, [port.id]).get(port.id)
    kept = _("The floating IP {address} stays the project's, and leads nowhere once the port is purged.",
             address=floating.address) if floating else None  # fmt: skip
    return Intent(
        kind="port.delete",
        title=_("Delete port {name}", name=look.title_of(port)),
        subject=subject(port),
        project_id=port.project_id,
        arguments={"port_id": port.id},
        keys=(Key(f"port:{port.id}"),),
        effects=(
            _("The port goes to the trash."),
            _("Addresses and MAC stay reserved as long as this can be undone."),
            *((kept,) if kept else ()),
        ),
    )


def add_address(ctx: Context, port: Port, address: str | None = None, *, subnet: str | None = None) -> Intent:
    """One address more, of any subnet of its network; None: the lowest free one of ``subnet``, or of the first.

    Its guest has to be told by hand: DHCP gives the first address only. Raises `Invalid` naming fields, `Conflict` for
    a taken one, `NoCapacity` for a full pool.
    """
    ctx.may("port.add_address", port.project_id)
    look.must_allow(port, "add_address")
    session = ctx.session
    network = session.get_one(Network, port.network_id)
    if len(look.places_of(session, port)) >= MOST_ADDRESSES:
        raise Conflict(
            _("The port has {most} addresses, which is the most.", most=MOST_ADDRESSES),
        )
    inside = _subnet_named(session, network, subnet) if subnet else None
    part = choose(session, network, address, port.mac, inside)
    chosen = part.address
    return Intent(
        kind="port.add_address",
        title=_("Add the address {address} to port {name}", address=chosen, name=look.title_of(port)),
        subject=subject(port),
        project_id=port.project_id,
        arguments=_one(port, part.subnet.id, chosen),
        keys=(Key(f"port:{port.id}"),),
        effects=(
            _("It gets the address {address} too.", address=chosen),
            _("The guest must be told of it by hand: DHCP gives the first address only."),
        ),
    )


def remove_address(ctx: Context, port: Port, address: str) -> Intent:
    """One address less; it is free at once. Raises `Invalid` where the port does not have it, `Conflict` for its first
    one, which is what DHCP gives."""
    ctx.may("port.remove_address", port.project_id)
    look.must_allow(port, "remove_address")
    places = look.places_of(ctx.session, port)
    wanted = str(checks.address(address))
    if wanted == port.address:
        raise Conflict(
            _("{address} is the port's first address.", address=wanted),
            hint=_("Give it another first address instead, or delete the port."),
        )
    subnet_id = next((s for s, a in places if a == wanted), None)
    if subnet_id is None:
        others = ", ".join(a for _subnet, a in places[1:]) or "–"
        raise Invalid(
            _("The port does not have the address {address}.", address=wanted),
            fields={"address": _("one of {names}", names=others)},
        )
    _refuse_led_to(ctx.session, port, wanted)
    return Intent(
        kind="port.remove_address",
        title=_("Take the address {address} from port {name}", address=wanted, name=look.title_of(port)),
        subject=subject(port),
        project_id=port.project_id,
        arguments=_one(port, subnet_id, wanted),
        keys=(Key(f"port:{port.id}"),),
        effects=(_("The address {address} is free at once; nothing comes in or out by it.", address=wanted),),
        back=(_("It comes back only where nobody has taken it since."),),
    )


def _refuse_led_to(session: Session, port: Port, address: str) -> None:
    """Raise `Conflict` where a floating IP, a forwarding or a service chain leads to this address of the port."""
    for chain in chaining.chains_of_ports(session, [port.id]):
        arms = (arm for hop in chaining.hops_of(session, chain) for arm in (hop.inner, hop.outer))
        if any(arm is not None and arm.port.id == port.id and arm.address == address for arm in arms):
            raise Conflict(
                _("The service chain {chain} goes through {address}.", chain=chain.name, address=address),
                hint=_("Change or delete that chain first: yun service-chain update."),
            )
    floating = look.floating_of(session, [port.id]).get(port.id)
    if floating is not None and floating.inner_address == address:
        raise Conflict(
            _("The floating IP {outside} leads to {address}.", outside=floating.address, address=address),
            hint=_("Lead it to another address of the port, or disassociate it first."),
        )
    forwarded = sa.select(PortForwarding).where(
        PortForwarding.port_id == port.id, PortForwarding.inner_address == address, PortForwarding.state == ACTIVE
    )
    if (row := session.scalar(forwarded.limit(1))) is not None:
        raise Conflict(
            _("A forwarded port leads to {address}: {ports}.", address=address,
              ports=f"{row.protocol.upper()} {row.outside_port}"),
            hint=_("End those forwardings first."),
        )  # fmt: skip


# ── parts ──


def subject(port: Port) -> Subject:
    """The port as an operation's subject."""
    return Subject("port", port.id, port.name or port.address)


def _one(port: Port, subnet_id: str, address: str) -> dict[str, Any]:
    return {"port_id": port.id, "subnet_id": subnet_id, "address": address, "targets": [["port", port.id]]}


def _groups(ctx: Context, port: Port, references: Sequence[str]) -> list[Any]:
    return ports.groups_for(replace(ctx, project_id=port.project_id), port.project_id, references)


def groups_said(names: Sequence[str]) -> Message:
    """In which groups a port will be."""
    if not names:
        return _("It is in no security group.")
    return _("Its security groups are: {names}.", names=", ".join(names))


def choose(
    session: Session, network: Network, address: str | None, mac: str, inside: Subnet | None = None
) -> families.Part:
    """A free address in the network for a port with this MAC, of ``inside`` if given."""
    subnets = look.subnets_of(session, network.id)
    if inside is not None:
        subnet = inside
    else:
        subnet = families.subnet_of(network, subnets, address) if address else families.roomy(session, subnets)
    return families.pick(session, subnet, address, mac)


def _subnet_named(session: Session, network: Network, reference: str) -> Subnet:
    subnets = look.subnets_of(session, network.id)
    for subnet in subnets:
        if reference in (subnet.id, subnet.name, subnet.cidr):
            return subnet
    raise Invalid(
        _("The network {network} has no subnet {name}.", network=network.name, name=reference[:60]),
        fields={"subnet": _("one of {names}", names=", ".join(s.name for s in subnets) or "–")},
    )


def pairs(listed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Further senders, clean, each once. Raises `Invalid`."""
    if len(listed) > MOST_PAIRS:
        raise checks.refuse("allowed_pairs", _("Too many further senders."), _("at most {most}", most=MOST_PAIRS))
    found: list[dict[str, Any]] = []
    for one in listed:
        cidr = str(one.get("cidr") or "")
        family = "ipv6" if ":" in cidr else "ipv4"
        clean = checks.filter_cidr(cidr, "allowed_pairs", family=family)
        net = ipaddress.ip_network(clean)
        short = str(net[0]) if net.prefixlen == net.max_prefixlen else clean
        mac = str(one.get("mac") or "").strip()
        pair = {"mac": addresses.mac_of_card(mac, "allowed_pairs") if mac else None, "cidr": short}
        if pair not in found:
            found.append(pair)
    return found


def checked(ctx: Context, port: Port, network: Network, given: Mapping[str, Any]) -> dict[str, Any]:
    """What changes, clean, as `cards.change_card` writes it. Raises as the verbs say."""
    values: dict[str, Any] = {}
    if "name" in given:
        values["name"] = checks.name(given["name"], empty=True)
    if "port_security" in given:
        values["port_security"] = bool(given["port_security"])
    if "allowed_pairs" in given:
        values["allowed_pairs"] = pairs(given["allowed_pairs"])
    for name, (low, high) in PORT_NUMBERS.items():
        if name in given:
            values[name] = checks.number(given[name] or None, low, high, name)
    if "mac" in given:
        mac = str(given["mac"]).strip().lower().replace("-", ":")
        values["mac"] = mac if mac == port.mac else addresses.check_mac(ctx.session, mac)
    values = {name: value for name, value in values.items() if value != getattr(port, name)}
    if given.get("address") and str(checks.address(given["address"])) != port.address:
        part = choose(ctx.session, network, given["address"], port.mac)
        if families.family(part.address) != families.family(port.address):
            raise checks.refuse(
                "address", _("The first address of this port is {address}.", address=port.address),
                _("an address of the same family"),
            )  # fmt: skip
        values["place"] = {"network_id": network.id, **part.to_json()}
    for side in ("ingress", "egress"):
        kbps = values.get(f"{side}_kbps", getattr(port, f"{side}_kbps"))
        if not kbps and values.get(f"{side}_burst_kbit"):
            raise checks.refuse(
                f"{side}_burst_kbit", _("A burst without a limit means nothing."), _("none, or a limit too")
            )
    if "port_security" in values or values.get("allowed_pairs"):
        _owner_only(ctx, network)
    return values


def _owner_only(ctx: Context, network: Network) -> None:
    """Whoever speaks as another reaches all of the network, so its owner decides."""
    try:
        may_change(ctx, "port.update", network)
    except Forbidden as error:
        raise Forbidden(
            _("Only who owns the network {name} may let its ports speak as others.", name=network.name)
        ) from error


def said(port: Port, network: Network, values: Mapping[str, Any]) -> list[Message]:
    """What the values mean."""
    said: list[Message] = []
    for name in ("name", "mac", "dscp", "ingress_kbps", "ingress_burst_kbit", "egress_kbps", "egress_burst_kbit"):
        if name in values:
            said.append(_("{field}: {value}.", field=PORT_TITLES[name], value=_number(values[name])))
    if "place" in values:
        said.append(
            _("Its first address changes from {old} to {new}.", old=port.address, new=values["place"]["address"])
        )
    if "port_security" in values:
        said.append(
            _("Only its own addresses and MAC may speak through it, and its further senders.")
            if values["port_security"] else
            _("Anybody may speak through it, as whoever: it can take over the addresses of others in {network}.",
              network=network.name)
        )  # fmt: skip
    if "allowed_pairs" in values:
        listed = [f"{p['cidr']} ({p['mac']})" if p["mac"] else p["cidr"] for p in values["allowed_pairs"]]
        said.append(
            _("It may also speak as: {names}.", names=", ".join(listed)) if listed
            else _("It may speak as nobody else.")
        )  # fmt: skip
    if values.get("ingress_kbps") or values.get("egress_kbps"):
        said.append(_("What goes beyond a limit is dropped, not queued."))
    return said


def _number(value: Any) -> Message:
    return readable(value) if value else _("none")
