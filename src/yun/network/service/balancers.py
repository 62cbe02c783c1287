"""The verbs of load balancers."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import addresses, checks
from yun.network.model import FloatingIp, Listener, LoadBalancer, Member, Network, Port, Subnet
from yun.network.service import balancing, look
from yun.network.service.balancer_parts import (
    MOST_LISTENERS,
    MOST_MEMBERS,
    NewBalancer,
    NewListener,
    depends_on,
    existing_floating_ip,
    get_listener,
    hostname_of,
    outside_of,
    place,
    plan_listener,
    plan_member,
    refuse_port,
    said_of,
    say_listener,
    say_member,
    values_of,
)
from yun.network.service.networks import tenant
from yun.operations.intent import Intent, Key, Subject

UNCHANGED = "\0unchanged"


def subject_of(balancer: LoadBalancer) -> Subject:
    """The load balancer as an operation's subject."""
    return Subject("load_balancer", balancer.id, balancer.name)


def create_balancer(ctx: Context, new: NewBalancer) -> Intent:
    """A load balancer of the context's project, with listeners and members if they are given.

    Raises `Invalid` naming fields, `Conflict` where the name or address is taken or the network has no router, which
    answers for the address.
    """
    project_id = look.project_of(ctx)
    ctx.may("load_balancer.create")
    session = ctx.session
    name = checks.name(new.name)
    look.refuse_taken(session, LoadBalancer, name, project_id=project_id)
    network, subnet = place(ctx, project_id, new)
    balancer = LoadBalancer(
        id=new_id(LoadBalancer.PREFIX),
        project_id=project_id,
        name=name,
        description=checks.description(new.description),
        network_id=network.id,
        subnet_id=subnet.id,
        address=addresses.choose(session, subnet, new.address),
        floating_ip_id=None,
        state="active",
    )
    plan, existing = outside_of(ctx, new.floating_ip, subnet)
    listeners = [plan_listener(balancer, subnet, one) for one in new.listeners]
    if len({(one.protocol, one.port) for one in listeners}) < len(listeners):
        raise Invalid(_("Two listeners have the same port."), fields={"listeners": _("each port once")})
    members = [plan_member(ctx, balancer, network, kind, target) for kind, target in dict.fromkeys(new.members)]
    fixed = new.address is not None

    def write(session: Session) -> None:
        if plan is not None:
            plan.write(session)
        chosen = plan.id if plan is not None else existing.id if existing is not None else None
        owner = ("load_balancer", balancer.id)
        balancer.address = addresses.take(session, subnet, balancer.address, owner, fixed=fixed)
        balancer.floating_ip_id = chosen
        session.add(balancer)
        session.flush()
        session.add_all([*listeners, *members])
        session.flush()

    return Intent(
        kind="load_balancer.create",
        title=_("Create load balancer {name}", name=name),
        subject=subject_of(balancer),
        subjects=(
            tenant(network.id),
            *(plan.subjects if plan else ()),
            *((Subject("floating_ip", existing.id, existing.address),) if existing else ()),
        ),
        project_id=project_id,
        arguments={"load_balancer_id": balancer.id, "floating_ip_id": plan.id if plan else None},
        keys=_keys(balancer, existing),
        effects=_made_of(ctx, balancer, network, plan.floating_ip if plan else existing, listeners, members),
        depends=depends_on(len(members)),
        capacity=(plan.capacity,) if plan else (),
        write=write,
    )  # fmt: skip


def _made_of(
    ctx: Context, balancer: LoadBalancer, network: Network, outside: FloatingIp | None, listeners: list[Listener],
    members: list[Member],
) -> tuple[Message, ...]:  # fmt: skip
    return (
        _("The load balancer {name} answers at {address} in {network}.", name=balancer.name, address=balancer.address,
          network=network.name),
        *((_("From outside it is reached at {address}.", address=outside.address),) if outside else ()),
        *(say_listener(one) for one in listeners),
        *(said_of(ctx, member) for member in members),
    )  # fmt: skip


