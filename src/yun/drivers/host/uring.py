"""Whether QEMU on this machine can read and write disks by io_uring: the kernel is asked, then it is tried."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

DISABLED = Path("/proc/sys/kernel/io_uring_disabled")
"""0: everybody may; 1: only privileged processes and a group; 2: nobody. Kernels before 6.6 do not have it."""
IMAGE = "qemu-img"
SECONDS = 10.0


def fault() -> str:
    """Why it cannot, in a few words of the kernel's or QEMU's; empty where it can."""
    try:
        setting = DISABLED.read_text().strip()
    except OSError:
        setting = "0"
    if setting != "0":
        return f"kernel.io_uring_disabled = {setting}"
    with tempfile.NamedTemporaryFile(prefix="yun-io-") as file:
        file.truncate(1 << 16)
        command = [IMAGE, "bench", "-q", "-i", "io_uring", "-c", "1", "-d", "1", "-f", "raw", file.name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)[:200]
    if done.returncode == 0:
        return ""
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return (said[-1].removeprefix(f"{IMAGE}: ") if said else f"{IMAGE} ended with {done.returncode}")[:200]
