"""What is known of a domain that nobody here made, and what taking it over would mean. Pure.

The facts are JSON: ``disks`` (slot, path, format, bus, boot_order, serial, cache, io, discard, limits, ``kept`` why it
stays the definition's own, ``chain`` of files, ``fault`` why they cannot be told), ``cards``, ``snapshots``,
``others``, ``machine``, ``firmware``, ``nvram``, and what is there of our consoles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from yun.base.messages import Message, _

UP = ("running", "paused")

KEPT: dict[str, Message] = {
    "cdrom": _("a CD drive"),
    "floppy": _("a floppy drive"),
    "lun": _("a SCSI device of the host"),
    "block": _("a block device of the host"),
    "network": _("a disk on the network"),
    "volume": _("a disk of a libvirt storage pool"),
    "shared": _("a disk shared with other machines"),
    "readonly": _("a read-only or passing disk"),
    "encrypted": _("an encrypted disk"),
    "bus": _("a disk on a bus that is not known here"),
    "format": _("a disk of a format that is not known here"),
    "empty": _("a disk without a file"),
}
"""Why a disk stays the definition's own, by the word that the facts keep."""

CARDS: dict[str, Message] = {
    "network": _("libvirt network {source}"),
    "bridge": _("bridge {source}"),
    "direct": _("device {source} of the host"),
    "user": _("the hypervisor's own user network"),
}


@dataclass(frozen=True)
class Report:
    """What a person wants to know before: what works at once, what only after a restart, what stays outside of the
    cloud's reach, and what stands in the way."""

    now: tuple[Message, ...] = ()
    later: tuple[Message, ...] = ()
    kept: tuple[Message, ...] = ()
    problems: tuple[Message, ...] = field(default=())


def volumes_of(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The disks that become volumes."""
    return [disk for disk in facts["disks"] if not disk["kept"] and not disk["fault"]]


def card_place(card: Mapping[str, Any]) -> Message:
    """What a card is plugged into, in words."""
    text = CARDS.get(card["kind"])
    return Message(text.text, {"source": card["source"]}) if text is not None else Message(str(card["kind"]))


def card_text(card: Mapping[str, Any]) -> Message:
    """The same with its MAC."""
    return _("{where}, {mac}", where=card_place(card), mac=card["mac"])


def report_of(name: str, state: str, facts: Mapping[str, Any]) -> Report:
    """What taking the machine over means, as far as its own facts tell; ``state`` is its power."""
    return Report(
        now=tuple(_now(state, facts)), later=tuple(_later(state, facts)), kept=tuple(_kept(facts)),
        problems=tuple(_problems(name, facts)),
    )  # fmt: skip


def _now(state: str, facts: Mapping[str, Any]) -> list[Message]:
    up = state in UP
    said = [_("It goes on running; nothing of it is stopped or changed.")] if up else []
    for disk in volumes_of(facts):
        below = len(disk["chain"]) - 1
        said.append(
            _("{path} becomes the volume of {slot} where it lies ({format}).", path=disk["path"], slot=disk["slot"],
              format=disk["format"])
            if not below else
            _("{path} becomes the volume of {slot} where it lies ({format}); the files below it ({count}) become its "
              "base files.", path=disk["path"], slot=disk["slot"], format=disk["format"], count=below)
        )  # fmt: skip
    said.append(_("Power, disks, size, history and undo work at once."))
    if up and facts["screen"]:
        said.append(_("Its screen can be opened at once."))
    if up and facts["serial"]:
        said.append(_("Its serial console can be opened at once."))
    return said


def _later(state: str, facts: Mapping[str, Any]) -> list[Message]:
    said = []
    if not facts["serial"]:
        said.append(_("The serial console works from its next start on."))
    if not facts["agent"]:
        said.append(_("The channel of the guest agent is there from its next start on."))
    return said


def _kept(facts: Mapping[str, Any]) -> list[Message]:
    said = [_("It keeps its network card on {card}; addresses and firewall there are not the cloud's.",
              card=card_text(card)) for card in facts["cards"]]  # fmt: skip
    for disk in facts["disks"]:
        if disk["kept"]:
            what = KEPT.get(disk["kept"], Message(disk["kept"]))
            said.append(_("{slot} stays as it is: {what}.", slot=disk["slot"], what=what))
    if not facts["screen"]:
        said.append(_("It has no VNC screen, so its screen cannot be opened here."))
    if facts["others"]:
        said.append(_("Parts of its definition that only libvirt knows are kept: {names}.",
                      names=", ".join(facts["others"])))  # fmt: skip
    inside = [name for name, external in facts["snapshots"] if not external]
    outside = [name for name, external in facts["snapshots"] if external]
    if inside:
        said.append(_("Its snapshots inside of its disks stay there, for virsh: {names}.", names=", ".join(inside)))
    if outside:
        said.append(_("The files of its external snapshots become base files: {names}.", names=", ".join(outside)))
    if inside or outside:
        said.append(_("libvirt forgets its list of snapshots when the instance is deleted here."))
    if facts["nvram"]:
        said.append(_("Its firmware's variables stay in {path}.", path=facts["nvram"]))
    if facts["saved"]:
        said.append(_("Its memory was saved: its next start goes on from there."))
    return said


def _problems(name: str, facts: Mapping[str, Any]) -> list[Message]:
    said = []
    if not facts["persistent"]:
        said.append(_("{name} is transient: libvirt forgets it when it stops. Define it first: virsh dumpxml {name}, "
                      "virsh define.", name=name))  # fmt: skip
    if facts["drifted"]:
        said.append(_("The disks it runs with are not those of its definition. Detach what was attached for this run "
                      "only, or attach it with --persistent."))  # fmt: skip
    for disk in facts["disks"]:
        if disk["fault"]:
            said.append(_("{slot}: {reason}", slot=disk["slot"], reason=Message.from_json(disk["fault"])))
        missing = [f["path"] for f in disk["chain"] if not f["exists"]]
        if missing:
            said.append(_("{slot}: the file {path} is missing.", slot=disk["slot"], path=missing[0]))
    return said
