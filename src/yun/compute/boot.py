"""The devices that an instance can boot from, and in which turn its next start tries them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.messages import Message, _
from yun.compute.media.model import CdDrive
from yun.network.model import Network
from yun.network.service import ports_of
from yun.storage.service import attachments_of

TITLES: dict[str, Message] = {"devices": _("Boot order")}
"""What `told` tells, as people call it."""


@dataclass(frozen=True)
class Device:
    """A disk, CD drive or network card. ``key`` is what a row keeps of it (a volume's or port's id, a drive's slot),
    ``name`` what the hypervisor knows it by (slot, MAC), ``holds`` what lies behind it, ``turn`` when it is tried where
    nobody chose (None: not at all). ``image_id`` is the CD's that lies in a drive."""

    key: str
    kind: Literal["disk", "cd", "network"]
    name: str
    holds: str = ""
    turn: int | None = None
    address: str = ""
    image_id: str = ""

    def word(self) -> Message:
        """As a person reads it."""
        match self.kind:
            case "disk":
                return _("disk {slot} ({volume})", slot=self.name, volume=self.holds)
            case "cd":
                return _("CD drive {slot} ({image})", slot=self.name, image=self.holds or _("empty"))
        return _("network card {mac} ({network})", mac=self.name, network=self.holds)


def devices(session: Session, instance_id: str) -> list[Device]:
    """All of them: disks and CD drives by slot, then cards."""
    disks = [
        Device(d.volume.id, "disk", d.attachment.slot, d.volume.name, d.attachment.boot_order)
        for d in attachments_of(session, instance_id)
    ]
    drives = session.scalars(sa.select(CdDrive).where(CdDrive.instance_id == instance_id).order_by(CdDrive.slot))
    ports = ports_of(session, instance_id)
    named = sa.select(Network.id, Network.name).where(Network.id.in_({p.network_id for p in ports}))
    networks: dict[str, str] = {row.id: row.name for row in session.execute(named)}
    return [
        *disks, *(Device(d.slot, "cd", d.slot, d.image_name, d.boot_order, image_id=d.image_id or "") for d in drives),
        *(Device(p.id, "network", p.mac, networks[p.network_id], address=p.address) for p in ports),
    ]  # fmt: skip


def in_turn(found: Sequence[Device], order: Sequence[str]) -> list[Device]:
    """Those that are tried, first to last: as ``order`` says by keys, or by their own turn where it is empty. What it
    names and is no longer there is left out."""
    if not order:
        return sorted((d for d in found if d.turn is not None), key=lambda d: d.turn or 0)
    known = {d.key: d for d in found}
    return [known[key] for key in order if key in known]


def next_start(found: Sequence[Device], order: Sequence[str], once: str) -> list[Device]:
    """Those that the next start tries: first the one that was chosen for it alone, then as ever."""
    first = [d for d in found if once and d.key == once]
    return [*first, *(d for d in in_turn(found, order) if d not in first)]


def told(found: Sequence[Device], order: Sequence[str]) -> dict[str, list[str]]:
    """An order by keys as two people's are held against each other: names of those that are tried."""
    return {"devices": [d.name for d in in_turn(found, order)]}


def words(found: Sequence[Device], order: Sequence[str]) -> Message:
    """An order as a person reads it."""
    return Message("{text}", {"text": ", ".join(told(found, order)["devices"]) or "–"})


def shown(device: Device) -> dict[str, Any]:
    """A device as JSON."""
    return {"key": device.key, "kind": device.kind, "name": device.name, "holds": device.holds}
