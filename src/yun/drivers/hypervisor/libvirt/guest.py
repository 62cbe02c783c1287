"""What a guest's agent tells, asked in one call; libvirt recognizes the disks below its file systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yun.drivers.hypervisor.port import GuestCard, GuestFacts, GuestFileSystem

ANSWER_SECONDS = 10
"""How long an agent may take for an answer; libvirt would wait for ever."""
NO_MAC = "00:00:00:00:00:00"


def ask(domain: Any) -> GuestFacts:
    """All that the agent of a running domain knows to tell; what it does not know is left out."""
    domain.agentSetResponseTimeout(ANSWER_SECONDS, 0)
    return read(domain.guestInfo(0, 0))


def read(told: Mapping[str, Any]) -> GuestFacts:
    """libvirt's flat answer (``fs.0.disk.1.alias``…) as ours."""
    return GuestFacts(
        os_id=str(told.get("os.id", "")),
        os_name=str(told.get("os.pretty-name") or told.get("os.name") or ""),
        kernel=str(told.get("os.kernel-release", "")),
        hostname=str(told.get("hostname", "")),
        time_zone=str(told.get("timezone.name", "")),
        file_systems=tuple(_file_system(told, n) for n in _count(told, "fs")),
        cards=tuple(_card(told, n) for n in _count(told, "if") if told.get(f"if.{n}.hwaddr", NO_MAC) != NO_MAC),
    )


def _count(told: Mapping[str, Any], group: str) -> range:
    return range(int(told.get(f"{group}.count", 0)))


def _file_system(told: Mapping[str, Any], number: int) -> GuestFileSystem:
    at = f"fs.{number}"
    disks = [f"{at}.disk.{n}" for n in _count(told, f"{at}.disk")]
    name = str(told.get(f"{at}.name", ""))
    return GuestFileSystem(
        mount=str(told.get(f"{at}.mountpoint", "")),
        type=str(told.get(f"{at}.fstype", "")),
        device=next((str(told[f"{d}.device"]) for d in disks if told.get(f"{d}.device")), name),
        total_bytes=_size(told, f"{at}.total-bytes"),
        used_bytes=_size(told, f"{at}.used-bytes"),
        slots=tuple(dict.fromkeys(str(told[f"{d}.alias"]) for d in disks if told.get(f"{d}.alias"))),
        serials=tuple(dict.fromkeys(str(told[f"{d}.serial"]) for d in disks if told.get(f"{d}.serial"))),
    )


def _size(told: Mapping[str, Any], name: str) -> int | None:
    return int(told[name]) if name in told else None


def _card(told: Mapping[str, Any], number: int) -> GuestCard:
    at = f"if.{number}"
    found = [
        f"{told[f'{at}.addr.{n}.addr']}/{told.get(f'{at}.addr.{n}.prefix', 0)}" for n in _count(told, f"{at}.addr")
    ]
    return GuestCard(str(told.get(f"{at}.name", "")), str(told[f"{at}.hwaddr"]).lower(), tuple(found))
