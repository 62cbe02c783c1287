"""Router advertisements of a leg: what IPv6 guests are told of their network."""

from __future__ import annotations

from yun.drivers.network.port import AdvertisementSpec

MOST_SECONDS, LEAST_SECONDS = 60, 20
"""Between two that nobody asked for: name servers are told by these alone."""


def ra_configs(spec: AdvertisementSpec | None) -> dict[str, str]:
    """OVN's settings of a leg; none where it advertises nothing."""
    if spec is None:
        return {}
    configs = {
        "address_mode": spec.mode.replace("-", "_"),
        "mtu": str(spec.mtu),
        "send_periodic": "true",
        "max_interval": str(MOST_SECONDS),
        "min_interval": str(LEAST_SECONDS),
    }
    if spec.dns_server:
        configs["rdnss"] = spec.dns_server
    if spec.domain:
        configs["dnssl"] = spec.domain
    return configs
