"""A hypervisor in memory that passes the real one's contract: for tests and for `yun dev`.

`FakeWorld` is the machine room: it outlives any process, so a test that "kills" the cloud hands the same world to the
next one. `FakeHypervisor` is the driver on top. Faults are ordered from the world: calls that fail, answers that get
lost, a daemon that is away or slow, guests that ignore a shutdown, domains that crash behind our back.
"""

from __future__ import annotations

from yun.drivers.hypervisor.fake.driver import FakeHypervisor
from yun.drivers.hypervisor.fake.world import FakeDomain, FakeWorld

__all__ = ["FakeDomain", "FakeHypervisor", "FakeWorld"]
