"""The journaled steps of snapshots."""

from yun.snapshots.steps.building import give_firmware
from yun.snapshots.steps.capture import begin, begin_fork, capture, finish, keep_firmware
from yun.snapshots.steps.going_back import begin_restore, bring_firmware, clear_old, lay_heads, turn
from yun.snapshots.steps.individual import be_oneself
from yun.snapshots.steps.rows import begin_purge, edit, forget, purge_orphans, remove_kept, trash
from yun.snapshots.steps.waking import check_memory, describe, go_on_from, switch_off, tell_time, wake_fork

__all__ = [
    "be_oneself", "begin", "begin_fork", "begin_purge", "begin_restore", "bring_firmware", "capture",
    "check_memory", "clear_old", "describe", "edit", "finish", "forget", "give_firmware", "go_on_from",
    "keep_firmware", "lay_heads", "purge_orphans", "remove_kept", "switch_off", "tell_time", "trash", "turn",
    "wake_fork",
]  # fmt: skip
