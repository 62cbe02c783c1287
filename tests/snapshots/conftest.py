"""A whole cloud in memory, and words to speak of its snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.compute.conftest import Lab
from tests.compute.conftest import lab as _lab
from yun.compute import service as compute
from yun.operations.model import State
from yun.operations.service import submit
from yun.snapshots import service
from yun.snapshots.model import Snapshot
from yun.snapshots.service import NewFromSnapshot, RestoreWish, SnapshotWish
from yun.storage.model import Head, Volume

lab = _lab


class Past:
    """A lab with a machine called web, and its tree."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def do(self, make: Callable[..., Any], state: str = State.SUCCEEDED) -> str:
        """Submit and drain; the operation's id, which ended in that state."""
        with self.lab.asking() as ctx:
            identifier = submit(ctx, make(ctx)).id
        self.lab.drain()
        ended = self.lab.operation(identifier)
        assert ended.state == state, (ended.state, ended.error)
        return str(identifier)

    def meet(self, name: str = "web") -> None:
        """Its agent is seen."""
        self.do(lambda ctx: compute.tend(ctx, compute.get(ctx, name)))

    def take(self, name: str, *, of: str = "web", state: str = State.SUCCEEDED, **wish: Any) -> str:
        """A snapshot; the operation's id."""
        return self.do(lambda ctx: service.create(ctx, compute.get(ctx, of), SnapshotWish(name, **wish)), state)

    def restore(self, name: str, *, state: str = State.SUCCEEDED, **wish: Any) -> str:
        """Go back; the operation's id."""
        return self.do(lambda ctx: service.restore(ctx, service.get(ctx, name), RestoreWish(**wish)), state)

    def restore_as(self, name: str, new: str, *, state: str = State.SUCCEEDED, **wish: Any) -> str:
        """A new instance; the operation's id."""
        return self.do(
            lambda ctx: service.restore_as(ctx, service.get(ctx, name), NewFromSnapshot(new, **wish)), state
        )

    def delete(self, name: str) -> str:
        """Into the trash; the operation's id."""
        return self.do(lambda ctx: service.delete(ctx, service.get(ctx, name)))

    def purge(self, name: str) -> str:
        """Away for good; the operation's id."""
        return self.do(lambda ctx: service.purge(ctx, service.get(ctx, name)))

    def row(self, name: str) -> Snapshot:
        """A snapshot as it is in the database now."""
        return next(row for row in self.lab.rows(Snapshot) if row.name == name)

    def tree(self, of: str = "web") -> tuple[list[tuple[int, str]], str]:
        """Depth and name of each node, and the name of the one that the present grew from."""
        with self.lab.asking() as ctx:
            found = service.tree(ctx, compute.get(ctx, of))
            names = {node.row.id: node.row.name for node in found.nodes}
            return [(node.depth, node.row.name) for node in found.nodes], names.get(found.present or "", "")

    @property
    def files(self) -> dict[str, Any]:
        """The disk files in memory."""
        host_id = self.lab.row().host_id
        return self.lab.cloud.drivers.on(host_id).volume.world.files  # type: ignore[attr-defined,no-any-return]

    def head(self, volume: str = "web") -> Head:
        """The head of a volume by the volume's name."""
        found = next(v for v in self.lab.rows(Volume) if v.name == volume)
        return next(h for h in self.lab.rows(Head) if h.volume_id == found.id)

    def write(self, text: str, volume: str = "web") -> None:
        """The guest has written to its disk."""
        self.files[self.head(volume).path].content += text

    def reads(self, volume: str = "web") -> str:
        """What the guest finds on its disk, the newest first: what it has written to each file of the chain."""
        path, found = self.head(volume).path, []
        while path:
            file = self.files[path]
            found.append(file.content)
            path = file.backing
        return "|".join(part for part in found if part)


@pytest.fixture
def past(lab: Lab) -> Past:
    """A machine that runs, its agent seen."""
    made = Past(lab)
    lab.create()
    made.meet()
    return made
