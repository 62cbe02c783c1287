"""How a tree of snapshots is drawn, by whoever draws it: each node a row, its line in a column. Pure.

The way to the present stays in the leftmost column, however many nodes it has; what branches off it stands one column
to the right and above what goes on, so that every column left of a row's own has a line that passes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A row of the picture. ``id`` is a node's, None for the present. ``lane`` is its column, ``up`` whether a line
    comes from the row's own column, ``off`` whether it branches off the column to the left, ``down`` whether its own
    line goes on below."""

    id: str | None
    lane: int = 0
    up: bool = False
    off: bool = False
    down: bool = False


def drawn(nodes: Sequence[tuple[str, str | None]], present: str | None) -> list[Line]:
    """The rows of a tree of (id, parent's id), older ones first; the present hangs on the node ``present``, or stands
    alone where that is None."""
    there = {identifier for identifier, _parent in nodes}
    children: dict[str | None, list[str | None]] = {}
    parents: dict[str, str | None] = {}
    for identifier, parent in nodes:
        parents[identifier] = parent if parent in there else None
        children.setdefault(parents[identifier], []).append(identifier)
    home = present if present in there else None
    main = _way(parents, home)
    children.setdefault(home, []).append(None)
    lines: list[Line] = []
    open_ = [Line(root) for root in sorted(children[None], key=lambda one: one is None or one in main)[::-1]]
    while open_:
        line = open_.pop()
        below = children.get(line.id, []) if line.id is not None else []
        # Whatever leads to the present goes straight on, else the newest; all others branch off before it.
        below = [*(b for b in below if b is not None and b not in main), *(b for b in below if b is None or b in main)]
        lines.append(Line(line.id, line.lane, line.up, line.off, bool(below)))
        if below:
            open_.append(Line(below[-1], line.lane, up=True))
            open_ += [Line(each, line.lane + 1, off=True) for each in reversed(below[:-1])]
    return lines


def _way(parents: dict[str, str | None], to: str | None) -> set[str]:
    way: set[str] = set()
    while to is not None and to not in way:
        way.add(to)
        to = parents.get(to)
    return way
