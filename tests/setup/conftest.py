"""A whole cloud in memory for the tests of its going up and down."""

from __future__ import annotations

from tests.compute.conftest import first_day, lab

__all__ = ["first_day", "lab"]
