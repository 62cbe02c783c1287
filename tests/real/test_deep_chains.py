"""A chain of sixty frozen files on a real file system: read through, copied whole, and made short again."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from yun.base.units import MIB
from yun.drivers.volume.directory import DirectoryStore

pytestmark = pytest.mark.real
LAYERS = 60


def test_sixty_layers_are_read_copied_and_flattened() -> None:
    home = Path(tempfile.mkdtemp(prefix="yun-deep-"))
    home.chmod(0o755)
    try:
        store, pool = DirectoryStore(), str(home / "pool")
        store.prepare_pool(pool)
        below: str | None = None
        for number in range(LAYERS + 1):
            head = f"{pool}/heads/hed_{number:026d}.qcow2"
            store.create_head(head, size=64 * MIB, backing=below)
            if number < LAYERS:
                subprocess.run(
                    ["qemu-io", "-f", "qcow2", "-c", f"write -P {number + 1} {number}M 1M", head], check=True,
                    capture_output=True,
                )  # fmt: skip
                store.protect(head)
                below = head
        whole = f"{pool}/heads/hed_{LAYERS + 1:026d}.qcow2"
        store.convert(head, whole, format="qcow2", progress=lambda _part: None)
        store.flatten(head, "", lambda _part: None)
        for path in (whole, head):
            assert store.inspect(path).backing == ""
            for number in range(LAYERS):
                asked = ["qemu-io", "-r", "-f", "qcow2", "-c", f"read -P {number + 1} {number}M 1M", path]
                said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
                assert "Pattern verification failed" not in said, number
    finally:
        shutil.rmtree(home)