def update_balancer(
    ctx: Context, balancer: LoadBalancer, *, name: str | None = None, description: str | None = None,
    floating_ip: str | None = UNCHANGED,
) -> Intent:  # fmt: skip
    """Another name, description, or floating IP (None: none). Raises `Invalid`, `Conflict`; nothing to change is
    `Invalid`."""
    ctx.may("load_balancer.update", balancer.project_id)
    look.must_allow(balancer, "update")
    session = ctx.session
    values: dict[str, Any] = {}
    effects: list[Message] = []
    subjects: list[Subject] = []
    keys = [Key(f"load_balancer:{balancer.id}")]
    if name not in (None, balancer.name) and (clean := checks.name(name)) != balancer.name:
        look.refuse_taken(session, LoadBalancer, clean, project_id=balancer.project_id)
        values["name"] = clean
        effects.append(_("It is called {name}.", name=clean))
    if description is not None and (text := checks.description(description)) != balancer.description:
        values["description"] = text
        effects.append(_("It has another description."))
    if floating_ip != UNCHANGED:
        subnet = session.get_one(Subnet, balancer.subnet_id)
        chosen = existing_floating_ip(ctx, floating_ip, subnet, balancer) if floating_ip else None
        if (chosen.id if chosen else None) != balancer.floating_ip_id:
            values["floating_ip_id"] = chosen.id if chosen else None
            if chosen:
                effects.append(_("From outside it is reached at {address}.", address=chosen.address))
                subjects.append(Subject("floating_ip", chosen.id, chosen.address))
                keys.append(Key(f"floating_ip:{chosen.id}"))
            else:
                effects.append(_("It is no longer reached from outside."))
    if not values:
        raise Invalid(_("Nothing would change."), fields={"name": _("another name, description or floating IP")})
    return _change(
        balancer, "update", _("Change load balancer {name}", name=balancer.name),
        {"values": values}, effects=tuple(effects), keys=tuple(keys), subjects=tuple(subjects),
    )  # fmt: skip


def delete_balancer(ctx: Context, balancer: LoadBalancer) -> Intent:
    """The load balancer goes to the trash; its members stay as they are. Its address stays reserved there."""
    ctx.may("load_balancer.delete", balancer.project_id)
    look.must_allow(balancer, "delete")
    session = ctx.session
    floating = session.get(FloatingIp, balancer.floating_ip_id) if balancer.floating_ip_id else None
    effects = [_("The load balancer {name} goes to the trash; nothing answers at {address}.", name=balancer.name,
                 address=balancer.address)]  # fmt: skip
    if floating is not None:
        effects.append(_("Its floating IP {address} stays with it.", address=floating.address))
    count = len(balancing.backends_of(session, balancer))
    if count:
        effects.append(_("{count} {count:machine behind it goes|machines behind it go} on.", count=count))
    return _change(
        balancer, "delete", _("Delete load balancer {name}", name=balancer.name), {}, effects=tuple(effects)
    )


def add_listener(ctx: Context, balancer: LoadBalancer, new: NewListener) -> Intent:
    """The load balancer answers on one more port. Raises `Invalid` naming fields, `Conflict` for a port it has."""
    ctx.may("load_balancer.add_listener", balancer.project_id)
    look.must_allow(balancer, "add_listener")
    have = balancing.listeners_of(ctx.session, balancer.id)
    if len(have) >= MOST_LISTENERS:
        raise Conflict(_("A load balancer has at most {most} listeners.", most=MOST_LISTENERS))
    listener = plan_listener(balancer, ctx.session.get_one(Subnet, balancer.subnet_id), new)
    refuse_port(have, listener)
    return _change(
        balancer, "add_listener", _("Add a listener to load balancer {name}", name=balancer.name),
        {"listener": values_of(listener)}, effects=(say_listener(listener),),
    )  # fmt: skip


def change_listener(ctx: Context, balancer: LoadBalancer, listener_id: str, new: NewListener) -> Intent:
    """The listener is as in ``new``. Raises `NotFound`, `Invalid` naming fields, `Conflict` for another one's port."""
    ctx.may("load_balancer.change_listener", balancer.project_id)
    look.must_allow(balancer, "change_listener")
    old = get_listener(ctx.session, balancer, listener_id)
    listener = plan_listener(balancer, ctx.session.get_one(Subnet, balancer.subnet_id), new)
    listener.id = old.id
    if values_of(listener) == values_of(old):
        raise Invalid(_("Nothing would change."), fields={"port": _("another port, member port, affinity or check")})
    refuse_port([r for r in balancing.listeners_of(ctx.session, balancer.id) if r.id != old.id], listener)
    return _change(
        balancer, "change_listener", _("Change a listener of load balancer {name}", name=balancer.name),
        {"listener": values_of(listener)}, effects=(say_listener(listener),),
    )  # fmt: skip


