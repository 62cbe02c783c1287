"""What OVN tells of the world in its southbound database: whether the backends of load balancers answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ovsdbapp.schema.ovn_southbound import impl_idl

from yun.base.ids import from_uuid
from yun.drivers.network.ovn.link import Link
from yun.drivers.network.ovn.rows import Rows
from yun.drivers.network.port import BackendHealth

MONITORS = "Service_Monitor"
STATES: dict[str, Any] = {"online": "online", "offline": "offline", "error": "offline"}


class _Api(impl_idl.OvnSbApiIdlImpl):
    # The library keeps one connection per class; ours is one per object.
    ovsdb_connection = None

    def __init__(self, conn: Any) -> None:
        self.ovsdb_connection = conn
        super().__init__(conn)


class South(Link):
    """The connection to the southbound database at ``remote``; ``changed`` is called when the health of a backend is
    another."""

    schema = "OVN_Southbound"
    tables = (MONITORS,)
    api_class = _Api

    def __init__(self, remote: str, timeout: float, changed: Callable[[], None]) -> None:
        super().__init__(remote, timeout)
        self._changed = changed

    def noticed(self, event: str, row: Any, updates: Any) -> None:
        """A monitor came, went, or found something else. Runs on the connection's thread."""
        if updates is None or hasattr(updates, "status"):
            self._changed()

    def connected(self, generation: int) -> None:
        """Whatever was missed is looked at."""
        self.generation = generation
        self._changed()

    def health(self) -> list[BackendHealth]:
        """What every monitor last found."""
        return self.call(_health)


def _health(rows: Rows) -> list[BackendHealth]:
    found = []
    for row in rows.idl.tables[MONITORS].rows.values():
        try:
            port_id = from_uuid("prt", row.logical_port)
        except ValueError:  # somebody else's port
            continue
        state = STATES.get(_only(row.status), "unknown")
        found.append(BackendHealth(port_id, row.ip, int(row.port), str(_only(row.protocol) or "tcp"), state))
    return found


def _only(value: Any) -> str:
    """The value of an optional column."""
    return str((list(value) or [""])[0] if isinstance(value, list | tuple | set) else value)
