"""What the tests on real daemons share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.cloud import Desk, living_cloud


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One living cloud for all tests that leave it as they found it: up, empty but for the tiny image."""
    with living_cloud("newbox", tmp_path_factory.mktemp("newbox")) as made:
        yield made
