"""Definitions of the machines in memory, the mark they bear, and what stays of them once they are undefined."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.board import NAMELESS_CPUS
from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.fake.models import MODELS
from yun.drivers.hypervisor.fake.world import ACTIVE, FakeDomain
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml
from yun.drivers.hypervisor.port import DomainSpec, Stranger

LOG_BYTES = 1 << 20


class FakeDefinitions(Calls):
    """The part of the driver in memory that defines machines and forgets them."""

    def define(self, spec: DomainSpec) -> None:
        with self._call("define", spec.uuid):
            domain_xml(spec)
            model = spec.board.cpu_model
            if model not in NAMELESS_CPUS and model not in MODELS:
                raise DriverError(_("This host knows no processor model {name}.", name=model))
            for other in self.world.domains.values():
                if other.spec.name == spec.name and other.spec.uuid != spec.uuid:
                    raise DriverError(_("The hypervisor refused: {reason}", reason="the name is in use"))
            known = self.world.domains.get(spec.uuid)
            if known is None:
                made = self.world.domains[spec.uuid] = FakeDomain(spec, autostart=spec.autostart)
                made.guest.remember(self.world.logs.get(spec.serial_log, b""))
            elif known.spec.name != spec.name:
                raise DriverError(_("The hypervisor refused: {reason}", reason="the name of a domain is fixed"))
            else:
                known.spec, known.autostart = spec, spec.autostart
            self.world.nudges.put(spec.uuid)

    def undefine(self, uuid: str) -> None:
        with self._call("undefine", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None:
                return
            if domain.power in ACTIVE:
                raise DriverError(_("The machine is running."), private=uuid)
            if domain.spec.serial_log:
                self.world.logs[domain.spec.serial_log] = domain.guest.log(LOG_BYTES)
            del self.world.domains[uuid]
            self.world.nudges.put(uuid)

    def discard_log(self, path: str) -> None:
        with self._call("discard_log"):
            if any(d.spec.serial_log == path for d in self.world.domains.values()):
                raise DriverError(_("The machine is running."), private=path)
            self.world.logs.pop(path, None)

    def discard_tpm(self, uuid: str) -> None:
        with self._call("discard_tpm", uuid):
            if uuid in self.world.domains:
                raise DriverError(_("The hypervisor still has this machine."), private=uuid)
            self.world.tpms.pop(uuid, None)

    def copy_tpm(self, source: str, target: str) -> bool:
        with self._call("copy_tpm", target):
            if target not in self.world.tpms and source in self.world.tpms:
                self.world.tpms[target] = self.world.tpms[source]
            return target in self.world.tpms

    def set_autostart(self, uuid: str, on: bool) -> None:
        with self._call("set_autostart", uuid):
            domain = self._get(uuid)
            domain.autostart = on
            domain.spec = replace(domain.spec, autostart=on)

    def strangers(self, besides: Collection[str] = ()) -> list[Stranger]:
        with self._call("strangers"):
            found = [d for d in self.world.domains.values() if not d.spec.metadata and d.spec.uuid not in besides]
            return [
                Stranger(
                    d.spec.uuid, d.spec.name, d.power, domain_xml(d.spec),
                    domain_xml(d.live) if d.live is not None else "", d.autostart,
                )
                for d in sorted(found, key=lambda d: d.spec.name)
            ]  # fmt: skip

    def claim(self, uuid: str, metadata: Mapping[str, str]) -> None:
        with self._call("claim", uuid):
            self._mark(self._get(uuid), metadata)

    def disown(self, uuid: str) -> None:
        with self._call("disown", uuid):
            if uuid in self.world.domains:
                self._mark(self.world.domains[uuid], {})

    def _mark(self, domain: FakeDomain, metadata: Mapping[str, str]) -> None:
        domain.spec = replace(domain.spec, metadata=dict(metadata))
        if domain.live is not None:
            domain.live = replace(domain.live, metadata=dict(metadata))
