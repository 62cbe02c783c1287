"""Where what belongs to a snapshot lies beside its frozen disks: memory and firmware. Pure; nothing is made here."""

from __future__ import annotations

from pathlib import Path


def memory(pool_path: str, snapshot_id: str) -> str:
    """The image of the guest's memory."""
    return str(Path(pool_path) / "seeds" / f"{snapshot_id}.memory")


def nvram(pool_path: str, snapshot_id: str) -> str:
    """What the firmware of a UEFI machine kept then."""
    return str(Path(pool_path) / "seeds" / f"{snapshot_id}.nvram")
