"""Snapshots as people and programs see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.compute.model import Instance
from yun.operations.answer import moment
from yun.snapshots.model import CONSISTENCIES, KINDS, Present, Snapshot, SnapshotDisk
from yun.snapshots.service.look import Tree, sizes_of, taken, tree

Sizes = Mapping[str, tuple[int, int]]


def shown(ctx: Context, rows: Sequence[Snapshot], sizes: Sizes | None = None) -> list[dict[str, Any]]:
    """Snapshots as JSON values: what each keeps, of which moment, what it takes alone (``own_bytes``) and together with
    others (``shared_bytes``), and whether its instance's present grew from it. ``instance`` is the instance's name as
    it is now, or as it was last where it is gone for good (``instance_state`` is None then). ``sizes`` are those of
    `sizes_of`, where the caller knows them."""
    session = ctx.session
    sizes = sizes if sizes is not None else sizes_of(session, rows)
    disks = _disks(session, [row.id for row in rows])
    ids = {row.instance_id for row in rows}
    query = sa.select(Instance.id, Instance.name, Instance.state).where(Instance.id.in_(ids))
    instances = {identifier: (name, state) for identifier, name, state in session.execute(query)}
    present = set(session.scalars(sa.select(Present.snapshot_id).where(Present.instance_id.in_(ids))))
    return [
        {
            "id": row.id, "name": row.name, "note": row.note, "kind": row.kind,
            "kind_text": KINDS[row.kind].render(ctx.locale) if row.kind in KINDS else row.kind,
            "state": row.state, "project_id": row.project_id,
            "instance_id": row.instance_id, "instance": instances.get(row.instance_id, (row.instance_name, None))[0],
            "instance_state": instances.get(row.instance_id, ("", None))[1],
            "parent_id": row.parent_id, "is_present": row.id in present,
            "power": row.power, "memory": bool(row.memory_path), "memory_bytes": row.memory_bytes,
            "consistency": row.consistency,
            "consistency_text": (
                CONSISTENCIES[row.consistency].render(ctx.locale) if row.consistency in CONSISTENCIES else ""
            ),
            "pause_ms": row.pause_ms, "nvram": row.nvram, "tpm": row.tpm,
            "definition": row.definition, "drives": row.drives, "disks": disks.get(row.id, []), "left": row.left,
            "own_bytes": sizes[row.id][0], "shared_bytes": sizes[row.id][1],
            "created_by": row.created_by, "taken_at": moment(row.taken_at), "created_at": moment(row.created_at),
            "revision": row.revision,
        }
        for row in rows
    ]  # fmt: skip


def _disks(session: Session, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for disk in session.scalars(sa.select(SnapshotDisk).where(SnapshotDisk.snapshot_id.in_(ids))):
        found.setdefault(disk.snapshot_id, []).append({
            "slot": disk.slot, "volume_id": disk.volume_id, "name": disk.volume_name, "size_bytes": disk.size_bytes,
        })  # fmt: skip
    for disks in found.values():
        disks.sort(key=lambda disk: (len(disk["slot"]), disk["slot"]))
    return found


def shown_tree(ctx: Context, instance: Instance) -> dict[str, Any]:
    """An instance's tree as JSON values: ``nodes`` as in `shown`, parents before their children, each with ``depth``,
    the number of its ``children``, and as ``parent_id`` the node above it that is not in the trash; ``present`` is the
    node that the instance as it is now grew from."""
    found: Tree = tree(ctx, instance)
    sizes = {node.row.id: (node.own_bytes, node.shared_bytes) for node in found.nodes}
    items = shown(ctx, [node.row for node in found.nodes], sizes)
    for item, node in zip(items, found.nodes, strict=True):
        item |= {
            "parent_id": node.parent_id, "depth": node.depth, "children": node.children,
            "is_present": node.row.id == found.present,
        }  # fmt: skip
    return {
        "instance_id": instance.id, "instance": instance.name, "instance_state": instance.state,
        "present": found.present, "nodes": items,
    }  # fmt: skip


def free_name(session: Session, instance_id: str) -> str:
    """A name that no snapshot of the instance has, in plain ASCII."""
    number = 1
    while taken(session, instance_id, f"snap-{number}"):
        number += 1
    return f"snap-{number}"
