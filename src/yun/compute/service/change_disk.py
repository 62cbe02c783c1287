"""The verb change_disk: limits of a disk at once, and how it is read and written from the next start on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.compute import limits as io_limits
from yun.compute.model import DISKS_CHANGE_IN, LIVE, Instance
from yun.compute.service.disk_ways import (
    group_members,
    refuse_bad_ways,
    refuse_host,
    refuse_serial,
)
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.hosts.model import Host
from yun.operations.intent import Intent, Key
from yun.storage import service as storage

WAYS: dict[str, Message] = {
    "cache": _("Cache"), "io": _("I/O mode"), "discard": _("Discard"), "serial": _("Serial"),
}  # fmt: skip
"""What counts from the next start on."""


TITLES: dict[str, Message] = {**WAYS, "limits": _("Limits per second"), "limit_group": _("Shared budget")}
"""What can be changed of a disk, as people call it."""


@dataclass(frozen=True)
class DiskChange:
    """What is to change of a disk; None: as it is. ``io`` and ``serial`` empty: the usual ones; ``limits`` empty: none
    at all; ``limit_group`` empty: a budget of its own."""

    cache: str | None = None
    io: str | None = None
    discard: bool | None = None
    serial: str | None = None
    limits: Mapping[str, Any] | None = None
    limit_group: str | None = None


def disk_told(disk: storage.Disk) -> dict[str, Any]:
    """A disk by the names of `TITLES`, as it is."""
    return told({name: getattr(disk.attachment, name) for name in (*WAYS, "limits")})


def told(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a row has of these fields, by the names of `TITLES`."""
    found = {name: values[name] for name in WAYS if name in values}
    if "limits" in values:
        limits = values["limits"]
        found |= {"limits": io_limits.rates(limits), "limit_group": io_limits.group_of(limits)}
    return found


def change_disk(ctx: Context, instance: Instance, reference: str, change: DiskChange) -> Intent:
    """Change a disk of the instance, named by its slot or its volume.

    Limits count at once where the instance runs, for all disks that share the group; cache, I/O mode, discard and
    serial from its next start on. A disk that joins a group without limits of its own takes the group's. Raises
    `Invalid` for what there is not or contradicts itself, `Conflict` where nothing would change, and where the host or
    another disk stands in the way. Undo gives the old values back.
    """
    ctx.may("instance.change_disk", instance.project_id)
    must_be(instance, DISKS_CHANGE_IN)
    disk = find_disk(ctx, instance, reference)
    place = disk.attachment
    changes: dict[str, dict[str, Any]] = {}
    values = _ways(ctx, instance, disk, change)
    limits = _limits(ctx, instance, disk, change)
    if limits != place.limits:
        values["limits"] = limits
        for other in group_members(ctx.session, instance.id, io_limits.group_of(limits), disk.volume.id):
            if other.attachment.limits != limits:
                changes[other.volume.id] = {"limits": limits}
    if values:
        changes[disk.volume.id] = values
    disks = {d.volume.id: d for d in storage.attachments_of(ctx.session, instance.id)}
    was = {v: {n: getattr(disks[v].attachment, n) for n in changed} for v, changed in changes.items()}
    shared = [d for d in disks.values() if d.volume.id in changes and d.volume.id != disk.volume.id]
    if not changes:
        raise Conflict(_("Nothing would change: the disk is already so."))
    return Intent(
        kind="instance.change_disk",
        title=_("Change the disk {slot} of instance {instance}", slot=place.slot, instance=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "changes": changes, "was": was},
        keys=(*keys(instance), *(Key(f"volume:{volume_id}") for volume_id in changes)),
        subjects=(storage.subject_of(disk.volume), *(storage.subject_of(other.volume) for other in shared)),
        effects=(*_said_limits(ctx, instance, disk, values), *_said_ways(instance, disk, values)),
        back=(_("The disk is as it was before: its limits at once, the rest from the next start on."),),
    )


def find_disk(ctx: Context, instance: Instance, reference: str) -> storage.Disk:
    """A disk of the instance by slot, or by its volume's name or id. Raises `Invalid` where it has none such."""
    disks = storage.attachments_of(ctx.session, instance.id)
    wanted = reference.strip()
    for disk in disks:
        if wanted in (disk.attachment.slot, disk.volume.id, disk.volume.name):
            return disk
    raise Invalid(
        _("The instance {name} has no disk {reference}.", name=instance.name, reference=reference[:60]),
        fields={"disk": _("one of {names}", names=", ".join(d.attachment.slot for d in disks) or "–")},
    )


