"""The verbs boot_order and boot_once: what an instance boots from, always or only at its next start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.compute import boot
from yun.compute.boot import Device
from yun.compute.model import LIVE, SETTLED, Instance
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.images import service as images
from yun.images.model import Image
from yun.operations.intent import Intent

KINDS = ("disk", "cd", "network")
"""Words for the first device of a kind."""


def boot_order(ctx: Context, instance: Instance, order: Sequence[str]) -> Intent:
    """Let starts try these devices in turn and no others: disks and CD drives by slot, name or id, cards by MAC,
    address or id, or ``disk``, ``cd`` and ``network`` for the first of a kind. Empty: as it is where nobody chose.

    A running instance has it from its next start on; a restart of its guest by itself goes by the old order. Raises
    `Invalid` for what it has not, or names twice; `Conflict` where nothing would change.
    """
    ctx.may("instance.boot_order", instance.project_id)
    must_be(instance, SETTLED)
    found = boot.devices(ctx.session, instance.id)
    chosen = [_device(found, word, "devices") for word in order]
    if len(set(chosen)) != len(chosen):
        raise Invalid(_("A device can have only one turn."), fields={"devices": _("each only once")})
    wanted, now = [d.key for d in chosen], list(instance.boot_order)
    if wanted == now or (now and wanted and boot.in_turn(found, now) == chosen):
        raise Conflict(_("Nothing would change: the instance is already so."))
    before, after = boot.in_turn(found, now), boot.in_turn(found, wanted)
    return Intent(
        kind="instance.boot_order",
        title=_("Change the boot order of instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "order": wanted, "was": now},
        keys=keys(instance),
        effects=tuple(_order_effects(instance, found, after)),
        depends=_depends(ctx, instance, after[:1]),
        back=(_("It tries again, in this order: {devices}.", devices=_listed(before)),),
    )


def boot_once(ctx: Context, instance: Instance, device: str) -> Intent:
    """Let only the next start boot from this device, named as for `boot_order`; empty drops that.

    It is used up when that start has succeeded: later starts, and restarts of the guest by itself, boot as ever. Undo
    of that start has it wait again. Raises `Invalid` for a device it has not, `Conflict` where nothing would change.
    """
    ctx.may("instance.boot_once", instance.project_id)
    must_be(instance, SETTLED)
    found = boot.devices(ctx.session, instance.id)
    waits = waiting_device(found, instance)
    chosen = _device(found, device, "device") if device else None
    if chosen == waits:
        raise Conflict(_("Nothing would change: the instance is already so."))
    if chosen is not None:
        effects = [
            _("The next start boots from the {device}.", device=chosen.word()),
            _("Later ones, and restarts of the guest by itself, boot as ever: {devices}.",
              devices=_listed(boot.in_turn(found, instance.boot_order))),
        ]  # fmt: skip
        if instance.state in LIVE:
            effects.append(_("It runs: stop and start it, or reboot it from here."))
    else:
        effects = [_("The next start boots as ever: {devices}.",
                     devices=_listed(boot.in_turn(found, instance.boot_order)))]  # fmt: skip
    back = _("The next start boots from the {device}.", device=waits.word()) if waits else _("It boots as ever.")
    return Intent(
        kind="instance.boot_once",
        title=_("Boot instance {name} once from {device}", name=instance.name, device=chosen.name) if chosen
        else _("Boot instance {name} as ever", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "device": chosen.key if chosen else ""},
        keys=keys(instance),
        effects=tuple(effects),
        depends=_depends(ctx, instance, [chosen] if chosen else []),
        back=(back,),
    )  # fmt: skip


def waiting_device(found: Sequence[Device], instance: Instance) -> Device | None:
    """From what only the next start boots; None for nothing, or what it no longer has."""
    return next((d for d in found if instance.boot_once and d.key == instance.boot_once), None)


def order_told(ctx: Context, instance: Instance, order: Sequence[Any] | None = None) -> dict[str, Any]:
    """The names of what starts try in turn, or of what they would by ``order``, in the words of `boot_order`. A word
    for nothing that it has stays as it is."""
    found = boot.devices(ctx.session, instance.id)
    if order is None:
        return dict(boot.told(found, instance.boot_order))
    if not order:
        return dict(boot.told(found, []))
    meant = [_meant(found, str(word)) for word in order]
    return {"devices": [device.name if device else word for device, word in zip(meant, order, strict=True)]}


def boot_view(ctx: Context, instance: Instance) -> dict[str, Any]:
    """``order``: what starts try in turn; ``chosen``: whether somebody said so; ``once``: from what only the next start
    boots, or None; ``devices``: all that it has."""
    found = boot.devices(ctx.session, instance.id)
    once = waiting_device(found, instance)
    return {
        "order": [boot.shown(d) for d in boot.in_turn(found, instance.boot_order)],
        "chosen": bool(instance.boot_order),
        "once": boot.shown(once) if once else None,
        "devices": [boot.shown(d) for d in found],
    }


def boot_words(ctx: Context, instance: Instance) -> dict[str, Any]:
    """The same for a page: devices as (key, words, whether it is tried), those that are tried first and in turn."""
    found = boot.devices(ctx.session, instance.id)
    tried, once = boot.in_turn(found, instance.boot_order), waiting_device(found, instance)
    return {
        "devices": [(d.key, d.word().render(ctx.locale), d in tried) for d in [*tried, *(d for d in found
                    if d not in tried)]],
        "chosen": bool(instance.boot_order),
        "once": once.word().render(ctx.locale) if once else "",
        "once_key": once.key if once else "",
    }  # fmt: skip


def _device(found: Sequence[Device], word: str, field: str) -> Device:
    """The device that a person means. Raises `Invalid`."""
    meant = _meant(found, word)
    if meant is not None:
        return meant
    has = [*(d.name for d in found), *(k for k in KINDS if any(d.kind == k for d in found))]
    raise Invalid(
        _("It has no device {device} to boot from.", device=word.strip()[:60]),
        fields={field: _("one of {names}", names=", ".join(has))},
    )


def _meant(found: Sequence[Device], word: str) -> Device | None:
    text = word.strip()
    for fits in (
        lambda d: d.key == text, lambda d: d.name == text.lower(), lambda d: d.kind == text.lower(),
        lambda d: bool(text) and d.address == text, lambda d: d.kind == "disk" and d.holds == text,
    ):  # fmt: skip
        meant = next((d for d in found if fits(d)), None)
        if meant is not None:
            return meant
    return None


def _order_effects(instance: Instance, found: Sequence[Device], after: Sequence[Device]) -> list[Message]:
    effects = [_("A start tries, in this order: {devices}.", devices=_listed(after))]
    left = [d for d in found if d not in after]
    if left:
        effects.append(_("Never tried: {devices}.", devices=_listed(left)))
    if instance.state in LIVE:
        effects.append(_("It takes effect at the next start of the instance."))
    return effects


def _listed(devices: Sequence[Device]) -> str:
    return ", ".join(d.name for d in devices) or "–"


def _depends(ctx: Context, instance: Instance, first: Sequence[Device]) -> tuple[Message, ...]:
    """What must be so that booting from the first of them succeeds."""
    for device in first:
        if device.kind == "network":
            return (_("Booting from the network needs a server there that hands out a boot file (PXE)."),)
        if device.kind == "cd" and not device.holds:
            return (_("Nothing lies in the CD drive {slot} yet.", slot=device.name),)
        if device.image_id:
            return images.boot_faults([ctx.session.get(Image, device.image_id)], instance.firmware)
    return ()
