"""What the commands of this room have in common: parts of an address, and what a body says."""

from __future__ import annotations

from typing import Any


def quote(reference: str) -> str:
    """A reference as a part of an address."""
    from urllib.parse import quote as quoted

    return quoted(reference, safe="")


def given(**values: Any) -> dict[str, Any]:
    """Those of the values that were given."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def subnet_body(
    cidr: str, gateway: str | None, dns: tuple[str, ...], domain: str | None, *, no_dhcp: bool, no_router: bool
) -> dict[str, Any]:
    """What a request says of a subnet; the gateway ``none`` is none at all."""
    body = given(cidr=cidr, dns_servers=list(dns) or None, domain=domain)
    body |= {"dhcp": not no_dhcp, "routed": not no_router}
    if gateway is not None:
        body["gateway"] = None if gateway == "none" else gateway
    return body
