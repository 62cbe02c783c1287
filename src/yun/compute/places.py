"""Where the files of an instance lie: serial socket and log, seed, NVRAM. Pure; nothing is made here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from yun.base.config import Settings

SOCKET_PATH_BYTES = 100


def serial_directory(settings: Settings) -> Path:
    """The directory of serial sockets: in the state directory, or under /run where that path is too long for one."""
    inside = settings.state_dir / "serial"
    if len(str(inside)) + len("/ins_01234567890123456789012345.sock") <= SOCKET_PATH_BYTES:
        return inside
    return Path("/run") / ("yun-" + hashlib.sha256(str(settings.state_dir).encode()).hexdigest()[:12])


def serial_socket(settings: Settings, instance_id: str) -> str:
    """The unix socket on which the hypervisor offers the machine's first serial port."""
    return str(serial_directory(settings) / f"{instance_id}.sock")


def serial_log(settings: Settings, instance_id: str) -> str:
    """The file in which everything that the serial port said is kept."""
    return str(settings.state_dir / "logs" / "serial" / f"{instance_id}.log")


def nvram(pool_path: str, instance_id: str) -> str:
    """Where a UEFI machine's firmware keeps its variables (boot entries, enrolled keys)."""
    return str(Path(pool_path) / "seeds" / f"{instance_id}.nvram")


def seed(pool_path: str, instance_id: str) -> str:
    """The machine's NoCloud seed."""
    return str(Path(pool_path) / "seeds" / f"{instance_id}.iso")
