"""Reading libvirt's answers: states, counters, pictures."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from yun.drivers.hypervisor.port import DomainState, DomainStats, Power

# virDomainState: 1 running, 2 blocked, 3 paused, 4 being shut down, 5 off, 6 crashed (kept), 7 suspended by the guest.
_RUNNING = {0: "unknown", 1: "booted", 2: "migrated", 3: "restored", 4: "snapshot", 5: "user", 9: "crashed"}
_PAUSED = {
    0: "unknown", 1: "user", 2: "migration", 3: "save", 4: "dump", 5: "io_error", 6: "watchdog", 7: "snapshot",
    8: "shutdown", 9: "snapshot", 10: "crashed", 11: "starting", 12: "postcopy", 13: "postcopy_failed",
}  # fmt: skip
_OFF = {
    0: "unknown", 1: "shutdown", 2: "destroyed", 3: "crashed", 4: "migrated", 5: "saved", 6: "failed", 7: "snapshot",
    8: "daemon",
}  # fmt: skip
STARTING = 11


def read_state(state: int, reason: int, agent: bool) -> DomainState:
    """libvirt's pair of numbers as ours."""
    if state in (1, 2, 4):
        return DomainState(Power.RUNNING, _RUNNING.get(reason, "unknown") if state != 4 else "shutdown", agent)
    if state == 3:
        # Between launch and first instruction a domain is "paused", which nobody asked for.
        if reason == STARTING:
            return DomainState(Power.RUNNING, "starting", False)
        return DomainState(Power.PAUSED, _PAUSED.get(reason, "unknown"), agent)
    if state == 5:
        word = _OFF.get(reason, "unknown")
        return DomainState(Power.CRASHED if word in ("crashed", "daemon") else Power.STOPPED, word)
    if state == 6:
        return DomainState(Power.CRASHED, "panicked")
    if state == 7:
        return DomainState(Power.PAUSED, "guest", agent)
    return DomainState(Power.STOPPED)


def read_stats(record: Mapping[str, Any]) -> DomainStats:
    """One record of ``getAllDomainStats``."""
    available = record.get("balloon.available")
    unused = record.get("balloon.usable", record.get("balloon.unused"))
    known = available is not None and unused is not None

    def total(group: str, counter: str) -> int:
        return sum(int(record.get(f"{group}.{i}.{counter}", 0)) for i in range(int(record.get(f"{group}.count", 0))))

    return DomainStats(
        cpu_ns=int(record.get("cpu.time", 0)),
        vcpus=int(record.get("vcpu.current", 1)),
        memory_kib=int(record.get("balloon.current", 0)),
        memory_used_kib=int(available) - int(unused) if known else None,  # type: ignore[arg-type]
        disk_read_bytes=total("block", "rd.bytes"),
        disk_write_bytes=total("block", "wr.bytes"),
        net_rx_bytes=total("net", "rx.bytes"),
        net_tx_bytes=total("net", "tx.bytes"),
    )


def screens(xml: str) -> list[str]:
    """The kinds of a live domain's screens (``vnc``, ``spice``), in the order in which libvirt counts them."""
    return [graphics.get("type", "") for graphics in ET.fromstring(xml).findall("./devices/graphics")]


def as_png(picture: bytes) -> bytes:
    """A screenshot as PNG; QEMU before 7.1 gives PPM."""
    if picture.startswith(b"\x89PNG"):
        return picture
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(out, "PNG")
    return out.getvalue()
