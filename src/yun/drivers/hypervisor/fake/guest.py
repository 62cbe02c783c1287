"""The inside of a fake machine: a screen that speaks RFB, a serial port with a little shell, an agent."""

from __future__ import annotations

import io
import socket
import struct
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from yun.drivers.hypervisor.fake.agent import FakeAgent
from yun.drivers.hypervisor.fake.spice import link
from yun.drivers.hypervisor.port import DomainSpec, GuestCard, GuestFacts, GuestFileSystem

WIDTH, HEIGHT = 640, 400
LOG_LIMIT = 1 << 20
PROMPT = b"$ "


class FakeGuest:
    """What runs in a fake domain. ``pressed`` and ``agent_calls`` record what it was asked; ``mounts``
    says by slot where a disk besides the first one is mounted, ``inside`` is its agent. ``memory`` is what it holds
    only there: a boot begins with nothing."""

    def __init__(self) -> None:
        self.title = ""
        self.pressed: list[tuple[int, ...]] = []
        self.agent_calls: list[tuple[str, dict[str, object]]] = []
        self.addresses: dict[str, list[str]] = {}
        self.mounts: dict[str, str] = {}
        self.inside = FakeAgent()
        self.memory: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._port = threading.Lock()
        self._serial: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._log = bytearray()
        self._line = bytearray()
        self._on = False

    def power_on(self, title: str) -> None:
        """Boot: the serial port prints a log-in prompt."""
        self.title, self._on = title, True
        self.memory = {}
        self.inside.reboot()
        self._print(f"\r\nFake Linux ttyS0\r\n{title} login: ".encode())

    def wake(self, title: str, memory: dict[str, Any]) -> None:
        """Go on from what it held in memory; nothing is printed."""
        self.title, self._on, self.memory = title, True, memory

    def reboot(self) -> None:
        """Boot again; whoever holds the ports keeps them."""
        self.power_on(self.title)

    def power_off(self) -> None:
        """All ports hang up."""
        with self._lock:
            self._on = False
            for end in self._open:
                with_shutdown(end)
            self._open.clear()

    def press(self, keycodes: Sequence[int]) -> None:
        """Keys of the keyboard, Linux codes pressed together."""
        self.pressed.append(tuple(keycodes))

    def agent(self, command: str, arguments: dict[str, object]) -> object:
        """The agent's answer; commands are recorded."""
        self.agent_calls.append((command, arguments))
        return self.inside.answer(command, arguments, self.title)

    def facts(self, spec: DomainSpec, sizes: dict[str, int]) -> GuestFacts:
        """What it tells of itself: the first disk is ``/``, others are where ``mounts`` says."""
        found = []
        disks = [d for d in spec.disks if d.device == "disk"]
        for number, disk in enumerate(disks):
            mount = "/" if number == 0 else self.mounts.get(disk.slot, "")
            if mount:
                total = (sizes.get(disk.path, 0) or 2 << 30) * 19 // 20
                serials = (disk.serial,) if disk.serial else ()
                found.append(
                    GuestFileSystem(mount, "ext4", f"/dev/{disk.slot}", total, total // 7, (disk.slot,), serials)
                )
        cards = tuple(
            GuestCard(f"eth{number}", nic.mac, tuple(self.addresses.get(nic.mac, [_link_local(nic.mac)])))
            for number, nic in enumerate(spec.nics)
        )
        return GuestFacts("fake", "Fake Linux 1", "6.1.0-fake", self.title, "UTC", tuple(found), cards)

    def remember(self, log: bytes) -> None:
        """The serial port printed this before, when the machine was defined under the same files."""
        with self._lock:
            self._log[:0] = log

    def log(self, tail: int) -> bytes:
        """The end of what the serial port printed."""
        with self._lock:
            return bytes(self._log[-tail:]) if tail else b""

    def write(self, data: bytes) -> None:
        """Let the machine print on its serial port."""
        self._print(data)

    def screenshot(self) -> bytes:
        """The screen as PNG."""
        return _screen_png(self.title, len(self.pressed))

    def open_graphics(self) -> socket.socket:
        """A socket on which the screen speaks RFB 3.8."""
        ours, theirs = self._pair()
        threading.Thread(target=self._serve, args=(_Rfb(self, ours).run, ours), daemon=True).start()
        return theirs

    def open_spice(self) -> socket.socket:
        """A socket on which one channel of the screen speaks SPICE's link."""
        ours, theirs = self._pair()
        threading.Thread(target=self._serve, args=(lambda: link(ours), ours), daemon=True).start()
        return theirs

    def open_serial(self) -> socket.socket:
        """A socket on the serial port; the second one waits for the first to leave."""
        ours, theirs = self._pair()
        threading.Thread(target=self._serve, args=(lambda: self._serve_serial(ours), ours), daemon=True).start()
        return theirs

    def _pair(self) -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        with self._lock:
            self._open.add(ours)
        return ours, theirs

    def _serve(self, talk: object, ours: socket.socket) -> None:
        try:
            talk()  # type: ignore[operator]
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(ours)
            ours.close()

    def _serve_serial(self, ours: socket.socket) -> None:
        with self._port:
            with self._lock:
                self._serial = ours
            try:
                while data := ours.recv(4096):
                    self._typed(data)
            finally:
                with self._lock:
                    self._serial = None

    def _typed(self, data: bytes) -> None:
        for byte in data:
            if byte in b"\r\n":
                line, self._line = self._line.decode(errors="replace").strip(), bytearray()
                self._print(b"\r\n" + _run(line) + PROMPT)
            elif byte == 0x7F:
                if self._line:
                    self._line.pop()
                    self._print(b"\b \b")
            else:
                self._line.append(byte)
                self._print(bytes([byte]))

    def _print(self, data: bytes) -> None:
        with self._lock:
            self._log += data
            del self._log[:-LOG_LIMIT]
            serial = self._serial
        if serial is not None:
            try:
                serial.sendall(data)
            except OSError:
                return


def with_shutdown(end: socket.socket) -> None:
    """Hang up so that both sides see the end, whoever is reading."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _link_local(mac: str) -> str:
    first, *rest = (int(part, 16) for part in mac.split(":"))
    a, b, c, d, e = rest
    return f"fe80::{first ^ 2:02x}{a:02x}:{b:02x}ff:fe{c:02x}:{d:02x}{e:02x}/64"


def _run(line: str) -> bytes:
    word, _, rest = line.partition(" ")
    if not word:
        return b""
    answers = {"echo": rest, "uname": "Linux", "hostname": "fake", "help": "echo, uname, hostname, help"}
    return (answers.get(word, f"sh: {word}: not found") + "\n").replace("\n", "\r\n").encode()


class _Rfb:
    """The server side of RFB 3.8: no authentication, raw rectangles."""

    def __init__(self, guest: FakeGuest, end: socket.socket) -> None:
        self.guest, self.end = guest, end
        self.format = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
        self.drawn = -1

    def run(self) -> None:
        self.end.sendall(b"RFB 003.008\n")
        self._read(12)
        self.end.sendall(b"\x01\x01")
        self._read(1)
        self.end.sendall(struct.pack(">I", 0))
        self._read(1)
        name = self.guest.title.encode()
        self.end.sendall(struct.pack(">HH", WIDTH, HEIGHT) + self.format + struct.pack(">I", len(name)) + name)
        while True:
            self._message(self._read(1)[0])

    def _message(self, kind: int) -> None:
        if kind == 0:
            self.format = self._read(19)[3:]
        elif kind == 2:
            self._read(4 * struct.unpack(">xH", self._read(3))[0])
        elif kind == 3:
            incremental = self._read(9)[0]
            if not incremental or self.drawn != len(self.guest.pressed):
                self._draw()
        elif kind == 4:
            down, key = struct.unpack(">BxxI", self._read(7))
            if down:
                self.guest.press((key,))
        elif kind == 5:
            self._read(5)
        elif kind == 6:
            self._read(struct.unpack(">xxxI", self._read(7))[0])
        else:
            raise ConnectionError(f"unknown RFB message {kind}")

    def _draw(self) -> None:
        self.drawn = len(self.guest.pressed)
        red, green, blue = struct.unpack_from(">BBB", self.format, 10)
        order = [b"X", b"X", b"X", b"X"]
        for shift, letter in ((red, b"R"), (green, b"G"), (blue, b"B")):
            order[shift // 8] = letter
        mode = b"".join(order if not self.format[2] else reversed(order)).decode()
        pixels = bytearray(WIDTH * HEIGHT * 4)
        picture = _screen(self.guest.title, self.drawn).tobytes()
        for index, colour in enumerate(mode):
            if colour in "RGB":
                pixels[index::4] = picture["RGB".index(colour) :: 3]
        head = struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0)
        self.end.sendall(head + bytes(pixels))

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self.end.recv(size - len(data))
            if not part:
                raise ConnectionError("the viewer left")
            data += part
        return bytes(data)


@lru_cache(64)
def _screen(title: str, keys: int):  # type: ignore[no-untyped-def]
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), (12, 12, 16))
    draw = ImageDraw.Draw(image)
    draw.text((12, 12), "Fake Linux tty1", fill=(190, 190, 190), font_size=16)
    draw.text((12, 44), title.encode("ascii", "replace").decode() + " login: _", fill=(230, 230, 230), font_size=16)
    if keys:
        draw.text((12, 76), f"{keys} keys pressed", fill=(120, 200, 120), font_size=16)
    return image


@lru_cache(64)
def _screen_png(title: str, keys: int) -> bytes:
    out = io.BytesIO()
    _screen(title, keys).save(out, "PNG")
    return out.getvalue()
