"""What was asked for and cancelled while it waited leaves nothing: no row, no address, nothing in the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.network.conftest import Asking, Do
from yun.base.context import Context
from yun.base.db import Base, Database
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.service import NewBalancer, NewListener, NewNetwork, NewSubnet
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.intent import Intent

pytestmark = pytest.mark.usefixtures("cloud")
LISTENER = NewListener(80)
ASKED: dict[str, Callable[[Context], Intent]] = {
    "network.create": lambda ctx: service.create_network(ctx, NewNetwork("lab", subnet=NewSubnet("10.9.0.0/24"))),
    "subnet.create": lambda ctx: service.create_subnet(
        ctx, service.get_network(ctx, "default"), NewSubnet("10.9.0.0/24")
    ),
    "security_group.create": lambda ctx: service.create_group(ctx, "web"),
    "load_balancer.create": lambda ctx: service.create_balancer(
        ctx, NewBalancer("shop", floating_ip="new", listeners=(LISTENER,))
    ),
}
HISTORY = ("operation", "event", "audit", "notice", "node", "periodic", "reply")


def rows(database: Database) -> dict[str, Any]:
    """How many rows each table has, history apart."""
    with database.read() as session:
        return {
            t.name: session.scalar(sa.select(sa.func.count()).select_from(t))
            for t in Base.metadata.sorted_tables
            if not t.name.startswith(HISTORY)
        }


@pytest.mark.parametrize("kind", ASKED)
def test_a_creation_that_is_cancelled_while_it_waits_leaves_nothing(
    kind: str, database: Database, engine: Engine, world: World, asking: Asking, do: Do
) -> None:
    engine.drain()
    before, known = rows(database), world.snapshot()
    with asking() as ctx:
        waiting = operations.submit(ctx, ASKED[kind](ctx))
        identifier = waiting.id
        assert waiting.kind == kind
    with asking() as ctx:
        operations.cancel(ctx, identifier)
    engine.drain()
    assert rows(database) == before
    assert world.snapshot() == known
