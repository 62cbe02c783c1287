"""The closed family of errors that a verb, a step or a face may raise; free of HTTP.

    YunError
    ├── Invalid           the request itself is wrong; names the fields at fault
    ├── Unauthenticated   nobody, or a credential that no longer holds
    ├── Forbidden         somebody, who may not
    ├── NotFound          does not exist for this actor
    ├── Conflict          true request, wrong moment: state, name taken, in use
    ├── OverQuota         the project's limit is reached
    ├── NoCapacity        the hosts cannot hold it; says by how much
    └── Unavailable       a daemon, a host or the database does not answer
        └── DriverError   what a driver raises: carries whether trying again can help

Anything else that is raised is a bug. Nobody ever matches on the text of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from yun.base.messages import Message


class YunError(Exception):
    """Base of the family.

    ``message`` says what happened in the user's nouns, ``hint`` what to do, ``fields`` maps the name of each
    field at fault to what would be right, ``private`` is for the log alone.
    """

    code: ClassVar[str] = "error"

    def __init__(
        self,
        message: Message,
        *,
        hint: Message | None = None,
        fields: Mapping[str, Message] | None = None,
        private: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        said = message.render("en")
        super().__init__(f"{said} [{private}]" if private else said)
        self.message = message
        self.hint = hint
        self.fields = dict(fields or {})
        self.private = private
        self.details = dict(details or {})

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` turns back into an equal error (without the private text)."""
        return {
            "code": self.code,
            "message": self.message.to_json(),
            "hint": self.hint.to_json() if self.hint else None,
            "fields": {k: v.to_json() for k, v in self.fields.items()},
            "details": self.details,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> YunError:
        """The error that `to_json` wrote; an unknown code gives a plain `YunError`."""
        kind = BY_CODE.get(value["code"], YunError)
        error = kind(
            Message.from_json(value["message"]),
            hint=Message.from_json(value["hint"]) if value.get("hint") else None,
            fields={k: Message.from_json(v) for k, v in value.get("fields", {}).items()},
            details=value.get("details"),
        )
        if kind is YunError:
            error.code = value["code"]  # type: ignore[misc]
        return error


class Invalid(YunError):
    """The request is wrong; ``fields`` names where."""

    code = "invalid"


class Unauthenticated(YunError):
    """No credential, or one that does not hold."""

    code = "unauthenticated"


class Forbidden(YunError):
    """The actor is known and may not do this."""

    code = "forbidden"


class NotFound(YunError):
    """The thing does not exist, or not for this actor."""

    code = "not_found"


class Conflict(YunError):
    """The request is sound, the state of things is against it."""

    code = "conflict"


class OverQuota(YunError):
    """The project's limit would be passed."""

    code = "over_quota"


class NoCapacity(YunError):
    """No host or pool can hold it; the message says what is short and by how much."""

    code = "no_capacity"


class Unavailable(YunError):
    """A daemon, a host or the database does not answer now."""

    code = "unavailable"


class DriverError(Unavailable):
    """A driver's daemon refused or failed.

    ``retryable`` is true where the same call may succeed later without anybody changing anything. ``tries`` is how
    often whoever takes a step back should try at least: as often as the step itself was to be tried.
    """

    code = "driver_error"
    tries = 0

    def __init__(self, message: Message, *, retryable: bool = False, **kw: Any) -> None:
        super().__init__(message, **kw)
        self.retryable = retryable


BY_CODE: dict[str, type[YunError]] = {
    c.code: c
    for c in (
        Invalid, Unauthenticated, Forbidden, NotFound, Conflict, OverQuota, NoCapacity, Unavailable, DriverError,
    )
}  # fmt: skip
