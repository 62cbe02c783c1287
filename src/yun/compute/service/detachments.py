"""The verb detach of an instance: several disks taken out at once, each kept or put into the trash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from yun.base.context import Context
from yun.base.errors import Invalid, NotFound
from yun.base.messages import Message, _
from yun.compute.model import Instance
from yun.compute.service.disks import DETACH_SECONDS, detach
from yun.compute.service.power import keys, subject
from yun.operations.intent import Intent, Key
from yun.storage import service as storage
from yun.storage.service import Disk


@dataclass(frozen=True)
class DetachWish:
    """Which disks are meant, by slot, volume name or id; those of ``trash`` go there, all others stay. The rest is as
    for one disk."""

    disks: Sequence[str]
    trash: Sequence[str] = ()
    timeout: int = DETACH_SECONDS
    boot_disk: bool = False
    even_if_mounted: bool = False


def detach_disks(ctx: Context, instance: Instance, wish: DetachWish) -> Intent:
    """Take several disks out of an instance in one operation: all of them, or none where a guest keeps one.

    Before the first is asked for, the guest's agent says which are mounted, and all those are named. Raises `Invalid`
    for none, `NotFound` for one that the instance does not have, and as detaching one does. Undo puts all back.
    """
    ctx.may("instance.detach", instance.project_id)
    there = storage.attachments_of(ctx.session, instance.id)
    chosen = _chosen(instance, there, wish.disks)
    if not chosen:
        raise Invalid(_("Which disks?"), fields={"disks": _("one or more of {names}", names=_names(there))})
    trash = {disk.volume_id for disk in _chosen(instance, there, wish.trash)}
    if not trash <= {disk.volume_id for disk in chosen}:
        raise Invalid(
            _("Only disks that are taken out can go to the trash."),
            fields={"trash": _("one or more of {names}", names=_names(chosen))},
        )
    single = [
        detach(
            ctx, disk.volume, timeout=wish.timeout, boot_disk=wish.boot_disk, even_if_mounted=wish.even_if_mounted,
            trash=disk.volume_id in trash,
        )
        for disk in chosen
    ]  # fmt: skip
    items = [{"volume_id": i.arguments["volume_id"], "trash": i.arguments["trash"]} for i in single]
    return Intent(
        kind="instance.detach",
        title=_title(instance, chosen),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={
            "instance_id": instance.id, "disks": items, "seconds": wish.timeout,
            "even_if_mounted": wish.even_if_mounted,
        },
        keys=(*keys(instance), *(Key(f"volume:{disk.volume_id}") for disk in chosen)),
        subjects=tuple(storage.subject_of(disk.volume) for disk in chosen),
        effects=(
            *_once([effect for intent in single for effect in intent.effects]),
            *((_("All of them are taken out, or none where the guest keeps one."),) if len(chosen) > 1 else ()),
        ),
        back=tuple(line for intent in single for line in intent.back),
        deadline=600.0 + wish.timeout * len(chosen),
    )  # fmt: skip


def _title(instance: Instance, chosen: Sequence[Disk]) -> Message:
    if len(chosen) == 1:
        name = chosen[0].volume.name
        return _("Detach volume {name} from instance {instance}", name=name, instance=instance.name)
    return _("Detach {count} disks from instance {instance}", count=len(chosen), instance=instance.name)


def _once(messages: Sequence[Message]) -> list[Message]:
    """What is true of several disks is said once."""
    return [message for number, message in enumerate(messages) if message not in messages[:number]]


def _names(disks: Sequence[Disk]) -> str:
    return ", ".join(disk.attachment.slot for disk in disks) or "–"


def _chosen(instance: Instance, there: Sequence[Disk], references: Sequence[str]) -> list[Disk]:
    """The disks of an instance that are meant, each once, in the order of their slots. Raises `NotFound`."""
    known: dict[str, Any] = {}
    for disk in there:
        known |= {disk.volume_id: disk, disk.volume.name: disk}
    known |= {disk.attachment.slot: disk for disk in there}
    for reference in references:
        if reference not in known:
            raise NotFound(
                _("The instance {instance} has no disk {disk}.", instance=instance.name, disk=reference[:120]),
                hint=_("It has {names}.", names=_names(there)),
            )
    ids = {known[reference].volume_id for reference in references}
    return [disk for disk in there if disk.volume_id in ids]
