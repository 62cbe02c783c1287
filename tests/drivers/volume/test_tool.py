"""Running qemu-img: a slow one is waited for, a stuck one is not, and whatever it says can be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from yun.base.errors import DriverError
from yun.drivers.volume import tool


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program of this name that does what the script says."""
    program = tmp_path / "qemu-img"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    monkeypatch.setitem(tool.ENVIRONMENT, "PATH", f"{tmp_path}:/usr/bin:/bin")


def quiet(_part: float) -> None:
    """Nobody looks."""


def test_a_copy_whose_percent_stands_still_while_bytes_move_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    stand_in(
        tmp_path, monkeypatch,
        f"printf '(1.00/100%%)\\r'; for n in 1 2 3 4 5 6 7 8 9 10; do echo $n >> {out}; sleep 0.2; done",
    )  # fmt: skip
    tool.image_progress(["convert"], path="x", progress=quiet, stall=0.6)
    assert len(out.read_text().splitlines()) == 10


def test_a_copy_that_moves_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "printf '(1.00/100%%)\\r'; exec sleep 60")
    with pytest.raises(DriverError) as caught:
        tool.image_progress(["convert"], path="x", progress=quiet, stall=0.6)
    assert caught.value.retryable


def test_what_the_tool_complains_of_can_be_shown_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "printf 'bad name \\000 \\033[2J \\377\\nsecond line\\n' >&2; exit 1")
    with pytest.raises(DriverError) as short:
        tool.image(["info"], path="x")
    with pytest.raises(DriverError) as long:
        tool.image_progress(["convert"], path="x", progress=quiet)
    for error in (short.value, long.value):
        said = error.message.render("en")
        assert said.isprintable()
        assert "second line" in said
