"""libvirt's events, as nudges: each only says which domain to look at again."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET
from typing import Any

from yun.drivers.hypervisor.libvirt.connect import binding
from yun.drivers.hypervisor.nudges import Nudges

AGENT = "./devices/channel/target[@name='org.qemu.guest_agent.0']"


def agent_connected(xml: str) -> bool:
    """Whether a live domain XML says that the guest's agent holds its channel open."""
    target = ET.fromstring(xml).find(AGENT)
    return target is not None and target.get("state") == "connected"


class Events:
    """Registers for a fresh connection's events and keeps which agents are connected."""

    def __init__(self, nudges: Nudges) -> None:
        self._nudges = nudges
        self._agents: set[str] = set()
        self._lock = threading.Lock()

    def greet(self, conn: Any, again: bool) -> None:
        """Register on ``conn`` and learn the agents of what runs; after a reconnection nudge everybody."""
        libvirt = binding()
        conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle, None)
        conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, self._agent, None)
        for plain in ("REBOOT", "IO_ERROR", "CONTROL_ERROR", "DEVICE_REMOVED", "DEVICE_REMOVAL_FAILED"):
            event = getattr(libvirt, f"VIR_DOMAIN_EVENT_ID_{plain}")
            conn.domainEventRegisterAny(None, event, self._plain, None)
        connected = set()
        for domain in conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            try:
                if agent_connected(domain.XMLDesc(0)):
                    connected.add(domain.UUIDString())
            except libvirt.libvirtError:
                continue
        with self._lock:
            self._agents = connected
        if again:
            self._nudges.put("")

    def agent(self, uuid: str) -> bool:
        """Whether the domain's agent was connected when last heard of."""
        with self._lock:
            return uuid in self._agents

    def _lifecycle(self, _conn: Any, domain: Any, event: int, _detail: int, _opaque: Any) -> None:
        uuid = domain.UUIDString()
        if event in (1, 5, 8):  # undefined, stopped, crashed
            with self._lock:
                self._agents.discard(uuid)
        self._nudges.put(uuid)

    def _agent(self, _conn: Any, domain: Any, state: int, _reason: int, _opaque: Any) -> None:
        uuid = domain.UUIDString()
        with self._lock:
            if state == 1:
                self._agents.add(uuid)
            else:
                self._agents.discard(uuid)
        self._nudges.put(uuid)

    def _plain(self, _conn: Any, domain: Any, *_rest: Any) -> None:
        self._nudges.put(domain.UUIDString())
