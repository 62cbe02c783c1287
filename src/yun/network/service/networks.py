"""The verbs of networks and subnets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import checks
from yun.network.model import TRASHED, LoadBalancer, Network, Port, Router, Subnet
from yun.network.service import balancing, chaining, families, groups, look, names, paths, physical
from yun.network.service.new_groups import GroupPlan, NewGroup, plan_group
from yun.network.service.rights import may_change
from yun.network.service.subnets import NewSubnet, plan_subnet
from yun.operations.intent import USER, Intent, Key, Subject


@dataclass(frozen=True)
class NewNetwork:
    """A network to be made, with its first subnet and a security group if it has them. ``mtu`` in bytes, None: what the
    fabric carries; ``domain`` is where its machines have names, None: the project's. ``physical`` puts it on a physical
    network, with the tag ``vlan``; an ``external`` one is the whole cloud's, for routers and floating IPs alone."""

    name: str
    description: str = ""
    mtu: int | None = None
    domain: str | None = None
    subnet: NewSubnet | None = None
    physical: str | None = None
    vlan: int | None = None
    external: bool = False
    group: NewGroup | None = None


def subject_of(network: Network) -> Subject:
    """The network as an operation's subject."""
    return Subject("network", network.id, network.name)


def tenancy(network_id: str) -> Subject:
    """What stands on a network: undoing what makes or changes it asks those first who use it since."""
    return Subject("network_use", network_id)


def tenant(network_id: str) -> Subject:
    """One who stands on a network, as in `tenancy`, and in nobody else's way who does."""
    return Subject("network_use" + USER, network_id)


def create_network(ctx: Context, new: NewNetwork) -> Intent:
    """A network of the context's project, with its first subnet, and a security group that is called like it unless it
    has a name. Raises `Invalid` naming fields, `Conflict` where a name is taken."""
    project_id = None if new.external else look.project_of(ctx)
    ctx.may("network.create")
    name = checks.name(new.name)
    look.refuse_taken(ctx.session, Network, name, project_id=project_id)
    place = _place(ctx, new)
    carried = checks.carried(ctx.settings.underlay_mtu)
    most, usual = (physical.MOST_MTU, physical.USUAL_MTU) if place[0] else (carried, carried)
    domain = names.project_domain(ctx.session, project_id) if new.domain is None else checks.domain(new.domain)
    network = Network(
        id=new_id(Network.PREFIX),
        project_id=project_id,
        name=name,
        description=checks.description(new.description),
        mtu=checks.mtu(new.mtu, most=most) if new.mtu is not None else usual,
        domain=domain,
        external=new.external,
        physical=place[0],
        vlan=place[1],
    )
    planned = plan_subnet(ctx, network, new.subnet) if new.subnet else None
    group = _group(ctx, name, new)

    def write(session: Session) -> None:
        session.add(network)
        session.flush()
        if planned:
            planned.write(session)
        if group:
            group.write(session)

    keys, targets = reach(network.id, planned.router if planned else None)
    arguments: dict[str, Any] = {"network_id": network.id, "targets": targets}
    if group:
        keys = (*keys, Key(f"security_group:{group.group.id}"))
        arguments |= {"targets": [*targets, ["group", group.group.id]], "group_id": group.group.id}
    return Intent(
        kind="network.create",
        title=_("Create network {name} with security group {group}", name=name, group=group.group.name) if group else
        _("Create network {name}", name=name),
        subject=subject_of(network),
        subjects=(tenancy(network.id), *((groups.subject_of(group.group), *group.subjects) if group else ())),
        project_id=project_id,
        arguments=arguments,
        keys=keys,
        effects=(
            _("A network {name} is made.", name=name), *_placed(network), *(planned.effects if planned else ()),
            *(group.effects if group else ()),
        ),
        write=write,
    )


def _group(ctx: Context, name: str, new: NewNetwork) -> GroupPlan | None:
    """The security group that comes with a network. Raises `Invalid` for one that machines cannot be on."""
    if new.group is None:
        return None
    if new.external:
        raise checks.refuse("security_group", _("No machine is on an external network."), _("none"))
    wanted = new.group if new.group.name.strip() else replace(new.group, name=name)
    return plan_group(ctx, wanted, under="security_group.")


def _place(ctx: Context, new: NewNetwork) -> tuple[str | None, int | None]:
    """Physical network and VLAN tag. Raises `Invalid` for a tag or an outside network on none."""
    if new.physical:
        return physical.check_place(ctx, new.physical, new.vlan)
    if new.external or new.vlan is not None:
        right = _("the name of a physical network")
        raise checks.refuse("physical", _("A physical network is needed for this."), right)
    return None, None


def _placed(network: Network) -> list[Message]:
    if network.physical is None:
        return []
    said = [_("It is on the physical network {physical}, VLAN {vlan}.", physical=network.physical, vlan=network.vlan)
            if network.vlan is not None else
            _("It is on the physical network {physical}, without a tag.", physical=network.physical)]  # fmt: skip
    if network.external:
        said.append(_("Every project sees it; routers and floating IPs have addresses of it, machines do not."))
    return said


