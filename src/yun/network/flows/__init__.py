"""The networks' operations, and the watch on the network engine's notices."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from yun.network.crowd import Crowd
from yun.network.flows import (  # noqa: F401 (they declare operations)
    balancers,
    captures,
    chains,
    floating,
    forwarding,
    groups,
    keeping,
    networks,
    peering,
    physical,
    ports,
    records,
    reserving,
    routers,
    sharing,
)
from yun.operations.intent import Subject

if TYPE_CHECKING:
    from yun.operations.engine import Engine


def attach(engine: Engine) -> None:
    """Let the network engine's notices wake the operations that look."""
    numbers = itertools.count()

    def look(port_ids: list[str]) -> None:
        # A number of its own: a crowd that waits already is another one.
        subject = Subject("port", port_ids[0]) if len(port_ids) == 1 else Subject("network", f"ports-{next(numbers)}")
        engine.nudge("network.tend", subject, port_ids=port_ids)

    crowd = Crowd(look)

    def nudge(notice: str) -> None:
        if notice == "balancer":
            engine.nudge("load_balancer.tend", Subject("load_balancer", "all"))
        elif notice:
            # Whoever drains wants it now.
            (crowd.add if engine.running else lambda port_id: look([port_id]))(notice)
        else:
            engine.nudge("network.reconcile", Subject("network", "cloud"))

    engine.drivers.network.subscribe(nudge)
