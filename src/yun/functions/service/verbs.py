"""The verbs of network functions: create, update, refresh, delete, and a peer's configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.compute import service as compute
from yun.compute.guest.model import InstanceFreeze
from yun.compute.model import Instance, State
from yun.compute.service.inside import must_have_agent
from yun.compute.service.look import must_be
from yun.compute.service.view import addresses, floating_ips
from yun.functions import checks
from yun.functions.kinds import Surroundings, packed, user_data, vpn
from yun.functions.kinds.known import kind_named
from yun.functions.model import KINDS, Kind, NetworkFunction
from yun.functions.service.look import arms_of, backends, kind_of, settings_digest, target_names
from yun.functions.service.quiet import subject_of
from yun.images import service as images
from yun.images.model import Image
from yun.network import service as network
from yun.network.model import Network, Port, Subnet
from yun.network.service.rights import may_change
from yun.operations.intent import Intent, Key, Subject

IMAGE = "function"
VCPUS, MEMORY_MIB = 1, 256
OFF = (State.STOPPED, State.CRASHED, State.ERROR)


@dataclass(frozen=True)
class NewFunction:
    """What a person asks for. ``settings`` as its kind checks them; the rest is the instance's (`compute.Wish`).
    ``inner_network`` is a firewall's second one, the inside; without a flavor it is small."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    image: str = IMAGE
    flavor: str | None = None
    network: str | None = None
    address: str | None = None
    inner_network: str | None = None
    inner_address: str | None = None
    security_groups: tuple[str, ...] | None = None
    keys: tuple[str, ...] = ()
    description: str = ""
    tags: tuple[str, ...] = ()
    floating_ip: bool = False
    start: bool = True


def create(ctx: Context, new: NewFunction) -> Intent:
    """An instance that is a network function: as `compute.create`, with the configuration in its seed.

    The cards of a firewall may speak as others and are in no security group, since its own rules decide; its networks
    must be the project's own. Raises as `compute.create` does, `Invalid` naming what is wrong in the settings,
    `Forbidden` for a firewall in another project's network. Undo moves it to the trash, as that of every instance.
    """
    ctx.may("function.create")
    kind = kind_named(new.kind)
    image = _image(ctx, new.image)
    arms = 2 if new.inner_network else 1
    if arms > 1 and new.kind != Kind.FIREWALL:
        raise Invalid(
            _("Only a firewall stands in two networks."), fields={"inner_network": _("none for this kind")}
        )
    settings = _checked(ctx, new.kind, new.settings, arms)
    secret, public = vpn.new_keys() if new.kind == Kind.VPN else ("", "")
    if new.kind == Kind.VPN and not settings["networks"]:
        settings["networks"] = _ranges(ctx, new.network)
    around = Surroundings(arms, backends(ctx.session, settings), secret)
    own_size = not new.flavor
    groups = () if new.kind == Kind.FIREWALL else new.security_groups
    wish = compute.Wish(
        name=new.name, image=image.id, flavor=new.flavor, network=new.network, address=new.address,
        security_groups=groups, keys=new.keys, description=new.description, tags=new.tags,
        floating_ip=new.floating_ip, start=new.start,
        user_data=user_data(packed(new.kind, kind.files(settings, around))),
        vcpus=VCPUS if own_size else None, memory_mib=MEMORY_MIB if own_size else None,
        disk_bytes=image.min_disk_bytes if own_size else None,
    )  # fmt: skip
    intent = compute.create(ctx, wish)
    row = NetworkFunction(
        id=new_id(NetworkFunction.PREFIX), project_id=ctx.project_id, instance_id=intent.subject.id, kind=new.kind,
        settings=settings, public_key=public, secret=secret,
    )  # fmt: skip
    return _with_function(ctx, intent, row, new)


def _image(ctx: Context, reference: str) -> Image:
    """The image of functions. Raises `Invalid` for another, `NotFound` telling how to get it."""
    try:
        image = images.get_bootable(ctx, reference)
    except NotFound as error:
        if reference != IMAGE:
            raise
        raise NotFound(
            _("The image of network functions is not there yet."),
            hint=_("Build it: yun image build function."), fields={"image": _("an image of network functions")},
        ) from error  # fmt: skip
    if image.os != IMAGE:
        raise Invalid(
            _("The image {name} knows nothing of network functions.", name=image.name),
            hint=_("Build it: yun image build function."), fields={"image": _("an image of network functions")},
        )  # fmt: skip
    return image


