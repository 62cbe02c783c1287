"""The driver on the machine room in memory: all its parts together."""

from __future__ import annotations

from collections.abc import Callable

from yun.drivers.hypervisor.fake.asking import FakeAsking
from yun.drivers.hypervisor.fake.boots import FakeBoots
from yun.drivers.hypervisor.fake.console import FakeConsole
from yun.drivers.hypervisor.fake.definitions import FakeDefinitions
from yun.drivers.hypervisor.fake.limits import FakeLimits
from yun.drivers.hypervisor.fake.look import FakeLook
from yun.drivers.hypervisor.fake.memory import FakeMemories
from yun.drivers.hypervisor.fake.nics import FakeNics
from yun.drivers.hypervisor.fake.places import FakePlaces
from yun.drivers.hypervisor.fake.power import FakePower
from yun.drivers.hypervisor.fake.pull import FakePulls
from yun.drivers.hypervisor.fake.size import FakeSize


class FakeHypervisor(
    FakeDefinitions, FakePower, FakeMemories, FakePulls, FakeLimits, FakeNics, FakePlaces, FakeSize, FakeBoots,
    FakeLook, FakeConsole, FakeAsking,
):  # fmt: skip
    """The driver on a `FakeWorld`; ``timeout`` in seconds as the real one's. ``files`` is the disk store whose files
    its machines write to, where the house has one."""

    def subscribe(self, nudge: Callable[[str], None]) -> None:
        self.world.nudges.subscribe(self, nudge)

    def close(self) -> None:
        self.world.nudges.unsubscribe(self)
