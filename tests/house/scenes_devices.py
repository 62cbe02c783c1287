"""Scenes of host devices: given to machines that run and that are off, alone and with their group, and taken back."""

from __future__ import annotations

from typing import Any

from tests.house.story import Ask, Scene, instance, on
from yun.base.context import Context
from yun.base.messages import _
from yun.compute import service as compute
from yun.operations.intent import Intent, Subject

KEY, CARD, GRAPHICS = "1050:0407", "0000:04:00.0", "0000:01:00.0"


def see(ctx: Context) -> Intent:
    """What the periodic look asks for."""
    return Intent(
        kind="host.find_devices", title=_("Look"), subject=Subject("host", "all"), arguments={}, undoable=False,
        no_undo=_("It only looks."),
    )  # fmt: skip


def give(device: str, **rest: Any) -> Ask:
    """Ask to give m1 a device."""
    return on(compute.add_host_device, reference=device, **rest)


def take(device: str) -> Ask:
    """Ask to take it back."""
    return on(compute.remove_host_device, reference=device)


SCENES: dict[str, Scene] = {
    "instance.add_host_device": Scene(give(GRAPHICS, with_group=True), (see, instance())),
    "instance.remove_host_device": Scene(
        take(GRAPHICS), (see, instance(), give(KEY), give(GRAPHICS, with_group=True))
    ),
}
MORE: dict[str, Scene] = {
    "instance.add_host_device at the next start": Scene(give(KEY), (see, instance(start=False))),
    "instance.remove_host_device of one that is off": Scene(take(CARD), (see, instance(start=False), give(CARD))),
    "instance.delete of one with host devices": Scene(on(compute.delete), (see, instance(), give(KEY), give(CARD))),
    "instance.start of one with host devices": Scene(
        on(compute.start), (see, instance(start=False), give(KEY), give(CARD))
    ),
}
"""Further scenes of the same kinds, walked by the same tests."""
