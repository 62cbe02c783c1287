"""Taking a memory image of a running domain, and new files for its disks at the same moment."""

from __future__ import annotations

import contextlib
import os
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from typing import Any

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt.boots import ask
from yun.drivers.hypervisor.libvirt.connect import binding
from yun.drivers.hypervisor.libvirt.disks import find, freeze_xml
from yun.drivers.hypervisor.libvirt.errors import lost_connection
from yun.drivers.hypervisor.libvirt.memory import image

log = logger(__name__)

RUSH_SECONDS = 60.0
"""After so long a guest that changes its memory as fast as it is written is made to stand still."""
LEAST_MIB_PER_SECOND = 16
"""A host that writes slower than this is given up on."""
RUNNING, PAUSED = 1, 3
BY_IO_ERROR = 5
RESUME_SECONDS = 2.0


def seconds(memory_mib: float) -> float:
    """How long writing or reading so much memory may take at the most, beside the call's own time."""
    return 30 + memory_mib / LEAST_MIB_PER_SECOND


def freeze(domain: Any, heads: Mapping[str, str], memory: str) -> float | None:
    """Disks and memory of one moment, the guest going on as long as can be; milliseconds for which it stood still."""
    libvirt = binding()
    root = ET.fromstring(domain.XMLDesc(0))
    _refuse(domain, root, heads, memory)
    flags = (
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
        | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE
    )  # fmt: skip
    text = ET.fromstring(freeze_xml(domain, heads))
    text.insert(0, ET.Element("memory", {"snapshot": "external", "file": memory}))
    runs = domain.state()[0] == RUNNING
    if not runs:
        _fresh(domain)
    emulator, processor = _emulator(domain), image.host_cpu(domain.connect())
    limit = seconds(int(root.findtext("memory") or 0) / 1024)
    with _Stillness(domain) as stillness, _Rush(domain, limit) as rush:
        try:
            domain.snapshotCreateXML(ET.tostring(text, encoding="unicode"), flags)
        except libvirt.libvirtError as error:
            if not lost_connection(error):
                rush.let_go()
                image.discard(memory)
            raise
        rush.let_go()
        told = stillness.milliseconds() if runs else None
    image.seal(memory, emulator, processor)
    return told


def _fresh(domain: Any) -> None:
    """QEMU keeps a paused guest only once: afterwards it takes it for one that has gone elsewhere, until it has run. So
    one that was kept already since it was paused runs for an instant."""
    if ask(domain, "query-status")["status"] == "postmigrate":
        domain.resume()
        domain.suspend()


def _refuse(domain: Any, root: ET.Element, heads: Mapping[str, str], memory: str) -> None:
    if root.find("./devices/hostdev") is not None:
        raise DriverError(_("A device of the host that the machine has cannot be kept."), private=domain.UUIDString())
    for slot in heads:
        if find(domain, slot) is None:
            raise DriverError(_("The slot {slot} is empty.", slot=slot))
    # libvirt would overwrite it, and remove it when it fails.
    if os.path.lexists(memory):
        raise DriverError(_("The hypervisor refused: {reason}", reason=f"{memory} is there"), private=memory)


def _emulator(domain: Any) -> str:
    """The version of the QEMU that the domain runs on: after an update the host may have another one."""
    found = ask(domain, "query-version")["qemu"]
    return f"{found['major']}.{found['minor']}.{found['micro']}"


class _Stillness:
    """When QEMU stopped its guest and let it go on, by its own clock."""

    def __init__(self, domain: Any) -> None:
        self._domain, self._handle = domain, None
        self._times: list[tuple[str, float]] = []
        self._resumed = threading.Event()

    def __enter__(self) -> _Stillness:
        import libvirt_qemu  # type: ignore[import-untyped]

        try:
            self._handle = libvirt_qemu.qemuMonitorEventRegister(
                self._domain.connect(), self._domain, None, self._heard, None, 0
            )
        except Exception as error:
            log.info("QEMU's events cannot be heard: %s", error)
        return self

    def _heard(self, _conn: Any, _domain: Any, event: str, second: int, micro: int, *_rest: Any) -> None:
        if event in ("STOP", "RESUME"):
            self._times.append((event, second + micro / 1e6))
            if event == "RESUME":
                self._resumed.set()

    def milliseconds(self) -> float | None:
        """Between the first stop and the last time that it went on; None where QEMU cannot be heard."""
        if self._handle is None or not self._resumed.wait(RESUME_SECONDS):
            return None
        stops = [at for event, at in self._times if event == "STOP"]
        goes = [at for event, at in self._times if event == "RESUME"]
        return round((goes[-1] - stops[0]) * 1000, 1) if stops and goes else None

    def __exit__(self, *_error: object) -> None:
        import libvirt_qemu

        if self._handle is not None:
            with contextlib.suppress(Exception):
                libvirt_qemu.qemuMonitorEventDeregister(self._domain.connect(), self._handle)


class _Rush:
    """Watches over the writing: a guest that outpaces it is stopped for the rest, one that never ends is given up."""

    def __init__(self, domain: Any, limit: float) -> None:
        self._domain, self._limit = domain, limit
        self._runs = domain.state()[0] == RUNNING
        self._over = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._watch, name="memory-image", daemon=True)

    def __enter__(self) -> _Rush:
        self._thread.start()
        return self

    def _watch(self) -> None:
        if self._over.wait(min(RUSH_SECONDS, self._limit / 2)):
            return
        if self._runs:
            self._stopped = self._done(self._domain.suspend)
        if not self._over.wait(self._limit):
            self._done(self._domain.abortJob)

    def _done(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except binding().libvirtError as error:
            log.info("a memory image cannot be hurried: %s", error)
            return False
        return True

    def let_go(self) -> None:
        """Watch no more; the guest goes on where it was stopped here after libvirt had let it go on already."""
        self._over.set()
        self._thread.join()
        if self._stopped:
            state, reason = self._domain.state()
            if state == PAUSED and reason != BY_IO_ERROR:
                self._domain.resume()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
