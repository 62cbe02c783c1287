"""The hypervisor port on libvirt: each method is one call, done in the connection's worker threads."""

from __future__ import annotations

from collections.abc import Callable

from yun.drivers.hypervisor.libvirt.driver.asking import AsksAgents
from yun.drivers.hypervisor.libvirt.driver.console import OpensConsoles
from yun.drivers.hypervisor.libvirt.driver.copies import RewritesDisks
from yun.drivers.hypervisor.libvirt.driver.definitions import DefinesDomains
from yun.drivers.hypervisor.libvirt.driver.devices import PlugsDevices
from yun.drivers.hypervisor.libvirt.driver.memory import RemembersDomains
from yun.drivers.hypervisor.libvirt.driver.power import SwitchesDomains
from yun.drivers.hypervisor.libvirt.driver.size import SizesDomains


class LibvirtHypervisor(
    DefinesDomains, SwitchesDomains, PlugsDevices, RewritesDisks, RemembersDomains, SizesDomains, OpensConsoles,
    AsksAgents,
):  # fmt: skip
    """One host's virtual machines through libvirt at ``uri``; calls end within ``timeout`` seconds."""

    def subscribe(self, nudge: Callable[[str], None]) -> None:
        self._nudges.subscribe(self, nudge)
        # Events only come on an open connection: open it now if nobody has asked anything yet.
        self._connection.begin()

    def close(self) -> None:
        self._nudges.close()
        self._connection.close()
