"""The addresses of all pages that are only looked at, also of rooms whose pages are a package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yun.rooms import furniture


def page_addresses() -> list[str]:
    """Path patterns of every GET page of every room."""
    return [path for room in furniture("pages") for path in _below(room.router)]


def _below(router: Any) -> Iterator[str]:
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _below(inner)
        elif "GET" in (getattr(route, "methods", None) or ()):
            yield route.path
