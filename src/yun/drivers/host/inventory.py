"""What this machine is and how busy it is, read from the kernel."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import time
from pathlib import Path

PROC = Path("/proc")


def boot_id() -> str:
    """An id that changes with every boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def memory_mib() -> tuple[int, int]:
    """Memory in all and available, MiB."""
    values = {}
    for line in (PROC / "meminfo").read_text().splitlines():
        name, _colon, rest = line.partition(":")
        values[name] = int(rest.split()[0])
    return values["MemTotal"] // 1024, values.get("MemAvailable", values["MemFree"]) // 1024


def huge_pages_mib() -> int:
    """Memory that is set aside as huge pages of the default size, MiB."""
    text = (PROC / "meminfo").read_text()
    found = {name: int(rest.split()[0]) for name, _colon, rest in (line.partition(":") for line in text.splitlines())}
    return found.get("HugePages_Total", 0) * found.get("Hugepagesize", 0) // 1024


def tpm() -> bool:
    """Whether the emulator of TPMs and its set-up are installed."""
    return all(shutil.which(name, path="/usr/bin:/bin:/usr/local/bin") for name in ("swtpm", "swtpm_setup"))


def cpu_model() -> str:
    """The processor's name as the kernel tells it."""
    for line in (PROC / "cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


class _Timex(ctypes.Structure):
    """The head of the kernel's ``struct timex``, and room for the rest of it."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("frequency", ctypes.c_long),
        ("greatest_error", ctypes.c_long), ("estimated_error", ctypes.c_long), ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )  # fmt: skip


def clock_is_kept() -> bool | None:
    """Whether a time service keeps the kernel's clock in step, as the kernel was told; None where it says nothing."""
    unsynchronised = 0x40  # STA_UNSYNC of adjtimex(2); modes 0 only asks
    found = _Timex()
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(found))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else not found.status & unsynchronised


def uptime() -> float:
    """Seconds since boot."""
    return float((PROC / "uptime").read_text().split()[0])


def disk(path: Path) -> tuple[int, int]:
    """Size and free space of the file system that holds ``path`` (or would), bytes."""
    there = next(p for p in (path, *path.parents) if p.exists())
    usage = shutil.disk_usage(there)
    return usage.total, usage.free


def load() -> float:
    """Mean number of running processes over the last minute."""
    return os.getloadavg()[0]


class CpuMeter:
    """Share of all processors that was busy since the last reading, 0…1."""

    def __init__(self) -> None:
        self.busy, self.whole = _ticks()
        self.value = 0.0
        self.fresh = True

    def read(self) -> float:
        """The share since the reading before; the very first one looks at a tenth of a second."""
        if self.fresh:
            time.sleep(0.1)
            self.fresh = False
        busy, whole = _ticks()
        if whole - self.whole >= 10:
            self.value = max(0.0, min(1.0, (busy - self.busy) / (whole - self.whole)))
            self.busy, self.whole = busy, whole
        return self.value


def _ticks() -> tuple[int, int]:
    fields = [int(x) for x in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)
