"""How each call reaches a domain: over the connection, in its worker threads, checked for whether it can be done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt import look, tpm
from yun.drivers.hypervisor.libvirt.connect import Connection
from yun.drivers.hypervisor.libvirt.errors import NO_DOMAIN, OPERATION_INVALID
from yun.drivers.hypervisor.libvirt.events import Events, agent_connected
from yun.drivers.hypervisor.nudges import Nudges
from yun.drivers.hypervisor.port import Power

T = TypeVar("T")


class Domains:
    """The connection of the driver, and the ways in which its parts work on a domain."""

    def __init__(
        self, uri: str = "qemu:///system", *, timeout: float = 30.0, tpm_states: Path = tpm.STATES
    ) -> None:
        self._tpm_states = tpm_states
        self._nudges = Nudges()
        self._events = Events(self._nudges)
        self._connection = Connection(uri, timeout=timeout, greet=self._events.greet)

    def _on(
        self, uuid: str, work: Callable[[Any], T], *, missing: Callable[[], T] | None = None,
        timeout: float | None = None,
    ) -> T:  # fmt: skip
        """``work(domain)``; where there is no such domain, ``missing()`` instead, if given."""

        def find_and_work(conn: Any) -> T:
            try:
                return work(conn.lookupByUUIDString(uuid))
            except Exception as error:
                if missing is not None and code(error) == NO_DOMAIN:
                    return missing()
                raise

        return self._connection.call(find_and_work, uuid=uuid, timeout=timeout)

    def _on_running(self, uuid: str, work: Callable[[Any], None]) -> None:
        def check_and_work(domain: Any) -> None:
            must_run(domain)
            work(domain)

        self._on(uuid, check_and_work)

    def _make(self, uuid: str, wish: Callable[[Any], bool], work: Callable[[Any], object]) -> None:
        """Do ``work(domain)`` unless ``wish(domain)`` already holds, also when somebody else was quicker."""

        def make(domain: Any) -> None:
            if wish(domain):
                return
            try:
                work(domain)
            except Exception as error:
                if code(error) != OPERATION_INVALID or not wish(domain):
                    raise

        self._on(uuid, make)


def code(error: BaseException) -> int | None:
    """libvirt's number of an error; None for anybody else's."""
    ask = getattr(error, "get_error_code", None)
    return ask() if ask else None


def power_of(domain: Any) -> Power:
    """What a domain does now."""
    state, reason = domain.state()
    return look.read_state(state, reason, False).power


def must_run(domain: Any) -> None:
    """`DriverError` for a domain that is off."""
    if not domain.isActive():
        raise DriverError(_("The machine is not running."), private=domain.UUIDString())


def needs_agent(domain: Any, how: str) -> None:
    """`DriverError` where the guest's agent is asked for and none is connected."""
    if how == "agent" and not agent_connected(domain.XMLDesc(0)):
        raise DriverError(_("The machine's guest agent does not answer."), private=domain.UUIDString())
