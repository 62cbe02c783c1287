"""This host as a chassis of OVN: what Open vSwitch is told of it, what it said before, and how that is put back."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from yun.drivers.host import ovs

SYSTEM_ID_FILE = Path("/etc/openvswitch/system-id.conf")
OURS = ("ovn-remote", "ovn-encap-type", "ovn-encap-ip", "ovn-bridge-datapath-type")


class Chassis:
    """The chassis settings; ``state_dir`` keeps what they said before we changed them for the first time."""

    def __init__(self, state_dir: Path) -> None:
        self.record = state_dir / "chassis.json"

    @property
    def recorded(self) -> bool:
        """Whether something is kept to be put back."""
        return self.record.exists()

    def set(self, name: str, kind: str, *, remote: str, address: str) -> None:
        """This host is OVN's chassis ``name`` on datapath ``kind``, tunnels end at ``address``."""
        wanted = {
            "system-id": name, "hostname": name, "ovn-remote": remote, "ovn-encap-type": "geneve",
            "ovn-encap-ip": address, "ovn-bridge-datapath-type": kind,
        }  # fmt: skip
        known = ovs.external_ids()
        if not self.recorded and known.get("ovn-remote") != remote:
            self._remember({"ids": {k: known.get(k) for k in wanted}, "file": _read(SYSTEM_ID_FILE)})
        # The package's start script copies this file into the database at every start.
        if (_read(SYSTEM_ID_FILE) or "").strip() != name:
            _write(SYSTEM_ID_FILE, name + "\n")
        ovs.set_external_ids({k: v for k, v in wanted.items() if known.get(k) != v})

    def forget(self) -> None:
        """The settings say what they said before `set`, and the integration bridge is gone unless a stranger uses it.

        Where nothing is kept, our settings go and the name stays. Precondition: OVN's controller does not run, or it
        makes the bridge anew.
        """
        known, before = ovs.external_ids(), self._before()
        if ovs.INTEGRATION in ovs.vsctl("list-br").split() and not ovs.vsctl("list-ports", ovs.INTEGRATION).split():
            ovs.vsctl("--if-exists", "del-br", ovs.INTEGRATION)
        ids = before.get("ids", dict.fromkeys(OURS))
        ovs.set_external_ids({k: v for k, v in ids.items() if known.get(k) != v})
        if "file" in before:
            if before["file"] is None:
                SYSTEM_ID_FILE.unlink(missing_ok=True)
            else:
                _write(SYSTEM_ID_FILE, before["file"])
        self.record.unlink(missing_ok=True)

    def _before(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            return dict(json.loads(self.record.read_text()))
        return {}

    def _remember(self, values: dict[str, Any]) -> None:
        self.record.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.record.with_suffix(".new")
        fresh.write_text(json.dumps(values))
        fresh.replace(self.record)


def _read(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text()
    return None


def _write(path: Path, text: str) -> None:
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
