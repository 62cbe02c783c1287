"""Death at every single commit of an operation, forward and backward, on both databases: the story ends the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from tests.operations.conftest import FINAL, Toy, no_drivers
from yun.base.config import Settings
from yun.base.db import Database
from yun.operations.engine import Engine
from yun.operations.model import Operation, OperationKey, State

Submit = Callable[..., str]


class Died(BaseException):
    """The process is gone."""


class Reaper:
    """Kills at the n-th commit from now: before it takes effect, or right after."""

    def __init__(self, database: Database) -> None:
        self.left = -1
        event.listen(database.engine, "commit", self.strike)

    def strike(self, _connection: sa.Connection) -> None:
        self.left -= 1
        if self.left == 0:
            raise Died


@pytest.mark.parametrize("fails", [False, True], ids=["succeeding", "failing"])
def test_a_death_at_every_commit_ends_as_if_nothing_had_happened(
    database: Database, settings: Settings, submit: Submit, toy: Toy, fails: bool
) -> None:
    reaper = Reaper(database)
    deaths = 0
    for nth in range(1, 200):
        toy.__init__()  # type: ignore[misc]
        if fails:
            toy.fail["put2"] = [FINAL] * 9
        identifier = submit(subject=f"s{nth}")
        reaper.left = nth
        died = False
        try:
            Engine(database, no_drivers(), settings).drain()
        except Died:
            died, deaths = True, deaths + 1
        reaper.left = -1
        with database.write() as session:
            session.execute(sa.text("UPDATE operation SET node_id = 'nod_dead' WHERE node_id IS NOT NULL"))
        Engine(database, no_drivers(), settings).drain()
        with database.read() as session:
            ended = session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()
            assert ended.state == (State.FAILED if fails else State.SUCCEEDED)
            assert session.scalar(sa.select(sa.func.count()).select_from(OperationKey)) == 0
        assert toy.things == (set() if fails else {f"s{nth}{n}" for n in range(3)})
        if not died:
            break
    assert deaths > 8, "every commit was a place to die"
