"""The one place where libvirt's errors become the house's."""

from __future__ import annotations

from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _

# Numbers of virErrorNumber and virErrorDomain, written out so that this module imports without the binding.
FROM_RPC = 7
FROM_REMOTE = 13
INTERNAL = 1
NO_MEMORY = 2
NO_CONNECT = 5
OPERATION_FAILED = 9
INVALID_CONN = 6
OPERATION_INVALID = 55
NO_DOMAIN = 42
OPERATION_TIMEOUT = 68
AGENT_UNRESPONSIVE = 86
RESOURCE_BUSY = 87
AGENT_UNSYNCED = 97
AGENT_COMMAND_TIMEOUT = 108
AGENT_COMMAND_FAILED = 109

_AGENT = {AGENT_UNRESPONSIVE, AGENT_UNSYNCED, AGENT_COMMAND_TIMEOUT}
_PASSING = {NO_CONNECT, INVALID_CONN, OPERATION_TIMEOUT, RESOURCE_BUSY} | _AGENT


def lost_connection(error: Any) -> bool:
    """Whether a ``libvirtError`` speaks of the way to the daemon, not of what was asked."""
    code, domain = error.get_error_code(), error.get_error_domain()
    return domain in (FROM_RPC, FROM_REMOTE) or code in (NO_CONNECT, INVALID_CONN)


def translate(error: Any, uuid: str = "") -> DriverError:
    """The `DriverError` that a ``libvirtError`` means; the daemon's own words are part of the message."""
    code, text = error.get_error_code(), str(error.get_error_message() or error)
    private = f"libvirt {code}/{error.get_error_domain()} {uuid}: {text}"
    if lost_connection(error):
        return away(private)
    if code == NO_DOMAIN:
        return DriverError(_("The hypervisor does not know this machine."), private=private)
    if code in _AGENT:
        return DriverError(_("The machine's guest agent does not answer."), retryable=True, private=private)
    if code in (OPERATION_TIMEOUT, RESOURCE_BUSY):
        return DriverError(_("The machine is busy with something else."), retryable=True, private=private)
    message = _("The hypervisor refused: {reason}", reason=text)
    return DriverError(message, retryable=code in _PASSING, private=private)


def away(private: str = "") -> DriverError:
    """The daemon cannot be reached now."""
    hint = _("See the host's services; start libvirt if it is stopped.")
    return DriverError(_("The hypervisor service does not answer."), retryable=True, hint=hint, private=private)


def too_slow(seconds: float, private: str = "") -> DriverError:
    """The daemon did not answer within ``seconds``."""
    message = _("The hypervisor service did not answer within {seconds} s.", seconds=f"{seconds:g}")
    return DriverError(message, retryable=True, private=private)


def not_installed() -> DriverError:
    """The Python binding is missing."""
    hint = _("Install the package libvirt-python (extra “host” of this product).")
    return DriverError(_("The libvirt binding for Python is not installed."), hint=hint)
