"""What load balancers are planned of: their place, their floating IP, listeners and members, and these in words."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.tags import check_tags
from yun.network import addresses, checks
from yun.network.model import TRASHED, FloatingIp, Listener, LoadBalancer, Member, Network, Port, Subnet
from yun.network.service import balancing, look
from yun.network.service.floating import FloatingIpPlan, must_reach, plan_floating_ip, refuse_forwarded
from yun.network.service.ports import default_network

NEW = "new"
MOST_LISTENERS, MOST_MEMBERS = 20, 200
KINDS = ("port", "instance", "tag")


@dataclass(frozen=True)
class NewListener:
    """A listener to be made. ``member_port`` defaults to ``port``; ``affinity_seconds`` 0: every connection goes to any
    member; ``check_seconds`` 0: members are not looked at."""

    port: int
    protocol: str = "tcp"
    member_port: int | None = None
    affinity_seconds: int = 0
    check_seconds: int = 5
    check_timeout: int = 2
    check_failures: int = 3


@dataclass(frozen=True)
class NewBalancer:
    """A load balancer to be made. ``network`` defaults to the project's own, ``address`` to the lowest free one of its
    first subnet with room. ``floating_ip`` is the address or id of a floating IP that leads nowhere, ``new`` for one
    more, or None."""

    name: str
    network: str | None = None
    address: str | None = None
    description: str = ""
    floating_ip: str | None = None
    listeners: tuple[NewListener, ...] = ()
    members: tuple[tuple[str, str], ...] = ()


def place(ctx: Context, project_id: str, new: NewBalancer) -> tuple[Network, Subnet]:
    """The network and subnet of the inner address."""
    network = look.get_network(ctx, new.network) if new.network else default_network(ctx)
    look.must_allow_state(network)
    if network.external or network.project_id != project_id:
        raise Invalid(
            _("The network {name} is not one of the project.", name=network.name),
            fields={"network": _("a network of the project")},
        )
    subnets = look.subnets_of(ctx.session, network.id)
    if new.address is not None:
        wanted = checks.address(new.address)
        inside = [s for s in subnets if wanted in ipaddress.ip_network(s.cidr)]
        if not inside:
            ranges = ", ".join(s.cidr for s in subnets)
            raise Invalid(
                _("{address} is in no subnet of {network}.", address=new.address[:60], network=network.name),
                fields={"address": _("an address in {ranges}", ranges=ranges)},
            )
        subnets = inside
    routed = [s for s in subnets if look.router_of(ctx.session, s.id)]
    if not routed:
        raise Conflict(
            _("The network {network} has no router, which would answer for the load balancer's address.",
              network=network.name),
            hint=_("Connect it to a router first."), fields={"network": _("a network with a router")},
        )  # fmt: skip
    return network, next((s for s in routed if addresses.free(ctx.session, s) > 0), routed[0])


def outside_of(
    ctx: Context, wanted: str | None, subnet: Subnet
) -> tuple[FloatingIpPlan | None, FloatingIp | None]:
    """The floating IP that is to be in front: one to be made, or one that is there; neither where none is wanted.

    Raises like `plan_floating_ip` and `existing_floating_ip`."""
    if not wanted:
        return None, None
    if wanted == NEW:
        plan = plan_floating_ip(ctx)
        must_reach(ctx.session, subnet.id, plan.network)
        return plan, None
    return None, existing_floating_ip(ctx, wanted, subnet, None)


def existing_floating_ip(ctx: Context, wanted: str | None, subnet: Subnet, balancer: LoadBalancer | None) -> FloatingIp:
    """A floating IP of the project that leads nowhere else."""
    found = look.get_floating_ip(ctx, wanted or "")
    look.must_allow_state(found)
    if subnet.project_id != found.project_id:
        raise Invalid(
            _("The floating IP belongs to another project."), fields={"floating_ip": _("one of the project's own")}
        )
    if found.port_id is not None:
        raise Conflict(
            _("{address} leads to a port.", address=found.address), hint=_("Disassociate it first."),
            fields={"floating_ip": _("one that leads nowhere")},
        )  # fmt: skip
    refuse_forwarded(ctx.session, found)
    other = balancing.behind_floating_ip(ctx.session, found.id)
    if other is not None and (balancer is None or other.id != balancer.id):
        raise Conflict(
            _("{address} leads to the load balancer {name}.", address=found.address, name=other.name),
            fields={"floating_ip": _("one that leads nowhere")},
        )
    if ipaddress.ip_network(subnet.cidr).version != 4:
        raise Invalid(
            _("A floating IP leads to IPv4 addresses only."), fields={"floating_ip": _("none, or an IPv4 subnet")}
        )
    must_reach(ctx.session, subnet.id, ctx.session.get_one(Network, found.network_id))
    return found


def plan_listener(balancer: LoadBalancer, subnet: Subnet, new: NewListener) -> Listener:
    """The row of a listener. Raises `Invalid` naming the field at fault."""
    protocol = checks.one_of(new.protocol, ("tcp", "udp"), "protocol")
    check = checks.number(new.check_seconds, 0, 300, "check_seconds") or 0
    if check and ipaddress.ip_network(subnet.cidr).version == 6:
        raise Invalid(
            _("Members with IPv6 addresses cannot be checked."), fields={"check_seconds": _("0: they are not checked")}
        )
    timeout = checks.number(new.check_timeout, 1, 60, "check_timeout") or 2
    if check and timeout > check:
        raise Invalid(
            _("An answer cannot be waited for longer than until the next check."),
            fields={"check_timeout": _("{low} to {high}", low=1, high=check)},
        )
    return Listener(
        id=new_id(Listener.PREFIX),
        load_balancer_id=balancer.id,
        protocol=protocol,
        port=_number(new.port, "port"),
        member_port=_number(new.member_port if new.member_port is not None else new.port, "member_port"),
        affinity_seconds=checks.number(new.affinity_seconds, 0, 65535, "affinity_seconds") or 0,
        check_seconds=check,
        check_timeout=timeout,
        check_failures=checks.number(new.check_failures, 1, 20, "check_failures") or 3,
    )


def _number(value: int, field: str) -> int:
    checks.number(value, 1, 65535, field)
    return value


def refuse_port(have: list[Listener], listener: Listener) -> None:
    """Raise `Conflict` where one of the listeners has the port already."""
    if any((r.protocol, r.port) == (listener.protocol, listener.port) for r in have):
        raise Conflict(
            _("The load balancer has a listener at {protocol} {port} already.", protocol=listener.protocol.upper(),
              port=listener.port),
            fields={"port": _("a port that is free")},
        )  # fmt: skip


def get_listener(session: Session, balancer: LoadBalancer, listener_id: str) -> Listener:
    """A listener of the load balancer. Raises `NotFound`."""
    found = session.get(Listener, listener_id)
    if found is None or found.load_balancer_id != balancer.id:
        raise not_found("listener", listener_id)
    return found


def plan_member(ctx: Context, balancer: LoadBalancer, network: Network, kind: str, target: str) -> Member:
    """The row of a member. Raises `Invalid` naming the field at fault, `NotFound`, and `Conflict` for a machine
    that the balancer cannot reach."""
    checks.one_of(kind, KINDS, "kind")
    session = ctx.session
    text = target.strip()
    if not text:
        raise Invalid(_("Who is to be a member?"), fields={"target": _("a port, an instance, or a tag")})
    if kind == "tag":
        text = check_tags([text])[0]
    else:
        inside = balancing.networks_of(session, balancer)
        mine = [look.get_port(ctx, text)] if kind == "port" else _cards(ctx, balancer, text)
        look.must_allow_state(mine[0])
        if mine[0].project_id != balancer.project_id or not any(p.network_id in inside for p in mine):
            raise Conflict(
                _("{name} is on none of the networks that the load balancer's router joins.",
                  name=mine[0].hostname or mine[0].address),
                fields={"target": _("a machine on {network}, or on a network with the same router",
                                    network=network.name)},
            )  # fmt: skip
        text = mine[0].id if kind == "port" else str(mine[0].instance_id)
    return Member(id=new_id(Member.PREFIX), load_balancer_id=balancer.id, kind=kind, target=text)


def _cards(ctx: Context, balancer: LoadBalancer, reference: str) -> list[Port]:
    """The cards of an instance of the balancer's project, by its id, host name, or an address or MAC of it; those in
    the trash last."""
    named = (Port.instance_id, Port.hostname, Port.address, Port.mac)
    query = sa.select(Port.instance_id).where(
        Port.project_id == balancer.project_id, Port.instance_id.is_not(None),
        sa.or_(*(column == reference.replace("\0", "") for column in named)),
    )  # fmt: skip
    found = sorted({str(i) for i in ctx.session.scalars(query)})
    cards = {i: look.ports_of(ctx.session, i) for i in found}
    living = [i for i in found if any(p.state != TRASHED for p in cards[i])] or found
    if not living:
        raise not_found(_("instance").text, reference)
    if len(living) > 1:
        raise Conflict(
            _("{reference} fits several things.", reference=reference), hint=_("Name its id, or choose a project.")
        )
    return sorted(cards[living[0]], key=lambda p: p.state == TRASHED)


def depends_on(members: int) -> tuple[Message, ...]:
    """What a person should know of who gets through."""
    if members:
        return (_("The security groups of the members decide who gets through."),)
    return (_("Without members every call is refused."),)


def say_listener(row: Listener) -> Message:
    """A listener in words."""
    said = {"protocol": row.protocol.upper(), "port": row.port, "member_port": row.member_port}
    if row.check_seconds:
        return _("{protocol} {port} goes to port {member_port} of the members that answer, asked every {seconds} s.",
                 **said, seconds=row.check_seconds)  # fmt: skip
    return _("{protocol} {port} goes to port {member_port} of all members.", **said)


def said_of(ctx: Context, member: Member) -> Message:
    """What comes of a new member, in words."""
    if member.kind == "tag":
        query = sa.select(sa.func.count(sa.distinct(Port.instance_id))).where(
            Port.project_id == ctx.project_id, Port.instance_id.is_not(None),
            balancing.HAS_LABEL.make(ctx.session, "=", member.target),
        )  # fmt: skip
        count = ctx.session.scalar(query) or 0
        return _("Every instance with the tag {tag} gets its share: {count} now.", tag=member.target, count=count)
    return _("{member} gets its share of the connections.", member=say_member(ctx.session, member))


def say_member(session: Session, member: Member) -> object:
    """Who a member is, in words."""
    if member.kind == "tag":
        return _("instances with the tag {tag}", tag=member.target)
    if member.kind == "instance":
        return hostname_of(session, member.target)
    port = session.get(Port, member.target)
    return f"{port.hostname} {port.address}".strip() if port else member.target


def hostname_of(session: Session, instance_id: str) -> str:
    """What a person calls an instance, as far as its cards tell."""
    ports = look.ports_of(session, instance_id)
    return next((p.hostname or p.address for p in ports), instance_id)


LISTENER_COLUMNS = ("id", "load_balancer_id", *(f.name for f in fields(NewListener)))
MEMBER_COLUMNS = ("id", "load_balancer_id", "kind", "target")


def values_of(row: Listener | Member) -> dict[str, Any]:
    """A row as JSON, from which it can be made again."""
    names = LISTENER_COLUMNS if isinstance(row, Listener) else MEMBER_COLUMNS
    return {name: getattr(row, name) for name in names}