def delete_network(ctx: Context, network: Network) -> Intent:
    """The network and its subnets go to the trash. Raises `Conflict` where ports are on it, or it is the cloud's."""
    may_change(ctx, "network.delete", network)
    look.must_allow(network, "delete")
    physical.refuse_way_out(ctx.session, network, deleting=True)
    _refuse_ports(ctx.session, Port.network_id == network.id, network)
    _refuse_balancers(balancing.in_network(ctx.session, network.id), network.name)
    subnets = look.subnets_of(ctx.session, network.id)
    routers = paths.routers_on(ctx.session, [s.id for s in subnets])
    _refuse_chains(ctx.session, routers, [s.id for s in subnets])
    keys, targets = reach(network.id, *routers)
    return Intent(
        kind="network.delete",
        title=_("Delete network {name}", name=network.name),
        subject=subject_of(network),
        subjects=(tenancy(network.id), *(Subject("subnet", s.id, s.name) for s in subnets)),
        project_id=network.project_id,
        arguments={"network_id": network.id, "targets": targets},
        keys=keys,
        effects=(
            _("The network {name} goes to the trash.", name=network.name),
            *(_("Its subnet {cidr} goes with it.", cidr=s.cidr) for s in subnets),
        ),
    )


def create_subnet(ctx: Context, network: Network, new: NewSubnet) -> Intent:
    """A subnet in the network. Raises `Invalid` naming fields, `Conflict` where the name is taken."""
    may_change(ctx, "subnet.create", network)
    look.must_allow_state(network)
    physical.refuse_way_out(ctx.session, network, deleting=False)
    planned = plan_subnet(ctx, network, new)
    keys, targets = reach(network.id, planned.router)
    subnet = planned.subnet
    lacking = families.lacking(ctx.session, network.id, families.version_of(subnet))
    targets += [["port", port.id] for port in lacking]

    def write(session: Session) -> None:
        planned.write(session)
        families.join(session, subnet, lacking)

    return Intent(
        kind="subnet.create",
        title=_("Create subnet {cidr} in {network}", cidr=subnet.cidr, network=network.name),
        subject=Subject("subnet", subnet.id, subnet.name),
        subjects=(tenancy(network.id),),
        project_id=network.project_id,
        arguments={"subnet_id": subnet.id, "targets": targets},
        keys=keys,
        effects=(*planned.effects, *families.joining(lacking)),
        write=write,
    )


def delete_subnet(ctx: Context, subnet: Subnet) -> Intent:
    """The subnet goes to the trash. Raises `Conflict` where ports have addresses of it."""
    may_change(ctx, "subnet.delete", subnet)
    look.must_allow(subnet, "delete")
    network = ctx.session.get_one(Network, subnet.network_id)
    physical.refuse_way_out(ctx.session, network, deleting=True)
    _refuse_ports(ctx.session, Port.subnet_id == subnet.id, subnet)
    _refuse_balancers(balancing.in_subnet(ctx.session, subnet.id), subnet.name)
    routers = paths.routers_on(ctx.session, [subnet.id])
    _refuse_chains(ctx.session, routers, [subnet.id])
    keys, targets = reach(network.id, *routers)
    losing = families.losing(ctx.session, subnet.id)
    targets += [["port", port.id] for port in losing]
    return Intent(
        kind="subnet.delete",
        title=_("Delete subnet {name}", name=subnet.name),
        subject=Subject("subnet", subnet.id, subnet.name),
        subjects=(tenancy(network.id),),
        project_id=subnet.project_id,
        arguments={"subnet_id": subnet.id, "targets": targets},
        keys=keys,
        effects=(
            _("The subnet {cidr} goes to the trash.", cidr=subnet.cidr),
            *(_("The router {name} has no interface in it any more.", name=r.name) for r in routers),
            *families.leaving(losing),
        ),
    )


def reach(network_id: str, *routers: Router | None) -> tuple[tuple[Key, ...], list[list[str]]]:
    """The keys of a change to a network and its routers, and what the engine must be brought up to date about."""
    found = sorted(r.id for r in routers if r is not None)
    keys = (Key(f"network:{network_id}"), *(Key(f"router:{r}") for r in found))
    return keys, [["network", network_id], *(["router", r] for r in found)]


def _refuse_ports(session: Session, where: sa.ColumnElement[bool], thing: Network | Subnet) -> None:
    by_state = sa.select(Port.state, sa.func.count()).where(where).group_by(Port.state)
    found = {state: int(number) for state, number in session.execute(by_state)}
    count = sum(found.values())
    if not count:
        return
    trashed = found.get(TRASHED, 0)
    some = session.scalars(sa.select(Port).where(where).order_by(Port.state == TRASHED, Port.id).limit(families.SOME))
    names = families.named(list(some), count, of=thing.project_id)
    said = _("{name} is in use by {count} {count:port|ports}: {names}.", name=thing.name, count=count, names=names)
    if trashed:
        said = _(
            "{name} is in use by {count} {count:port|ports} ({trashed} in the trash): {names}.", name=thing.name,
            count=count, trashed=trashed, names=names,
        )  # fmt: skip
    raise Conflict(
        said,
        hint=_("Delete the instances on it first, and purge those in the trash."),
        details={"ports": count, "trashed": trashed},
    )  # fmt: skip


def _refuse_chains(session: Session, routers: list[Router], subnet_ids: list[str]) -> None:
    for router in routers:
        chaining.refuse_chained(session, router, subnet_ids)


def _refuse_balancers(found: list[LoadBalancer], name: str) -> None:
    if found:
        names = ", ".join(b.name for b in found[:10])
        raise Conflict(
            _("{name} is in use by load balancers: {names}.", name=name, names=names),
            hint=_("Delete them first, and purge those in the trash."),
            details={"load_balancers": [b.id for b in found]},
        )
