"""Scenes of machines that are handed back to libvirt and taken over again."""

from __future__ import annotations

import sqlalchemy as sa

from tests.house.story import Scene, instance, on
from yun.base.context import Context
from yun.compute import service as compute
from yun.compute.model import FoundMachine
from yun.operations.intent import Intent


def adopt(ctx: Context) -> Intent:
    """Ask to take the only found machine over."""
    uuid = ctx.session.scalars(sa.select(FoundMachine.uuid)).one()
    return compute.adopt(ctx, compute.get_found(ctx, uuid), name="back")


SCENES = {
    "instance.release": Scene(on(compute.release), (instance(),)),
    "instance.adopt": Scene(adopt, (instance(), on(compute.release))),
}
