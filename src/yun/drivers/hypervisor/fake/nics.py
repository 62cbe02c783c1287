"""Network cards of the machines in memory: plugged in, asked for and given up as guests do, with their cables."""

from __future__ import annotations

from dataclasses import replace

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.fake.places import refuse_full
from yun.drivers.hypervisor.fake.world import ACTIVE
from yun.drivers.hypervisor.port import NicSpec, PluggedNic


class FakeNics(Calls):
    """The part of the driver in memory that concerns network cards."""

    def attach_nic(self, uuid: str, nic: NicSpec) -> None:
        with self._call("attach_nic", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            there = {n.mac: n for n in domain.live.nics}.get(nic.mac)
            if there is not None and there.port_uuid != nic.port_uuid:
                raise DriverError(_("Another card has the MAC address {mac}.", mac=nic.mac), private=nic.port_uuid)
            if there is None:
                refuse_full(domain, replace(domain.live, nics=(*domain.live.nics, nic)))
                domain.live = replace(domain.live, nics=(*domain.live.nics, nic))

    def detach_nic(self, uuid: str, mac: str) -> None:
        with self._call("detach_nic", uuid):
            domain = self._active(uuid)
            domain.asked_for.add(mac)
            self.world.let_go(domain)

    def set_link(self, uuid: str, mac: str, up: bool) -> None:
        with self._call("set_link", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            if mac not in {n.mac for n in domain.live.nics}:
                raise DriverError(_("No card has the MAC address {mac}.", mac=mac))
            nics = tuple(replace(n, link_up=up) if n.mac == mac else n for n in domain.live.nics)
            domain.live = replace(domain.live, nics=nics)

    def nics(self, uuid: str) -> dict[str, PluggedNic]:
        with self._call("nics", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE:
                return {}
            self.world.let_go(domain)
            assert domain.live is not None
            return {n.mac: PluggedNic(n.port_uuid, n.model, n.link_up) for n in domain.live.nics}
