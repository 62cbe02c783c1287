"""Fetching from the web: whole, resumed, limited, checked, and never from where the asker may not go."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.images.conftest import MEMBER, MIB, ROOT, ImageCloud, disk
from yun.base.errors import DriverError, Invalid, NoCapacity, Unavailable
from yun.images import catalogue, checks, fetch, pace, service
from yun.images.service import NewImage
from yun.operations.model import State


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Nothing here depends on the kind of database."""
    return f"sqlite:///{tmp_path / 'yun.db'}"


@dataclass
class Site:
    """A web site on loopback: files by path, redirects, and connections that break after so many bytes."""

    files: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    lengths: bool = True
    trickles: list[tuple[int, float]] = field(default_factory=list)
    mutters: bool = False
    seen: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    """A server that does as the test says."""
    made = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self.path = self.path.partition("?")[0]
            made.seen.append(f"{self.path} {self.headers.get('Range', '')}".strip())
            if made.mutters:
                self._trickle(b"HTTP/1.0 200 OK\r\nX: " + b"x" * 1000, 0, 0.05)
                return
            if self.path in made.moved:
                self.send_response(302)
                self.send_header("Location", made.moved[self.path])
                self.end_headers()
                return
            if self.path in made.statuses:
                self.send_error(made.statuses[self.path])
                return
            if self.path not in made.files:
                self.send_error(404)
                return
            data, tag = made.files[self.path], '"' + hashlib.md5(made.files[self.path]).hexdigest() + '"'
            wanted = self.headers.get("Range")
            if made.ranges and wanted and self.headers.get("If-Range") == tag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                data = data[start:]
            else:
                self.send_response(200)
            if made.lengths:
                self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", tag)
            self.end_headers()
            if made.trickles:
                self._trickle(data, *made.trickles.pop(0))
                return
            self.wfile.write(data[: made.breaks.pop(0)] if made.breaks else data)

        def _trickle(self, data: bytes, whole: int, pause: float) -> None:
            """The beginning at once, then a byte from time to time, until nobody listens."""
            self.wfile.write(data[:whole])
            for n in range(whole, len(data)):
                try:
                    self.wfile.write(data[n : n + 1])
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(pause)

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def wish(url: str, *, private: bool = True, limit: int = 100 * MIB) -> fetch.Wish:
    return fetch.Wish(url, private, limit)


def quiet(_part: float) -> None:
    """Nobody looks."""


