"""Running qemu-img: a fixed path, limits on memory and time, progress, cancel, and its complaints turned into ours."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from yun.base.errors import DriverError, Invalid, YunError
from yun.base.messages import _
from yun.drivers.volume import faults
from yun.drivers.volume.inspection import printable
from yun.drivers.volume.port import Progress

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}
LIMITS = ("prlimit", "--as=2147483648", "--core=0")
PERCENT = re.compile(rb"\((\d+(?:\.\d+)?)/100%\)")
QUIET_SECONDS = 0.5


def image(arguments: Sequence[str], *, path: str, timeout: float = 30.0, limited: bool = False) -> str:
    """Run ``qemu-img`` and return what it printed. ``limited`` caps memory and processor time, for strangers' files.

    Raises `DriverError` (retryable after ``timeout`` seconds without an end) or `NoCapacity` where the disk is full.
    """
    guard = (*LIMITS, f"--cpu={int(timeout) + 1}", "--") if limited else ()
    command = [*guard, "qemu-img", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout,
            check=False, env=ENVIRONMENT, cwd="/", umask=0o077,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise _not_installed() from error
    except subprocess.TimeoutExpired as error:
        raise _too_slow(timeout) from error
    if done.returncode != 0:
        raise complaint(done.stderr, path, done.returncode)
    return done.stdout


def image_json(arguments: Sequence[str], *, path: str, timeout: float = 30.0) -> dict[str, Any]:
    """Run ``qemu-img … --output=json`` under limits on a file that nobody trusts; its answer."""
    try:
        said = image([arguments[0], "--output=json", *arguments[1:]], path=path, timeout=timeout, limited=True)
        answer = json.loads(said)
    except ValueError as error:
        raise faults.damaged(path) from error
    return answer if isinstance(answer, dict) else {}


def image_progress(arguments: Sequence[str], *, path: str, progress: Progress, stall: float = 300.0) -> None:
    """Run a long ``qemu-img … -p``; ``progress`` is called twice a second at least and may raise to cancel.

    The process is gone when this returns or raises. One that neither gets further nor reads or writes anything for
    ``stall`` seconds is given up; a slow one is not, however long a percent takes it.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                ["qemu-img", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints,
                env=ENVIRONMENT, cwd="/", umask=0o077,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise _not_installed() from error
        try:
            assert process.stdout is not None
            _follow(process.stdout, process.pid, progress, stall)
            process.wait(timeout=stall)
        except subprocess.TimeoutExpired as error:
            raise _too_slow(stall) from error
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if process.returncode != 0:
            complaints.seek(0)
            raise complaint(complaints.read().decode(errors="replace"), path, process.returncode)


def _follow(stream: IO[bytes], pid: int, progress: Progress, stall: float) -> None:
    reached, moved, traffic = 0.0, time.monotonic(), 0
    with selectors.DefaultSelector() as waiting:
        waiting.register(stream, selectors.EVENT_READ)
        while True:
            if waiting.select(QUIET_SECONDS):
                chunk = os.read(stream.fileno(), 65536)
                if not chunk:
                    return
                if found := PERCENT.findall(chunk):
                    now = float(found[-1]) / 100
                    moved = time.monotonic() if now > reached else moved
                    reached = max(reached, now)
            if time.monotonic() - moved > stall:
                if (now_moved := _traffic(pid)) == traffic:
                    raise _too_slow(stall)
                traffic, moved = now_moved, time.monotonic()
            progress(min(reached, 1.0))


def _traffic(pid: int) -> int:
    """How much a process has read and written since it began, by the kernel's books; 0 where they are closed."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.partition(":")[2]) for line in lines)


def complaint(text: str, path: str, code: int) -> YunError:
    """What qemu-img's complaint means in our words; the only place that reads its texts."""
    said = printable(" ".join(text.split())).removeprefix("qemu-img: ")[-400:] or f"exit {code}"
    low = said.lower()
    if "no space left" in low or "disk quota exceeded" in low or "file too large" in low:
        return faults.disk_full(path)
    if "failed to get " in low and '" lock' in low:
        return DriverError(
            _("The disk is in use by a running machine."), private=said,
            hint=_("Stop that machine, or wait until its next start has let go of the disk."),
        )  # fmt: skip
    if "could not open" in low and "no such file" in low:
        return faults.missing(path)
    if "permission denied" in low or "operation not permitted" in low:
        return DriverError(_("The disk tool failed: {reason}", reason=said), private=path)
    if low.startswith("could not open") or "image is corrupt" in low or code < 0:
        return Invalid(
            _("The file {name} is damaged: {reason}", name=os.path.basename(path), reason=said), private=path
        )
    return DriverError(_("The disk tool failed: {reason}", reason=said), private=path)


def _not_installed() -> DriverError:
    return DriverError(
        _("The program {name} is not installed.", name="qemu-img"), hint=_("Run ./up, which installs it.")
    )


def _too_slow(seconds: float) -> DriverError:
    return DriverError(
        _("{name} did not end within {seconds} s.", name="qemu-img", seconds=round(seconds, 1)), retryable=True
    )
