"""The verbs of operations: submit, look, cancel, undo, retry, abandon; and the notices."""

from yun.operations.service.change import abandon, cancel, give_up, retry
from yun.operations.service.look import (
    dismiss,
    events_after,
    get,
    last_event,
    list_operations,
    notices,
    steps,
    surface,
    waits_for,
)  # fmt: skip
from yun.operations.service.submit import submit
from yun.operations.service.undo import check_undoable, close_undo, later, undo

__all__ = [
    "abandon", "cancel", "check_undoable", "close_undo", "dismiss", "events_after", "get", "give_up", "last_event",
    "later", "list_operations", "notices", "retry", "steps", "submit", "surface", "undo", "waits_for",
]  # fmt: skip