def waiting_disks(ctx: Context, instance: Instance) -> list[dict[str, Any]]:
    """What of the disks of a running instance counts only from its next start on: ``volume_id``, ``slot``, ``field``,
    ``now`` and ``next``."""
    if instance.state not in LIVE:
        return []
    return [
        {"volume_id": disk.volume.id, "slot": disk.attachment.slot, "field": name, "now": now,
         "next": getattr(disk.attachment, name)}
        for disk in storage.attachments_of(ctx.session, instance.id)
        for name, now in disk.attachment.running.items()
    ]  # fmt: skip


def way_word(field: str, value: Any) -> Message:
    """A value of `WAYS` as a person reads it."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return Message("{text}", {"text": str(value)}) if value else _("the usual one")


# ── parts ──


def _ways(ctx: Context, instance: Instance, disk: storage.Disk, change: DiskChange) -> dict[str, Any]:
    place = disk.attachment
    asked = {name: getattr(change, name) for name in WAYS if getattr(change, name) is not None}
    now = {name: getattr(place, name) for name in WAYS}
    then = {**now, **asked}
    values = {name: value for name, value in then.items() if value != now[name]}
    touched = "cache" in asked or "io" in asked
    wrong = refuse_bad_ways(then["cache"], then["io"] if touched else "", asked.get("serial", ""))
    if "cache" not in asked:  # one that came with its machine may have a word of its own
        wrong.pop("cache", None)
    if wrong:
        raise Invalid(_("A disk cannot be changed like that."), fields=wrong)
    if "io" in values:
        refuse_host(ctx.session.get_one(Host, instance.host_id), then["io"])
    if "discard" in values and place.readonly:
        raise Conflict(
            _("The guest can only read the disk {slot}: it gives nothing up.", slot=place.slot),
            fields={"discard": _("as it is")},
        )
    refuse_serial(ctx.session, instance, values.get("serial", ""), disk.volume.id)
    return values


def _limits(ctx: Context, instance: Instance, disk: storage.Disk, change: DiskChange) -> dict[str, Any]:
    """What the row will keep as its limits."""
    now = disk.attachment.limits
    if change.limits is None and change.limit_group is None:
        return now
    old_group = io_limits.group_of(now)
    group = change.limit_group if change.limit_group is not None else old_group
    if change.limits is not None:
        return io_limits.checked(change.limits, group)
    others = group_members(ctx.session, instance.id, group, disk.volume.id)
    if others and group != old_group:
        return dict(others[0].attachment.limits)
    found = io_limits.checked(io_limits.rates(now), group)
    if group and not found:
        raise Invalid(
            _("The instance {name} has no group {group} yet: the first disk says its limits.", group=group,
              name=instance.name),
            fields={"limit_group": _("together with limits")},
        )  # fmt: skip
    return found


def _said_limits(
    ctx: Context, instance: Instance, disk: storage.Disk, values: Mapping[str, Any]
) -> tuple[Message, ...]:
    if "limits" not in values:
        return ()
    limits, slot = values["limits"], disk.attachment.slot
    group, old = io_limits.group_of(limits), io_limits.group_of(disk.attachment.limits)
    said = [_("Limit of {slot}: {limit}.", slot=slot, limit=text) for text in io_limits.texts(limits)]
    if not limits:
        said.append(_("{slot} is not limited any more.", slot=slot))
    others = [d.attachment.slot for d in group_members(ctx.session, instance.id, group, disk.volume.id)]
    if others:
        said.append(
            _("It shares this budget with {slots} (group {group}): it counts for all of them together.",
              slots=", ".join(others), group=group)
        )  # fmt: skip
    elif group and group != old:
        said.append(_("Further disks of this instance can share its budget by the group {group}.", group=group))
    left = [d.attachment.slot for d in group_members(ctx.session, instance.id, old, disk.volume.id)]
    if left and group != old:
        said.append(_("{slots} keep the budget of the group {group}.", slots=", ".join(left), group=old))
    if instance.state in LIVE:
        said.append(_("The limits count at once, while the instance runs."))
    else:
        said.append(_("The instance is off; it takes effect with its next start."))
    return tuple(said)


def _said_ways(instance: Instance, disk: storage.Disk, values: Mapping[str, Any]) -> tuple[Message, ...]:
    said = []
    for name, title in WAYS.items():
        if name not in values:
            continue
        words = {
            "title": title, "old": way_word(name, getattr(disk.attachment, name)), "new": way_word(name, values[name]),
        }  # fmt: skip
        said.append(
            _("{title}: {old} becomes {new} at the next start.", **words) if instance.state in LIVE
            else _("{title}: {old} becomes {new}.", **words)
        )  # fmt: skip
    if "serial" in values:
        said.append(_("The guest finds the disk by another name below /dev/disk/by-id then."))
    return tuple(said)
