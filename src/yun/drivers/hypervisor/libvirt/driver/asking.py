"""Questions to the agents inside domains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt import guest
from yun.drivers.hypervisor.libvirt.driver.domains import Domains, must_run
from yun.drivers.hypervisor.libvirt.events import agent_connected
from yun.drivers.hypervisor.port import GuestFacts

FROM_AGENT = 1


class AsksAgents(Domains):
    """The part of the driver that asks guests."""

    def agent(
        self, uuid: str, command: str, arguments: Mapping[str, object] | None = None, timeout: float = 5
    ) -> object:
        import libvirt_qemu  # type: ignore[import-untyped]

        question: dict[str, object] = {"execute": command}
        if arguments:
            question["arguments"] = dict(arguments)

        def ask(domain: Any) -> object:
            must_run(domain)
            answer = libvirt_qemu.qemuAgentCommand(domain, json.dumps(question), max(1, round(timeout)), 0)
            return json.loads(answer)["return"]

        # libvirt asks whether the agent is there at all before it asks the question: that takes up to five seconds.
        return self._on(uuid, ask, timeout=timeout + 10)

    def guest(self, uuid: str) -> GuestFacts:
        def ask(domain: Any) -> GuestFacts:
            must_run(domain)
            if not agent_connected(domain.XMLDesc(0)):
                raise DriverError(_("The machine's guest agent does not answer."), retryable=True, private=uuid)
            return guest.ask(domain)

        return self._on(uuid, ask)

    def addresses(self, uuid: str) -> dict[str, list[str]]:
        def ask(domain: Any) -> dict[str, list[str]]:
            if not domain.isActive() or not agent_connected(domain.XMLDesc(0)):
                return {}
            found: dict[str, list[str]] = {}
            for card in domain.interfaceAddresses(FROM_AGENT, 0).values():
                if card.get("hwaddr") and card["hwaddr"] != "00:00:00:00:00:00":
                    found[card["hwaddr"]] = [a["addr"] for a in card.get("addrs") or []]
            return found

        return self._on(uuid, ask, missing=dict)
