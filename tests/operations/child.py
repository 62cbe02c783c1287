"""A process with an engine on a toy room whose things are files: the suite kills it at random moments.

Usage: child.py URL DIRECTORY SECONDS_PER_STEP
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from yun.base.config import Settings
from yun.base.db import Database
from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.bundle import Drivers
from yun.operations import flows as _flows  # noqa: F401
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation, step

ROOT = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()
PAUSE = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0


def remove(op: Op, output: Any, name: str, n: int) -> None:
    time.sleep(PAUSE)
    (ROOT / f"{name}.{n}").unlink(missing_ok=True)


@step(undo=remove)
def make(op: Op, name: str, n: int) -> str:
    inside = ROOT / f"inside.{name}"
    try:
        inside.touch(exist_ok=False)
    except FileExistsError:
        (ROOT / f"overlap.{name}.{op.id}").touch()
    time.sleep(PAUSE)
    path = ROOT / f"{name}.{n}"
    with (ROOT / "order").open("a") as order:
        order.write(f"{name} {op.id} {n}\n")
    path.touch()
    inside.unlink(missing_ok=True)
    return str(path)


@step()
def refuse(op: Op, name: str) -> None:
    raise DriverError(_("No."), retryable=False)


@operation("child.build")
def build(op: Op, name: str, steps: int, fail: bool = False, at_once: bool = False) -> Any:
    if at_once:
        op.together([(make, name, n) for n in range(steps)])
    else:
        for n in range(steps):
            op.step(make, name, n)
    if fail:
        op.step(refuse, name)


def main() -> None:
    """Run until killed."""
    database = Database(sys.argv[1])
    settings = Settings(state_dir=ROOT, heartbeat_seconds=0.2, node_timeout=1.5)
    drivers = Drivers(network=None, connect=lambda host: {}[host])  # type: ignore[arg-type]
    engine = Engine(database, drivers, settings)
    engine.start()
    print("ready", flush=True)  # noqa: T201
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
