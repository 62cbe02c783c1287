"""Errors on their way out: one table from kind to HTTP status, one shape (RFC 9457 problem+json)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from yun.base import errors, log
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.web import request as web_request

LOG = log.logger("yun.web")
RETRY_AFTER = "5"


class Stale(errors.Conflict):
    """The thing was changed since the caller read it (``If-Match`` names an older revision)."""

    code = "stale"


STATUS: dict[type[errors.YunError], tuple[int, Message]] = {
    Stale: (412, _("Changed in the meantime")),
    errors.Invalid: (422, _("Invalid request")),
    errors.Unauthenticated: (401, _("Not logged in")),
    errors.Forbidden: (403, _("Not permitted")),
    errors.NotFound: (404, _("Not found")),
    errors.Conflict: (409, _("Conflict")),
    errors.OverQuota: (409, _("Quota exceeded")),
    errors.NoCapacity: (507, _("No capacity")),
    errors.Unavailable: (503, _("Unavailable")),
    errors.YunError: (500, _("Internal error")),
}

HTTP_KINDS: dict[int, tuple[str, Message]] = {
    400: ("invalid", _("The request cannot be understood.")),
    401: ("unauthenticated", _("Please log in.")),
    403: ("forbidden", _("You may not do this.")),
    404: ("not_found", _("There is nothing at this address.")),
    405: ("method_not_allowed", _("This address does not offer that method.")),
    413: ("too_large", _("The request is too large.")),
    415: ("unsupported_media_type", _("The request's content type is not understood here.")),
    416: ("range", _("The requested range does not exist.")),
}


@dataclass(frozen=True)
class Problem:
    """An error rendered in a language, ready for any dialect of HTTP."""

    status: int
    code: str
    title: str
    detail: str
    request_id: str
    hint: str | None = None
    fields: Mapping[str, str] | None = None
    details: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """The body: ``type title status detail code hint fields details request_id``, absent parts left out."""
        body: dict[str, Any] = {
            "type": f"urn:yun:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": self.request_id,
        }
        for name in ("hint", "fields", "details"):
            if value := getattr(self, name):
                body[name] = value
        return body

    def response(self) -> JSONResponse:
        """As ``application/problem+json``."""
        return JSONResponse(
            self.to_json(), self.status, headers=dict(self.headers or {}), media_type="application/problem+json"
        )


HUNG_UP = 499
"""The status of an answer that nobody reads, as proxies log it."""


def request_id(request: Request) -> str:
    """The id of this request in answers and in the log."""
    known: str | None = request.scope.get("yun_request_id")
    if known is None:
        known = request.scope["yun_request_id"] = new_id("req")
    return known


def status_of(error: errors.YunError) -> tuple[int, Message]:
    """HTTP status and short title of an error, by its nearest kind."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem_of(error: Exception, request: Request, locale: str | None = None) -> Problem:
    """Any exception as a `Problem`; what is not of the family is a bug and goes to the log with its whole chain."""
    locale = locale or web_request.language(request)
    identifier = request_id(request)
    if isinstance(error, RequestValidationError):
        error = _validation(error.errors())
    if isinstance(error, DataError):  # a NUL in a text, a number beyond any column: PostgreSQL refuses to compare
        error = errors.Invalid(_("The request holds a character or number that cannot be."), private=str(error))
    if isinstance(error, errors.YunError) and type(error) is not errors.YunError:
        return _known(error, identifier, locale)
    if isinstance(error, HTTPException):
        code, text = HTTP_KINDS.get(error.status_code, ("http", _("The request failed.")))
        return Problem(
            error.status_code, code, text.render(locale), text.render(locale), identifier, headers=error.headers
        )
    if isinstance(error, ClientDisconnect):  # nobody reads the answer, and nothing is wrong with the cloud
        LOG.debug("%s %s: whoever asked hung up (%s)", request.method, request.url.path, identifier)
        told = _("Whoever asked hung up before all was said; nothing was done.").render(locale)
        return Problem(HUNG_UP, "http", told, told, identifier)
    LOG.error("%s %s failed (%s)", request.method, request.url.path, identifier, exc_info=error)
    message = _("Something went wrong inside the cloud. The log has the details under {id}.", id=identifier)
    hint = _("Try again; if it stays, give this id to the administrator.")
    title = STATUS[errors.YunError][1].render(locale)
    return Problem(500, "internal", title, message.render(locale), identifier, hint=hint.render(locale))


def _known(error: errors.YunError, identifier: str, locale: str) -> Problem:
    status, title = status_of(error)
    headers = {}
    if status == 503:
        headers["Retry-After"] = RETRY_AFTER
        LOG.warning("unavailable (%s): %s", identifier, error)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="yun"'
    return Problem(
        status,
        error.code,
        title.render(locale),
        error.message.render(locale),
        identifier,
        hint=error.hint.render(locale) if error.hint else None,
        fields={name: text.render(locale) for name, text in error.fields.items()},
        details=error.details,
        headers=headers,
    )


_PLACES = {"body", "query", "path", "header", "cookie"}
EXPECTED: dict[str, Message] = {
    "missing": _("is required"),
    "extra_forbidden": _("there is no such field"),
    "int_parsing": _("a whole number"),
    "int_type": _("a whole number"),
    "int_from_float": _("a whole number"),
    "float_parsing": _("a number"),
    "float_type": _("a number"),
    "bool_parsing": _("true or false"),
    "bool_type": _("true or false"),
    "string_type": _("a text"),
    "list_type": _("a list"),
    "dict_type": _("an object"),
    "model_attributes_type": _("an object"),
    "json_invalid": _("valid JSON"),
    "datetime_parsing": _("a time such as 2026-01-31T08:00:00Z"),
}


def _validation(found: Iterable[Mapping[str, Any]]) -> errors.Invalid:
    fields: dict[str, Message] = {}
    for entry in found:
        place = [str(part) for part in entry.get("loc", ()) if part not in _PLACES]
        fields.setdefault(".".join(place) or "body", _expectation(entry))
    message = _("The request is wrong at: {fields}.", fields=", ".join(fields))
    return errors.Invalid(message, fields=fields)


def _expectation(entry: Mapping[str, Any]) -> Message:
    kind, limits = str(entry.get("type", "")), entry.get("ctx") or {}
    if kind in EXPECTED:
        return EXPECTED[kind]
    if kind == "string_too_short":
        return _("at least {count} characters", count=limits.get("min_length", 1))
    if kind == "string_too_long":
        return _("at most {count} characters", count=limits.get("max_length", 0))
    if kind in ("greater_than_equal", "greater_than"):
        return _("at least {limit}", limit=limits.get("ge", limits.get("gt")))
    if kind in ("less_than_equal", "less_than"):
        return _("at most {limit}", limit=limits.get("le", limits.get("lt")))
    if kind in ("literal_error", "enum"):
        return _("one of {names}", names=str(limits.get("expected", "")))
    if kind == "string_pattern_mismatch":
        return _("a text of the form {pattern}", pattern=str(limits.get("pattern", "")))
    return Message(re.sub(r"[{}]", "", str(entry.get("msg", kind))))


def respond(error: Exception, request: Request, locale: str | None = None) -> Response:
    """The problem+json answer to any exception."""
    return problem_of(error, request, locale).response()
