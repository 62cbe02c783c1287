"""The host as gateway of the external network: address on the outside bridge, forwarding, source NAT.

The rules live in one nftables table of our own (``inet yun``); nobody else's rules are touched. What the kernel's
forwarding switch said before is remembered and put back on removal.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.host import ovs
from yun.drivers.host.command import run

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
NONLOCAL = Path("/proc/sys/net/ipv4/ip_nonlocal_bind")


def rules(cidr: str, bridge: str = ovs.BRIDGE) -> str:
    """The whole table as nftables text: replaces an older one in the same transaction.

    Guests may send from their own range only, and large packets are fitted to the way out.
    """
    network = ipaddress.ip_network(cidr)
    family = "ip" if network.version == 4 else "ip6"
    return f"""table inet yun
delete table inet yun
table inet yun {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{bridge}" {family} saddr != {network} drop
    oifname "{bridge}" tcp flags syn tcp option maxseg size set rt mtu
    iifname "{bridge}" tcp flags syn tcp option maxseg size set rt mtu
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {family} saddr {network} {family} daddr != {network} oifname != "{bridge}" masquerade
  }}
}}
"""


class Gateway:
    """This host's outside leg; ``state_dir`` keeps what was applied and what the kernel said before."""

    def __init__(self, state_dir: Path) -> None:
        self.record = state_dir / "gateway.json"

    def apply(self, *, cidr: str, address: str, datapath: str) -> None:
        """Bridge, address, rules and forwarding are in place. ``address`` carries its prefix (``172.31.240.1/22``)."""
        interface = ipaddress.ip_interface(address)
        network = ipaddress.ip_network(cidr)
        if interface.ip not in network:
            raise DriverError(_("The gateway {address} is not in {cidr}.", address=address, cidr=cidr))
        self._refuse_overlap(network)
        ovs.make_bridge(datapath, str(self.record.parent))
        known = self.applied()
        before = known.get("forward_before", FORWARD.read_text().strip())
        # Before the rest, so that what was made halfway is known as ours too.
        self._remember({"cidr": cidr, "address": address, "datapath": datapath, "forward_before": before})
        set_address(ovs.BRIDGE, str(interface.ip), interface.network.prefixlen)
        run(["nft", "-f", "-"], stdin=rules(cidr))
        FORWARD.write_text("1\n")

    def keep(self) -> bool:
        """Put what was applied last in place again where something of it is missing (after a reboot); true if so."""
        known = self.applied()
        if not known or self.in_place(known):
            return False
        self.apply(cidr=known["cidr"], address=known["address"], datapath=known["datapath"])
        return True

    def in_place(self, known: dict[str, str]) -> bool:
        """Whether address, forwarding and rules are as recorded."""
        address = known["address"].partition("/")[0]
        if FORWARD.read_text().strip() != "1" or not held(address, ovs.BRIDGE):
            return False
        return run(["nft", "list", "chain", "inet", "yun", "postrouting"], check=False).returncode == 0

    def remove(self) -> None:
        """Rules, bridge, address and mapping of ours are gone; the forwarding switch says what it said before.

        Nothing happens where we have applied none, or another state directory has taken the bridge over since.
        """
        known = self.applied()
        if not known:
            return
        if ovs.bridge_owner() not in ("", str(self.record.parent)):
            self.record.unlink(missing_ok=True)
            return
        run(["nft", "-f", "-"], stdin="table inet yun\ndelete table inet yun\n")
        if known.get("forward_before") == "0":
            FORWARD.write_text("0\n")
        ovs.remove_bridge()
        self.record.unlink(missing_ok=True)

    def applied(self) -> dict[str, str]:
        """What `apply` was told last, empty if nothing."""
        with suppress(OSError, ValueError):
            return dict(json.loads(self.record.read_text()))
        return {}

    def _remember(self, values: dict[str, str]) -> None:
        self.record.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.record.with_suffix(".new")
        fresh.write_text(json.dumps(values))
        fresh.replace(self.record)

    @staticmethod
    def _refuse_overlap(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
        """Raise `DriverError` where another link of the host already has addresses of the range."""
        with _route() as route:
            names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in route.get_links()}
            for entry in route.get_addr():
                name = names.get(entry["index"], "")
                other = ipaddress.ip_interface(f"{entry.get_attr('IFA_ADDRESS')}/{entry['prefixlen']}").network
                if name != ovs.BRIDGE and other.version == network.version and other.overlaps(network):
                    raise DriverError(
                        _("The external range {cidr} overlaps {other} of {link}.", cidr=str(network),
                          other=str(other), link=name),
                        hint=_("Choose another range: set external_cidr (YUN_EXTERNAL_CIDR)."),
                    )  # fmt: skip


def _route() -> Any:
    """The kernel's routing socket; its library takes ten megabytes and is loaded when it is needed."""
    from pyroute2 import IPRoute

    return IPRoute()


def held(address: str, link: str) -> bool:
    """Whether this host has ``address``, as the kernel's readiness to bind to it says: asked every few seconds, so it
    must cost next to nothing. Where the kernel binds to any address, the link itself is asked."""
    if NONLOCAL.read_text().strip() != "0":
        return address in addresses(link)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def addresses(link: str) -> list[str]:
    """IPv4 and IPv6 addresses of a link, without prefixes; empty for a missing link."""
    with _route() as route:
        found = route.link_lookup(ifname=link)
        return [a.get_attr("IFA_ADDRESS") for a in route.get_addr(index=found[0])] if found else []


def set_address(link: str, address: str, prefix: int) -> None:
    """The link is up and ``address`` is its only global one. Raises `DriverError` for a missing link."""
    with _route() as route:
        found = route.link_lookup(ifname=link)
        if not found:
            raise DriverError(_("The link {name} did not appear.", name=link), retryable=True)
        index = found[0]
        for entry in route.get_addr(index=index, scope=0):
            old = entry.get_attr("IFA_ADDRESS")
            if (old, entry["prefixlen"]) != (address, prefix):
                route.addr("del", index=index, address=old, prefixlen=entry["prefixlen"])
        route.addr("replace", index=index, address=address, prefixlen=prefix)
        route.link("set", index=index, state="up")
