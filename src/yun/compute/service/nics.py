"""The verbs of network cards: one more, one less, and what may change of one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.compute.model import DISKS_CHANGE_IN, LIVE, Instance
from yun.compute.service.disks import DETACH_SECONDS
from yun.compute.service.look import must_be
from yun.compute.service.nic_ports import join, leaving
from yun.compute.service.power import keys, subject
from yun.compute.service.room import need_of_card, said_when, takes_now
from yun.network import addresses
from yun.network import service as network
from yun.network.model import TRASHED, Network, Port, SecurityGroup
from yun.network.service import places_of
from yun.network.service.ports import PortPlan
from yun.network.service.reach.foresee import regrouped
from yun.operations.intent import Intent, Key, Subject

MODELS = ("virtio", "e1000", "e1000e", "rtl8139")
TITLES: dict[str, Message] = {
    "network": _("Network"), "address": _("Address"), "security_groups": _("Security groups"), "model": _("Model"),
    "mac": _("MAC"), "link_up": _("The cable is in"),
}  # fmt: skip
"""What can be changed of a card, as people call it."""
MOST = 12
"""Cards of one instance: its slots are shared with its disks."""


@dataclass(frozen=True)
class Card:
    """How a card is wished for; None: as the project's defaults say, or, in a change, as it is. ``port``: one that is
    there already, and brings network, addresses, MAC and groups along."""

    network: str | None = None
    address: str | None = None
    groups: Sequence[str] | None = None
    model: str | None = None
    mac: str | None = None
    link_up: bool | None = None
    port: str | None = None


def add_nic(ctx: Context, instance: Instance, card: Card | None = None) -> Intent:
    """One more network card, at once where the instance runs: a new one, or a port that is in no instance.

    Raises `Invalid` for a model, MAC or address there is not, `Conflict` for taken ones, `NoCapacity` for a full
    subnet. Undo takes it out again.
    """
    ctx.may("instance.add_nic", instance.project_id)
    must_be(instance, DISKS_CHANGE_IN)
    card = card or Card()
    _check_model(card.model)
    if len(network.ports_of(ctx.session, instance.id)) >= MOST:
        raise Conflict(
            _("The instance {name} has {most} network cards, which is the most.", name=instance.name, most=MOST)
        )
    if card.port is not None:
        return join(ctx, instance, card)
    plan = _plan(ctx, instance, card)
    plan.port.link_up = card.link_up is not False
    plan.port.labels = list(instance.tags)
    wanted = _argument(plan)
    return Intent(
        kind="instance.add_nic",
        title=_("Add a network card in {network} to instance {instance}", network=plan.network.name,
                instance=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "host_id": instance.host_id, "card": wanted},
        keys=(*keys(instance), Key(f"port:{plan.id}")),
        subjects=plan.subjects,
        effects=(
            plan.effect,
            _("The guest sees a card of the model {model} with the MAC {mac}.", model=plan.port.model,
              mac=plan.port.mac),
            _groups_said(plan.groups),
            *((_("Its cable is out.",),) if not plan.port.link_up else ()),
            _comes(ctx.session, instance, plan.port.model),
        ),
        capacity=(plan.capacity,),
        back=(_("It is taken out of the instance again."),),
    )  # fmt: skip


def remove_nic(
    ctx: Context, instance: Instance, reference: str, *, timeout: int = DETACH_SECONDS, keep_port: bool = False
) -> Intent:
    """Take a card out. A running guest is asked for it and given ``timeout`` seconds (1 to 600); one that does not let
    go keeps it, and the operation fails. A floating IP that leads to it stays the project's and leads nowhere.

    ``reference``: the card's id, MAC or address. Undo puts it back; until its window closes, address and MAC stay
    reserved. ``keep_port``: the port stays with all that it has, and can be put into another instance.
    """
    ctx.may("instance.remove_nic", instance.project_id)
    must_be(instance, DISKS_CHANGE_IN)
    if not 1 <= timeout <= 600:
        raise Invalid(_("A guest cannot be given that long."), fields={"timeout": _("1 to 600 seconds")})
    port = find(ctx, instance, reference)
    ports = network.ports_of(ctx.session, instance.id)
    floating = network.floating_of(ctx.session, [port.id]).get(port.id)
    intent = Intent(
        kind="instance.remove_nic",
        title=_("Remove the network card {address} from instance {instance}", address=port.address,
                instance=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={
            "instance_id": instance.id, "port_id": port.id, "seconds": timeout,
            "floating_ip_ids": [floating.id] if floating else [], "targets": _routers(ctx.session, port.subnet_id),
        },
        keys=_keys(instance, port, floating),
        subjects=_touched(port, floating),
        effects=(
            _("The instance no longer has the card {mac} with the address {address}.", mac=port.mac,
              address=port.address),
            *(
                (_("The floating IP {address} leads nowhere and stays the project's.", address=floating.address),)
                if floating else ()
            ),
            *((_("It is its last card: only screen and serial console reach it then."),) if len(ports) == 1 else ()),
            *network.losing_chain_ports(ctx.session, [port.id]),
            _("Address and MAC stay reserved as long as this can be undone."),
            _goes(instance, port),
        ),
        back=(_("It is put back with its address and MAC."),),
        deadline=600.0 + timeout,
    )  # fmt: skip
    return leaving(intent, port, instance) if keep_port else intent


def change_nic(ctx: Context, instance: Instance, reference: str, card: Card) -> Intent:
    """Other network, address, groups, model, MAC, or its cable in or out.

    Network, address, groups and cable change while the instance runs; the model from its next start on; the MAC only
    while it is off. Raises `Conflict` where nothing would change.
    """
    ctx.may("instance.change_nic", instance.project_id)
    must_be(instance, DISKS_CHANGE_IN)
    port = find(ctx, instance, reference)
    session = ctx.session
    live = instance.state in LIVE
    values, effects = _plain(session, port, card, live=live)
    plan = _moved(ctx, instance, port, card)
    if card.groups is not None:
        _regroup(ctx, port, card.groups, values, effects)
    floating = network.floating_of(session, [port.id]).get(port.id)
    loose = None
    targets = [["port", port.id]]
    if plan is not None:
        values["place"] = {
            "network_id": plan.network.id, "subnet_id": plan.subnet.id, "address": plan.port.address,
            "fixed": plan.fixed, "more": [part.to_json() for part in plan.more],
        }  # fmt: skip
        effects[:0] = [
            _("It moves from {old} to {new}; its address changes from {address} to {other}.",
              old=session.get_one(Network, port.network_id).name, new=plan.network.name, address=port.address,
              other=plan.port.address),
            *((_("The guest sees its cable out for a moment, and should ask for an address anew."),) if live else ()),
        ]  # fmt: skip
        if plan.subnet.id != port.subnet_id:
            effects += network.losing_chain_ports(session, [port.id])
        if floating is not None and plan.subnet.id != port.subnet_id:
            loose = floating
            effects.append(
                _("The floating IP {address} leads nowhere and stays the project's.", address=floating.address)
            )
        for router in (*_routers(session, port.subnet_id), *_routers(session, plan.subnet.id)):
            if floating is not None and router not in targets:
                targets.append(router)
    if not values:
        raise Conflict(_("Nothing would change: the card is already so."))
    return Intent(
        kind="instance.change_nic",
        title=_("Change the network card {address} of instance {instance}", address=port.address,
                instance=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={
            "instance_id": instance.id, "port_id": port.id, "values": values, "was": network.card_now(session, port),
            "floating_ip_ids": [loose.id] if loose else [], "targets": targets,
        },
        keys=_keys(instance, port, floating),
        subjects=_touched(port, loose),
        effects=tuple(effects),
        capacity=(plan.capacity,) if plan is not None else (),
        back=(_("The card is as it was before; its old address only where nobody has taken it since."),)
        if plan is not None else (),
    )  # fmt: skip


def find(ctx: Context, instance: Instance, reference: str) -> Port:
    """A card of the instance by id, MAC, any address or its port's name. Raises `Invalid` where it has none such."""
    ports = [p for p in network.ports_of(ctx.session, instance.id) if p.state != TRASHED]
    wanted = reference.strip().lower()
    for port in ports:
        named = (port.id, port.mac, port.name.lower(), *(address for _subnet, address in places_of(ctx.session, port)))
        if wanted and wanted in named:
            return port
    raise Invalid(
        _("The instance {name} has no network card {reference}.", name=instance.name, reference=reference[:60]),
        fields={"card": _("one of {names}", names=", ".join(p.address for p in ports) or "–")},
    )


