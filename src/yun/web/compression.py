"""Pages, scripts and styles travel compressed; the API does not: its large answers are images of disks."""

from __future__ import annotations

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send


class Compressed:
    """ASGI middleware; event streams are left alone by the compressor itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.gzip = GZipMiddleware(app, minimum_size=4096, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, compressed where it is a page or a file of the panel."""
        page = scope["type"] == "http" and not scope["path"].startswith("/api/")
        await (self.gzip if page else self.app)(scope, receive, send)
