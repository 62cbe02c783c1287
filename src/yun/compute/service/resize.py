"""The verb resize: another flavor, or other numbers of vCPUs and memory; and what waits for the next start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.compute import hardware as parts
from yun.compute.model import DISKS_CHANGE_IN, LIVE, Instance
from yun.compute.service.flavors import check_size, get_flavor
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.hosts import placement
from yun.hosts import service as hosts
from yun.images.model import Image
from yun.operations.intent import Intent

SIZE = ("vcpus", "memory_mib")
BLOCK_MIB = 2
"""Memory that grows while a machine runs does so by multiples of this."""


def resize(
    ctx: Context, instance: Instance, *, flavor: str | None = None, vcpus: int | None = None,
    memory_mib: int | None = None,
) -> Intent:  # fmt: skip
    """Give the instance the size of a flavor, or its own; numbers win over the flavor's. Its disk keeps its size.

    A stopped machine has it at once. A running one has at once what it can take: more vCPUs up to the most it was
    started with, and memory within its bounds; the rest at its next start: until then it is shown as pending, and undo,
    or resizing back, drops it. Raises `Invalid` naming the field, `NoCapacity` where its host lacks room, `Conflict`
    where nothing would change.
    """
    ctx.may("instance.resize", instance.project_id)
    must_be(instance, DISKS_CHANGE_IN)
    values = _wanted(ctx, instance, flavor, vcpus, memory_mib)
    check_size(vcpus=values["vcpus"], memory_mib=values["memory_mib"], disk_bytes=MIB * 1024)
    _fits_image(ctx, instance, values["memory_mib"])
    parts.refuse_contradiction(
        parts.of(instance.hardware), vcpus=values["vcpus"], memory_mib=values["memory_mib"],
        firmware=instance.firmware,
    )  # fmt: skip
    if all(getattr(instance, name) == value for name, value in values.items()):
        raise Conflict(_("Nothing would change: the instance is already so."))
    left = _room_left(ctx, instance, values)
    return Intent(
        kind="instance.resize",
        title=_("Resize instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={
            "instance_id": instance.id, "values": values, "was": {name: getattr(instance, name) for name in SIZE},
        },
        keys=keys(instance),
        effects=(
            _("It changes from {old} to {new}.", old=size_text(instance.vcpus, instance.memory_mib),
              new=size_text(values["vcpus"], values["memory_mib"])),
            *_when(instance, values["vcpus"], values["memory_mib"]),
        ),
        capacity=(left,),
        back=(_("It has {size} again, from its next start.", size=size_text(instance.vcpus, instance.memory_mib)),),
    )  # fmt: skip


def size_text(vcpus: int, memory_mib: int) -> Message:
    """Such as ``2 vCPU, 1 GiB``."""
    return _("{vcpus} vCPU, {memory}", vcpus=vcpus, memory=format_size(memory_mib * MIB))


def pending(row: dict[str, Any]) -> list[dict[str, Any]]:
    """What a running instance will have only after its next start: ``field``, what runs (``now``) and what is next."""
    if row["state"] not in LIVE:
        return []
    found = [
        {"field": field, "now": row[running], "next": row[field]}
        for field, running in (("vcpus", "running_vcpus"), ("memory_mib", "running_memory_mib"))
        if row[running] is not None and row[running] != row[field]
    ]
    running = row["running_hardware"]
    if row["running_vcpus"] is None and not running:
        # It was not started by us: what it runs with is what its row said when it was found.
        return found
    now = parts.shown(running.get("firmware", row["firmware"]), running)
    then = parts.shown(row["firmware"], row["hardware"])
    found += [{"field": f, "now": now[f], "next": then[f]} for f in then if now[f] != then[f]]
    tried, tries = row["boot_order"], running.get("boot_order", [])
    if tried != tries:
        found.append({"field": "boot_order", "now": tries, "next": tried})
    laid, lies = row["hardware"].get("overlay", ""), running.get("overlay", "")
    return found + ([{"field": "overlay", "now": lies, "next": laid}] if laid != lies else [])


def live_vcpus(running: dict[str, Any], now: int, wanted: int) -> bool:
    """Whether a machine that was started as ``running`` says takes so many vCPUs at once: only ever more."""
    return now < wanted <= parts.of(running).max_vcpus


def live_memory(running: dict[str, Any], now: int | None, wanted: int) -> bool:
    """Whether it takes so much memory at once: up to the most, in whole blocks, where it was started so that it can
    grow; else down from what it was started with, and up to that again, as its guest gives and takes."""
    begun = running.get("memory_mib")
    if begun is None or now is None or now == wanted:
        return False
    most = parts.of(running).memory_max_mib
    if most > begun:
        return begun <= wanted <= most and (wanted - begun) % BLOCK_MIB == 0
    return bool(wanted <= begun)


def _when(instance: Instance, vcpus: int, memory_mib: int) -> list[Message]:
    """When another size takes effect."""
    if instance.state not in LIVE:
        return [_("The instance is off; it takes effect with its next start.")]
    running, found, later = instance.running_hardware, [], False
    has_vcpus = instance.running_vcpus or instance.vcpus
    has_memory = instance.running_memory_mib or instance.memory_mib
    if vcpus != has_vcpus:
        now = live_vcpus(running, has_vcpus, vcpus)
        found += [_("The guest gets more vCPUs at once.")] if now else []
        later |= not now
    if memory_mib != has_memory:
        now = live_memory(running, has_memory, memory_mib)
        found += [_("Its memory changes at once, as fast as the guest gives and takes it.")] if now else []
        later |= not now
    if later:
        found.append(_("It takes effect at the next start of the instance.") if not found
                     else _("The rest takes effect at the next start of the instance."))  # fmt: skip
    return found


def _wanted(
    ctx: Context, instance: Instance, flavor: str | None, vcpus: int | None, memory_mib: int | None
) -> dict[str, Any]:
    if flavor is None and vcpus is None and memory_mib is None:
        right = _("a flavor, or vCPUs and memory")
        raise Invalid(_("How big shall it be? Choose a flavor, or say vCPUs and memory."), fields={"flavor": right})
    values: dict[str, Any] = {
        "vcpus": instance.vcpus, "memory_mib": instance.memory_mib, "flavor_id": None, "flavor_name": "",
    }  # fmt: skip
    if flavor is not None:
        row = get_flavor(ctx, flavor)
        values = {"vcpus": row.vcpus, "memory_mib": row.memory_mib, "flavor_id": row.id, "flavor_name": row.name}
    own = {name: value for name, value in (("vcpus", vcpus), ("memory_mib", memory_mib)) if value is not None}
    return {**values, **own}


def _fits_image(ctx: Context, instance: Instance, memory_mib: int) -> None:
    image = ctx.session.scalar(sa.select(Image).where(Image.id == instance.image_id))
    if image is not None and memory_mib < image.min_memory_mib:
        least = _("at least {least}", least=format_size(image.min_memory_mib * MIB))
        raise Invalid(
            _("The image {image} does not fit into this size.", image=image.name), fields={"memory_mib": least}
        )


def _room_left(ctx: Context, instance: Instance, values: dict[str, Any]) -> Message:
    """What is left on the host afterwards. Raises `NoCapacity`; asked again when the operation runs."""
    room = next(r for r in hosts.rooms(ctx.session) if r.host.id == instance.host_id)
    room = replace(room, vcpus=room.vcpus + instance.vcpus, memory_mib=room.memory_mib + instance.memory_mib)
    vcpus, memory_mib = values["vcpus"], values["memory_mib"]
    grows = vcpus > instance.vcpus or memory_mib > instance.memory_mib
    refusal = placement.refusal(room, vcpus=vcpus, memory_mib=memory_mib, returning=True) if grows else None
    if refusal is not None:
        raise hosts.no_room([refusal], placement.nearest([room], vcpus=vcpus, memory_mib=memory_mib))
    return _(
        "Afterwards host {host} has {memory} of memory and {vcpus} vCPU left.",
        memory=format_size(max(room.memory_mib - memory_mib, 0) * MIB), vcpus=max(room.vcpus - vcpus, 0),
        host=room.host.name,
    )  # fmt: skip
