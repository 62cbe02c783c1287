"""Whatever is submitted, claimed and finished in whatever order: keys, slots and first-come-first-served hold."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.operations.conftest import no_drivers
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database
from yun.base.messages import _
from yun.operations import service
from yun.operations.engine import Engine
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import OPEN, Operation, State

keys = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 2)), min_size=1, max_size=3, unique_by=lambda k: k[0]
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), keys),
        st.tuples(st.just("claim"), st.integers(1, 3)),
        st.tuples(st.just("finish"), st.integers(0, 5)),
    ),
    min_size=5,
    max_size=40,
)


def check(database: Database, submitted: list[tuple[str, dict[str, int]]]) -> set[str]:
    """The invariants; returns what runs."""
    with database.read() as session:
        states: dict[str, str] = {
            row.id: row.state for row in session.execute(sa.select(Operation.id, Operation.state))
        }
    running = {i for i, s in states.items() if s == State.RUNNING}
    for place, (identifier, wants) in enumerate(submitted):
        if identifier in running:
            for key, slots in wants.items():
                ahead = [i for i, theirs in submitted[:place] if key in theirs and states[i] in OPEN]
                assert len(ahead) < slots, f"{identifier} runs although {ahead} stand before it at {key}"
    return running


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(actions)
def test_no_key_is_ever_shared_beyond_its_slots_and_order_is_kept(script: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/yun.db")
        database.create()
        settings = Settings(state_dir=Path(folder), fake=True)
        engine = Engine(database, no_drivers(), settings)
        submitted: list[tuple[str, dict[str, int]]] = []
        claimed: list[Operation] = []
        for action, value in script:
            if action == "submit":
                with database.write() as session:
                    ctx = Context(actor=SYSTEM, session=session, settings=settings)
                    intent = Intent(
                        kind="toy.look", title=_("Look"), subject=Subject("toy", "x"), arguments={"changed": True},
                        keys=tuple(Key(key, slots) for key, slots in value),
                    )  # fmt: skip
                    submitted.append((service.submit(ctx, intent).id, dict(value)))
            elif action == "claim":
                claimed += engine.claim(value)
            elif claimed:
                operation = claimed.pop(value % len(claimed))
                engine.run(operation)
                engine.active.pop(operation.seq, None)
            assert check(database, submitted) == {o.id for o in claimed}
        while claimed:
            operation = claimed.pop()
            engine.run(operation)
            engine.active.pop(operation.seq, None)
        engine.drain()
        with database.read() as session:
            assert set(session.scalars(sa.select(Operation.state))) <= {State.SUCCEEDED}
        database.close()
