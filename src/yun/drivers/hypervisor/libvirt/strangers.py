"""Domains that no cloud has marked, and the mark that takes one over without touching anything else of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection
from typing import Any

from yun.drivers.hypervisor.libvirt import look
from yun.drivers.hypervisor.libvirt.connect import binding
from yun.drivers.hypervisor.libvirt.domain_xml import NAMESPACE
from yun.drivers.hypervisor.libvirt.errors import NO_DOMAIN
from yun.drivers.hypervisor.port import Stranger

SECRETS, DEFINED = 1, 2
ELEMENT = 2
LIVE, CONFIG = 1, 2
NO_METADATA = 80
PREFIX = "yun"


def find(conn: Any, besides: Collection[str]) -> list[Stranger]:
    """All domains without a mark, by name, but for those known."""
    libvirt, found = binding(), []
    for domain in conn.listAllDomains():
        if domain.UUIDString() in besides:
            continue
        try:
            defined = str(domain.XMLDesc(SECRETS | DEFINED))
            if ET.fromstring(defined).find(f"metadata/{{{NAMESPACE}}}domain") is None:
                found.append(_read(domain, defined))
        except libvirt.libvirtError as error:
            if error.get_error_code() != NO_DOMAIN:
                raise
    return sorted(found, key=lambda s: s.name)


def _read(domain: Any, defined: str) -> Stranger:
    state, reason = domain.state()
    persistent = bool(domain.isPersistent())
    return Stranger(
        uuid=domain.UUIDString(), name=domain.name(), power=look.read_state(state, reason, False).power, xml=defined,
        live_xml=str(domain.XMLDesc(0)) if domain.isActive() else "", persistent=persistent,
        autostart=bool(domain.autostart()) if persistent else False, saved=bool(domain.hasManagedSaveImage(0)),
        snapshots=tuple(_snapshot(s) for s in domain.listAllSnapshots(0)),
    )  # fmt: skip


def _snapshot(snapshot: Any) -> tuple[str, bool]:
    root = ET.fromstring(snapshot.getXMLDesc(0))
    kinds = [d.get("snapshot") for d in root.findall("disks/disk")]
    memory = root.find("memory")
    external = "external" in kinds or (memory is not None and memory.get("snapshot") == "external")
    return snapshot.getName(), external


def write_mark(domain: Any, text: str | None) -> None:
    """The domain's mark is ``text``, or none, as what runs and as what is defined."""
    libvirt = binding()
    for on, flag in ((domain.isPersistent(), CONFIG), (domain.isActive(), LIVE)):
        if not on:
            continue
        try:
            domain.setMetadata(ELEMENT, text, PREFIX if text is not None else None, NAMESPACE, flag)
        except libvirt.libvirtError as error:
            if text is not None or error.get_error_code() != NO_METADATA:
                raise
