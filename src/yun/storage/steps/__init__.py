"""The journaled steps of storage, with their undos: walked by the flows of this room and of those above."""

from yun.storage.steps.layers import adopt_layer, collect_layers, drop_layer
from yun.storage.steps.measuring import measure_volumes
from yun.storage.steps.pools import change_pool, forget_pool, make_pool, remove_directories, tend_pools
from yun.storage.steps.reconcile import compare
from yun.storage.steps.tags import tag_volume
from yun.storage.steps.volumes import (
    begin_volume,
    grow_file,
    make_volume,
    may_purge,
    purge_due,
    purge_volume,
    trash_volume,
)

__all__ = [
    "adopt_layer",
    "begin_volume",
    "change_pool",
    "collect_layers",
    "compare",
    "drop_layer",
    "forget_pool",
    "grow_file",
    "make_pool",
    "make_volume",
    "may_purge",
    "measure_volumes",
    "purge_due",
    "purge_volume",
    "remove_directories",
    "tag_volume",
    "tend_pools",
    "trash_volume",
]  # fmt: skip
