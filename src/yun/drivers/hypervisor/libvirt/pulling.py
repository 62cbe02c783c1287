"""Pulling a running domain's disk down to a base, and committing files below it: libvirt's block jobs, asked by what
they are, not by who began them."""

from __future__ import annotations

import time
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt.boots import ask
from yun.drivers.hypervisor.libvirt.connect import binding
from yun.drivers.hypervisor.libvirt.disks import find

JOBS = (1, 3)
"""A pull, a commit below the top."""
GONE_SECONDS = 10.0


def begin(domain: Any, slot: str, base: str) -> None:
    """Start the job unless it runs."""
    if find(domain, slot) is None:
        raise DriverError(_("The slot {slot} is empty.", slot=slot))
    if state(domain, slot) is None:
        domain.blockRebase(slot, base or None, 0, 0)


def commit(domain: Any, slot: str, top: str, base: str) -> None:
    """Start the job unless one runs. libvirt itself ends it once all is there."""
    if find(domain, slot) is None:
        raise DriverError(_("The slot {slot} is empty.", slot=slot))
    if state(domain, slot) is None:
        domain.blockCommit(slot, base, top, 0, 0)


def state(domain: Any, slot: str) -> float | None:
    """How far it is."""
    if find(domain, slot) is None:
        return None
    job = domain.blockJobInfo(slot, 0) or {}
    if job.get("type") not in JOBS:
        return None
    return float(job["cur"]) / job["end"] if job["end"] else 0.0


def flush(domain: Any, slot: str) -> None:
    """QEMU 7.2 ends a pull with the new header in the file and tables in its memory: killed then, it leaves a file that
    reads as zeros. No call of libvirt flushes a disk under a guest, so QEMU is asked itself."""
    disk = find(domain, slot)
    alias = disk.find("alias") if disk is not None else None
    if alias is None:
        raise DriverError(_("The slot {slot} is empty.", slot=slot))
    name, node = str(alias.get("name")), ""
    for known in ask(domain, "query-block"):
        if name in str(known.get("qdev", "")).split("/") and "inserted" in known:
            node = str(known["inserted"].get("node-name", ""))
    said = ask(domain, "human-monitor-command", **{"command-line": f"qemu-io {node} flush"}) if node else "no disk"
    if said:
        raise DriverError(_("The hypervisor refused: {reason}", reason=str(said).strip()))


def abandon(domain: Any, slot: str) -> None:
    """End it, and wait until it has ended."""
    if state(domain, slot) is None:
        return
    libvirt = binding()
    try:
        domain.blockJobAbort(slot, 0)
    except libvirt.libvirtError:
        if state(domain, slot) is not None:
            raise
    end = time.monotonic() + GONE_SECONDS
    while state(domain, slot) is not None:
        if time.monotonic() > end:
            raise DriverError(_("The machine is busy with something else."), retryable=True)
        time.sleep(0.05)
