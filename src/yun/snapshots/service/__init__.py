"""The verbs of snapshots."""

from yun.snapshots.service.create import SnapshotWish, create, subject_of, take_disk, update
from yun.snapshots.service.fork import ForkWish, fork
from yun.snapshots.service.look import (
    DEFINITION,
    Node,
    Tree,
    compare,
    disks_of,
    get,
    instance_of,
    list_snapshots,
    present_of,
    sizes_of,
    tree,
)
from yun.snapshots.service.remove import delete, purge, purge_intent
from yun.snapshots.service.restore import ADDED, RestoreWish, restore
from yun.snapshots.service.restore_as import NewFromSnapshot, restore_as
from yun.snapshots.service.view import free_name, shown, shown_tree

__all__ = [
    "ADDED",
    "DEFINITION",
    "ForkWish",
    "NewFromSnapshot",
    "Node",
    "RestoreWish",
    "SnapshotWish",
    "Tree",
    "compare",
    "create",
    "delete",
    "disks_of",
    "fork",
    "free_name",
    "get",
    "instance_of",
    "list_snapshots",
    "present_of",
    "purge",
    "purge_intent",
    "restore",
    "restore_as",
    "shown",
    "shown_tree",
    "sizes_of",
    "subject_of",
    "take_disk",
    "tree",
    "update",
]  # fmt: skip
