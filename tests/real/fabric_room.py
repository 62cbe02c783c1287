"""The cloud's network room on the first host of a fabric; its endpoints may be on any host."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.real import spaces
from tests.real.network_room import Room
from tests.real.spaces import build_world, run, until
from yun.hosts.model import Host
from yun.network import service


class FabricRoom(Room):
    """A `Room` whose ports can live on other hosts too: ``room.port("two", host="h2")``.

    ``far`` names the other hosts. `begin` comes first.
    """

    def __init__(self, folder: Path, switchboard: str, far: list[str]) -> None:
        super().__init__(folder)
        self.far = far
        spaces.use_switchboard(switchboard)
        self.open_southbound()

    def open_southbound(self) -> None:
        """The other hosts' controllers reach OVN's southbound database."""
        run("ovn-sbctl", "--timeout=10", "set-connection", "ptcp:6642:10.98.0.1")

    def begin(self) -> None:
        """The cloud has its default networks, the other hosts are there, and the world beyond the first one."""
        self.do(service.ensure_default)
        with self.database.write() as session:
            for name in self.far:
                session.add(Host(name=name, state="up", datapath="netdev"))
        build_world()
        wanted = {"h1", *self.far}
        if not until(lambda: self.chassis() == wanted, 20):
            raise RuntimeError(f"OVN knows the hosts {self.chassis()}")

    @staticmethod
    def chassis() -> set[str]:
        """The hosts that OVN knows."""
        return set(run("ovn-sbctl", "--timeout=10", "--bare", "--columns=name", "list", "Chassis").split())


def play(explore: Callable[[Any], dict[str, Any]], kind: type[FabricRoom] = FabricRoom) -> None:
    """What a module does that `Fabric.see` runs: explore a room of a kind, and print what was seen as JSON."""
    folder, switchboard, far = sys.argv[1:4]
    room = kind(Path(folder), switchboard, [name for name in far.split(",") if name])
    try:
        print(json.dumps(explore(room)))  # noqa: T201
    finally:
        room.close()
