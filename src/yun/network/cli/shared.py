"""What the commands of this room have in common: parts of an address, and what a body says."""

from __future__ import annotations

from typing import Any

from yun.base.messages import _
from yun.web.command import option

ALLOW = option("--allow", multiple=True, metavar="WORD", help=_(
    "What the new group lets in from anybody, such as ssh, http, ping or tcp:8080, or own for itself; may be repeated."
))  # fmt: skip


def quote(reference: str) -> str:
    """A reference as a part of an address."""
    from urllib.parse import quote as quoted

    return quoted(reference, safe="")


def given(**values: Any) -> dict[str, Any]:
    """Those of the values that were given."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def all_or_none(values: tuple[str, ...]) -> list[str] | None:
    """What an option that may be repeated asks for: nothing said, none at all, or these."""
    if not values:
        return None
    return [] if values == ("none",) else list(values)


def told(
    dns: tuple[str, ...], ntp: tuple[str, ...], routes: tuple[str, ...], domain: str | None, lease: int | None
) -> dict[str, Any]:
    """What a request says of what guests of a subnet are told."""
    listed = all_or_none(routes)
    ways = None if listed is None else [_way(r) for r in listed]
    values = {"dns_servers": all_or_none(dns), "ntp_servers": all_or_none(ntp), "routes": ways}
    found = {name: value for name, value in values.items() if value is not None}
    return {**found, **given(domain=domain, lease_seconds=lease)}


def _way(text: str) -> dict[str, str]:
    target, _comma, hop = text.partition(",")
    return {"destination": target.strip(), "nexthop": hop.strip()}


def subnet_body(
    cidr: str, gateway: str | None, said: dict[str, Any], *, no_dhcp: bool, no_router: bool, mode: str | None = None
) -> dict[str, Any]:
    """What a request says of a subnet; the gateway ``none`` is none at all."""
    body = {"cidr": cidr, **said, "dhcp": not no_dhcp, "routed": not no_router, **given(ipv6_mode=mode)}
    if gateway is not None:
        body["gateway"] = None if gateway == "none" else gateway
    return body


def reached(row: dict[str, Any], direction: str) -> str:
    """The sentences of what can reach a machine, in a row."""
    return " ".join(row["reach"][direction]) or "–"
