"""The guard at the door: request ids, security headers, a bound on bodies, no changes from another site's pages."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yun.base.errors import Forbidden
from yun.base.ids import new_id
from yun.base.messages import _
from yun.web import problem
from yun.web.request import SAFE_METHODS, SESSION_COOKIE

# Styles may be inline because the terminal writes its colours into a style element; scripts never.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


MAX_BODY = 4 << 20
"""Bytes that a request may bring; 1 MB of user data in a form, every byte of it escaped, is 3 MB."""
UPLOADS = "/api/v1/image-uploads/"


class Guard:
    """ASGI middleware around the whole application; ``public_url`` is the proxy's address, if one stands in front."""

    def __init__(self, app: ASGIApp, public_url: str = "") -> None:
        self.app = app
        self.public = urlsplit(public_url).netloc.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 403 what another site's page sent."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope["yun_request_id"] = new_id("req")
        if self.foreign(HTTPConnection(scope)):
            await self._refuse(scope, receive, send)
            return
        send = _with_headers(send, scope["yun_request_id"], scope)
        if scope["type"] == "http" and not _streams(scope):
            if _announced(scope) > MAX_BODY:
                await problem.respond(_too_large(), Request(scope))(scope, receive, send)
                return
            receive = _bounded(receive)
        await self.app(scope, receive, send)

    def foreign(self, connection: HTTPConnection) -> bool:
        """Whether a browser sends this for a page that is not ours, so that cookies must not count.

        Requests with their own ``Authorization`` cannot be forged by a page. A changing request with our cookie and
        without a word on its origin is refused too: every browser sends one.
        """
        headers = connection.headers
        http = connection.scope["type"] == "http"
        if http and (connection.scope["method"] in SAFE_METHODS or headers.get("authorization")):
            return False
        origin = headers.get("origin")
        if origin is None:
            site = headers.get("sec-fetch-site")
            if site is not None:
                return site not in ("same-origin", "none")
            return http and SESSION_COOKIE in connection.cookies
        netloc = urlsplit(origin).netloc.lower()
        return not netloc or netloc not in {headers.get("host", "").lower(), self.public}

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403, "reason": "origin"})
            return
        error = Forbidden(
            _("This request came from a page of another site and was refused."),
            hint=_("Open the panel at its own address; behind a proxy, set YUN_PUBLIC_URL."),
        )
        response: Response = problem.respond(error, Request(scope))
        await response(scope, receive, _with_headers(send, scope["yun_request_id"], scope))


def _streams(scope: Scope) -> bool:
    """Whether the body is a piece of an image, which goes to a file as it comes."""
    return scope["method"] == "PATCH" and str(scope["path"]).startswith(UPLOADS)


def _announced(scope: Scope) -> int:
    length = HTTPConnection(scope).headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else 0


def _too_large() -> HTTPException:
    return HTTPException(413, headers={"Connection": "close"})


def _bounded(receive: Receive) -> Receive:
    """The same body, as far as `MAX_BODY`: nobody needs to be known for his body to be read."""
    came = 0

    async def wrapped() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > MAX_BODY:
            raise _too_large()
        return message

    return wrapped


def inside(path: str | None, default: str = "/") -> str:
    """``path`` where it is an address within the panel, else ``default``: for what a request says of where to go."""
    if path and path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable():
        return path
    return default


def _with_headers(send: Send, identifier: str, scope: MutableMapping[str, Any]) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = identifier
            if scope.get("scheme") == "https":
                headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            if scope["path"].startswith("/static/dist/") and message["status"] == 200:
                # Their names change with their content.
                headers["Cache-Control"] = "public, max-age=31536000, immutable"
            elif not scope["path"].startswith("/static/"):
                headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return wrapped


def cookie_options(connection: HTTPConnection, public_url: str = "") -> dict[str, Any]:
    """What every cookie of ours is set with: HttpOnly, SameSite=Lax, the whole site, Secure under TLS."""
    secure = connection.url.scheme == "https" or public_url.startswith("https:")
    return {"httponly": True, "samesite": "lax", "path": "/", "secure": secure}
