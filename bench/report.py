"""How measurements are printed: a table for people, one JSON document for machines."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure: its name, value, unit, what it should not exceed (or fall below), and whether it holds."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the bound is kept; None where there is none."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0…1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def show(title: str, figures: Sequence[Figure]) -> None:
    """Print the figures: JSON when asked for on the command line, else a table."""
    if "--json" in sys.argv:
        rows = [{**asdict(f), "holds": f.holds} for f in figures]
        print(json.dumps({"bench": title, "figures": rows}, ensure_ascii=False))
        return
    print(f"\n{title}")
    width = max(len(f.name) for f in figures)
    for f in figures:
        sign = {None: "", True: "ok", False: "MISSED"}[f.holds]
        bound = "" if f.bound is None else f"({'>=' if f.at_least else '<='} {f.bound:g})"
        print(f"  {f.name:<{width}}  {f.value:>10.3f} {f.unit:<10} {bound:<14} {sign}")
