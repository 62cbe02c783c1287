"""Fetching a file from the web into a pool: resumable, limited in size, and only from where the asker may go."""

from __future__ import annotations

import json
import lzma
import socket
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx

from yun.base.errors import DriverError, Invalid, NoCapacity, Unavailable
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.images.checks import allowed, check_address
from yun.images.faults import not_written
from yun.images.pace import Open, Pace

TIMEOUT = httpx.Timeout(60.0, connect=15.0)
REDIRECTS = 10
LISTING_LIMIT = 4 * MIB
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Wish:
    """A file to fetch: its address, whether private networks are open to the asker, and the most it may be."""

    url: str
    private: bool
    limit: int

    @property
    def host(self) -> str:
        """Whom it is fetched from."""
        return urlsplit(self.url).hostname or self.url


class Guard(Open):
    """Connects by the very addresses it has checked, so that a name cannot change its mind in between."""

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        """A connection to the first public address of ``host`` that answers."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        public = [address for address in addresses if allowed(address)]
        if not public:
            raise forbidden(host)
        for address in public[:-1]:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError:
                continue
        return super().connect_tcp(public[-1], port, timeout, local_address, socket_options)


def forbidden(host: str) -> Invalid:
    """The answer to an address that lies where the asker may not go."""
    return Invalid(
        _("{host} lies in a private network; only administrators may fetch from there.", host=host[:80]),
        fields={"url": _("an address in the public internet")},
    )


def offline(host: str, private: str = "") -> Unavailable:
    """The answer where there is no way to a host."""
    return Unavailable(
        _("{host} cannot be reached from this machine.", host=host),
        hint=_("Without the internet, import the image from a file: yun image import NAME --file FILE"),
        private=private,
    )


def _interrupted(host: str, error: Exception | None = None) -> DriverError:
    return DriverError(_("The connection to {host} broke off.", host=host), retryable=True, private=str(error or ""))


def _client(wish: Wish) -> httpx.Client:
    scheme, host = urlsplit(wish.url).scheme, wish.host
    proxy = urllib.request.getproxies().get(scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        return httpx.Client(proxy=proxy, timeout=TIMEOUT, trust_env=False)
    transport = httpx.HTTPTransport()
    transport._pool.close()
    transport._pool = httpcore.ConnectionPool(
        ssl_context=httpx.create_ssl_context(), network_backend=Open() if wish.private else Guard()
    )
    return httpx.Client(transport=transport, timeout=TIMEOUT, trust_env=False)


@contextmanager
def opened(wish: Wish, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answer to a GET, redirects followed by our own rules: http and https, never to where the asker may not go."""
    url = wish.url
    for _hop in range(REDIRECTS):
        check_address(url, private=wish.private)
        with _client(Wish(url, wish.private, wish.limit)) as client:
            request = client.build_request("GET", url, headers={"Accept-Encoding": "identity"} | headers)
            response = client.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    yield response
                    return
                url = urljoin(url, response.headers["location"])
            finally:
                response.close()
    raise Unavailable(_("{host} redirects in a circle.", host=wish.host))


def text(wish: Wish) -> str:
    """A small text file, such as a list of checksums. Raises `Unavailable`."""
    try:
        with opened(wish, {}) as response:
            _refuse_status(response, wish.host)
            body = b""
            for chunk in _paced(wish.host, response):
                body += chunk
                if len(body) > LISTING_LIMIT:
                    raise Unavailable(_("{host} sends more than expected.", host=wish.host))
            return body.decode("utf-8", "replace")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise offline(wish.host, repr(error)) from error


def fetch(wish: Wish, target: Path, progress: Progress) -> int:
    """Fetch the file into ``target`` and return its length; what an earlier try has fetched is kept and continued.

    Raises `Unavailable` where there is no way, `DriverError` (retryable) where the connection broke in the middle or
    brings less than `pace.LEAST_BYTES` in `pace.SECONDS`, `NoCapacity` beyond the limit, `Invalid` for a place the
    asker may not reach.
    """
    note = target.with_name(target.name + ".json")
    have, validator = _earlier(target, note, wish.url)
    headers = {"Range": f"bytes={have}-", "If-Range": validator} if have else {}
    try:
        with opened(wish, headers) as response:
            if response.status_code == 416:
                note.unlink(missing_ok=True)
                raise _interrupted(wish.host)
            _refuse_status(response, wish.host)
            if response.status_code != 206 or not response.headers.get("content-range", "").startswith(
                f"bytes {have}-"
            ):
                have = 0
            total = have + int(response.headers.get("content-length") or 0)
            if total > wish.limit:
                raise _too_large(wish, total)
            mark = response.headers.get("etag") or response.headers.get("last-modified") or ""
            note.write_text(json.dumps({"url": wish.url, "validator": "" if mark.startswith("W/") else mark}))
            have = _receive(wish, response, target, have, total, progress)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        if target.exists() and target.stat().st_size:
            raise _interrupted(wish.host, error) from error
        raise offline(wish.host, repr(error)) from error
    if total and have != total:
        raise _interrupted(wish.host)
    note.unlink(missing_ok=True)
    return have


def _earlier(target: Path, note: Path, url: str) -> tuple[int, str]:
    try:
        kept = json.loads(note.read_text())
        have = target.stat().st_size
    except (OSError, ValueError):
        return 0, ""
    usable = kept.get("url") == url and kept.get("validator") and have
    return (have, kept["validator"]) if usable else (0, "")


def _paced(host: str, response: httpx.Response) -> Iterator[bytes]:
    """The body, its pace watched here too: a proxy's connection is not ours to count."""
    pace = Pace(host)
    for chunk in response.iter_raw():
        pace.count(len(chunk))
        yield chunk


def _receive(wish: Wish, response: httpx.Response, target: Path, have: int, total: int, progress: Progress) -> int:
    with target.open("r+b" if have else "wb") as file:
        file.seek(have)
        file.truncate()
        try:
            for chunk in _paced(wish.host, response):
                have += len(chunk)
                if have > wish.limit:
                    raise _too_large(wish, have)
                file.write(chunk)
                progress(have / total if total else 0.0)
        except OSError as error:
            raise not_written(error, target.name) from error
    return have


def _too_large(wish: Wish, size: int) -> NoCapacity:
    return NoCapacity(
        _("The file at {host} is {size} or larger; there is room for {limit}.", host=wish.host, size=format_size(size),
          limit=format_size(wish.limit))
    )  # fmt: skip


def _refuse_status(response: httpx.Response, host: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    message: Message = _("{host} answers with HTTP status {status}.", host=host, status=status)
    if status == 429 or status >= 500:
        raise DriverError(message, retryable=True)
    raise Unavailable(message, hint=_("Check the address."))


def unpack_xz(source: Path, target: Path, limit: int, progress: Progress) -> None:
    """Unpack an xz file, keeping holes, up to ``limit`` bytes. Raises `Invalid` and `NoCapacity`."""
    size, done = source.stat().st_size, 0
    with source.open("rb") as packed, target.open("wb") as file:
        try:
            with lzma.open(packed) as stream:
                while block := stream.read(MIB):
                    done += len(block)
                    if done > limit:
                        raise NoCapacity(
                            _("Unpacked it is larger than the {limit} there is room for.", limit=format_size(limit))
                        )
                    if block.count(0) == len(block):
                        file.seek(len(block), 1)
                    else:
                        file.write(block)
                    progress(packed.tell() / size)
        except (lzma.LZMAError, EOFError) as error:
            raise Invalid(_("The file is not sound xz data."), private=str(error)) from error
        except OSError as error:
            raise not_written(error, target.name) from error
        file.truncate(done)
