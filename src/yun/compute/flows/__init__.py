"""The operations of this room, as recipes of steps; and the watch on the hypervisors' nudges."""

from __future__ import annotations

from yun.compute.flows import (  # noqa: F401 (they declare operations)
    adopt,
    appliances,
    boot,
    buses,
    change_disk,
    clone,
    configure,
    disks,
    flatten,
    flavors,
    guest,
    host_devices,
    instances,
    media,
    merge,
    move,
    nics,
    overlay,
    volume_copies,
)
from yun.compute.flows.watch import WATCHES, Watch, attach

__all__ = ["WATCHES", "Watch", "attach"]
