"""The recipes that `builders` can build, as the rest of the room sees them: names and properties, nothing that runs."""

from __future__ import annotations

from typing import Any

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import MIB

RECIPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "os": "tiny", "os_version": "1", "default_user": "root", "architecture": "x86_64", "cloud_init": True,
        "firmware": "bios", "min_disk_bytes": 96 * MIB, "min_memory_mib": 96,
    },
    "tiny-generic": {
        "os": "tiny", "os_version": "1", "default_user": "root", "architecture": "x86_64", "cloud_init": True,
        "firmware": "bios", "hardware": "compatible", "min_disk_bytes": 96 * MIB, "min_memory_mib": 128,
    },
    "function": {
        "os": "function", "os_version": "1", "default_user": "root", "architecture": "x86_64", "cloud_init": True,
        "firmware": "bios", "min_disk_bytes": 160 * MIB, "min_memory_mib": 160,
    },
    "debian-12": {
        "os": "debian", "os_version": "12", "default_user": "debian", "architecture": "x86_64", "cloud_init": True,
        "firmware": "bios", "min_disk_bytes": 2048 * MIB, "min_memory_mib": 384,
    },
}  # fmt: skip


def recipe(name: str) -> dict[str, Any]:
    """The properties of what the recipe makes, or `Invalid` with the names there are."""
    if name not in RECIPES:
        raise Invalid(
            _("There is no recipe {name}.", name=name[:60]),
            fields={"recipe": _("one of {names}", names=", ".join(sorted(RECIPES)))},
        )
    return RECIPES[name]
