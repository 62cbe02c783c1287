"""What the guests in memory answer through their agents."""

from __future__ import annotations

from collections.abc import Mapping

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.port import GuestFacts


class FakeAsking(Calls):
    """The part of the driver in memory that asks guests."""

    def agent(
        self, uuid: str, command: str, arguments: Mapping[str, object] | None = None, timeout: float = 5
    ) -> object:
        with self._call("agent", uuid):
            domain = self._active(uuid)
            if not self.world.agent_of(domain):
                raise DriverError(_("The machine's guest agent does not answer."), retryable=True, private=uuid)
            return domain.guest.agent(command, dict(arguments or {}))

    def guest(self, uuid: str) -> GuestFacts:
        with self._call("guest", uuid):
            domain = self._active(uuid)
            if not self.world.agent_of(domain) or domain.live is None:
                raise DriverError(_("The machine's guest agent does not answer."), retryable=True, private=uuid)
            return domain.guest.facts(domain.live, self.world.sizes)

    def addresses(self, uuid: str) -> dict[str, list[str]]:
        with self._call("addresses", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.live is None or not self.world.agent_of(domain):
                return {}
            return {nic.mac: list(domain.guest.addresses.get(nic.mac, [])) for nic in domain.live.nics}
