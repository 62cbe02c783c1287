"""The verbs configure and drop_pending: an instance's hardware, and what of it waits for the next start."""

from __future__ import annotations

from typing import Any

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.compute import boot
from yun.compute import hardware as parts
from yun.compute.model import LIVE, SETTLED, Adoption, Instance
from yun.compute.service.bus_fit import refuse_losing_ide
from yun.compute.service.change_disk import WAYS, waiting_disks, way_word
from yun.compute.service.cpu_models import refuse_model, said_model
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.compute.service.resize import SIZE, pending
from yun.hosts.model import Host
from yun.operations.intent import Intent, Key

TITLES: dict[str, Message] = {
    "vcpus": _("vCPUs"), "memory_mib": _("Memory"),
    "overlay": _("Extra XML"), "boot_order": _("Boot order"),
    **{name: choice.title for name, choice in parts.CHOICES.items()},
}  # fmt: skip


def configure(ctx: Context, instance: Instance, **changes: Any) -> Intent:
    """Change hardware (the fields of `parts.CHOICES`): each at once, at the next start, or only while it is stopped.

    What waits is shown as pending until the machine starts. Raises `Invalid` for values that do not fit each other,
    `Conflict` where nothing would change, where the host cannot do it, or where the machine must be stopped first.
    """
    ctx.may("instance.configure", instance.project_id)
    must_be(instance, SETTLED)
    if ctx.session.get(Adoption, instance.id) is not None:
        raise Conflict(
            _("The instance {name} was taken over: its hardware stays as its definition has it.", name=instance.name),
            hint=_("Size and disks can be changed. For the rest release it, change it with virsh, and take it over."),
        )
    now = parts.shown(instance.firmware, instance.hardware)
    values = {field: parts.checked(field, value) for field, value in changes.items()}
    values = {field: value for field, value in values.items() if value != now[field]}
    if not values:
        raise Conflict(_("Nothing would change: the instance is already so."))
    wanted = parts.with_values(parts.of(instance.hardware), values)
    firmware = values.get("firmware", now["firmware"])
    parts.refuse_contradiction(wanted, vcpus=instance.vcpus, memory_mib=instance.memory_mib, firmware=firmware)
    host = ctx.session.get_one(Host, instance.host_id)
    _refuse_host(host, wanted, values)
    refuse_model(host, values)
    _refuse_running(instance, values)
    if "machine" in values:
        refuse_losing_ide(ctx.session, instance, values["machine"])
    return Intent(
        kind="instance.configure",
        title=_("Configure instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "values": values, "was": {field: now[field] for field in values}},
        keys=keys(instance),
        effects=tuple(_effect(instance, field, now[field], value) for field, value in values.items()),
        depends=(*_depends(values), *said_model(host, values)),
        back=(_("It has its earlier hardware again; what cannot change while it runs, from its next start."),),
    )


def drop_pending(ctx: Context, instance: Instance) -> Intent:
    """What runs stays so: size and hardware that wait for the next start are given up.

    Raises `Conflict` where nothing waits. Undo lets them wait again.
    """
    ctx.may("instance.drop_pending", instance.project_id)
    must_be(instance, LIVE)
    waiting, disks = waiting_of(instance), waiting_disks(ctx, instance)
    if not waiting and not disks:
        raise Conflict(_("Nothing waits for its next start."))
    now = {entry["field"]: entry["now"] for entry in waiting}
    size = {field: now.pop(field) for field in SIZE if field in now}
    if size:
        size = {"vcpus": instance.vcpus, "memory_mib": instance.memory_mib, **size}
        size |= {"flavor_id": None, "flavor_name": ""}
    order = now.pop("boot_order", None)
    words = _waiting(ctx, instance)
    return Intent(
        kind="instance.drop_pending",
        title=_("Drop what waits for the next start of {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={
            "instance_id": instance.id, "size": size, "values": now, "boot_order": order, "disks": _by_volume(disks),
        },
        keys=(*keys(instance), *(Key(f"volume:{volume_id}") for volume_id in _by_volume(disks))),
        effects=tuple(
            _("{title}: stays {now}, {next} is given up.", title=e["title"], now=e["now"], next=e["next"])
            for e in words
        ),
        back=(_("It waits for the next start again."),),
    )  # fmt: skip


def waiting_of(instance: Instance) -> list[dict[str, Any]]:
    """What of a running instance counts only from its next start on: ``field``, ``now`` and ``next``."""
    names = (
        "state", "firmware", "hardware", "running_hardware", *SIZE, "running_vcpus", "running_memory_mib", "boot_order",
    )  # fmt: skip
    return pending({name: getattr(instance, name) for name in names})


def waiting_words(ctx: Context, instance: Instance) -> list[dict[str, str]]:
    """The same in the person's language: ``title``, ``now`` and ``next``."""
    return [{name: text.render(ctx.locale) for name, text in entry.items()} for entry in _waiting(ctx, instance)]


def _waiting(ctx: Context, instance: Instance) -> list[dict[str, Message]]:
    waiting = waiting_of(instance)
    devices = boot.devices(ctx.session, instance.id) if any(e["field"] == "boot_order" for e in waiting) else []

    def word(field: str, value: Any) -> Message:
        return boot.words(devices, value) if field == "boot_order" else _word(field, value)

    return [
        {
            "title": TITLES[e["field"]], "now": word(e["field"], e["now"]), "next": word(e["field"], e["next"]),
        }
        for e in waiting
    ] + [
        {
            "title": _("Disk {slot}: {title}", slot=e["slot"], title=WAYS[e["field"]]),
            "now": way_word(e["field"], e["now"]), "next": way_word(e["field"], e["next"]),
        }
        for e in waiting_disks(ctx, instance)
    ]  # fmt: skip


def _by_volume(disks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the disks had when the machine started, by volume."""
    found: dict[str, dict[str, Any]] = {}
    for entry in disks:
        found.setdefault(entry["volume_id"], {})[entry["field"]] = entry["now"]
    return found


def _word(field: str, value: Any) -> Message:
    if field in SIZE:
        return Message("{text}", {"text": format_size(value * MIB) if field == "memory_mib" else str(value)})
    return parts.word(field, value)


def _effect(instance: Instance, field: str, old: Any, new: Any) -> Message:
    words = {"title": TITLES[field], "old": _word(field, old), "new": _word(field, new)}
    if instance.state in LIVE and parts.CHOICES[field].when == "start":
        return _("{title}: {old} becomes {new} at the next start.", **words)
    return _("{title}: {old} becomes {new}.", **words)


def _depends(values: dict[str, Any]) -> tuple[Message, ...]:
    found = []
    if "firmware" in values or "machine" in values:
        found.append(_("The guest's system must be able to boot with this firmware and machine type."))
    if values.get("firmware") == "uefi-secure":
        found.append(_("Secure Boot starts signed boot loaders only; the image tiny has none."))
    if values.get("memory_max_mib"):
        found.append(_("Memory grows only in guests that have a driver for virtio-mem (Linux 5.8 and later)."))
    if values.get("agent") is False:
        found.append(_("Without the agent the guest cannot be asked for addresses, file systems or a quiet moment."))
    return tuple(found)


def _refuse_host(host: Host, wanted: parts.Hardware, values: dict[str, Any]) -> None:
    if values.get("tpm") and not host.facts.get("tpm"):
        raise Conflict(
            _("Host {host} has no TPM emulator (swtpm).", host=host.name), fields={"tpm": _("install swtpm there")}
        )
    if values.get("huge_pages") and not host.facts.get("huge_pages_mib"):
        raise Conflict(_("Host {host} has set no huge pages aside.", host=host.name),
                       fields={"huge_pages": _("reserve some there (vm.nr_hugepages)")})  # fmt: skip
    if "cpu_model" in values and wanted.cpu_model in parts.KVM_ONLY and host.accel != "kvm":
        raise Conflict(_("Host {host} emulates processors: it cannot hand on its own.", host=host.name),
                       fields={"cpu_model": _("a model by name, or maximum")})  # fmt: skip
    if parts.highest_pin(wanted) >= host.cpus:
        raise Invalid(_("Host {host} has {count} processors.", host=host.name, count=host.cpus),
                      fields={"pins": _("0 to {most}", most=host.cpus - 1)})  # fmt: skip


def _refuse_running(instance: Instance, values: dict[str, Any]) -> None:
    fixed = [field for field in values if parts.CHOICES[field].when == "off"]
    if fixed and instance.state in LIVE:
        raise Conflict(
            _("{title} changes only while the instance is stopped.", title=TITLES[fixed[0]]),
            hint=_("Stop it first."), fields=dict.fromkeys(fixed, _("stop the instance first")),
        )  # fmt: skip
