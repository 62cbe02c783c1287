"""The networks' operations, and the watch on the network engine's notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    def nudge(port_id: str) -> None:
        if port_id == "balancer":
            engine.nudge("load_balancer.tend", Subject("load_balancer", "all"))
        elif port_id:
            engine.nudge("network.tend", Subject("port", port_id), port_ids=[port_id])
        else:
            engine.nudge("network.reconcile", Subject("network", "cloud"))

    engine.drivers.network.subscribe(nudge)
