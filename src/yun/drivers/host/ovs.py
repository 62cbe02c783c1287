"""Open vSwitch of this host: datapath, chassis settings, the outside bridge, ports that dead machines left behind.

Every call is one `ovs-vsctl` transaction with a time-out. What strangers wrote into the same columns stays.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.host.command import run
from yun.drivers.host.port import PortCounters

VSCTL = ("ovs-vsctl", "--timeout=10")
PHYSNET = "physnet1"
BRIDGE = "br-ex"
INTEGRATION = "br-int"
GATEWAY_OPTION = "enable-chassis-as-gw"
COUNTED = ("tx_bytes", "tx_packets", "tx_dropped", "rx_bytes", "rx_packets", "rx_dropped")


def vsctl(*words: str) -> str:
    """One transaction; what it printed."""
    return run([*VSCTL, *words], timeout=15.0).stdout


def datapath(setting: str) -> Literal["system", "netdev"]:
    """``system`` where the kernel has Open vSwitch (loading the module if need be), else ``netdev``."""
    if setting in ("system", "netdev"):
        return setting  # type: ignore[return-value]
    if os.path.isdir("/sys/module/openvswitch"):
        return "system"
    with suppress(DriverError):
        run(["modprobe", "openvswitch"], timeout=10.0)
        return "system"
    return "netdev"


def external_ids() -> dict[str, str]:
    """The settings that Open vSwitch keeps for OVN and others."""
    found = rows("Open_vSwitch", "external_ids")
    return dict(found[0]["external_ids"]) if found else {}


def set_external_ids(values: Mapping[str, str | None]) -> None:
    """Write these keys and no others; None removes the key."""
    words: list[str] = []
    for key, value in values.items():
        if value is None:
            words += ["--", "remove", "Open_vSwitch", ".", "external_ids", key]
        else:
            words += ["--", "set", "Open_vSwitch", ".", f"external_ids:{key}={json.dumps(value)}"]
    if words:
        vsctl(*words[1:])


def tunnel_address() -> str:
    """The address from which this host speaks to the world; loopback where it has no way out."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: only asks the routing table
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def make_bridge(kind: str, owner: str) -> None:
    """The outside bridge exists on datapath ``kind`` and OVN maps the outside network to it; it is ``owner``'s (the
    directory of records) from now on.

    Raises `DriverError` where a bridge of that name belongs to somebody else.
    """
    found = [row for row in rows("Bridge", "name,external_ids") if row["name"] == BRIDGE]
    if found and dict(found[0]["external_ids"]).get("yun") != "gateway":
        raise DriverError(
            _("There is a bridge {name} on this host that Yun did not make.", name=BRIDGE),
            hint=_("Rename or remove it, or give it to Yun: {command}", command=(
                f"ovs-vsctl set Bridge {BRIDGE} external_ids:yun=gateway")),
        )  # fmt: skip
    vsctl(
        "--may-exist", "add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, f"datapath_type={kind}",
        "fail_mode=standalone", "external_ids:yun=gateway", f"external_ids:yun-state={json.dumps(owner)}",
    )  # fmt: skip
    known = external_ids()
    mappings = merged(known.get("ovn-bridge-mappings", ""), f"{PHYSNET}:{BRIDGE}", PHYSNET + ":")
    options = merged(known.get("ovn-cms-options", ""), GATEWAY_OPTION, GATEWAY_OPTION)
    wanted = {"ovn-bridge-mappings": mappings, "ovn-cms-options": options}
    set_external_ids({k: v for k, v in wanted.items() if known.get(k) != v})


def bridge_owner() -> str:
    """Who made the outside bridge last; empty where nobody is known."""
    found = [row for row in rows("Bridge", "name,external_ids") if row["name"] == BRIDGE]
    return str(dict(found[0]["external_ids"]).get("yun-state", "")) if found else ""


def remove_bridge() -> None:
    """Bridge, mapping and gateway option of ours are gone; what strangers added to the same columns stays."""
    found = [row for row in rows("Bridge", "name,external_ids") if row["name"] == BRIDGE]
    if found and dict(found[0]["external_ids"]).get("yun") == "gateway":
        vsctl("--if-exists", "del-br", BRIDGE)
    known = external_ids()
    for key, start in (("ovn-bridge-mappings", PHYSNET + ":"), ("ovn-cms-options", GATEWAY_OPTION)):
        if key in known:
            rest = merged(known[key], "", start)
            set_external_ids({key: rest or None})


def stale_ports() -> dict[str, str]:
    """Cards of the integration bridge that libvirt plugged for machines whose tap is gone: interface ids by name.

    A card counts where it carries libvirt's marks (``iface-id`` and ``attached-mac``).
    """
    if INTEGRATION not in vsctl("list-br").split():
        return {}
    inside = set(vsctl("list-ifaces", INTEGRATION).split())
    found: dict[str, str] = {}
    for row in sorted(rows("Interface", "name,external_ids"), key=lambda r: str(r["name"])):
        ids = dict(row["external_ids"])
        port = ids.get("iface-id", "")
        if port and "attached-mac" in ids and row["name"] in inside and not _link_exists(row["name"]):
            found[row["name"]] = port
    return found


def remove_stale_ports(keep: Sequence[str]) -> list[str]:
    """Remove the `stale_ports`; their interface ids, in order of name. ``keep`` are interface ids that must stay."""
    stale = {name: port for name, port in stale_ports().items() if port not in keep}
    words = [word for name in stale for word in ("--", "--if-exists", "del-port", INTEGRATION, name)]
    if words:
        vsctl(*words[1:])
    return list(stale.values())


def interface_of(port: str) -> str | None:
    """The interface of this host that carries the port (its iface-id); None where none does."""
    for row in rows("Interface", "name,external_ids"):
        if dict(row["external_ids"]).get("iface-id") == port and _link_exists(row["name"]):
            return str(row["name"])
    return None


def port_counters() -> dict[str, PortCounters]:
    """What went through each port of this host so far, by iface-id, as its machine sees it: what Open vSwitch sends to
    an interface, the machine receives."""
    found = {}
    for row in rows("Interface", "name,external_ids,statistics"):
        port = dict(row["external_ids"]).get("iface-id")
        # Open vSwitch writes its own down every five seconds only, which would make rates jump.
        counted = _kernel_counters(str(row["name"])) or dict(row["statistics"])
        if port and counted:
            found[str(port)] = PortCounters(*(int(counted.get(name, 0)) for name in COUNTED))
    return found


def _kernel_counters(interface: str) -> dict[str, int]:
    """What the kernel counts of a link of this host; nothing where it has none of that name."""
    folder = Path("/sys/class/net") / interface / "statistics"
    try:
        return {name: int((folder / name).read_text()) for name in COUNTED}
    except (OSError, ValueError):
        return {}


def _link_exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def merged(value: str, item: str, prefix: str) -> str:
    """The comma-separated ``value`` without its items that begin with ``prefix``, and with ``item``."""
    rest = [part for part in value.split(",") if part and not part.startswith(prefix)]
    return ",".join([*rest, item] if item else rest)


def rows(table: str, columns: str) -> list[dict[str, Any]]:
    """Rows of an Open vSwitch table; maps and sets come as lists of pairs and of items."""
    said = json.loads(vsctl("--format=json", "--data=json", f"--columns={columns}", "list", table) or "{}")
    names = said.get("headings", [])
    return [{n: _plain(v) for n, v in zip(names, row, strict=True)} for row in said.get("data", [])]


def _plain(value: Any) -> Any:
    return value[1] if isinstance(value, list) and len(value) == 2 and value[0] in ("map", "set") else value