def test_a_file_is_fetched_whole(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = disk(3 * MIB)
    parts: list[float] = []
    assert fetch.fetch(wish(site.url + "/a"), tmp_path / "a", parts.append) == 3 * MIB
    assert (tmp_path / "a").read_bytes() == site.files["/a"]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_broken_connection_is_continued_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = disk(3 * MIB, b"x")
    site.breaks = [MIB + 5, MIB]
    for _try in range(2):
        with pytest.raises(DriverError) as error:
            fetch.fetch(wish(site.url + "/a"), tmp_path / "a", quiet)
        assert error.value.retryable
    assert fetch.fetch(wish(site.url + "/a"), tmp_path / "a", quiet) == 3 * MIB
    assert (tmp_path / "a").read_bytes() == site.files["/a"]
    assert site.seen == ["/a", f"/a bytes={MIB + 5}-", f"/a bytes={2 * MIB + 5}-"]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience for half a second."""
    monkeypatch.setattr(pace, "SECONDS", 0.5)


@pytest.mark.usefixtures("hurried")
def test_a_server_that_trickles_is_left_and_what_it_gave_is_kept(site: Site, tmp_path: Path) -> None:
    site.files["/slow"], site.trickles = disk(3 * MIB), [(MIB, 0.05)]
    with pytest.raises(DriverError) as caught:
        fetch.fetch(wish(site.url + "/slow"), tmp_path / "x", quiet)
    assert caught.value.retryable
    assert "too slowly" in caught.value.message.render("en")
    assert fetch.fetch(wish(site.url + "/slow"), tmp_path / "x", quiet) == 3 * MIB
    assert (tmp_path / "x").read_bytes() == site.files["/slow"]
    assert "bytes=10" in site.seen[1]


@pytest.mark.usefixtures("hurried")
def test_a_server_that_never_comes_to_the_end_of_its_headers_is_left(site: Site, tmp_path: Path) -> None:
    site.mutters = True
    for ask in (lambda: fetch.fetch(wish(site.url + "/x"), tmp_path / "x", quiet), lambda: fetch.text(wish(site.url))):
        with pytest.raises(DriverError, match="too slowly"):
            ask()


def test_a_file_that_changed_meanwhile_begins_anew(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = disk(2 * MIB, b"old")
    site.breaks = [MIB]
    with pytest.raises(DriverError):
        fetch.fetch(wish(site.url + "/a"), tmp_path / "a", quiet)
    site.files["/a"] = disk(2 * MIB, b"new")
    fetch.fetch(wish(site.url + "/a"), tmp_path / "a", quiet)
    assert (tmp_path / "a").read_bytes() == site.files["/a"]


def test_more_than_there_is_room_for_is_refused(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = disk(2 * MIB)
    for site.lengths in (True, False):
        with pytest.raises(NoCapacity):
            fetch.fetch(wish(site.url + "/a", limit=MIB), tmp_path / "a", quiet)


def test_an_absent_file_and_a_sick_server_are_told_apart(site: Site, tmp_path: Path) -> None:
    site.statuses["/sick"] = 503
    with pytest.raises(Unavailable) as error:
        fetch.fetch(wish(site.url + "/none"), tmp_path / "a", quiet)
    assert not isinstance(error.value, DriverError)
    with pytest.raises(DriverError) as sick:
        fetch.fetch(wish(site.url + "/sick"), tmp_path / "a", quiet)
    assert sick.value.retryable


def test_without_a_way_there_the_message_says_to_import_a_file(tmp_path: Path) -> None:
    for host in ("http://nowhere.invalid/x", "http://127.0.0.1:1/x"):
        with pytest.raises(Unavailable) as error:
            fetch.fetch(wish(host), tmp_path / "a", quiet)
        assert error.value.hint is not None
        assert "from a file" in error.value.hint.text


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/shadow", "ftp://example.org/x", "gopher://x", "/etc/shadow", "", "http://", "https://u:p@example.org/x",
        "http://example.org/a b", "http://[::1", "javascript:alert(1)", "http://exa\nmple.org/", "http://h:99999/x",
    ],
)  # fmt: skip
def test_addresses_that_are_none_are_refused_even_for_administrators(url: str) -> None:
    with pytest.raises(Invalid) as error:
        checks.check_address(url, private=True)
    assert "url" in error.value.fields


PRIVATE = [
    "http://127.0.0.1/x", "http://localhost/x", "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/x",
    "http://192.168.1.1/x", "http://[::1]/x", "http://[fe80::1]/x", "http://0.0.0.0/x", "http://[::ffff:10.0.0.1]/x",
    "http://100.64.0.1/x", "http://[fd00::1]/x", "http://224.0.0.1/x",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_private_networks_are_closed_to_members_and_open_to_administrators(url: str) -> None:
    with pytest.raises(Invalid):
        checks.check_address(url, private=False)
    assert checks.check_address(url, private=True) == url


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "localtest"])
def test_a_name_that_leads_to_a_private_address_is_refused_when_connecting(
    site: Site, tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/a"] = b"secret"
    port = site.url.rpartition(":")[2]
    real = socket.getaddrinfo

    def resolve(name: object, *rest: object, **more: object) -> object:
        return real("127.0.0.1" if name in (host, host.encode()) else name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Invalid):
        fetch.fetch(wish(f"http://{host}:{port}/a", private=False), tmp_path / "a", quiet)
    assert site.seen == []


@pytest.mark.parametrize("to", ["file:///etc/shadow", "http://169.254.169.254/x", "ftp://example.org/x"])
def test_a_redirect_to_a_forbidden_place_is_refused(
    site: Site, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "allowed", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(checks, "allowed", lambda address: address == "127.0.0.1")
    site.moved["/a"] = to
    with pytest.raises(Invalid):
        fetch.fetch(wish(site.url + "/a", private=False), tmp_path / "a", quiet)
    assert not (tmp_path / "a").exists()


def test_redirects_are_followed_but_not_for_ever(site: Site, tmp_path: Path) -> None:
    site.files["/b"] = disk()
    site.moved |= {"/a": "/b", "/round": "/round"}
    fetch.fetch(wish(site.url + "/a"), tmp_path / "a", quiet)
    assert (tmp_path / "a").read_bytes() == disk()
    with pytest.raises(Unavailable):
        fetch.fetch(wish(site.url + "/round"), tmp_path / "b", quiet)


def test_an_image_is_imported_from_an_address_though_the_connection_breaks(cloud: ImageCloud, site: Site) -> None:
    content = site.files["/x.img"] = disk(2 * MIB, b"web")
    checksum = "sha256:" + hashlib.sha256(content).hexdigest()
    new = NewImage("far", checksum=checksum)
    operation = cloud.do(lambda ctx: service.import_address(ctx, new, site.url + "/x.img?token=1"), actor=ROOT)
    assert operation.state == State.SUCCEEDED, operation.error
    image = cloud.image("far")
    assert (image.source, image.source_name, image.checksum) == ("address", site.url + "/x.img", checksum[7:])
    assert cloud.incoming() == []


def test_a_member_cannot_make_the_cloud_fetch_from_its_own_network(cloud: ImageCloud, site: Site) -> None:
    with cloud.asking(MEMBER) as ctx, pytest.raises(Invalid):
        service.import_address(ctx, NewImage("x"), site.url + "/x.img")


def test_what_fails_to_come_leaves_nothing(cloud: ImageCloud, site: Site) -> None:
    operation = cloud.do(lambda ctx: service.import_address(ctx, NewImage("x"), site.url + "/none"), actor=ROOT)
    assert operation.state == State.FAILED
    assert cloud.images() == {}
    assert cloud.incoming() == []


@pytest.fixture
def listed(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, str], None]:
    """Put an image into the catalogue, with the list of checksums that the site shall serve."""

    def put(content: bytes, listing: str, compression: str = "") -> None:
        site.files["/cloud.img"], site.files["/SUMS"] = content, listing.encode()
        entry = catalogue.Entry(
            "test-1", "Test 1", "test", "1", "tester", site.url + "/cloud.img", site.url + "/SUMS", "sha512", MIB, 64,
            compression=compression,
        )  # fmt: skip
        monkeypatch.setattr(catalogue, "entries", lambda: {"test-1": entry})

    return put


def test_a_catalogue_image_is_checked_by_its_makers_list(
    cloud: ImageCloud, site: Site, listed: Callable[[bytes, str], None]
) -> None:
    content = disk(text=b"catalogue")
    listed(content, f"{'0' * 128}  other.img\n{hashlib.sha512(content).hexdigest()}  cloud.img\n")
    operation = cloud.do(lambda ctx: service.pull(ctx, "test-1"), actor=ROOT)
    assert operation.state == State.SUCCEEDED, operation.error
    image = cloud.image("test-1")
    assert (image.default_user, image.os, image.source) == ("tester", "test", "catalogue")
    assert site.seen == ["/SUMS", "/cloud.img"]


def test_a_catalogue_image_that_is_not_the_listed_one_is_refused(
    cloud: ImageCloud, listed: Callable[[bytes, str], None]
) -> None:
    for listing in (f"{'0' * 128}  cloud.img\n", "nothing\n"):
        listed(disk(), listing)
        assert cloud.do(lambda ctx: service.pull(ctx, "test-1"), actor=ROOT).state == State.FAILED
        assert cloud.images() == {}


def test_a_packed_catalogue_image_is_unpacked(cloud: ImageCloud, listed: Callable[..., None]) -> None:
    import lzma

    content = lzma.compress(disk(text=b"packed"))
    listed(content, f"{hashlib.sha512(content).hexdigest()} *cloud.img\n", "xz")
    assert cloud.do(lambda ctx: service.pull(ctx, "test-1"), actor=ROOT).state == State.SUCCEEDED
    assert cloud.image("test-1").virtual_bytes == MIB
    assert cloud.incoming() == []


def test_lists_of_checksums_are_read_in_every_dialect() -> None:
    a, b = "a" * 64, "b" * 128
    find = catalogue.find_checksum
    assert find(f"{a}  x.img\n", "x.img", "sha256") == f"sha256:{a}"
    assert find(f"{a} *x.img\n{'c' * 64} *y.img", "y.img", "sha256") == "sha256:" + "c" * 64
    assert find(f"# note\nSHA256 (x.img) = {a}\n", "x.img", "sha256") == f"sha256:{a}"
    assert find(f"{b.upper()}\n", "x.img", "sha512") == f"sha512:{b}"
    assert find(f"{a}  ./dir/x.img\n", "x.img", "sha256") == f"sha256:{a}"
    for wrong in (f"{a}  xx.img", f"{a[:-1]}  x.img", "", f"{a}\n{a}\n"):
        assert find(wrong, "x.img", "sha256") is None


def test_the_catalogue_is_sound() -> None:
    assert {"debian", "ubuntu", "fedora", "rocky", "openeuler", "alpine", "cirros"} == {
        e.os for e in catalogue.entries().values()
    }
    for entry in catalogue.entries().values():
        assert entry.url.startswith("https://")
        assert entry.checksum.startswith("https://")
        checks.check_address(entry.url, private=False)
        assert checks.check_properties(entry.properties) == entry.properties
        assert checks.check_name(entry.name) == entry.name
