"""Switching the machines in memory on and off."""

from __future__ import annotations

import time
from typing import Literal

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.devices import FakeDevices
from yun.drivers.hypervisor.fake.limits import refuse_impossible
from yun.drivers.hypervisor.fake.world import ACTIVE, FakeDomain
from yun.drivers.hypervisor.port import Power


class FakePower(FakeDevices):
    """The part of the driver in memory that switches: a start takes the host's devices."""

    def start(self, uuid: str) -> None:
        with self._call("start", uuid):
            domain = self._get(uuid)
            if domain.power is Power.PAUSED:
                domain.power, domain.reason = Power.RUNNING, "user"
                self.world.nudges.put(uuid)
            elif domain.power is not Power.RUNNING:
                lost = [d.path for d in domain.spec.disks if d.path in self.world.missing_files]
                refuse_impossible(domain.spec)
                if lost:
                    reason = f"cannot access storage file {lost[0]}: No such file or directory"
                    raise DriverError(_("The hypervisor refused: {reason}", reason=reason))
                self._check_devices(domain)
                self.world.boot(domain)

    def destroy(self, uuid: str) -> None:
        with self._call("destroy", uuid):
            if uuid in self.world.domains:
                self.world.power_off(uuid, "destroyed")

    def shutdown(self, uuid: str, how: Literal["agent", "acpi"]) -> None:
        with self._call("shutdown", uuid):
            domain = self._get(uuid)
            if domain.power not in ACTIVE:
                return
            self._needs_agent(domain, how)
            if domain.power is Power.RUNNING and not domain.ignores_shutdown:
                self.world.power_off(uuid, "shutdown")

    def reboot(self, uuid: str, how: Literal["agent", "acpi", "reset"]) -> None:
        with self._call("reboot", uuid):
            domain = self._active(uuid)
            self._needs_agent(domain, how)
            if how == "reset" or not domain.ignores_shutdown:
                domain.started, domain.boots = time.monotonic(), domain.boots + 1
                domain.boots_from.append(domain.restarts_from)
                domain.guest.reboot()
                self.world.nudges.put(uuid)

    def _needs_agent(self, domain: FakeDomain, how: str) -> None:
        if how == "agent" and not self.world.agent_of(domain):
            raise DriverError(_("The machine's guest agent does not answer."), private=domain.spec.uuid)

    def suspend(self, uuid: str) -> None:
        with self._call("suspend", uuid):
            domain = self._active(uuid)
            if domain.power is Power.RUNNING:
                domain.power, domain.reason = Power.PAUSED, "user"
                self.world.nudges.put(uuid)

    def resume(self, uuid: str) -> None:
        with self._call("resume", uuid):
            domain = self._active(uuid)
            if domain.power is Power.PAUSED:
                domain.power, domain.reason = Power.RUNNING, "user"
                self.world.nudges.put(uuid)