def remove_listener(ctx: Context, balancer: LoadBalancer, listener_id: str) -> Intent:
    """The load balancer no longer answers on the port. Raises `NotFound`."""
    ctx.may("load_balancer.remove_listener", balancer.project_id)
    look.must_allow(balancer, "remove_listener")
    listener = get_listener(ctx.session, balancer, listener_id)
    told = _("Nothing answers any more at {protocol} {port}.", protocol=listener.protocol.upper(), port=listener.port)
    return _change(
        balancer, "remove_listener", _("Remove a listener from load balancer {name}", name=balancer.name),
        {"listener_id": listener.id}, effects=(told,),
    )  # fmt: skip


def add_member(ctx: Context, balancer: LoadBalancer, kind: str, target: str) -> Intent:
    """A port, an instance, or every instance with a tag gets its share of the connections.

    ``target`` is what people call the port, the instance's id or host name, or the tag. Raises `Invalid` naming
    fields, `NotFound`, `Conflict` where it is a member already or stands on none of the balancer's networks.
    """
    ctx.may("load_balancer.add_member", balancer.project_id)
    look.must_allow(balancer, "add_member")
    session = ctx.session
    have = balancing.members_of(session, balancer.id)
    if len(have) >= MOST_MEMBERS:
        raise Conflict(_("A load balancer has at most {most} members.", most=MOST_MEMBERS))
    network = session.get_one(Network, balancer.network_id)
    member = plan_member(ctx, balancer, network, kind, target)
    if any((m.kind, m.target) == (member.kind, member.target) for m in have):
        raise Conflict(_("{member} is a member already.", member=say_member(session, member)))
    port = session.get(Port, member.target) if member.kind == "port" else None
    subjects = (Subject("port", port.id, port.address),) if port else ()
    if member.kind == "instance":
        subjects = (Subject("instance", member.target, hostname_of(session, member.target)),)
    return _change(
        balancer, "add_member", _("Add a member to load balancer {name}", name=balancer.name),
        {"member": values_of(member)}, effects=(said_of(ctx, member),), subjects=subjects,
    )  # fmt: skip


def remove_member(ctx: Context, balancer: LoadBalancer, member_id: str) -> Intent:
    """The member gets no new connections; those it has end. Raises `NotFound`."""
    ctx.may("load_balancer.remove_member", balancer.project_id)
    look.must_allow(balancer, "remove_member")
    member = ctx.session.get(Member, member_id)
    if member is None or member.load_balancer_id != balancer.id:
        raise not_found("member", member_id)
    told = _("{member} gets no more connections from it.", member=say_member(ctx.session, member))
    return _change(
        balancer, "remove_member", _("Remove a member from load balancer {name}", name=balancer.name),
        {"member_id": member.id}, effects=(told,),
    )  # fmt: skip


def tend_balancers() -> Intent:
    """Look how the members are."""
    return Intent(
        kind="load_balancer.tend", title=_("Look at the members of load balancers"),
        subject=Subject("load_balancer", "all"), quiet=True, transparent=True, undoable=False,
    )  # fmt: skip


# ── what the verbs share ──


def _change(
    balancer: LoadBalancer, verb: str, title: Message, arguments: dict[str, Any], *, effects: tuple[Message, ...],
    keys: tuple[Key, ...] = (), subjects: tuple[Subject, ...] = (),
) -> Intent:  # fmt: skip
    return Intent(
        kind=f"load_balancer.{verb}",
        title=title,
        subject=subject_of(balancer),
        subjects=subjects,
        project_id=balancer.project_id,
        arguments={"load_balancer_id": balancer.id, **arguments},
        keys=keys,
        effects=effects,
    )


def _keys(balancer: LoadBalancer, floating: FloatingIp | None) -> tuple[Key, ...]:
    mine = (Key(f"load_balancer:{balancer.id}"),)
    return (*mine, Key(f"floating_ip:{floating.id}")) if floating else mine
