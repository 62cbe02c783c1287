"""The verb set_overlay: extra XML that an expert lays over an instance's definition."""

from __future__ import annotations

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.compute import hardware as parts
from yun.compute.model import LIVE, SETTLED, Adoption, Instance
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.operations.intent import Intent

TITLES: dict[str, Message] = {"overlay": _("Extra XML")}
"""What `overlay_told` tells, as people call it."""


def overlay_told(ctx: Context, instance: Instance) -> dict[str, str]:
    """What is laid over its definition, for who may lay something over it."""
    ctx.may("instance.set_overlay")
    return {"overlay": parts.of(instance.hardware).overlay}


def set_overlay(ctx: Context, instance: Instance, text: str) -> Intent:
    """Lay checked XML over the definition, in the place of what was laid before; empty text takes it away.

    It counts from the next start on. The hypervisor is asked first: what it refuses changes nothing. Raises `Conflict`
    where nothing would change.
    """
    was = overlay_told(ctx, instance)
    must_be(instance, SETTLED)
    if ctx.session.get(Adoption, instance.id) is not None:
        raise Conflict(_("It keeps the definition that it was adopted with."))
    if text == was["overlay"]:
        raise Conflict(_("Nothing would change: the instance is already so."))
    size = len(text.encode())
    return Intent(
        kind="instance.set_overlay",
        title=_("Lay XML over instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "overlay": text, "was": was},
        keys=keys(instance),
        effects=(
            _("Its definition gets {count} bytes of extra XML; the hypervisor must accept it.", count=size)
            if text else _("Its definition has no extra XML any more."),
            *((_("It takes effect at the next start of the instance."),) if instance.state in LIVE else ()),
        ),
        back=(_("It has its earlier extra XML, from its next start."),),
    )  # fmt: skip
