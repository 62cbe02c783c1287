"""What tests of hosts' devices do and look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.compute.conftest import Lab
from tests.house.scenes_devices import see
from yun.base.errors import Conflict
from yun.compute import service
from yun.compute.devices.model import HostDevice


@contextmanager
def refused(why: str) -> Iterator[pytest.ExceptionInfo[Conflict]]:
    """A conflict, told with this reason."""
    with pytest.raises(Conflict) as caught:
        yield caught
    assert why in caught.value.message.render("en")


def look(lab: Lab) -> None:
    """The periodic look happens."""
    lab.do(see)


def give(lab: Lab, device: str, name: str = "web", **values: Any) -> Any:
    """Give a device and drain; the operation."""
    return lab.operation(lab.do(service.add_host_device, name, device, **values))


def take(lab: Lab, device: str, name: str = "web", **values: Any) -> Any:
    """Take a device back and drain; the operation."""
    return lab.operation(lab.do(service.remove_host_device, name, device, **values))


def row(lab: Lab, address: str) -> HostDevice:
    """A device by address."""
    return next(d for d in lab.rows(HostDevice) if d.address == address)


def live(lab: Lab, name: str = "web") -> set[str]:
    """The addresses of what the running machine really has."""
    domain = lab.domain(name)
    keys = {d.key for d in domain.live.host_devices} if domain.live is not None else set()
    return {d.address for d in lab.rows(HostDevice) if d.id in keys}


def defined(lab: Lab, name: str = "web") -> set[str]:
    """The addresses of what its definition says."""
    keys = {d.key for d in lab.domain(name).spec.host_devices}
    return {d.address for d in lab.rows(HostDevice) if d.id in keys}
