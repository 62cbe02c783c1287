"""What the tests on real daemons share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.cloud import Desk, living_cloud


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One living cloud for all tests that leave it as they found it: up, empty but for the tiny image."""
    with living_cloud("newbox", tmp_path_factory.mktemp("newbox")) as made:
        yield made


@pytest.fixture
def chromium_there(play: Any, desk: Desk, tmp_path: Path) -> Iterator[Any]:
    """A browser in the private host's network; it is spoken to through pipes."""
    from tests.browser.conftest import FLAGS

    where = shutil.which("chromium") or shutil.which("google-chrome")
    starter = tmp_path / "chromium"
    starter.write_text(f'#!/bin/sh\nexec nsenter -t {desk.host.pid} -n -- {where} "$@"\n')
    starter.chmod(0o755)
    browser = play.chromium.launch(executable_path=starter, args=list(FLAGS))
    yield browser
    browser.close()
