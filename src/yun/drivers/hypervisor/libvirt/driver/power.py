"""Switching domains on and off."""

from __future__ import annotations

from typing import Any, Literal

from yun.drivers.hypervisor.libvirt.connect import binding
from yun.drivers.hypervisor.libvirt.driver.domains import Domains, code, must_run, needs_agent, power_of
from yun.drivers.hypervisor.libvirt.errors import OPERATION_INVALID
from yun.drivers.hypervisor.port import Power


class SwitchesDomains(Domains):
    """The part of the driver that switches."""

    def start(self, uuid: str) -> None:
        def start(domain: Any) -> None:
            if power_of(domain) is Power.PAUSED:
                domain.resume()
                return
            if domain.isActive():  # a panicked machine that was kept for a look
                domain.destroy()
            domain.create()

        self._make(uuid, lambda domain: power_of(domain) is Power.RUNNING, start)

    def destroy(self, uuid: str) -> None:
        def destroy(domain: Any) -> None:
            if domain.isActive():
                try:
                    domain.destroy()
                except Exception as error:
                    if code(error) != OPERATION_INVALID or domain.isActive():
                        raise

        self._on(uuid, destroy, missing=lambda: None)

    def shutdown(self, uuid: str, how: Literal["agent", "acpi"]) -> None:
        libvirt = binding()
        flags = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        if how == "agent":
            flags = libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT

        def shutdown(domain: Any) -> None:
            needs_agent(domain, how)
            domain.shutdownFlags(flags)

        self._make(uuid, lambda domain: not domain.isActive(), shutdown)

    def reboot(self, uuid: str, how: Literal["agent", "acpi", "reset"]) -> None:
        libvirt = binding()

        def reboot(domain: Any) -> None:
            must_run(domain)
            needs_agent(domain, how)
            if how == "reset":
                domain.reset(0)
            elif how == "agent":
                domain.reboot(libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT)
            else:
                domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)

        self._on(uuid, reboot)

    def suspend(self, uuid: str) -> None:
        def suspend(domain: Any) -> None:
            must_run(domain)
            domain.suspend()

        self._make(uuid, lambda domain: power_of(domain) is Power.PAUSED, suspend)

    def resume(self, uuid: str) -> None:
        def resume(domain: Any) -> None:
            must_run(domain)
            domain.resume()

        self._make(uuid, lambda domain: power_of(domain) is Power.RUNNING, resume)
