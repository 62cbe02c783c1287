"""The verbs that act inside a guest through its agent: set a password, freeze, thaw, trim, set the clock, run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.compute.cloud_init import hash_password
from yun.compute.guest.model import GuestErrand, InstanceFreeze, InstanceGuest
from yun.compute.model import Instance, State
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.operations.intent import Intent

FREEZE_SECONDS = 30
MOST_FREEZE_SECONDS = 600
RUN_SECONDS = 60
MOST_RUN_SECONDS = 3600
COMMAND_BYTES = 16 * 1024
COMMAND_WORDS = 200
TITLE_LENGTH = 200
WINDOWS = "mswindows"
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def set_password(ctx: Context, instance: Instance, password: str, *, user: str = "") -> Intent:
    """Give a user of the guest another password while it runs; by default the image's default user.

    Only a crypt(3) hash goes to the guest, and it is kept nowhere once the operation has ended. Raises `Invalid` for a
    password or user name that cannot be used, `Conflict` where the agent cannot be asked, or is a Windows guest's,
    which takes no hash. Cannot be undone: the old password is known to nobody.
    """
    ctx.may("instance.set_password", instance.project_id)
    _must_answer(ctx.session, instance)
    who = user or instance.default_user
    if not who:
        raise Invalid(
            _("Which user of the guest shall have it?"),
            fields={"user": _("its name; the image of this instance has no default user")},
        )
    if not _USER.fullmatch(who):
        raise Invalid(_("This is no name of a user."), fields={"user": _("letters, digits, and _ . - between them")})
    if _is_windows(ctx.session, instance):
        raise Conflict(
            _("A Windows guest takes passwords only in the clear, and those are not carried here."),
            hint=_("Set it in the guest: net user NAME *"),
        )
    errand = GuestErrand(id=new_id("err"), instance_id=instance.id, secret=hash_password(password))
    return Intent(
        kind="instance.set_password",
        title=_("Set the password of {user} in instance {name}", user=who, name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "errand_id": errand.id, "user": who},
        keys=keys(instance),
        effects=(_("The user {user} of the guest logs in with the new password from now on.", user=who),),
        write=lambda session: session.add(errand),
        undoable=False,
        no_undo=_("The old password is known to nobody, so it cannot be given back."),
        transparent=True,
    )


def freeze(ctx: Context, instance: Instance, *, seconds: int = FREEZE_SECONDS) -> Intent:
    """Let the guest write out and hold its file systems, for a copy from outside; they go on by themselves after
    ``seconds`` (1 to 600), whatever happens. Raises `Conflict` where they are frozen already or no agent is there."""
    ctx.may("instance.freeze", instance.project_id)
    _must_answer(ctx.session, instance)
    if not 1 <= seconds <= MOST_FREEZE_SECONDS:
        right = _("1 to {most} seconds", most=MOST_FREEZE_SECONDS)
        raise Invalid(_("File systems cannot be frozen for that long."), fields={"seconds": right})
    return Intent(
        kind="instance.freeze",
        title=_("Freeze the file systems of instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "seconds": seconds},
        keys=keys(instance),
        effects=(
            _("What the guest has not written yet is written; whatever writes then waits."),
            _("After {seconds} s they go on by themselves.", seconds=seconds),
        ),
        undoable=False,
        no_undo=_("It thaws by itself, or when you thaw it; nothing lasting is changed."),
        transparent=True,
    )  # fmt: skip


def thaw(ctx: Context, instance: Instance) -> Intent:
    """Let frozen file systems go on; nothing happens to those that are not frozen. Raises `Conflict` where no agent is
    there to be asked."""
    ctx.may("instance.thaw", instance.project_id)
    must_have_agent(instance)
    return _plain(
        instance, "thaw", _("Thaw the file systems of instance {name}", name=instance.name),
        _("The guest writes again."),
    )  # fmt: skip


def trim(ctx: Context, instance: Instance) -> Intent:
    """Let the guest tell its disks which blocks it no longer uses, so that their files shrink on the host."""
    ctx.may("instance.trim", instance.project_id)
    _must_answer(ctx.session, instance)
    return _plain(
        instance, "trim", _("Trim the file systems of instance {name}", name=instance.name),
        _("Blocks that the guest no longer uses are given back to the storage pool, where its disks allow it."),
    )  # fmt: skip


def sync_time(ctx: Context, instance: Instance) -> Intent:
    """Set the guest's clock to the cloud's, such as after a long pause."""
    ctx.may("instance.sync_time", instance.project_id)
    _must_answer(ctx.session, instance)
    return _plain(
        instance, "sync_time", _("Set the clock of instance {name}", name=instance.name),
        _("The guest's clock jumps to the right time, forwards or backwards."),
    )  # fmt: skip


def run(ctx: Context, instance: Instance, command: Sequence[str], *, timeout: int = RUN_SECONDS) -> Intent:
    """Run a program in the guest as its administrator, at most once and for at most ``timeout`` seconds (1 to 3600).

    ``command`` is the program and its arguments; no shell reads them. The first 64 KiB of its output and its exit code
    are the operation's result. Raises `Invalid` for an empty or huge command, `Conflict` where no agent is there.
    """
    ctx.may("instance.run", instance.project_id)
    _must_answer(ctx.session, instance)
    words = _checked(command)
    if not 1 <= timeout <= MOST_RUN_SECONDS:
        right = _("1 to {most} seconds", most=MOST_RUN_SECONDS)
        raise Invalid(_("A command cannot be given that long."), fields={"timeout": right})
    line = shlex.join(words)
    short = line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"
    errand = GuestErrand(id=new_id("err"), instance_id=instance.id)
    return Intent(
        kind="instance.run",
        title=_("Run {command} in instance {name}", command=short, name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "errand_id": errand.id, "command": words, "seconds": timeout},
        keys=keys(instance),
        effects=(
            _("The guest's administrator runs: {command}", command=line),
            _("After {seconds} s it is killed.", seconds=timeout),
            _("The command and its output are kept in the history, for whoever may see this instance."),
        ),
        write=lambda session: session.add(errand),
        undoable=False,
        no_undo=_("What a command did in the guest cannot be taken back from outside."),
        transparent=True,
        deadline=600.0 + timeout,
    )  # fmt: skip


# ── parts ──


def must_have_agent(instance: Instance) -> None:
    """Raise `Conflict` where the instance does not run, or no agent is connected in it."""
    must_be(instance, (State.RUNNING,))
    if not instance.agent:
        raise Conflict(
            _("No guest agent is connected in the instance {name}.", name=instance.name),
            hint=_("Install the package qemu-guest-agent in the guest and start it; it connects by itself."),
        )


def _must_answer(session: Session, instance: Instance) -> None:
    """An agent is there, and answers: while its file systems are frozen it does nothing but thaw."""
    must_have_agent(instance)
    if session.get(InstanceFreeze, instance.id) is not None:
        raise Conflict(
            _("The file systems of the instance {name} are frozen.", name=instance.name),
            hint=_("Thaw them first, or wait until they thaw by themselves."),
        )


def _is_windows(session: Session, instance: Instance) -> bool:
    row = session.get(InstanceGuest, instance.id)
    return row is not None and row.os_id == WINDOWS


def _checked(command: Sequence[str]) -> list[str]:
    words = [str(word) for word in command]
    right: dict[str, Message] = {"command": _("a program and its arguments, at most 16 KiB")}
    if not words or not words[0].strip():
        raise Invalid(_("Which command?"), fields=right)
    if len(words) > COMMAND_WORDS or sum(len(w.encode("utf-8", "replace")) for w in words) > COMMAND_BYTES:
        raise Invalid(_("The command is too long."), fields=right)
    if any("\0" in word or any(0xD800 <= ord(c) < 0xE000 for c in word) for word in words):
        raise Invalid(_("The command is not text."), fields=right)
    return words


def _plain(instance: Instance, verb: str, title: Message, effect: Message) -> Intent:
    """A verb that asks the agent one thing and changes nothing that could be taken back."""
    return Intent(
        kind=f"instance.{verb}",
        title=title,
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id},
        keys=keys(instance),
        effects=(effect,),
        undoable=False,
        no_undo=_("It changes nothing that could be undone."),
        transparent=True,
        deadline=timedelta(minutes=10).total_seconds(),
    )
