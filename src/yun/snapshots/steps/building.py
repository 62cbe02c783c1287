"""Steps of a new instance that is made of a snapshot."""

from __future__ import annotations

from typing import Any

from yun.compute import places as compute_places
from yun.compute.steps import remove_files
from yun.compute.steps.shared import load
from yun.operations.flow import Op, step
from yun.snapshots import places
from yun.snapshots.model import Snapshot
from yun.snapshots.steps.going_back import copy_firmware
from yun.storage.spec import pool_path_of


def _ungive(op: Op, output: Any, snapshot_id: str, instance_id: str) -> None:
    remove_files.call(op, instance_id)


@step(undo=_ungive)
def give_firmware(op: Op, snapshot_id: str, instance_id: str) -> None:
    """The new instance has what UEFI and TPM kept then. Precondition: not defined yet."""
    with op.read() as session:
        row, kept = load(session, instance_id), session.get_one(Snapshot, snapshot_id)
        mine = compute_places.nvram(pool_path_of(session, instance_id), instance_id)
    copy_firmware(op, row, kept, mine, places.nvram(kept.pool_path, snapshot_id))
