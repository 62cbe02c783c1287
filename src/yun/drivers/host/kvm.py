"""Is KVM really usable here? Proven by running code under it, never believed from a flag.

`/dev/kvm` may open and create machines and yet hang every real guest (nested and software variants do). So a boot
sector of our own runs under KVM: it must reach 32-bit protected mode and leave through the exit device, within a
second. The answer is kept per boot and QEMU version.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from yun.drivers.host.command import environment, run

DEVICE = "/dev/kvm"
PROBE_SECONDS = 1.0
EXIT_STATUS = 33
QEMU = f"qemu-system-{platform.machine()}"


def boot_sector() -> bytes:
    """512 bytes that print K in real mode, switch to protected mode, print P and exit with `EXIT_STATUS`."""
    code = bytes.fromhex(
        "b04b e6e9"  # mov al,'K'; out 0xe9,al
        "fa"  # cli
        "0f01 1620 7c"  # lgdt [0x7c20]
        "0f20c0 0c01 0f22c0"  # cr0 |= 1
        "ea17 7c08 00"  # jmp 0x08:0x7c17
    ).ljust(0x17, b"\x90")
    code += bytes.fromhex("b050 e6e9 b010 e6f4 f4")  # mov al,'P'; out; mov al,0x10; out 0xf4,al; hlt
    code = code.ljust(0x20, b"\x90")
    code += (23).to_bytes(2, "little") + (0x7C26).to_bytes(4, "little")
    code += bytes(8) + bytes.fromhex("ffff0000009acf00") + bytes.fromhex("ffff00000092cf00")
    return code.ljust(510, b"\0") + b"\x55\xaa"


def run_boot_sector(accel: str, timeout: float = PROBE_SECONDS) -> tuple[bool, str]:
    """Run the boot sector under ``accel``; whether it ended rightly in time, and a word for how it ended."""
    with tempfile.TemporaryDirectory(prefix="yun-kvm-") as directory:
        disk, output = Path(directory, "boot"), Path(directory, "out")
        disk.write_bytes(boot_sector())
        argv = [
            QEMU, "-accel", accel, "-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-no-user-config",
            "-drive", f"file={disk},format=raw,if=ide", "-debugcon", f"file:{output}",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-no-reboot",
        ]  # fmt: skip
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=environment(),
            )  # fmt: skip
        except FileNotFoundError:
            return False, "no_qemu"
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False, "too_slow"
        said = output.read_bytes() if output.exists() else b""
        if time.monotonic() - began > timeout:
            return False, "too_slow"
        right = status == EXIT_STATUS and said.endswith(b"KP")
        return right, "proved" if right else "wrong_answer"


def qemu_version() -> str:
    """QEMU's own version, empty where it is not installed."""
    with suppress(Exception):
        words = run([QEMU, "--version"], check=False).stdout.split()
        return words[words.index("version") + 1] if "version" in words else ""
    return ""


def examine(device: str = DEVICE, cpuinfo: str = "/proc/cpuinfo") -> tuple[bool, str]:
    """Usable or not, and why, as one word: ``no_device``, ``no_access``, ``no_cpu_support``, ``no_qemu``,
    ``too_slow``, ``wrong_answer`` or ``proved``."""
    try:
        os.close(os.open(device, os.O_RDWR))
    except FileNotFoundError:
        return False, "no_device"
    except OSError:
        return False, "no_access"
    if platform.machine() == "x86_64":
        words = set(Path(cpuinfo).read_text().split())
        if not words & {"vmx", "svm"}:
            return False, "no_cpu_support"
        usable, reason = run_boot_sector("kvm")
        # One more try: on a machine busy with something else a single second may have been bad luck.
        return run_boot_sector("kvm") if reason == "too_slow" else (usable, reason)
    return True, "proved"


def choose(setting: str, cache: Path, boot_id: str, version: str) -> tuple[str, str]:
    """``kvm`` or ``tcg`` and the reason's word; ``setting`` overrides, else the cached or a fresh examination."""
    if setting in ("kvm", "tcg"):
        return setting, "setting"
    key = f"{boot_id} {version}"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(cache.read_text())
        if known["key"] == key:
            return known["accel"], known["reason"]
    usable, reason = examine()
    accel = "kvm" if usable else "tcg"
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        fresh = cache.with_suffix(".new")
        fresh.write_text(json.dumps({"key": key, "accel": accel, "reason": reason}))
        fresh.replace(cache)
    return accel, reason