def _checked(ctx: Context, kind: str, given: Mapping[str, Any], arms: int) -> dict[str, Any]:
    """Clean settings; backends that are named as instances are kept by id. Raises `Invalid`."""
    settings = kind_named(kind).check(given, arms)
    for number, one in enumerate(settings.get("backends", ()), 1):
        if checks.address(one["target"]) is None:
            one["target"] = _target(ctx, one["target"], checks.Place("backends", number, "target"))
    doubled = Counter((one["group"], one["target"], one["port"]) for one in settings.get("backends", ()))
    if doubled and max(doubled.values()) > 1:
        raise checks.Place("backends").wrong(
            _("The same backend stands there twice."), _("each target and port once in a group")
        )
    return settings


def _target(ctx: Context, reference: str, place: checks.Place) -> str:
    try:
        found = compute.get(ctx, reference)
    except (NotFound, Forbidden, Conflict) as error:
        raise place.wrong(
            _("There is no instance {name}.", name=reference[:60]), _("an instance of the project, or an address")
        ) from error
    if found.state == State.TRASHED or (ctx.project_id and found.project_id != ctx.project_id):
        raise place.wrong(
            _("There is no instance {name}.", name=reference[:60]), _("an instance of the project, or an address")
        )
    return found.id


def _ranges(ctx: Context, reference: str | None) -> list[str]:
    """The ranges of the network behind a gateway: what its peers want to reach."""
    found = network.get_network(ctx, reference) if reference else network.default_network(ctx)
    query = sa.select(Subnet.cidr).where(Subnet.network_id == found.id, Subnet.state == "active")
    return sorted(ctx.session.scalars(query))


def _with_function(ctx: Context, intent: Intent, row: NetworkFunction, new: NewFunction) -> Intent:
    """The creation of an instance, grown by the function, its second card and what its cards may say."""
    name = intent.subject.name
    open_cards = new.kind == Kind.FIREWALL
    outer = network.get_network(ctx, new.network) if new.network else network.default_network(ctx)
    inner = None
    if new.inner_network:
        with_name = network.get_network(ctx, new.inner_network)
        if with_name.id == outer.id:
            raise Invalid(
                _("A firewall stands between two different networks."), fields={"inner_network": _("another network")}
            )
        inner = network.plan_port(
            ctx, network=with_name, address=new.inner_address, groups=(), instance_id=row.instance_id, hostname=name
        )  # fmt: skip
        inner.port.device_index, inner.port.labels = 1, list(new.tags)
    for one in (outer, *((inner.network,) if inner else ())):
        if open_cards:
            _owner_only(ctx, one)

    def write(session: Session) -> None:
        assert intent.write is not None
        intent.write(session)
        if inner is not None:
            inner.port.hostname = session.get_one(Instance, row.instance_id).hostname
            inner.write(session)
        if open_cards:
            for port in session.scalars(sa.select(Port).where(Port.instance_id == row.instance_id)):
                port.port_security = False
        session.add(row)

    return replace(
        intent,
        title=_("Create network function {name}", name=name),
        subjects=(*intent.subjects, Subject("function", row.id, name), *(inner.subjects if inner else ())),
        effects=(
            _("{kind}: the instance gets its configuration with its first start.", kind=KINDS[Kind(new.kind)]),
            *kind_of(row).said(_worded(ctx, row.settings)),
            *((_("Its cards may send and take what is others': it passes their packets on."),) if open_cards else ()),
            *intent.effects,
            *((inner.effect,) if inner else ()),
        ),
        write=write,
    )


def _owner_only(ctx: Context, one: Network) -> None:
    try:
        may_change(ctx, "port.update", one)
    except Forbidden as error:
        raise Forbidden(
            _("Only who owns the network {name} may put a firewall into it.", name=one.name)
        ) from error


