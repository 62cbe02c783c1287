"""Recording the packets of one port of this host into a file: `tcpdump` on its interface, ended by time and size.

The file is locked as long as its recorder lives: the lock goes with the open file from us to the recorder, so whoever
looks after a crash knows without any record of pids. Nothing in Open vSwitch is changed, so nothing can be left behind.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.host import ovs
from yun.drivers.host.command import environment
from yun.drivers.host.port import CaptureFacts, CaptureSpec

HEADER, RECORD = 24, 16
LITTLE, LITTLE_NANO = 0xA1B2C3D4, 0xA1B23C4D
BEGIN_SECONDS, END_SECONDS = 5.0, 5.0
# Immediate mode: otherwise what came in the last second is lost when it is told to end.
BUFFER_KIB = 8192
SNAP = 262_144  # longest packet, bytes: with segmentation offload one may be 64 KiB


class Captures:
    """The recordings in ``folder``, each a file named by its id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, identifier: str) -> Path:
        """Where the packets are."""
        return self.folder / f"{identifier}.pcap"

    def start(self, spec: CaptureSpec) -> None:
        """The recording runs, or has run. Raises `DriverError` where the port has no interface on this host."""
        path = self.path(spec.id)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        end = time.monotonic() + BEGIN_SECONDS
        while not self._started(spec, path):
            # Who looks at the recordings holds each for a moment.
            if time.monotonic() > end:
                raise DriverError(_("The recording does not begin."), retryable=True, private=str(path))
            time.sleep(0.05)

    def _started(self, spec: CaptureSpec, path: Path) -> bool:
        with self._held(path, create=True) as file:
            if path.stat().st_size >= HEADER:
                return True
            if file is None:
                return False
            interface = ovs.interface_of(spec.port_uuid)
            if interface is None:
                path.unlink(missing_ok=True)
                raise DriverError(
                    _("The port has no card on this host now."), hint=_("Start its instance first."),
                    private=spec.port_uuid,
                )  # fmt: skip
            self._launch(spec, interface, file)
            return True

    def _launch(self, spec: CaptureSpec, interface: str, file: int) -> None:
        log = self.path(spec.id).with_suffix(".log")
        argv = [
            "timeout", "--signal=INT", "--kill-after=5", str(spec.seconds), "prlimit", f"--fsize={spec.max_bytes}",
            "tcpdump", "-nn", "-U", "-p", "--immediate-mode", "-B", str(BUFFER_KIB), "-s", str(SNAP), "-i", interface,
            "-w", "-", *spec.words,
        ]  # fmt: skip
        os.ftruncate(file, 0)
        with log.open("wb") as said:
            try:
                child = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=file, stderr=said, env=environment(), cwd="/",
                    start_new_session=True,
                )  # fmt: skip
            except FileNotFoundError as error:
                raise DriverError(
                    _("The program {name} is not installed.", name=argv[0]), hint=_("Run ./up, which installs it.")
                ) from error
        end = time.monotonic() + BEGIN_SECONDS
        while os.fstat(file).st_size < HEADER:
            if child.poll() is not None or time.monotonic() > end:
                reason = log.read_text(errors="replace").strip()[-400:]
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait(END_SECONDS)
                self.path(spec.id).unlink(missing_ok=True)
                log.unlink(missing_ok=True)
                raise DriverError(
                    _("{name} failed: {reason}", name="tcpdump", reason=reason or "–"), retryable=True
                )
            time.sleep(0.02)

    @contextmanager
    def _held(self, path: Path, *, create: bool = False) -> Iterator[int | None]:
        """The file, locked by us; None where its recorder holds it, or there is none."""
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0), 0o600)
        except FileNotFoundError:
            yield None
            return
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield file
        finally:
            os.close(file)

    def all(self) -> dict[str, CaptureFacts]:
        """Every recording on this host by its id; one that has ended is cut to whole packets."""
        if not self.folder.is_dir():
            return {}
        return {p.stem: self._facts(p) for p in sorted(self.folder.glob("*.pcap"))}

    def _facts(self, path: Path) -> CaptureFacts:
        with self._held(path) as file:
            size = path.stat().st_size if path.exists() else 0
            if file is None:
                return CaptureFacts(running=path.exists(), size=size, packets=None, path=str(path))
            packets, whole = _measure(path)
            if whole < size:
                os.ftruncate(file, whole)
            return CaptureFacts(running=False, size=whole, packets=packets, path=str(path))

    def stop(self, identifier: str) -> None:
        """The recording does not run; what it has stays."""
        path = self.path(identifier)
        end = time.monotonic() + END_SECONDS
        sign = signal.SIGINT
        while self._running(path):
            for pid in _writers(path):
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)
            if time.monotonic() > end:
                sign = signal.SIGKILL
            time.sleep(0.1)

    def _running(self, path: Path) -> bool:
        with self._held(path) as file:
            return file is None and path.exists()

    def remove(self, identifier: str) -> None:
        """The recording does not run, and nothing of it is left."""
        self.stop(identifier)
        self.path(identifier).unlink(missing_ok=True)
        self.path(identifier).with_suffix(".log").unlink(missing_ok=True)


def _writers(path: Path) -> list[int]:
    """The processes whose standard output is the file."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if os.path.samefile(entry / "fd" / "1", path):
                    found.append(int(entry.name))
    return found


def _measure(path: Path) -> tuple[int, int]:
    """How many whole packets the file has, and how many bytes they take with its header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER)
        if len(head) < HEADER:
            return 0, 0
        order = "<" if struct.unpack("<I", head[:4])[0] in (LITTLE, LITTLE_NANO) else ">"
        packets, whole = 0, HEADER
        while len(record := file.read(RECORD)) == RECORD:
            length = struct.unpack(f"{order}I", record[8:12])[0]
            if whole + RECORD + length > size:
                break
            file.seek(length, os.SEEK_CUR)
            whole += RECORD + length
            packets += 1
    return packets, whole
