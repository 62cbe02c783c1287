"""What a router's leg tells the IPv6 guests of its subnet."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.orm import Session

from yun.drivers.network.port import AdvertisementSpec
from yun.network.model import Network, RouterInterface, Subnet


def advertisement(session: Session, leg: RouterInterface) -> AdvertisementSpec | None:
    """The leg's advertisement; None where its subnet's guests are told nothing."""
    subnet = session.get_one(Subnet, leg.subnet_id)
    if not subnet.ipv6_mode or not subnet.dhcp or leg.external:
        return None
    network = session.get_one(Network, leg.network_id)
    return AdvertisementSpec(
        mode=cast(Any, subnet.ipv6_mode),
        mtu=network.mtu,
        dns_server=next((s for s in subnet.dns_servers if ":" in s), ""),
        domain=subnet.domain or network.domain,
    )
