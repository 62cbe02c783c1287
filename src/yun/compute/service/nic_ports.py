"""Ports that are there already as network cards: one joins an instance, one leaves it and stays."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.messages import _
from yun.compute.model import Instance
from yun.compute.service.power import keys, subject
from yun.compute.service.room import need_of_card, said_when, takes_now
from yun.network import service as network
from yun.network.model import TRASHED, Network, Port
from yun.operations.intent import Intent, Key, Subject

if TYPE_CHECKING:
    from yun.compute.service.nics import Card

OWN = ("network", "address", "groups", "mac")
"""What a port brings along and a card cannot wish for."""


def join(ctx: Context, instance: Instance, card: Card) -> Intent:
    """The port ``card.port`` is a card of the instance, at once where it runs. Raises `Invalid` for wishes that the
    port decides, `Conflict` for one that is in an instance or in the trash."""
    port = _waiting(ctx, instance, card)
    joined = ctx.session.get_one(Network, port.network_id)
    network.refuse_apart(ctx.session, joined, instance.host_id)
    ports = network.ports_of(ctx.session, instance.id)
    joins = {
        "id": port.id, "joins": True, "device_index": max((p.device_index for p in ports), default=-1) + 1,
        "hostname": instance.hostname, "model": card.model or port.model, "link_up": card.link_up is not False,
    }  # fmt: skip
    need = need_of_card(str(joins["model"]))
    return Intent(
        kind="instance.add_nic",
        title=_("Put port {name} into instance {instance}", name=port.name or port.address, instance=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "host_id": instance.host_id, "card": joins},
        keys=(*keys(instance), Key(f"port:{port.id}")),
        subjects=(Subject("port", port.id, port.name or port.address),),
        effects=(
            _("The port {name} in {network} becomes a card of it, with its address {address}.",
              name=port.name or port.address, network=joined.name, address=port.address),
            _("The guest sees a card of the model {model} with the MAC {mac}.", model=joins["model"], mac=port.mac),
            *((_("Its cable is out."),) if not joins["link_up"] else ()),
            said_when(instance, need, now=takes_now(ctx.session, instance, need)),
        ),
        back=(_("It is taken out of the instance again, and the port stays."),),
    )  # fmt: skip


def _waiting(ctx: Context, instance: Instance, card: Card) -> Port:
    wrong = [f.name for f in fields(card) if f.name in OWN and getattr(card, f.name) is not None]
    if wrong:
        names = {name: "security_groups" if name == "groups" else name for name in wrong}
        raise Invalid(
            _("The port brings its own network, addresses, MAC and security groups."),
            fields={names[name]: _("none, where a port is given") for name in wrong},
        )
    port = network.get_port(replace(ctx, project_id=instance.project_id), str(card.port))
    if port.project_id != instance.project_id:
        raise Invalid(
            _("The port {name} belongs to another project.", name=port.name or port.address),
            fields={"port": _("a port of the project")},
        )
    if port.state == TRASHED:
        raise Conflict(
            _("The port {name} lies in the trash.", name=port.name or port.address),
            hint=_("Undo its deletion first: the history lists it."),
        )
    if port.instance_id is not None:
        raise Conflict(
            _("The port {name} is in an instance already.", name=port.name or port.address),
            hint=_("Take it out there first, keeping the port."),
            fields={"port": _("a port that is in no instance")},
        )
    return port


def leaving(intent: Intent, port: Port, instance: Instance) -> Intent:
    """The removal of a card as one that keeps the port: it waits for another instance, with all that it has."""
    arguments: dict[str, Any] = {**intent.arguments, "floating_ip_ids": [], "kept": instance.hostname}
    return replace(
        intent,
        arguments=arguments,
        effects=(
            intent.effects[0],
            _("The port stays, with addresses, MAC, limits and the floating IP that leads to it."),
            intent.effects[-1],
        ),
        subjects=(Subject("port", port.id, port.address),),
    )
