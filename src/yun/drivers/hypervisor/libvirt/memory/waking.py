"""Letting a domain go on from a memory image."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import Message, _
from yun.drivers.hypervisor import memory as rules
from yun.drivers.hypervisor.libvirt.connect import binding
from yun.drivers.hypervisor.libvirt.disks import plugged
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml
from yun.drivers.hypervisor.libvirt.errors import lost_connection
from yun.drivers.hypervisor.libvirt.memory import fitting, image
from yun.drivers.hypervisor.libvirt.memory.waking_xml import woken
from yun.drivers.hypervisor.port import DomainSpec

PAUSED, STARTING = 3, 11
CHUNK = 1 << 20
POLL_SECONDS = 0.2


def unfit(conn: Any, spec: DomainSpec, memory: str) -> Message | None:
    """Why the domain cannot go on from the image on the host behind ``conn``."""
    text = image.read_xml(memory)
    reason = rules.unfit(spec, image.facts(memory), image.emulator(conn), image.host_cpu(conn))
    if reason is not None or text is None:
        return reason or _("its file is missing or damaged")
    then, libvirt = ET.fromstring(text), binding()
    kind = then.find("os/type")
    assert kind is not None
    reason = fitting.difference(then, ET.fromstring(domain_xml(spec)))
    if reason is None:
        try:
            conn.getDomainCapabilities(None, kind.get("arch"), kind.get("machine"), then.get("type"), 0)
        except libvirt.libvirtError as error:
            if lost_connection(error):
                raise
            return _("this host has no machine of its type: {reason}", reason=str(error))
    return reason


def wake(conn: Any, spec: DomainSpec, memory: str, *, paused: bool) -> None:
    """Let the domain of ``spec`` go on from an image unless it does so already; its definition is ``spec``."""
    libvirt = binding()
    text = domain_xml(spec)
    if _runs_already(conn, spec):
        conn.defineXML(text).setAutostart(int(spec.autostart))
        return
    if (why := unfit(conn, spec, memory)) is not None:
        raise DriverError(_("The hypervisor refused: {reason}", reason=why), private=memory)
    now = ET.fromstring(text)
    told = image.read_xml(memory)
    assert told is not None
    then = ET.fromstring(told)
    # The guest sees a generation that libvirt makes anew each time that it goes on from an image. It takes no other
    # name or UUID than the header's: where they differ it is given a header that says ours.
    anew = any(then.findtext(tag) != now.findtext(tag) for tag in ("name", "uuid"))
    was = then.findtext("genid")
    wanted = woken(then, now)
    if not anew and (genid := wanted.find("genid")) is not None:
        genid.text = was
    xml = ET.tostring(wanted, encoding="unicode")
    # First the definition: a machine without one would be gone as soon as it stops.
    conn.defineXML(text).setAutostart(int(spec.autostart))
    flags = libvirt.VIR_DOMAIN_SAVE_PAUSED if paused else libvirt.VIR_DOMAIN_SAVE_RUNNING
    if anew:
        with _told_anew(memory, xml, spec.uuid) as path:
            conn.restoreFlags(path, None, flags)
    else:
        conn.restoreFlags(memory, xml, flags)


def _runs_already(conn: Any, spec: DomainSpec) -> bool:
    """Whether the domain is on with these files. `DriverError` where it is on with others, or about to be."""
    libvirt = binding()
    try:
        domain = conn.lookupByUUIDString(spec.uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    if not domain.isActive():
        return False
    if tuple(domain.state()) == (PAUSED, STARTING):
        raise DriverError(_("The machine is busy with something else."), retryable=True, private=spec.uuid)
    now = {slot: disk.path for slot, disk in plugged(domain).items()}
    if any(now.get(disk.slot) != disk.path for disk in spec.disks if disk.device == "disk"):
        raise DriverError(_("The machine is running."), private=spec.uuid)
    return True


@contextmanager
def _told_anew(memory: str, xml: str, uuid: str) -> Iterator[str]:
    """A path from which the image is read with another header: a pipe, so that nothing is copied. Where this process
    dies meanwhile, the stream ends too early and nothing goes on from it."""
    path = f"{memory}{image.MADE}{uuid}"
    header, begin = image.header_for(memory, xml)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.mkfifo(path, 0o600)
    end = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    over = threading.Event()
    feeder = threading.Thread(
        target=_feed, args=(end, memory, header, begin, over), name="memory-image", daemon=True
    )
    feeder.start()
    try:
        yield path
    finally:
        over.set()
        feeder.join()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _feed(end: int, memory: str, header: bytes, begin: int, over: threading.Event) -> None:
    """Write header and stream into the pipe until all is read or nobody waits for it any more."""
    try:
        with open(memory, "rb") as source:
            source.seek(begin)
            part = header
            while part and not over.is_set():
                _readable, ready, _failed = select.select([], [end], [], POLL_SECONDS)
                if ready:
                    part = part[os.write(end, part) :]
                part = part or source.read(CHUNK)
    finally:
        os.close(end)
