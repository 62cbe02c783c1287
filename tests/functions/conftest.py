"""A whole cloud in memory with the image of network functions, and words to speak of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.compute.conftest import Lab
from tests.compute.conftest import lab as _lab
from yun.compute import service as compute
from yun.drivers.hypervisor.fake.functions import FakeFunction
from yun.functions import service
from yun.images import service as images
from yun.network import service as network
from yun.operations.model import State
from yun.operations.service import submit

KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
PEER = {"name": "laptop", "public_key": KEY, "addresses": ["10.99.0.2/32"]}


class Street:
    """A lab with its functions."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.do(lambda ctx: images.build(ctx, "function"))
        self.do(lambda ctx: network.create_network(
            ctx, network.NewNetwork("inside", subnet=network.NewSubnet(cidr="10.60.0.0/24"))
        ))  # fmt: skip

    def do(self, make: Callable[..., Any], state: str = State.SUCCEEDED) -> str:
        """Submit and drain; the operation's id, which ended in that state."""
        with self.lab.asking() as ctx:
            identifier = submit(ctx, make(ctx)).id
        self.lab.drain()
        ended = self.lab.operation(identifier)
        assert ended.state == state, ended.error
        return str(identifier)

    def make(self, kind: str, settings: dict[str, Any] | None = None, name: str = "f1", **rest: Any) -> str:
        """A function that runs, its agent seen."""
        done = self.do(lambda ctx: service.create(ctx, service.NewFunction(name, kind, settings or {}, **rest)))
        self.meet(name)
        return done

    def meet(self, name: str) -> None:
        """Its agent is seen."""
        self.do(lambda ctx: compute.tend(ctx, compute.get(ctx, name)))

    def update(self, settings: dict[str, Any], name: str = "f1", state: str = State.SUCCEEDED) -> str:
        """Other settings; the operation's id."""
        return self.do(lambda ctx: service.update(ctx, *service.get(ctx, name), settings), state)

    def refresh(self, name: str = "f1") -> dict[str, Any]:
        """Ask it, and show it."""
        self.do(lambda ctx: service.refresh(ctx, *service.get(ctx, name)))
        return self.shown(name)

    def shown(self, name: str = "f1") -> dict[str, Any]:
        """The function as people see it."""
        with self.lab.asking() as ctx:
            return service.shown(ctx, [service.get(ctx, name)[0]])[0]

    def guest(self, name: str = "f1") -> FakeFunction:
        """What runs in it."""
        return self.lab.domain(name).guest.inside.function

    def seed(self, name: str = "f1") -> str:
        """What its seed holds, in a word."""
        row = self.lab.row(name)
        store: Any = self.lab.cloud.drivers.on(row.host_id).volume
        (path,) = [p for p in store.world.files if row.id in p and p.endswith(".iso")]
        return str(store.world.files[path].content)


lab = _lab


@pytest.fixture
def street(lab: Lab) -> Street:
    """A lab with its functions."""
    return Street(lab)
