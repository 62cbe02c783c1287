"""How each call of the driver in memory goes: counted, late, refused or lost as the machine room orders it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.world import ACTIVE, FakeDomain, FakeWorld

if TYPE_CHECKING:
    from yun.drivers.volume.fake import FakeVolumeStore


class Calls:
    """The machine room behind the driver, its domains, and the way in which each call reaches them."""

    def __init__(
        self, world: FakeWorld | None = None, *, timeout: float = 30.0, files: FakeVolumeStore | None = None
    ) -> None:
        self.world = world or FakeWorld()
        self.timeout = timeout
        self.files = files

    @contextmanager
    def _call(self, method: str, uuid: str = "") -> Iterator[None]:
        world = self.world
        with world.lock:
            world.calls[method] += 1
        if world.away:
            raise _away()
        if (seconds := world.delay(method)) > 0:
            time.sleep(min(seconds, self.timeout))
            if seconds > self.timeout:
                raise _away()
        if fault := world.take_fault(method, uuid, after=False):
            raise DriverError(_("The hypervisor refused: {reason}", reason="ordered fault"), retryable=fault.retryable)
        with world.lock:
            yield
        if fault := world.take_fault(method, uuid, after=True):
            raise DriverError(_("The hypervisor refused: {reason}", reason="lost answer"), retryable=fault.retryable)

    def _get(self, uuid: str) -> FakeDomain:
        if uuid not in self.world.domains:
            raise DriverError(_("The hypervisor does not know this machine."), private=uuid)
        return self.world.domains[uuid]

    def _active(self, uuid: str) -> FakeDomain:
        domain = self._get(uuid)
        if domain.power not in ACTIVE:
            raise DriverError(_("The machine is not running."), private=uuid)
        return domain


def _away() -> DriverError:
    message = _("The hypervisor service does not answer.")
    return DriverError(message, retryable=True, hint=_("See the host's services; start libvirt if it is stopped."))