def card_told(ctx: Context, port: Port) -> dict[str, Any]:
    """A card as people speak of it, by the names of `TITLES`."""
    return {
        "network": ctx.session.get_one(Network, port.network_id).name, "address": port.address,
        "security_groups": sorted(g.name for g in network.groups_of(ctx.session, port.id)), "model": port.model,
        "mac": port.mac, "link_up": port.link_up,
    }  # fmt: skip


def wish_told(ctx: Context, instance: Instance, card: Card) -> dict[str, Any]:
    """What is wished for, in the same words; what is not wished for is left out. Raises `NotFound`."""
    inside = replace(ctx, project_id=instance.project_id)
    told: dict[str, Any] = {
        "network": network.get_network(inside, card.network).name if card.network else None,
        "address": card.address, "model": card.model, "link_up": card.link_up,
        "mac": card.mac.strip().lower().replace("-", ":") if card.mac else None,
    }  # fmt: skip
    if card.groups is not None:
        groups = network.groups_for(inside, instance.project_id, card.groups)
        told["security_groups"] = sorted(g.name for g in groups)
    return {name: value for name, value in told.items() if value is not None}


def only(card: Card, names: Collection[str]) -> Card:
    """The wish without what is not among ``names`` of `TITLES`."""
    fields = {name: "groups" if name == "security_groups" else name for name in TITLES}
    return replace(card, **{field: None for name, field in fields.items() if name not in names})


