"""A whole cloud in memory for the tests of its going up and down."""

from __future__ import annotations

from tests.compute.conftest import lab

__all__ = ["lab"]
