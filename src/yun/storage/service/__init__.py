"""The verbs of storage, and what rooms above ask of it: plans for volumes, places of disks, holds on layers."""

from yun.storage.service.layers import children_of, get_layer, hold, layer_is_needed, let_go
from yun.storage.service.pools import (
    PoolChanges,
    create_pool,
    default_pool,
    delete_pool,
    get_pool,
    list_pools,
    pool_room,
    update_pool,
)
from yun.storage.service.trash import due, get_item, list_trash, purge, purge_intent, restore
from yun.storage.service.volumes import (
    Disk,
    VolumePlan,
    attach,
    attachments_of,
    create_volume,
    delete_volume,
    detach,
    disk_path,
    get_volume,
    list_volumes,
    plan_volume,
)

__all__ = [
    "Disk", "PoolChanges", "VolumePlan", "attach", "attachments_of", "children_of", "create_pool", "create_volume",
    "default_pool", "delete_pool", "delete_volume", "detach", "disk_path", "due", "get_item", "get_layer", "get_pool",
    "get_volume", "hold", "layer_is_needed", "let_go", "list_pools", "list_trash", "list_volumes", "plan_volume",
    "pool_room", "purge", "purge_intent", "restore", "update_pool",
]  # fmt: skip
