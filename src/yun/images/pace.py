"""Connections whose every byte is counted, so that a server that only trickles is not waited for without end."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpcore

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.base.units import KIB, format_size

SECONDS, LEAST_BYTES = 300.0, 512 * KIB


@dataclass
class Pace:
    """How much has come from a host lately: one that only trickles would be waited for without end."""

    host: str
    since: float = field(default_factory=time.monotonic)
    came: int = 0

    def count(self, size: int) -> None:
        """So many bytes more. Raises `DriverError` (retryable) where the last minutes brought less than the least."""
        self.came += size
        passed = time.monotonic() - self.since
        if passed < SECONDS:
            return
        if self.came < LEAST_BYTES:
            raise DriverError(
                _(
                    "{host} sends too slowly: {size} in {minutes} minutes.",
                    host=self.host, size=format_size(self.came), minutes=round(passed / 60, 1),
                ),
                hint=_("Try again later or from another address; or fetch the file yourself and import it."),
                retryable=True,
            )  # fmt: skip
        self.since, self.came = time.monotonic(), 0


class Paced(httpcore.NetworkStream):
    """A connection whose every byte is counted: also those of answers that never get past their headers."""

    def __init__(self, stream: httpcore.NetworkStream, pace: Pace) -> None:
        self._stream = stream
        self._pace = pace

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come."""
        data = self._stream.read(max_bytes, timeout)
        self._pace.count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send."""
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        """Hang up."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted."""
        return Paced(self._stream.start_tls(ssl_context, server_hostname, timeout), self._pace)

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows of itself."""
        return self._stream.get_extra_info(info)


class Open(httpcore.SyncBackend):
    """Connects to wherever it is asked to."""

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        """A connection whose pace is watched."""
        return Paced(super().connect_tcp(host, port, timeout, local_address, socket_options), Pace(host))
