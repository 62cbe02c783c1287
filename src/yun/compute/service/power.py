"""The verbs of power: start, stop, reboot, pause, resume."""

from __future__ import annotations

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.compute.model import LIVE, Instance
from yun.compute.service.given import refuse_missing
from yun.compute.service.look import must_allow
from yun.network import service as network
from yun.operations.intent import Intent, Key, Subject

HOST_SLOTS = 8
MAX_SHUTDOWN_SECONDS = 3600


def keys(instance: Instance, *, host: bool = False) -> tuple[Key, ...]:
    """The instance's own lock, and for what costs a host work one of the host's slots."""
    own = Key(f"instance:{instance.id}")
    return (own, Key(f"host:{instance.host_id}", HOST_SLOTS)) if host else (own,)


def subject(instance: Instance) -> Subject:
    """The instance as an operation's subject."""
    return Subject("instance", instance.id, instance.name)


def check_seconds(seconds: int | None, instance: Instance) -> int:
    """How long a guest may take to power off: as asked, else the instance's own time. Raises `Invalid`."""
    if seconds is None:
        return instance.shutdown_seconds
    if not 0 <= seconds <= MAX_SHUTDOWN_SECONDS:
        right = _("0 to {most} seconds", most=MAX_SHUTDOWN_SECONDS)
        raise Invalid(_("A guest cannot be given that long to power off."), fields={"timeout": right})
    return seconds


def start(ctx: Context, instance: Instance) -> Intent:
    """Switch a stopped machine on. Raises `Conflict` where it runs. Undo powers it off."""
    ctx.may("instance.start", instance.project_id)
    must_allow(instance, "start")
    refuse_missing(ctx.session, instance)
    return Intent(
        kind="instance.start",
        title=_("Start instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id},
        keys=keys(instance, host=True),
        effects=(
            _("The instance runs and uses {vcpus} vCPU and {memory} of memory.",
              vcpus=instance.vcpus, memory=format_size(instance.memory_mib * MIB)),
        ),
        back=(_("It is powered off again, as its guest allows."),),
        back_destroys=(_("What the guest holds only in memory."),),
    )  # fmt: skip


def stop(ctx: Context, instance: Instance, *, timeout: int | None = None, force: bool = False) -> Intent:
    """Power the machine off: its agent is asked, then its power button pressed, and after ``timeout`` seconds (the
    instance's own time by default) the power is cut; at once with ``force``. Undo starts it again."""
    ctx.may("instance.stop", instance.project_id)
    must_allow(instance, "stop")
    seconds = 0 if force else check_seconds(timeout, instance)
    return Intent(
        kind="instance.stop",
        title=_("Stop instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "seconds": seconds},
        keys=keys(instance),
        effects=(
            _how(seconds),
            *(network.losing_chains(ctx.session, instance.id) if instance.state in LIVE else ()),
        ),
        back=(_("It is started again, from its disks."),) if instance.state in LIVE else (),
        destroys=(_("What the guest holds only in memory; undo starts it again, from its disks."),)
        if instance.state in LIVE else (),
        deadline=600.0 + seconds,
    )  # fmt: skip


def _how(seconds: int) -> Message:
    if seconds == 0:
        return _("The power is cut at once.")
    return _("The guest is asked to power off; after {seconds} s the power is cut.", seconds=seconds)


def reboot(ctx: Context, instance: Instance, *, hard: bool = False, timeout: int | None = None) -> Intent:
    """Power the machine off and on: softly, with the power cut after ``timeout`` seconds, or ``hard`` at once.

    Changes of its configuration that wait for a start take effect.
    """
    ctx.may("instance.reboot", instance.project_id)
    must_allow(instance, "reboot")
    refuse_missing(ctx.session, instance)
    seconds = 0 if hard else check_seconds(timeout, instance)
    return Intent(
        kind="instance.reboot",
        title=_("Reboot instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "seconds": seconds},
        keys=keys(instance, host=True),
        effects=(_how(seconds), _("Then it is started; configuration that waited for a start takes effect.")),
        restarts=(_("instance {name}", name=instance.name),),
        undoable=False,
        no_undo=_("A reboot cannot be undone; it changes nothing that lasts."),
        transparent=True,
        deadline=600.0 + seconds,
    )


def pause(ctx: Context, instance: Instance) -> Intent:
    """Let the vCPUs stand still; memory stays taken. Undo goes on."""
    ctx.may("instance.pause", instance.project_id)
    must_allow(instance, "pause")
    return Intent(
        kind="instance.pause",
        title=_("Pause instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id},
        keys=keys(instance),
        effects=(_("The guest stands still and does not answer; its memory stays taken."),),
    )


def resume(ctx: Context, instance: Instance) -> Intent:
    """Let a paused machine go on. Undo pauses it."""
    ctx.may("instance.resume", instance.project_id)
    must_allow(instance, "resume")
    return Intent(
        kind="instance.resume",
        title=_("Resume instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id},
        keys=keys(instance),
        effects=(_("The guest goes on where it stood still."),),
    )
