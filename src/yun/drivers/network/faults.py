"""The errors of a network engine, the same from the real one and from the one in memory."""

from __future__ import annotations

from yun.base.errors import DriverError
from yun.base.messages import Message, _


class Missing(DriverError):
    """A call names a thing which the engine does not have."""


def missing(noun: Message, identifier: str) -> Missing:
    """The error of such a call."""
    return Missing(_("The network engine has no {noun} {id}.", noun=noun, id=identifier))


def away(why: str) -> DriverError:
    """The engine does not answer; it may later."""
    return DriverError(
        _("The network engine does not answer."),
        hint=_("Start the service ovn-central on the host's page."),
        retryable=True,
        private=why,
    )


def refused(why: str) -> DriverError:
    """The engine refused a change; only what timed out may pass at the next try."""
    return DriverError(_("The network engine refused the change."), retryable="timed out" in why, private=why)