def _worded(ctx: Context, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with instances by name, for people."""
    listed = settings.get("backends")
    if not listed:
        return settings
    names = target_names(ctx.session, [settings])
    return {**settings, "backends": [{**one, "target": names.get(one["target"], one["target"])} for one in listed]}


def update(ctx: Context, function: NetworkFunction, instance: Instance, settings: Mapping[str, Any]) -> Intent:
    """Other settings, whole: at once in a guest that runs, and in what it reads at its next start.

    Raises `Invalid` naming what is wrong, `Conflict` for a running instance whose guest agent is not connected.
    Undo gives the settings before back in the same way.
    """
    ctx.may("function.update", function.project_id)
    must_be(instance, (State.RUNNING, *OFF))
    if instance.state == State.RUNNING:
        _must_answer(ctx.session, instance)
    own = replace(ctx, project_id=function.project_id)
    new = _checked(own, function.kind, settings, arms_of(ctx.session, function))
    if function.kind == Kind.VPN and any(one["public_key"] == function.public_key for one in new["peers"]):
        raise Invalid(
            _("A peer has the gateway's own key."), fields={"peers": _("the key of another machine")}
        )
    if new == function.settings:
        raise Invalid(_("Nothing would change."), fields={"settings": _("other settings")})
    live = instance.state == State.RUNNING
    return Intent(
        kind="function.update",
        title=_("Change network function {name}", name=instance.name),
        subject=subject_of(function, instance),
        subjects=(Subject("instance", instance.id, instance.name),),
        project_id=function.project_id,
        arguments={"function_id": function.id, "settings": new, "was": settings_digest(function.settings)},
        keys=(Key(f"instance:{instance.id}"),),
        effects=(
            *_difference(ctx, function, new),
            _("It is in force at once.") if live else _("It is in force from the next start on."),
            *((_("Connections that stand go on; counters begin at 0."),)
              if live and function.kind == Kind.FIREWALL else ()),
        ),
    )  # fmt: skip


def _must_answer(session: Session, instance: Instance) -> None:
    """Raise `Conflict` where the guest cannot be asked now: it is off, has no agent, or stands still for a copy."""
    must_have_agent(instance)
    if session.get(InstanceFreeze, instance.id) is not None:
        raise Conflict(
            _("The file systems of the instance {name} are frozen.", name=instance.name),
            hint=_("Thaw them first, or wait until they thaw by themselves."),
        )


def _difference(ctx: Context, function: NetworkFunction, new: dict[str, Any]) -> tuple[Message, ...]:
    """What is there from now on, what no more, and whether the order is another."""
    kind = kind_of(function)
    before = kind.said(_worded(ctx, function.settings))
    after = kind.said(_worded(ctx, new))
    old, now = [m.render("en") for m in before], [m.render("en") for m in after]
    gone = [_("No more: {line}", line=m) for m, text in zip(before, old, strict=True) if text not in now]
    come = [_("New: {line}", line=m) for m, text in zip(after, now, strict=True) if text not in old]
    if not gone and not come:
        return (_("The order, or something that is not told here, is another."),)
    return (*gone, *come)


def refresh(ctx: Context, function: NetworkFunction, instance: Instance) -> Intent:
    """Ask the guest now how it does. Raises `Conflict` where it does not run or no guest agent is connected."""
    ctx.may("function.refresh", function.project_id)
    _must_answer(ctx.session, instance)
    return Intent(
        kind="function.refresh",
        title=_("Ask network function {name} how it does", name=instance.name),
        subject=subject_of(function, instance),
        project_id=function.project_id,
        arguments={"function_id": function.id},
        keys=(Key(f"function-look:{function.id}"),),
        effects=(_("Its guest is asked; what it tells is shown."),),
        undoable=False,
        no_undo=_("It changes nothing that could be undone."),
        transparent=True,
    )


def delete(ctx: Context, function: NetworkFunction, instance: Instance, *, force: bool = False) -> Intent:
    """The function's instance goes to the trash, and it with that. Raises as `compute.delete` does."""
    ctx.may("function.delete", function.project_id)
    intent = compute.delete(ctx, instance, force=force)
    return replace(intent, subjects=(*intent.subjects, subject_of(function, instance)))


def client_config(ctx: Context, function: NetworkFunction, instance: Instance, peer: str) -> str:
    """What a peer of a VPN gateway needs, as the file its WireGuard reads; its private key, which the cloud does not
    have, is to be put in. Raises `Invalid` where there is no such peer, `Conflict` for another kind of function."""
    ctx.may("function.client_config", function.project_id)
    if function.kind != Kind.VPN:
        raise Conflict(_("Only a VPN gateway has peers."))
    endpoint = function.settings["endpoint"] or _reached_at(ctx.session, instance)
    return vpn.client_config(function.settings, peer, public_key=function.public_key, endpoint=endpoint)


def _reached_at(session: Session, instance: Instance) -> str:
    ids = [instance.id]
    listed = floating_ips(session, ids).get(instance.id) or addresses(session, ids).get(instance.id) or ["0.0.0.0"]
    return listed[0]
