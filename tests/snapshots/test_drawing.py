"""How trees are drawn: the way to the present straight, what branches off beside it."""

from __future__ import annotations

import time

from yun.snapshots.drawing import Line, drawn


def picture(nodes: list[tuple[str, str | None]], present: str | None) -> list[str]:
    lines = drawn(nodes, present)
    return [f"{line.lane}{'/' if line.off else '|' if line.up else ' '}{line.id or '*'}" for line in lines]


def test_a_chain_is_one_column_however_long() -> None:
    assert picture([("a", None), ("b", "a"), ("c", "b")], "c") == ["0 a", "0|b", "0|c", "0|*"]


def test_what_does_not_lead_to_the_present_branches_off_above_what_does() -> None:
    nodes = [("a", None), ("b", "a"), ("c", "b"), ("d", "a")]
    assert picture(nodes, "a") == ["0 a", "1/b", "1|c", "1/d", "0|*"]
    assert picture(nodes, "c") == ["0 a", "1/d", "0|b", "0|c", "0|*"]
    assert picture([*nodes, ("e", "b")], "d") == ["0 a", "1/b", "2/c", "1|e", "0|d", "0|*"]


def test_a_present_without_a_node_stands_alone_and_an_unknown_parent_is_none() -> None:
    assert picture([("a", "gone"), ("b", "a")], None) == ["0 a", "0|b", "0 *"]
    assert picture([("a", None)], "gone") == ["0 a", "0 *"]
    assert drawn([], None) == [Line(None)]


def test_a_line_goes_on_below_where_something_follows_in_its_column() -> None:
    assert [line.down for line in drawn([("a", None), ("b", "a"), ("c", "a")], "c")] == [True, False, True, False]


def test_ten_thousand_nodes_are_drawn_at_once() -> None:
    nodes: list[tuple[str, str | None]] = [("0", None), *((str(n), str(n - 1)) for n in range(1, 10_000))]
    begun = time.perf_counter()
    assert len(drawn(nodes, "9999")) == 10_001
    assert time.perf_counter() - begun < 1.0
