"""Scenes of the verbs that act inside a guest: its agent is connected first."""

from __future__ import annotations

from tests.house.story import Scene, instance, on
from yun.compute import service as compute

READY = (instance(), on(compute.tend))

SCENES: dict[str, Scene] = {
    "instance.set_password": Scene(
        on(compute.set_password, password="long enough secret", user="root"), READY, undoable=False
    ),
    "instance.freeze": Scene(on(compute.freeze), READY, undoable=False),
    "instance.thaw": Scene(on(compute.thaw), (*READY, on(compute.freeze)), undoable=False),
    "instance.trim": Scene(on(compute.trim), READY, undoable=False),
    "instance.sync_time": Scene(on(compute.sync_time), READY, undoable=False),
}
