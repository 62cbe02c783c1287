"""The operations of storage: pools, volumes, the trash, and the look at every file."""

from __future__ import annotations

from typing import Any

from yun.operations.flow import Op, operation, periodic
from yun.storage import steps


@periodic("pool.tend", every=10.0)
@operation("pool.tend")
def tend(op: Op) -> list[str] | None:
    """Look at every pool's space."""
    changed: list[str] | None = op.step(steps.tend_pools)
    return changed


@operation("pool.create")
def create_pool(op: Op, pool_id: str, host_id: str, name: str, path: str) -> Any:
    """Directories, then the row."""
    op.step(steps.make_pool, pool_id, host_id, name, path)
    return {"pool_id": pool_id}


@operation("pool.update")
def update_pool(op: Op, pool_id: str, changes: dict[str, Any]) -> Any:
    """Change limits."""
    op.step(steps.change_pool, pool_id, changes)
    return changes


@operation("pool.delete")
def delete_pool(op: Op, pool_id: str) -> Any:
    """The row, then the empty directories."""
    was = op.step(steps.forget_pool, pool_id)
    op.step(steps.remove_directories, was["host_id"], was["path"], was["name"])
    return {"pool_id": pool_id}


@operation("volume.create")
def create_volume(op: Op, volume_id: str) -> Any:
    """An empty disk."""
    op.step(steps.begin_volume, volume_id)
    op.step(steps.make_volume, volume_id)
    return {"volume_id": volume_id}


@operation("volume.tag")
def tag_volume(op: Op, volume_id: str, tags: list[str]) -> Any:
    """Other tags."""
    op.step(steps.tag_volume, volume_id, tags)
    return {"volume_id": volume_id}


@operation("volume.delete")
def delete_volume(op: Op, volume_id: str, trash_id: str, purge_at: str) -> Any:
    """To the trash; its file stays where it is."""
    op.step(steps.trash_volume, volume_id, trash_id, purge_at)
    return {"volume_id": volume_id}


@operation("volume.purge", forward=True)
def purge_volume(op: Op, volume_id: str) -> Any:
    """For good."""
    purged = op.step(steps.may_purge, volume_id) and op.step(steps.purge_volume, volume_id)
    return {"purged": bool(purged)}


@periodic("volume.measure", every=60.0)
@operation("volume.measure")
def measure(op: Op) -> None:
    """Find out what every volume takes on its host."""
    op.step(steps.measure_volumes)


@periodic("trash.purge_expired", every=60.0)
@operation("trash.purge_expired")
def purge_expired(op: Op) -> int | None:
    """Order the purge of everything whose time in the trash is over."""
    return op.step(steps.purge_due) or None


@periodic("storage.reconcile", every=300.0)
@operation("storage.reconcile")
def reconcile(op: Op) -> Any:
    """Compare the graph with the disk, mend what can be mended, and remove layers that nothing needs."""
    found = op.step(steps.compare)
    removed = op.step(steps.collect_layers)
    return {**(found or {}), **({"collected": removed} if removed else {})} or None
