"""The verbs that change what is written about an instance: name, description, tags, policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.base.tags import check_tags
from yun.compute.model import Instance, OnCrash
from yun.compute.names import check_description, check_name
from yun.compute.service.look import must_allow, refuse_taken
from yun.compute.service.power import MAX_SHUTDOWN_SECONDS, subject
from yun.network.service.balancing import balancers_of_labels
from yun.operations.intent import Intent, unchanged

TITLES: dict[str, Message] = {
    "name": _("Name"),
    "description": _("Description"),
    "tags": _("Tags"),
    "shutdown_seconds": _("Time to power off"),
    "autostart": _("Start again after a reboot of the host"),
    "on_crash": _("When it crashes"),
    "protected": _("Protect against deletion"),
}
"""What can be changed, as people call it."""


def rename(ctx: Context, instance: Instance, name: str) -> Intent:
    """Give the instance another display name; the guest's host name stays. Raises `Conflict` where it is taken."""
    return _edit(ctx, instance, "rename", _("Rename instance {name}", name=instance.name), {"name": name})


def tag(ctx: Context, instance: Instance, tags: list[str]) -> Intent:
    """The instance has exactly these tags."""
    return _edit(ctx, instance, "tag", _("Tag instance {name}", name=instance.name), {"tags": tags})


def update(ctx: Context, instance: Instance, **changes: Any) -> Intent:
    """Change description, tags, autostart, delete protection, crash policy, power-off time, or the name.

    Raises `Invalid` for an unknown field or a bad value, `Conflict` where nothing would change.
    """
    return _edit(ctx, instance, "update", _("Change instance {name}", name=instance.name), changes)


def set_autostart(ctx: Context, instance: Instance, on: bool) -> Intent:
    """Whether the machine, if it ran, is started again after its host rebooted."""
    return update(ctx, instance, autostart=on)


def set_protection(ctx: Context, instance: Instance, on: bool) -> Intent:
    """Whether the instance refuses to be deleted."""
    return update(ctx, instance, protected=on)


def _edit(ctx: Context, instance: Instance, verb: str, title: Message, changes: dict[str, Any]) -> Intent:
    ctx.may(f"instance.{verb}", instance.project_id)
    must_allow(instance, verb)
    values = {}
    for field, value in changes.items():
        if field not in CHECKS:
            known = ", ".join(sorted(CHECKS))
            raise Invalid(
                _("{field} cannot be changed here.", field=field[:40]), fields={field: _("one of {names}", names=known)}
            )
        values[field] = value if value == getattr(instance, field) else CHECKS[field](value)
    values = {field: value for field, value in values.items() if value != getattr(instance, field)}
    if not values:
        raise Conflict(_("Nothing would change: the instance is already so."))
    if "name" in values:
        refuse_taken(ctx.session, instance.project_id, values["name"], besides=instance.id)
    tags = set(values.get("tags", instance.tags)) ^ set(instance.tags)
    followers = balancers_of_labels(ctx.session, instance.project_id, tags)
    return Intent(
        kind=f"instance.{verb}",
        title=title,
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "values": values, "balanced": bool(followers)},
        effects=(
            *(_effect(instance, field, value) for field, value in values.items()),
            *((_("Load balancers that go by these tags follow: {count}.", count=len(followers)),) if followers else ()),
        ),
        still=unchanged(instance),
        instant=not followers,
    )


def _effect(instance: Instance, field: str, value: Any) -> Message:
    old = getattr(instance, field)
    match field:
        case "name":
            return _("Its name changes from {old} to {new}; the guest's host name stays {hostname}.",
                     old=old, new=value, hostname=instance.hostname)  # fmt: skip
        case "autostart" if value:
            return _("After a reboot of its host it is started again if it ran.")
        case "autostart":
            return _("After a reboot of its host it stays stopped.")
        case "protected" if value:
            return _("It cannot be deleted until the protection is taken off.")
        case "protected":
            return _("It can be deleted.")
        case "on_crash" if value == OnCrash.RESTART:
            return _("When it goes down without being asked to, it is started again.")
        case "on_crash":
            return _("When it goes down without being asked to, it stays down.")
        case "shutdown_seconds":
            return _("When it is stopped, the guest has {seconds} s to power off.", seconds=value)
        case "tags":
            return _("Its tags are: {tags}.", tags=", ".join(value) or "–")
    return _("Its description changes.")


def _boolean(field: str) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise Invalid(_("{field} is yes or no.", field=field), fields={field: _("true or false")})
        return value

    return check


def check_seconds(value: Any) -> int:
    """How long a guest may take to power off, in seconds. Raises `Invalid`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SHUTDOWN_SECONDS:
        right = _("0 to {most} seconds", most=MAX_SHUTDOWN_SECONDS)
        raise Invalid(_("A guest cannot be given that long to power off."), fields={"shutdown_seconds": right})
    return value


def check_on_crash(value: Any) -> str:
    """``restart`` or ``leave``. Raises `Invalid`."""
    if value not in list(OnCrash):
        wrong = _("There is no crash policy {policy}.", policy=str(value)[:40])
        raise Invalid(wrong, fields={"on_crash": _("restart or leave")})
    return str(value)


CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": check_name,
    "description": check_description,
    "tags": check_tags,
    "autostart": _boolean("autostart"),
    "protected": _boolean("protected"),
    "on_crash": check_on_crash,
    "shutdown_seconds": check_seconds,
}
