"""The hardware of an instance besides its size, disks and cards: what can be chosen, and when a change takes effect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.drivers.hypervisor.board import Board

MAX_VCPUS = 288
MAX_MEMORY_MIB = 1 << 26
UEFI_LEAST_MIB = 160
"""With 128 MiB OVMF hands over to a boot loader that has no room for a kernel then, and stands still without a word."""
KVM_ONLY = ("host-passthrough", "host-model")
PIN = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?){0,63}")


@dataclass(frozen=True)
class Hardware(Board):
    """The board, and how the cloud treats it: ``machine`` is the chipset; after a reboot of its host machines start by
    ``start_order`` (0 comes last), each ``start_delay`` seconds after the one before it."""

    machine: Literal["q35", "pc"] = "q35"
    start_order: int = 0
    start_delay: int = 0

    def board(self) -> Board:
        """What the hypervisor is told of it."""
        return Board(**{f.name: getattr(self, f.name) for f in fields(Board)})


PLAIN = Hardware()


@dataclass(frozen=True)
class Choice:
    """A field to choose: what it is called, what it may be, and when a change of a running machine takes effect:
    ``now``, ``start`` (its next one), or ``off`` (it must be stopped)."""

    title: Message
    words: tuple[str, ...] = ()
    most: int = 0
    when: Literal["now", "start", "off"] = "start"
    pattern: str = ""
    right: Message | None = None


CHOICES: dict[str, Choice] = {
    "max_vcpus": Choice(_("Most vCPUs while it runs"), most=MAX_VCPUS),
    "sockets": Choice(_("Sockets"), most=MAX_VCPUS),
    "cores": Choice(_("Cores per socket"), most=MAX_VCPUS),
    "threads": Choice(_("Threads per core"), most=8),
    "cpu_model": Choice(
        _("Processor model"), pattern=r"[A-Za-z0-9._-]{0,60}", right=_("such as host-passthrough, Nehalem or EPYC-Rome")
    ),
    "pins": Choice(_("Host processors"), when="now"),
    "memory_max_mib": Choice(_("Most memory while it runs"), most=MAX_MEMORY_MIB),
    "huge_pages": Choice(_("Huge pages")),
    "firmware": Choice(_("Firmware"), ("bios", "uefi", "uefi-secure"), when="off"),
    "machine": Choice(_("Machine type"), ("q35", "pc"), when="off"),
    "tpm": Choice(_("TPM 2.0"), when="off"),
    "display": Choice(_("Display"), ("vnc", "spice", "both")),
    "video": Choice(_("Video card"), ("vga", "virtio", "qxl", "bochs", "cirrus")),
    "keyboard": Choice(_("Keyboard"), pattern=r"([a-z]{2,3}(-[a-z]{2,8})?)?", right=_("such as en-us, de or fr-ch")),
    "clock": Choice(_("Clock"), ("utc", "localtime")),
    "watchdog": Choice(_("Watchdog"), ("", "i6300esb", "ib700")),
    "watchdog_action": Choice(_("When the watchdog fires"), ("reset", "poweroff", "pause", "none")),
    "rng": Choice(_("Random number generator")),
    "agent": Choice(_("Channel of the guest agent")),
    "serial_ports": Choice(_("Serial ports"), most=4),
    "panic": Choice(_("When the guest's kernel panics"), ("ignore", "destroy", "restart", "preserve")),
    "disk_full": Choice(_("When a disk cannot be written"), ("stop", "enospace", "report")),
    "start_order": Choice(_("Start order"), most=9999, when="now"),
    "start_delay": Choice(_("Start delay"), most=300, when="now"),
}
"""All fields in the order of the page."""

WORDS: dict[str, Message] = {
    "bios": _("BIOS"), "uefi": _("UEFI"), "uefi-secure": _("UEFI with Secure Boot"), "vnc": _("VNC"),
    "spice": _("SPICE"), "both": _("VNC and SPICE"), "utc": _("UTC"), "localtime": _("local time (Windows)"),
    "": _("none"), "reset": _("reset it"), "poweroff": _("power it off"), "pause": _("pause it"),
    "none": _("do nothing"), "ignore": _("nothing, it hangs"), "destroy": _("power it off"),
    "restart": _("reset it"), "preserve": _("keep it for a look"),
    "stop": _("pause it until there is space"), "report": _("tell the guest"),
    "enospace": _("pause it when the disk is full, tell the guest of other errors"),
}  # fmt: skip
"""What the words mean to a person; others (models) are shown as they are."""


def of(stored: Mapping[str, Any]) -> Hardware:
    """The hardware that a row keeps; what it does not know is left out."""
    known = {f.name for f in fields(Hardware)}
    values = {name: value for name, value in stored.items() if name in known}
    if "pins" in values:
        values["pins"] = tuple(values["pins"])
    return Hardware(**values)


def stored(hardware: Hardware) -> dict[str, Any]:
    """What a row keeps of it: only what is not plain."""
    return {name: value for name, value in _values(hardware).items() if value != _values(PLAIN)[name]}


def shown(firmware: str, hardware: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a row by name, as JSON."""
    values = {**_values(of(hardware)), "firmware": firmware or "bios"}
    return {name: values[name] for name in CHOICES}


def _values(hardware: Hardware) -> dict[str, Any]:
    found = {f.name: getattr(hardware, f.name) for f in fields(hardware)}
    return {**found, "pins": list(found["pins"])}


