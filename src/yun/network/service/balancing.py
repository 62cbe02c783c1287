"""What belongs to a load balancer: listeners, members, the machines' ports behind it, and how they are."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.errors import NoCapacity
from yun.base.messages import _
from yun.network import addresses
from yun.network.model import (
    ACTIVE,
    TRASHED,
    Listener,
    LoadBalancer,
    Member,
    MemberHealth,
    Port,
    Reservation,
    RouterInterface,
    Subnet,
)
from yun.network.service import look

PROBE = "probe"
"""Who has the address from which the members of a subnet are asked whether they answer: one for each subnet."""

HAS_LABEL = language.tag(Port.labels)


def listeners_of(session: Session, balancer_id: str) -> list[Listener]:
    """The listeners of a load balancer by port."""
    query = sa.select(Listener).where(Listener.load_balancer_id == balancer_id)
    return list(session.scalars(query.order_by(Listener.port, Listener.protocol)))


def members_of(session: Session, balancer_id: str) -> list[Member]:
    """The members of a load balancer as they were added."""
    query = sa.select(Member).where(Member.load_balancer_id == balancer_id)
    return list(session.scalars(query.order_by(Member.created_at, Member.id)))


def networks_of(session: Session, balancer: LoadBalancer) -> list[str]:
    """The networks that the load balancer's router joins: its members can be on any of them."""
    router = look.router_of(session, balancer.subnet_id)
    legs = look.legs_of(session, router.id) if router else []
    return list(dict.fromkeys([balancer.network_id, *(leg.network_id for leg in legs if not leg.external)]))


def backends_of(session: Session, balancer: LoadBalancer) -> list[Port]:
    """The ports behind a load balancer, whatever state they are in: of an instance the first card on its networks."""
    inside = networks_of(session, balancer)
    found: dict[str, Port] = {}
    for member in members_of(session, balancer.id):
        for port in ports_of_member(session, balancer, member, inside):
            found.setdefault(port.id, port)
    return sorted(found.values(), key=lambda p: p.id)


def ports_of_member(
    session: Session, balancer: LoadBalancer, member: Member, inside: list[str] | None = None
) -> list[Port]:
    """The ports that one member stands for; an instance in the trash has none."""
    networks = networks_of(session, balancer) if inside is None else inside
    query = sa.select(Port).where(
        Port.project_id == balancer.project_id, Port.network_id.in_(networks), Port.state != TRASHED
    )
    match member.kind:
        case "port":
            return list(session.scalars(query.where(Port.id == member.target)))
        case "instance":
            query = query.where(Port.instance_id == member.target)
        case _:
            query = query.where(Port.instance_id.is_not(None), HAS_LABEL.make(session, "=", member.target))
    first: dict[str, Port] = {}
    for port in session.scalars(query.order_by(Port.device_index, Port.id)):
        first.setdefault(str(port.instance_id), port)
    return list(first.values())


def health_of(session: Session, balancer_id: str) -> dict[tuple[str, str], MemberHealth]:
    """(listener id, port id) → how the member was found there."""
    mine = sa.select(Listener.id).where(Listener.load_balancer_id == balancer_id)
    rows = session.scalars(sa.select(MemberHealth).where(MemberHealth.listener_id.in_(mine)))
    return {(r.listener_id, r.port_id): r for r in rows}


def balancers_of_ports(session: Session, port_ids: Iterable[str]) -> list[str]:
    """The living load balancers in whose members the ports are, by port, instance or tag."""
    ports = [p for i in port_ids if (p := session.get(Port, i)) is not None]
    projects = {p.project_id for p in ports}
    targets = {p.id for p in ports} | {p.instance_id for p in ports if p.instance_id}
    tags = {label for p in ports for label in p.labels}
    return _named(session, projects, targets, tags)


def balancers_of_labels(session: Session, project_id: str, labels: Iterable[str]) -> list[str]:
    """The living load balancers of a project that have these tags among their members."""
    return _named(session, {project_id}, set(), set(labels))


def _named(session: Session, projects: set[str], targets: set[str], tags: set[str]) -> list[str]:
    if not targets and not tags:
        return []
    query = (
        sa.select(LoadBalancer.id)
        .join(Member, Member.load_balancer_id == LoadBalancer.id)
        .where(
            LoadBalancer.project_id.in_(projects), LoadBalancer.state == ACTIVE,
            sa.or_(
                sa.and_(Member.kind != "tag", Member.target.in_(targets)),
                sa.and_(Member.kind == "tag", Member.target.in_(tags)),
            ),
        )
    )  # fmt: skip
    return sorted(set(session.scalars(query)))


def balancers_of_routers(session: Session, router_ids: Iterable[str]) -> list[str]:
    """The living load balancers whose subnet has a leg of one of the routers."""
    legs = sa.select(RouterInterface.subnet_id).where(
        RouterInterface.router_id.in_(list(router_ids)), RouterInterface.external.is_(False)
    )
    query = sa.select(LoadBalancer.id).where(LoadBalancer.subnet_id.in_(legs), LoadBalancer.state == ACTIVE)
    return sorted(session.scalars(query))


def in_network(session: Session, network_id: str) -> list[LoadBalancer]:
    """The load balancers with an address of the network, those in the trash too."""
    return list(session.scalars(sa.select(LoadBalancer).where(LoadBalancer.network_id == network_id)))


def in_subnet(session: Session, subnet_id: str) -> list[LoadBalancer]:
    """The load balancers with an address of the subnet, those in the trash too."""
    return list(session.scalars(sa.select(LoadBalancer).where(LoadBalancer.subnet_id == subnet_id)))


def behind_floating_ip(session: Session, floating_ip_id: str) -> LoadBalancer | None:
    """The load balancer that a floating IP leads to, in the trash too."""
    return session.scalar(sa.select(LoadBalancer).where(LoadBalancer.floating_ip_id == floating_ip_id))


def by_floating_ip(session: Session, floating_ip_ids: Iterable[str]) -> dict[str, LoadBalancer]:
    """Floating IP id → the load balancer that it leads to, in the trash too."""
    query = sa.select(LoadBalancer).where(LoadBalancer.floating_ip_id.in_(list(floating_ip_ids)))
    return {row.floating_ip_id: row for row in session.scalars(query) if row.floating_ip_id}


def probe_of(session: Session, subnet_id: str) -> str | None:
    """The address from which the members of a subnet are asked, if it has one."""
    query = sa.select(Reservation).where(Reservation.subnet_id == subnet_id, Reservation.owner_kind == PROBE)
    row = session.scalar(query)
    subnet = session.get(Subnet, subnet_id)
    return addresses.address_at(subnet, row.place) if row is not None and subnet is not None else None


def take_probe(session: Session, subnet: Subnet) -> bool:
    """The subnet has an address from which its members are asked: the highest free one of its pool. Whether it was
    taken now. Raises `NoCapacity` where the pool is full."""
    if probe_of(session, subnet.id) is not None:
        return False
    low, high = addresses.place_of(subnet, subnet.pool_start), addresses.place_of(subnet, subnet.pool_end)
    taken = set(session.scalars(sa.select(Reservation.place).where(Reservation.subnet_id == subnet.id)))
    place = next((p for p in range(high, low - 1, -1) if p not in taken), None)
    if place is None:
        raise NoCapacity(
            _("The subnet {subnet} has no address left for the health checks.", subnet=subnet.name or subnet.cidr),
            hint=_("Purge what lies in the trash, or make the subnet's pool larger."),
        )
    session.add(Reservation(subnet_id=subnet.id, place=place, owner_kind=PROBE, owner_id=subnet.id))
    session.flush()
    return True