# ── parts ──


def _check_model(model: str | None) -> None:
    if model is not None and model not in MODELS:
        raise Invalid(
            _("There is no network card of the model {model}.", model=model[:40]),
            fields={"model": _("one of {names}", names=", ".join(MODELS))},
        )


def _plan(ctx: Context, instance: Instance, card: Card) -> PortPlan:
    plan = network.plan_port(
        replace(ctx, project_id=instance.project_id), network=card.network, address=card.address, groups=card.groups,
        instance_id=instance.id, hostname=instance.hostname, model=card.model or "virtio", mac=card.mac,
    )  # fmt: skip
    network.refuse_apart(ctx.session, plan.network, instance.host_id)
    return plan


def _argument(plan: PortPlan) -> dict[str, Any]:
    port = plan.port
    return {
        "id": port.id, "project_id": port.project_id, "network_id": port.network_id, "subnet_id": port.subnet_id,
        "mac": port.mac, "hostname": port.hostname, "model": port.model, "link_up": port.link_up,
        "device_index": port.device_index, "address": port.address, "fixed": plan.fixed,
        "groups": [g.id for g in plan.groups], "labels": list(port.labels),
        "more": [part.to_json() for part in plan.more],
    }  # fmt: skip


def _plain(session: Session, port: Port, card: Card, *, live: bool) -> tuple[dict[str, Any], list[Message]]:
    """Model, MAC and cable: what changes, and what that means."""
    values: dict[str, Any] = {}
    effects: list[Message] = []
    _check_model(card.model)
    if card.link_up is not None and card.link_up is not port.link_up:
        values["link_up"] = card.link_up
        effects.append(_("Its cable is put in.") if card.link_up else _("Its cable is pulled: nothing goes through."))
    if card.model is not None and card.model != port.model:
        values["model"] = card.model
        effects.append(
            _("The guest sees the model {model} instead of {old} from its next start on.", model=card.model,
              old=port.model)
        )  # fmt: skip
    if card.mac is not None and card.mac.strip().lower().replace("-", ":") != port.mac:
        if live:
            raise Conflict(
                _("The MAC of a card cannot change while its instance runs."),
                hint=_("Stop the instance, or add another card and remove this one."),
                fields={"mac": _("as it is")},
            )
        values["mac"] = addresses.check_mac(session, card.mac)
        effects.append(_("Its MAC changes from {old} to {new}.", old=port.mac, new=values["mac"]))
    return values, effects


def _moved(ctx: Context, instance: Instance, port: Port, card: Card) -> PortPlan | None:
    """Where the card moves to; None where it stays."""
    if card.network is None and (card.address is None or card.address.strip() == port.address):
        return None
    inside = replace(ctx, project_id=instance.project_id)
    target = network.get_network(inside, card.network or port.network_id)
    if target.id == port.network_id and (card.address is None or card.address.strip() == port.address):
        return None
    plan = network.plan_port(inside, network=target, address=card.address or None, groups=[])
    if target.id == port.network_id and card.address and network.family(plan.port.address) != network.family(
        card.address
    ):
        raise Invalid(
            _("The first address of this card is {address}.", address=port.address),
            fields={"address": _("an address of the same family")},
        )
    return plan


def _regroup(
    ctx: Context, port: Port, references: Sequence[str], values: dict[str, Any], effects: list[Message]
) -> None:
    """Other security groups: what changes, what that means, and what the machine gains and loses by it."""
    groups = network.groups_for(replace(ctx, project_id=port.project_id), port.project_id, references)
    if {g.id for g in groups} != {g.id for g in network.groups_of(ctx.session, port.id)}:
        values["groups"] = sorted(g.id for g in groups)
        effects.append(_groups_said(groups))
        effects += regrouped(ctx.session, port, values["groups"])


def _groups_said(groups: Sequence[SecurityGroup]) -> Message:
    if not groups:
        return _("It is in no security group.")
    return _("Its security groups are: {names}.", names=", ".join(g.name for g in groups))


def _routers(session: Session, subnet_id: str) -> list[list[str]]:
    router = network.router_of(session, subnet_id)
    return [["router", router.id]] if router else []


def _keys(instance: Instance, port: Port, floating: Any) -> tuple[Key, ...]:
    own = (*keys(instance), Key(f"port:{port.id}"))
    return (*own, Key(f"floating_ip:{floating.id}")) if floating is not None else own


def _touched(port: Port, floating: Any) -> tuple[Subject, ...]:
    own = (Subject("port", port.id, port.address),)
    return (*own, Subject("floating_ip", floating.id, floating.address)) if floating is not None else own


def _comes(session: Session, instance: Instance, model: str) -> Message:
    need = need_of_card(model)
    return said_when(instance, need, now=takes_now(session, instance, need))


def _goes(instance: Instance, port: Port) -> Message:
    if instance.state in LIVE and port.waits:
        return _("The running instance never got it: its guest is not asked.")
    return said_when(instance, "", now=instance.state in LIVE)
