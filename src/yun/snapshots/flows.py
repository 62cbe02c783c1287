"""The operations of snapshots as recipes."""

from __future__ import annotations

from typing import Any

from yun.compute import steps as compute
from yun.compute.model import State as InstanceState
from yun.network import steps as network
from yun.operations.flow import Op, operation, periodic
from yun.snapshots import steps
from yun.storage import steps as storage


@operation("snapshot.create")
def create(op: Op, snapshot_id: str, **plan: Any) -> Any:
    """Freeze disks and memory at one moment, keep the firmware's, write it down."""
    kept = _keep(op, snapshot_id, **plan)
    return {"snapshot_id": snapshot_id, "consistency": kept["consistency"], "pause_ms": kept["pause_ms"]}


def _keep(
    op: Op, snapshot_id: str, instance_id: str, freezes: list[dict[str, Any]], apart: list[str], memory: bool,
    quiesce: bool, stand_still: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """A node of the present. With ``stand_still`` a running guest does so from then on: it is about to be another."""
    was = op.step(steps.begin, snapshot_id)
    if stand_still and was["power"] == InstanceState.RUNNING:
        op.step(compute.suspend, instance_id)
    taken = op.step(steps.capture, snapshot_id, instance_id, freezes, apart, memory, quiesce)
    firmware = op.step(steps.keep_firmware, snapshot_id, instance_id)
    op.step(steps.finish, snapshot_id, taken, firmware, was["power"])
    return {**taken, "power": was["power"]}


@operation("snapshot.restore")
def restore(
    op: Op, snapshot_id: str, instance_id: str, memory: bool, start: bool, keep: dict[str, Any] | None,
    disks: dict[str, Any],
) -> Any:  # fmt: skip
    """Keep the present, switch it off, new files on what was kept, rows, firmware, on; the old files go last."""
    keep_id = keep["snapshot_id"] if keep is not None else None
    heads, again, extra = disks["heads"], disks["again"], disks["extra"]
    was = op.step(steps.begin_restore, instance_id, keep_id, [new["volume_id"] for new in again])
    if memory:
        op.step(steps.check_memory, snapshot_id, instance_id)
    if keep is not None:
        _keep(op, **keep, stand_still=bool(keep["memory"]))
    op.step(steps.switch_off, instance_id, keep_id, was)
    op.step(steps.lay_heads, snapshot_id, heads)
    for new in again:
        op.step(storage.make_volume, new["volume_id"])
    before = op.step(steps.turn, snapshot_id, instance_id, disks)
    op.step(steps.bring_firmware, snapshot_id, instance_id, keep_id)
    op.step(steps.describe, instance_id)
    for gone in extra:
        if gone["trash_id"]:
            op.step(storage.trash_volume, gone["volume_id"], gone["trash_id"], disks["purge_at"])
    state = op.step(steps.go_on_from, snapshot_id, instance_id, memory, start)
    if memory:
        op.step(steps.tell_time, instance_id)
    op.point_of_no_return()
    op.step(steps.clear_old, before)
    return {"instance_id": instance_id, "state": state, "kept": keep_id}


@operation("snapshot.restore_as")
def restore_as(
    op: Op, snapshot_id: str, copy: dict[str, Any], layers: dict[str, str], copied: list[str], start: bool
) -> Any:
    """Disks on the frozen files or of them, firmware, cards, seed, definition, power."""
    instance_id, made = copy["instance_id"], {v["volume_id"]: layers[v["of"]] for v in copy["volumes"]}
    plan = op.step(compute.begin_copies, [instance_id])[instance_id]
    op.step(steps.give_firmware, snapshot_id, instance_id)
    share = 1 / max(len(copied), 1)
    for n, volume_id in enumerate(copied):
        op.step(compute.copy_disk, volume_id, made[volume_id], [n * share, (n + 1) * share])
    op.together([
        *((storage.make_volume, volume_id) for volume_id in made if volume_id not in copied),
        *((network.plug_port, port_id, plan["host_id"]) for port_id in plan["ports"]),
        (compute.write_seed, instance_id), (compute.define, instance_id),
    ])  # fmt: skip
    if start:
        op.step(compute.power_on, instance_id, [InstanceState.BUILDING, ""])
    else:
        op.step(compute.finish_stopped, instance_id)
    return {"instance_id": instance_id, "snapshot_id": snapshot_id}


@operation("snapshot.fork")
def fork(op: Op, keep: dict[str, Any], copies: list[dict[str, Any]]) -> Any:
    """Keep the moment, let every fork go on from it, then let go of it: what its disks were is below them now."""
    ids, snapshot_id = [copy["instance_id"] for copy in copies], keep["snapshot_id"]
    plans = op.step(steps.begin_fork, snapshot_id, ids)
    kept = _keep(op, **keep)
    made = {v["volume_id"]: kept["layers"][v["of"]] for copy in copies for v in copy["volumes"]}
    op.step(compute.stand_on, made)
    op.together([
        *((steps.give_firmware, snapshot_id, i) for i in ids),
        *((storage.make_volume, volume_id) for volume_id in made),
        *((network.plug_port, port_id, plans[i]["host_id"]) for i in ids for port_id in plans[i]["ports"]),
        *((compute.write_seed, i) for i in ids),
    ])  # fmt: skip
    op.together([(compute.define, i) for i in ids])
    op.together([(steps.wake_fork, snapshot_id, i) for i in ids])
    renewed = op.together([(steps.be_oneself, i) for i in ids])
    where = op.step(steps.begin_purge, snapshot_id, True)
    op.point_of_no_return()
    op.step(steps.remove_kept, snapshot_id, where)
    op.step(steps.forget, snapshot_id)
    return {"instance_ids": ids, "pause_ms": kept["pause_ms"], "renewed": [each["done"] for each in renewed]}


@operation("snapshot.update")
def update(op: Op, snapshot_id: str, values: dict[str, Any]) -> Any:
    """Another name or note."""
    op.step(steps.edit, snapshot_id, values)
    return {"snapshot_id": snapshot_id}


@operation("snapshot.delete")
def delete(op: Op, snapshot_id: str, trash_id: str, purge_at: str) -> Any:
    """Into the trash."""
    op.step(steps.trash, snapshot_id, trash_id, purge_at)
    return {"snapshot_id": snapshot_id}


@operation("snapshot.purge")
def purge(op: Op, snapshot_id: str) -> Any:
    """Files, then rows, then frozen files that nothing needs any more."""
    where = op.step(steps.begin_purge, snapshot_id)
    if where is None:
        return {"snapshot_id": snapshot_id}
    op.point_of_no_return()
    op.step(steps.remove_kept, snapshot_id, where)
    op.step(steps.forget, snapshot_id)
    return {"snapshot_id": snapshot_id}


@periodic("snapshot.tend", every=60.0)
@operation("snapshot.tend")
def tend(op: Op) -> Any:
    """Snapshots of instances that have been purged go with them."""
    return op.step(steps.purge_orphans) or None
