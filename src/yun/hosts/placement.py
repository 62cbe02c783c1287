"""Where a new instance fits, and in so many words why not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.hosts.model import Host


@dataclass(frozen=True)
class Room:
    """What a host may still promise: ``vcpus`` and ``memory_mib`` (either may be below zero after a change of its
    limits), and ``committed_mib`` of what it promised already. ``lacks`` is something else that the instance needs."""

    host: Host
    vcpus: int
    memory_mib: int
    committed_mib: int = 0
    lacks: Message | None = None


def room_of(host: Host, committed_vcpus: int, committed_mib: int) -> Room:
    """What is left of a host's limits after its promises."""
    whole_mib = int((host.memory_mib - host.reserved_mib) * host.memory_overcommit)
    whole_vcpus = int(host.cpus * host.cpu_overcommit)
    return Room(host, whole_vcpus - committed_vcpus, whole_mib - committed_mib, committed_mib)


def refusal(room: Room, *, vcpus: int, memory_mib: int, returning: bool = False) -> Message | None:
    """Why the host cannot take it, or None where it can; what is ``returning`` needs room, but no welcome."""
    name = room.host.name
    if room.host.state == "down" and not returning:
        return _("{host}: its virtual machine service does not run", host=name)
    if not room.host.accepts and not returning:
        return _("{host}: it takes no new instances", host=name)
    if room.lacks is not None:
        return _("{host}: {reason}", host=name, reason=room.lacks)
    if memory_mib > room.memory_mib:
        return _("{host}: {size} of memory short", host=name, size=format_size((memory_mib - room.memory_mib) * MIB))
    if vcpus > room.vcpus:
        return _("{host}: {count} vCPU short", host=name, count=vcpus - room.vcpus)
    return None


def nearest(rooms: Sequence[Room], *, vcpus: int, memory_mib: int) -> Message:
    """The smallest change that would make it fit."""
    fit = [r for r in rooms if r.lacks is None]
    if rooms and not fit:
        return _("Give a host what it lacks, or choose otherwise.")
    open_rooms = [r for r in fit if r.host.state != "down" and r.host.accepts]
    if not open_rooms:
        return _("Start the virtual machine service of a host, or let a host take new instances again.")
    best = max(open_rooms, key=lambda r: (r.memory_mib, r.vcpus))
    if best.memory_mib > 0 and best.vcpus > 0:
        return _(
            "At most {size} of memory and {count} vCPU fit now, on {host}.", host=best.host.name,
            size=format_size(min(best.memory_mib, 1 << 40) * MIB), count=best.vcpus,
        )  # fmt: skip
    return _("Delete or shrink instances, add a host, or raise the overcommit of a host.")


def best(rooms: Sequence[Room], *, vcpus: int, memory_mib: int) -> Room | None:
    """The fitting host with the most memory left; healthy ones before degraded ones, then by name."""
    fitting = [r for r in rooms if refusal(r, vcpus=vcpus, memory_mib=memory_mib) is None]
    return min(fitting, key=lambda r: (r.host.state != "up", -r.memory_mib, r.host.name), default=None)
