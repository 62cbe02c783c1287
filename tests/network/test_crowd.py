"""Ports that come up at once are looked at together."""

from __future__ import annotations

import time
from collections.abc import Callable

from yun.network.crowd import Crowd


def test_one_is_looked_at_at_once_and_those_right_behind_it_together() -> None:
    seen: list[list[str]] = []
    crowd = Crowd(seen.append)
    crowd.add("a")
    assert seen == [["a"]]
    for name in ("b", "c", "b", "d"):
        crowd.add(name)
    assert seen == [["a"]]
    _until(lambda: len(seen) == 2)
    assert seen[1] == ["b", "c", "d"]
    _until(lambda: not crowd._open)
    crowd.add("e")
    assert seen[2] == ["e"]


def test_a_crowd_too_large_for_one_look_loses_nobody() -> None:
    seen: list[list[str]] = []
    crowd = Crowd(seen.append)
    names = [f"p{n}" for n in range(Crowd.MOST + 7)]
    for name in names:
        crowd.add(name)
    _until(lambda: sum(map(len, seen)) == len(names))
    assert [len(ports) for ports in seen] == [1, Crowd.MOST, 6]
    assert [name for ports in seen for name in ports] == names


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)
