"""The verb change_bus: a disk of an instance that is off goes to another bus, so that its guest needs other drivers."""

from __future__ import annotations

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.compute.model import LIVE, SETTLED, Instance
from yun.compute.service.bus_fit import refuse_unfit
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.compute.service.slots import LETTERS, free_slot
from yun.operations.intent import Intent, Key
from yun.storage import service as storage
from yun.storage.model import Attachment, Volume


def change_bus(ctx: Context, volume: Volume, bus: str) -> Intent:
    """Put an attached volume on another bus (virtio, scsi, sata, or ide where the machine type is pc); the boot disk
    too. It counts from the next start.

    Raises `Invalid` for a bus there is not, `Conflict` for a volume in no instance, an instance that runs, a bus that
    the machine has not, that is full or is the volume's already. Undo puts it back where it was.
    """
    ctx.may("volume.change_bus", volume.project_id)
    if bus not in LETTERS:
        raise Invalid(
            _("There is no bus {bus}.", bus=bus[:40]), fields={"bus": _("one of {names}", names=", ".join(LETTERS))}
        )
    place = storage.attachment_of(ctx.session, volume.id)
    instance = ctx.session.get(Instance, place.instance_id) if place is not None else None
    if place is None or instance is None:
        raise Conflict(_("The volume {name} is not attached to an instance.", name=volume.name))
    must_be(instance, SETTLED)
    if instance.state in LIVE:
        raise Conflict(
            _("{name} runs: a disk stays on its bus until the machine is off.", name=instance.name),
            hint=_("Stop it first."),
        )
    if place.bus == bus:
        raise Conflict(_("Nothing would change: the disk is on this bus already."))
    refuse_unfit(ctx.session, instance, bus, readonly=place.readonly)
    slot = free_slot(ctx.session, instance, bus)
    return Intent(
        kind="volume.change_bus",
        title=_("Move volume {name} to the bus {bus}", name=volume.name, bus=bus),
        subject=storage.subject_of(volume),
        project_id=volume.project_id,
        arguments={"volume_id": volume.id, "instance_id": instance.id, "place": {"bus": bus, "slot": slot}},
        keys=(*keys(instance), Key(f"volume:{volume.id}")),
        subjects=(subject(instance),),
        effects=(
            _("The instance {name} has it as {slot} ({bus}).", name=instance.name, slot=slot, bus=bus),
            _("The instance is off; it takes effect with its next start."),
            *_needs(place, bus),
        ),
        back=(_("It is {slot} ({bus}) again.", slot=place.slot, bus=place.bus),),
    )


def _needs(place: Attachment, bus: str) -> tuple[Message, ...]:
    named = _("Its guest must have a driver for {bus}, and name no disk by {slot}.", bus=bus, slot=place.slot)
    boots = _("It boots from this disk: without the driver it does not start.")
    return (named, boots) if place.boot_order == 1 else (named,)
