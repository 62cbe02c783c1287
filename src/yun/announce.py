"""The web server, with one word when it is ready: apart, so that the command's help imports no web server."""

from __future__ import annotations

import socket
import sys

import uvicorn


class Announcing(uvicorn.Server):
    """Prints ``line`` on stdout once requests are answered."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self.line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, then say so."""
        await super().startup(sockets)
        if self.line:
            sys.stdout.write(self.line + "\n")
            sys.stdout.flush()
