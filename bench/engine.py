"""The operations engine: submit → first step, the cost of a step, throughput, a look into a long history, idling.

Run: python -m bench.engine [--json] [DATABASE_URL]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.report import Figure, median, percentile, show
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database
from yun.base.messages import _
from yun.drivers.bundle import Drivers
from yun.operations import flows as _flows  # noqa: F401
from yun.operations import service
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation, step
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation

STARTED: dict[str, float] = {}
DONE = threading.Event()
LEFT = [0]
LOCK = threading.Lock()


@step()
def first(op: Op, name: str) -> None:
    """Note when it ran."""
    STARTED.setdefault(name, time.perf_counter())


@step()
def nothing(op: Op) -> None:
    """Cost nothing but the journal."""


@operation("bench.five")
def five(op: Op, name: str) -> None:
    """Five steps."""
    op.step(first, name)
    for _n in range(4):
        op.step(nothing)
    with LOCK:
        LEFT[0] -= 1
        if not LEFT[0]:
            DONE.set()


@operation("bench.hundred")
def hundred(op: Op, name: str) -> None:
    """A hundred steps."""
    for _n in range(100):
        op.step(nothing)
    DONE.set()


def submit(database: Database, settings: Settings, kind: str, name: str) -> None:
    """Submit one, with an instance's key and a host's slots."""
    with database.write() as session:
        ctx = Context(actor=SYSTEM, session=session, settings=settings)
        keys = (Key(f"instance:{name}"), Key("host:h1", 8))
        service.submit(
            ctx,
            Intent(kind=kind, title=_("Bench"), subject=Subject("instance", name), arguments={"name": name}, keys=keys),
        )


def latency(database: Database, settings: Settings) -> list[float]:
    """Milliseconds from before submit to the first step, one at a time."""
    took = []
    for n in range(100):
        DONE.clear()
        LEFT[0] = 1
        begun = time.perf_counter()
        submit(database, settings, "bench.five", f"l{n}")
        DONE.wait(30)
        took.append((STARTED[f"l{n}"] - begun) * 1000)
    return took


def throughput(database: Database, settings: Settings, count: int = 200) -> float:
    """Five-step operations per second, submissions included."""
    DONE.clear()
    LEFT[0] = count
    begun = time.perf_counter()
    for n in range(count):
        submit(database, settings, "bench.five", f"t{n}")
    DONE.wait(120)
    return count / (time.perf_counter() - begun)


def step_cost(database: Database, settings: Settings) -> float:
    """Milliseconds per step."""
    DONE.clear()
    begun = time.perf_counter()
    submit(database, settings, "bench.hundred", "s")
    DONE.wait(60)
    return (time.perf_counter() - begun) * 10


def history(database: Database, engine: Engine, count: int = 100_000) -> float:
    """Milliseconds of an empty claim over a long history."""
    row: dict[str, Any] = {
        "kind": "bench.five", "title": {"text": "x"}, "actor_kind": "system", "actor_id": "s", "actor_name": "s",
        "subject_kind": "instance", "subject_id": "x", "subject_name": "x", "arguments": {}, "preview": {}, "keys": [],
        "state": "succeeded", "finished_at": datetime.now(UTC),
    }  # fmt: skip
    with database.write() as session:
        for start in range(0, count, 10_000):
            rows = [{**row, "id": f"op_h{n}"} for n in range(start, start + 10_000)]
            session.execute(sa.insert(Operation), rows)
    took = []
    for _n in range(50):
        begun = time.perf_counter()
        engine.claim(8)
        took.append((time.perf_counter() - begun) * 1000)
    return median(took)


def idle(seconds: float = 5.0) -> float:
    """Percent of a core while nothing happens."""
    before = time.process_time()
    time.sleep(seconds)
    return (time.process_time() - before) / seconds * 100


def main() -> None:
    """Measure on a fresh database and print."""
    urls = [a for a in sys.argv[1:] if not a.startswith("--")]
    with tempfile.TemporaryDirectory() as folder:
        database = Database(urls[0] if urls else f"sqlite:///{folder}/yun.db")
        database.create()
        settings = Settings(state_dir=Path(folder), fake=True)
        engine = Engine(database, Drivers(network=None, connect=lambda h: {}[h]), settings)  # type: ignore[arg-type]
        engine.start()
        small = database.sqlite
        try:
            took = latency(database, settings)
            figures = [
                Figure("submit to first step, p50", median(took), "ms", 13 if small else 18),
                Figure("submit to first step, p95", percentile(took, 0.95), "ms"),
                Figure("one step (two commits)", step_cost(database, settings), "ms", 2.3 if small else 5.4),
                Figure("five-step operations", throughput(database, settings), "per second", 50, at_least=True),
                Figure("idle", idle(), "% of core", 0.9),
                Figure("empty claim, 100,000 in history", history(database, engine), "ms", 1.4),
                Figure("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB"),
            ]
        finally:
            engine.stop()
            database.close()
    show(f"engine on {'SQLite' if small else 'PostgreSQL'}", figures)


if __name__ == "__main__":
    main()
