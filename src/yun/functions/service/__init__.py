"""The verbs of network functions."""

from yun.functions.service.look import (
    arms_of,
    get,
    kind_of,
    list_functions,
    settings_digest,
    shown,
    state_of,
    surroundings,
    wanted,
)
from yun.functions.service.quiet import follow_intent
from yun.functions.service.verbs import NewFunction, client_config, create, delete, refresh, update

__all__ = [
    "NewFunction",
    "arms_of",
    "client_config",
    "create",
    "delete",
    "follow_intent",
    "get",
    "kind_of",
    "list_functions",
    "refresh",
    "settings_digest",
    "shown",
    "state_of",
    "surroundings",
    "update",
    "wanted",
]  # fmt: skip
