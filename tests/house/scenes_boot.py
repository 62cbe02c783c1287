"""Scenes of what instances boot from: another order, once from another device, used up, dropped, taken back."""

from __future__ import annotations

from tests.house.scenes_media import insert
from tests.house.story import Ask, Scene, instance, on
from yun.compute import service as compute


def boot_order(*devices: str, name: str = "m1") -> Ask:
    """Ask for an order."""
    return lambda ctx: compute.boot_order(ctx, compute.get(ctx, name), devices)


def boot_once(device: str, name: str = "m1") -> Ask:
    """Ask for one start from a device."""
    return lambda ctx: compute.boot_once(ctx, compute.get(ctx, name), device)


WAITS = (instance(start=False), insert(bus="scsi"), boot_order("disk", "network"), boot_once("cd"))
SCENES: dict[str, Scene] = {
    "instance.boot_order": Scene(boot_order("network", "disk"), (instance(),)),
    "instance.boot_once": Scene(boot_once("network"), (instance(),)),
}
MORE: dict[str, Scene] = {
    "instance.boot_order as nobody chose": Scene(boot_order(), (instance(), boot_order("network"))),
    "instance.boot_once dropped": Scene(boot_once(""), WAITS),
    "instance.insert to boot from it once": Scene(
        insert(slot="sdb", boot_once=True), (instance(), insert("virtio-win", bus="scsi"), boot_once("network"))
    ),
    "instance.start once from a CD": Scene(on(compute.start), WAITS),
    "instance.reboot once from a card": Scene(on(compute.reboot), (instance(), boot_once("network")), undoable=False),
    "instance.stop with a device that waits": Scene(on(compute.stop), (instance(), boot_once("network"))),
    "instance.drop_pending of an order": Scene(on(compute.drop_pending), (instance(), boot_order("network"))),
}
"""Further scenes of the same kinds, walked by the same tests."""
