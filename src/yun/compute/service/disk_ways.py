"""How a disk is read and written: cache, I/O mode, discard, serial and limits. What fits, and how it is said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.compute import limits as io_limits
from yun.compute.model import Instance
from yun.hosts.model import Host
from yun.storage import service as storage

CACHES = ("none", "writeback", "writethrough", "directsync", "unsafe")
IO_MODES = ("threads", "native", "io_uring")
DIRECT = ("none", "directsync")
"""Caches that go past the host's memory."""
SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,19}")
"""What every bus can carry and the hypervisor takes."""


@dataclass(frozen=True)
class DiskWish:
    """How a disk is wished for. ``io`` and ``serial`` empty: the usual ones. ``limits`` as in `compute.limits`; with a
    ``limit_group`` that others of the instance are in already, it shares theirs, and names none."""

    cache: str = "none"
    io: str = ""
    discard: bool = True
    serial: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    limit_group: str = ""


@dataclass(frozen=True)
class Ways:
    """The columns of `Attachment` that say it; ``limits`` with the group in it."""

    cache: str = "none"
    io: str = ""
    discard: bool = True
    serial: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """By column."""
        return {**asdict(self), "limits": dict(self.limits)}


def refuse_bad_ways(cache: str, io: str, serial: str) -> dict[str, Message]:
    """What is wrong with these words, by field."""
    wrong: dict[str, Message] = {}
    if cache not in CACHES:
        wrong["cache"] = _("one of {names}", names=", ".join(CACHES))
    if io and io not in IO_MODES:
        wrong["io"] = _("one of {names}", names=", ".join(IO_MODES))
    if io == "native" and cache not in DIRECT:
        wrong["io"] = _("native only with the cache {names}", names=", ".join(DIRECT))
    if serial and not SERIAL.fullmatch(serial):
        wrong["serial"] = _("at most 20 letters, digits, - and _, the first no sign")
    return wrong


def checked_ways(session: Session, instance: Instance, wish: DiskWish) -> Ways:
    """The wish with the limits that count: those of the group, where the instance has others in it.

    Raises `Invalid` for bad limits and for a new group without any, `Conflict` where the host cannot do the I/O mode,
    where another disk of the instance has the serial, and for limits that are not the group's.
    """
    refuse_host(session.get_one(Host, instance.host_id), wish.io)
    refuse_serial(session, instance, wish.serial)
    group = wish.limit_group
    asked = io_limits.checked(wish.limits, group)
    if group:
        members = group_members(session, instance.id, group)
        if members:
            shared = members[0].attachment.limits
            if asked and asked != shared:
                raise Conflict(
                    _("The group {group} of the instance {name} has other limits.", group=group, name=instance.name),
                    hint=_("Leave the limits out to share them, or change them for all with change-disk."),
                    fields={"limit_group": _("one with the same limits, or a new name")},
                )
            asked = dict(shared)
        elif not asked:
            raise Invalid(
                _("The instance {name} has no group {group} yet: the first disk says its limits.", group=group,
                  name=instance.name),
                fields={"limit_group": _("together with limits")},
            )  # fmt: skip
    return Ways(wish.cache, wish.io, wish.discard, wish.serial, asked)


def first_ways(session: Session, instance: Instance, wish: DiskWish) -> Ways:
    """The same for the disk that an instance is made with. Raises `Invalid` for bad words too."""
    wrong = refuse_bad_ways(wish.cache, wish.io, wish.serial)
    if wrong:
        raise Invalid(_("A disk cannot be attached like that."), fields=wrong)
    return checked_ways(session, instance, wish)


def refuse_host(host: Host, io: str) -> None:
    """Raise `Conflict` where the host cannot do this I/O mode, saying why."""
    if io != "io_uring" or host.facts.get("io_uring"):
        return
    why = host.facts.get("io_uring_fault") or ""
    raise Conflict(
        _("Host {host} cannot do io_uring: {reason}", host=host.name, reason=why) if why
        else _("Host {host} was not examined for io_uring yet.", host=host.name),
        fields={"io": _("native or threads, or none: then the hypervisor chooses")},
    )  # fmt: skip


def refuse_serial(session: Session, instance: Instance, serial: str, besides: str = "") -> None:
    """Raise `Conflict` where another disk of the instance has this serial: its guest could not tell them apart."""
    for disk in storage.attachments_of(session, instance.id):
        if serial and disk.volume.id != besides and disk.attachment.serial == serial:
            raise Conflict(
                _("The disk {slot} of the instance has the serial {serial}.", slot=disk.attachment.slot, serial=serial),
                fields={"serial": _("one that no other disk of the instance has")},
            )


def group_members(session: Session, instance_id: str, group: str, besides: str = "") -> list[storage.Disk]:
    """The disks of the instance that share the budget of a group, without the volume ``besides``."""
    return [
        disk for disk in storage.attachments_of(session, instance_id)
        if group and disk.volume.id != besides and io_limits.group_of(disk.attachment.limits) == group
    ]  # fmt: skip


def said_ways(session: Session, instance: Instance, ways: Ways) -> tuple[Message, ...]:
    """What is not usual of a new disk, for its preview."""
    said: list[Message] = []
    if ways.io:
        said.append(_("The host reads and writes it by {io}.", io=ways.io))
    if not ways.discard:
        said.append(_("What its guest gives up is not given back to the pool."))
    if ways.serial:
        said.append(_("Its guest finds it by the serial {serial}.", serial=ways.serial))
    return (*said, *said_limits(session, instance, ways.limits))


def said_limits(
    session: Session, instance: Instance, limits: Mapping[str, Any], besides: str = ""
) -> tuple[Message, ...]:
    """What limits mean, and who shares them."""
    said = tuple(_("Limit: {limit}.", limit=text) for text in io_limits.texts(limits))
    group = io_limits.group_of(limits)
    if not group:
        return said
    slots = [disk.attachment.slot for disk in group_members(session, instance.id, group, besides)]
    if slots:
        return (
            *said, _("It shares this budget with {slots} (group {group}).", slots=", ".join(slots), group=group),
        )  # fmt: skip
    return (*said, _("Further disks of this instance can share its budget by the group {group}.", group=group))
