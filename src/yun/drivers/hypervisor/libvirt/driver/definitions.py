"""Definitions of domains, their mark, and the files that stay of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.board import NAMELESS_CPUS
from yun.drivers.hypervisor.libvirt import files, strangers, tpm
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml, mark
from yun.drivers.hypervisor.libvirt.driver.domains import Domains
from yun.drivers.hypervisor.port import DomainSpec, Stranger

UNDEFINE = 1 | 2 | 8 | 16
"""Without managed save, snapshot metadata and checkpoint metadata; NVRAM is kept."""
VALIDATE = 1


class DefinesDomains(Domains):
    """The part of the driver that defines machines and forgets them."""

    def define(self, spec: DomainSpec) -> None:
        text = domain_xml(spec)
        files.prepare(spec)

        def define(conn: Any) -> None:
            # libvirt takes any name, and its machine would then start no more.
            model = spec.board.cpu_model
            if model not in NAMELESS_CPUS and model not in conn.getCPUModelNames("x86_64"):
                raise DriverError(_("This host knows no processor model {name}.", name=model))
            # What a person wrote is held against the schema: libvirt would ignore what it does not know.
            conn.defineXMLFlags(text, VALIDATE if spec.board.overlay else 0).setAutostart(int(spec.autostart))

        self._connection.call(define, uuid=spec.uuid)

    def undefine(self, uuid: str) -> None:
        def undefine(domain: Any) -> None:
            # An undefined running domain would go on nameless and vanish with all it had: never that.
            if domain.isActive():
                raise DriverError(_("The machine is running."), private=uuid)
            if domain.isPersistent():
                domain.undefineFlags(UNDEFINE)

        self._on(uuid, undefine, missing=lambda: None)

    def discard_log(self, path: str) -> None:
        files.discard_serial_log(path)

    def discard_tpm(self, uuid: str) -> None:
        tpm.discard(self._tpm_states, uuid)

    def copy_tpm(self, source: str, target: str) -> bool:
        return tpm.copy(self._tpm_states, source, target)

    def set_autostart(self, uuid: str, on: bool) -> None:
        self._on(uuid, lambda domain: domain.setAutostart(int(on)))

    def strangers(self, besides: Collection[str] = ()) -> list[Stranger]:
        known = frozenset(besides)
        return self._connection.call(lambda conn: strangers.find(conn, known))

    def claim(self, uuid: str, metadata: Mapping[str, str]) -> None:
        self._on(uuid, lambda domain: strangers.write_mark(domain, mark(metadata)))

    def disown(self, uuid: str) -> None:
        self._on(uuid, lambda domain: strangers.write_mark(domain, None), missing=lambda: None)
