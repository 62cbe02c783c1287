"""The image of network functions: the tiny one with nftables, HAProxy and WireGuard, about 40 MB, built in seconds.

In the guest, ``/usr/lib/function/apply`` takes a configuration and ``/usr/lib/function/state`` tells how it does; the
first comes from the seed at each start. Which of the three it is, the configuration says.
"""

from __future__ import annotations

from pathlib import Path

from yun.images.builders import tiny
from yun.images.builders.packages import Archive, Package
from yun.images.builders.tools import Tick

MORE = tiny.More(
    Path(__file__).parent / "function", ("usr/sbin/haproxy", "usr/sbin/nft", "usr/bin/wg"), size_mib=160
)


def parts(archive: Archive) -> list[Package]:
    """The package files the image is made of, in their newest versions."""
    return tiny.parts_with(archive, MORE)


def make(archive: Archive, packages: list[Package], work: Path, target: Path, tick: Tick) -> None:
    """Build the image of ``packages`` in the empty directory ``work`` and write it to ``target`` (qcow2)."""
    tiny.make_with(archive, packages, work, target, tick, MORE)
