"""The rooms of the house, lowest first. Only the composition roots read this list; deleting a room is one line here."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

ROOMS = ("operations", "identity", "hosts", "storage", "images", "network", "compute", "functions", "snapshots")


def furniture(name: str) -> list[ModuleType]:
    """The module ``name`` (``flows``, ``api``, ``pages``, ``model``) of every room that has one, lowest room first."""
    found = []
    for room in ROOMS:
        path = f"yun.{room}.{name}"
        if importlib.util.find_spec(path) is not None:
            found.append(importlib.import_module(path))
    return found