def word(field: str, value: Any) -> Message:
    """A value as a person reads it."""
    if field == "overlay":
        return Message("{text}", {"text": f"{len(value.encode())} B" if value else "–"})
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list | tuple):
        return Message("{text}", {"text": "; ".join(value) or "–"})
    if field in ("max_vcpus", "sockets", "memory_max_mib", "cores", "threads", "start_order") and value == 0:
        return Message("{text}", {"text": "–"})
    if field == "memory_max_mib":
        return Message("{text}", {"text": format_size(value * MIB)})
    if CHOICES[field].words and value in WORDS:
        return WORDS[value]
    return Message("{text}", {"text": str(value) or "–"})


def checked(field: str, value: Any) -> Any:
    """The value as it is stored. Raises `Invalid` naming the field."""
    choice = CHOICES.get(field)
    if choice is None:
        known = ", ".join(CHOICES)
        raise Invalid(_("{field} is no part of the hardware.", field=field[:40]),
                      fields={field[:40]: _("one of {names}", names=known)})  # fmt: skip
    if field == "pins":
        return _pins(value)
    plain = "bios" if field == "firmware" else getattr(PLAIN, field)
    if isinstance(plain, bool):
        return _right(isinstance(value, bool), value, choice, field, _("true or false"))
    if isinstance(plain, int):
        least = 1 if field == "serial_ports" else 0
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= choice.most
        return _right(fits, value, choice, field, _("{least} to {most}", least=least, most=choice.most))
    if choice.words:
        fits = isinstance(value, str) and value in choice.words
        named = ", ".join(w or '""' for w in choice.words)
        return _right(fits, value, choice, field, _("one of {names}", names=named))
    fits = isinstance(value, str) and re.fullmatch(choice.pattern, value) is not None
    return _right(fits, value, choice, field, choice.right or _("a word"))


def _right(fits: bool, value: Any, choice: Choice, field: str, right: Message) -> Any:
    if not fits:
        raise Invalid(_("{title} cannot be {value}.", title=choice.title, value=str(value)[:40]), fields={field: right})
    return value


def _pins(value: Any) -> list[str]:
    parts = value if isinstance(value, list | tuple) else None
    if parts is None or len(parts) > MAX_VCPUS or not all(isinstance(p, str) and PIN.fullmatch(p) for p in parts):
        raise Invalid(
            _("These are no sets of host processors."),
            fields={"pins": _("one set such as 0-3,8 for all vCPUs, or one for each")},
        )
    return list(parts)


def with_values(hardware: Hardware, values: Mapping[str, Any]) -> Hardware:
    """The hardware with other values (checked ones, firmware aside)."""
    own: dict[str, Any] = {name: tuple(v) if name == "pins" else v for name, v in values.items() if name != "firmware"}
    return replace(hardware, **own)


def refuse_contradiction(hardware: Hardware, *, vcpus: int, memory_mib: int, firmware: str) -> None:
    """Raise `Invalid` where the parts do not fit each other or the size."""
    most = hardware.max_vcpus or vcpus
    shape = (hardware.sockets, hardware.cores, hardware.threads)
    if most < vcpus:
        raise Invalid(_("It has {count} vCPU already.", count=vcpus),
                      fields={"max_vcpus": _("0 or at least {least}", least=vcpus)})  # fmt: skip
    if any(shape) and hardware.sockets * hardware.cores * hardware.threads != most:
        raise Invalid(
            _("Sockets, cores and threads do not multiply to {count} vCPU.", count=most),
            fields=dict.fromkeys(("sockets", "cores", "threads"), _("their product must be {count}", count=most)),
        )
    if len(hardware.pins) not in (0, 1, most):
        raise Invalid(_("There are {count} vCPU.", count=most),
                      fields={"pins": _("one set for all vCPUs, or {count}", count=most)})  # fmt: skip
    if memory_mib < least_memory(firmware):
        raise Invalid(
            _("With {memory} of memory UEFI does not come as far as the guest's system.",
              memory=format_size(memory_mib * MIB)),
            fields=dict.fromkeys(
                ("memory_mib", "firmware"),
                _("at least {least} with UEFI", least=format_size(UEFI_LEAST_MIB * MIB)),
            ),
        )  # fmt: skip
    if hardware.memory_max_mib and hardware.memory_max_mib < memory_mib:
        raise Invalid(_("It has more memory already."),
                      fields={"memory_max_mib": _("0 or at least {least}", least=memory_mib)})  # fmt: skip
    if hardware.memory_max_mib and hardware.huge_pages:
        raise Invalid(_("Memory on huge pages cannot grow while the machine runs."),
                      fields={"memory_max_mib": _("0 with huge pages")})  # fmt: skip
    if hardware.machine == "pc" and firmware == "uefi-secure":
        raise Invalid(_("Secure Boot needs the machine type q35."), fields={"machine": _("q35 with Secure Boot")})


def least_memory(firmware: str) -> int:
    """The MiB that a machine needs for its firmware to start a system."""
    return UEFI_LEAST_MIB if firmware.startswith("uefi") else 0


def highest_pin(hardware: Hardware) -> int:
    """The largest number of a host processor that it names; -1 for none."""
    return max((int(number) for pin in hardware.pins for number in re.findall(r"\d+", pin)), default=-1)
