"""What ranges, addresses, ports and names may look like. Pure: each returns the clean value or raises `Invalid`."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.naming import no_option

Net = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

ID = re.compile(r"[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}")
MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
TUNNEL = 58  # bytes that a Geneve tunnel adds to a packet
MOST_ROUTES = 30
PROTOCOLS = ("any", "tcp", "udp", "icmp")
POOL_LIMIT = 2**31  # larger pools (IPv6) end here: nobody counts that far
SLAAC, STATEFUL, STATELESS = "slaac", "dhcpv6-stateful", "dhcpv6-stateless"
IPV6_MODES = (SLAAC, STATEFUL, STATELESS)
SELF_MADE = (SLAAC, STATELESS)
"""Ways in which guests make their IPv6 addresses themselves, of the prefix they hear and their MAC."""
LEAST_MTU, LEAST_MTU_V6 = 576, 1280
FAR = 2**63  # the upper half of a /64 is for what guests make themselves


def refuse(field: str, message: Message, right: Message) -> Invalid:
    """An `Invalid` about one field."""
    return Invalid(message, fields={field: right})


def name(text: str, field: str = "name", *, empty: bool = False) -> str:
    """A name in any script: 1 to 100 characters on one line, without a slash, no hyphen at its beginning, not like an
    id."""
    clean = unicodedata.normalize("NFC", text).strip()
    odd = any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in clean)
    if odd or len(clean) > 100 or "/" in clean or ID.fullmatch(clean) or (not clean and not empty):
        message = _("{name} cannot be a name.", name=clean[:60]) if clean else _("A name is needed.")
        raise refuse(field, message, _("1 to 100 characters on one line, without a slash"))
    return no_option(clean, field)


def description(text: str, field: str = "description", *, most: int = 1000) -> str:
    """Free text of at most ``most`` characters."""
    clean = text.strip()
    if len(clean) > most or any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t\r" for c in clean):
        raise refuse(
            field,
            _("The description is too long or has control characters."),
            _("at most {most} characters", most=most),
        )
    return clean


def cidr(text: str, field: str = "cidr", *, smallest: int = 3) -> Net:
    """A network's range with at least ``2**smallest`` addresses (in host bits), such as ``10.1.0.0/24``."""
    right = _("a range such as 10.1.0.0/24")
    try:
        net = ipaddress.ip_network(text.strip())
    except ValueError as error:
        try:
            loose = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise refuse(field, _("{value} is not a range of addresses.", value=text[:60]), right) from error
        if "/" in text:
            right = _("{cidr}, or another range whose host bits are zero", cidr=str(loose))
        raise refuse(field, _("{value} is not a range of addresses.", value=text[:60]), right) from error
    if net.max_prefixlen - net.prefixlen < smallest:
        right = _("at least {n} addresses", n=2**smallest)
        raise refuse(field, _("The range {cidr} is too small.", cidr=str(net)), right)
    if net.version == 4 and net.prefixlen < 8:
        raise refuse(field, _("The range {cidr} is too large.", cidr=str(net)), _("a prefix of /8 or longer"))
    if net.is_multicast or net.is_loopback or net.is_link_local or net.is_unspecified or net.is_reserved:
        raise refuse(
            field,
            _("The range {cidr} has another purpose and cannot be a network.", cidr=str(net)),
            _("a private range such as 10.1.0.0/24 or 192.168.5.0/24"),
        )
    return net


def inner(text: str, net: Net, field: str = "range") -> Net:
    """A range inside ``net``."""
    right = _("a range inside {cidr}", cidr=str(net))
    try:
        found = ipaddress.ip_network(text.strip())
    except ValueError as error:
        raise refuse(field, _("{value} is not a range of addresses.", value=text[:60]), right) from error
    if found.version != net.version or not found.subnet_of(net):  # type: ignore[arg-type]
        raise refuse(field, _("{address} is not in {cidr}.", address=str(found), cidr=str(net)), right)
    return found


def ipv6_mode(mode: str | None, net: Net, field: str = "ipv6_mode") -> str:
    """How guests of an IPv6 range get their addresses; nothing for IPv4. The range has a length that suits the mode."""
    if net.version == 4:
        if mode:
            raise refuse(field, _("Only IPv6 subnets have a mode."), _("none"))
        return ""
    found = one_of(mode or SLAAC, IPV6_MODES, field)
    if found in SELF_MADE and net.prefixlen != 64:
        raise refuse(
            "cidr",
            _("Guests that make their addresses themselves need a range of /64; {cidr} is not.", cidr=str(net)),
            _("{cidr}, or the mode dhcpv6-stateful", cidr=f"{net[0]}/64"),
        )
    if not 64 <= net.prefixlen <= 120:
        raise refuse("cidr", _("The range {cidr} has a wrong length.", cidr=str(net)), _("/64 to /120"))
    return found


def eui64(net: Net, mac: str) -> str:
    """The address that a guest makes of a /64 and its MAC."""
    raw = bytes.fromhex(mac.replace(":", ""))
    tail = bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]
    return str(net[0] + int.from_bytes(tail))


def filter_cidr(text: str, field: str = "remote_cidr", *, family: str = "ipv4") -> str:
    """The other side of a rule: a range or one address of the family."""
    try:
        net = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        right = _("a range such as 192.0.2.0/24, or one address")
        raise refuse(field, _("{value} is not a range of addresses.", value=text[:60]), right) from error
    if (net.version == 4) != (family == "ipv4"):
        right = _("an {family} range", family="IPv4" if family == "ipv4" else "IPv6")
        raise refuse(field, _("The range {cidr} is of the other family.", cidr=str(net)), right)
    return str(net)


def address(text: str, field: str = "address", *, within: Net | None = None) -> Address:
    """One host address, inside ``within`` and not its first or last."""
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise refuse(
            field, _("{value} is not an address.", value=text[:60]), _("an address such as 10.1.0.7")
        ) from error
    if within is not None:
        right = _("an address from {first} to {last}", first=str(within[1]), last=str(highest(within)))
        if found.version != within.version or found not in within:
            raise refuse(field, _("{address} is not in {cidr}.", address=str(found), cidr=str(within)), right)
        if found == within[0] or (found.version == 4 and found == within[-1]):
            raise refuse(field, _("{address} is not a host's address.", address=str(found)), right)
    return found


def highest(net: Net) -> Address:
    """The last address of the range that a host may have."""
    return net[-2] if net.version == 4 else net[-1]


def last(net: Net) -> Address:
    """The last address that a host of the range may have; beyond the limit of a pool nobody looks."""
    if net.version == 4:
        return net[-2]
    return net[min(net.num_addresses, POOL_LIMIT) - 1]


def pool(net: Net, gateway: Address | None, start: str | None, end: str | None) -> tuple[Address, Address]:
    """The pool from which addresses are given out: the whole range, or what is asked for."""
    low = address(start, "pool_start", within=net) if start else net[1]
    high = address(end, "pool_end", within=net) if end else max(last(net), low)
    for field, found in (("pool_start", low), ("pool_end", high)):
        if int(found) - int(net[0]) >= FAR:
            right = _("an address from {first} to {last}", first=str(net[1]), last=str(net[FAR - 1]))
            raise refuse(field, _("{address} is too far from the beginning of {cidr} for a pool.",
                                  address=str(found), cidr=str(net)), right)  # fmt: skip
    if int(low) > int(high):
        raise Invalid(
            _("The pool ends before it begins."),
            fields={
                "pool_start": _("an address up to {last}", last=str(high)),
                "pool_end": _("an address from {first}", first=str(low)),
            },
        )
    if low == high == gateway:
        raise refuse("pool_end", _("The pool holds nothing but the gateway."), _("a larger pool"))
    return low, high


def no_overlap(net: Net, others: Iterable[tuple[str, str]], field: str = "cidr") -> None:
    """Raise `Invalid` where ``net`` overlaps one of ``others`` (name, range)."""
    for other, text in others:
        have = ipaddress.ip_network(text)
        if have.version == net.version and have.overlaps(net):
            raise refuse(
                field,
                _("The range {cidr} overlaps {other} ({range}).", cidr=str(net), other=other, range=text),
                _("a range that is still free"),
            )


def resolvers(values: Iterable[str], field: str = "dns_servers", *, family: int | None = None) -> list[str]:
    """Addresses of servers, at most four; of one IP version where ``family`` says which."""
    clean = [address(v, field) for v in values]
    if len(clean) > 4:
        raise refuse(field, _("Too many servers."), _("at most 4 addresses"))
    for found in clean:
        if family is not None and found.version != family:
            right = _("an {family} address", family=f"IPv{family}")
            raise refuse(field, _("{address} is of the other family.", address=str(found)), right)
    return list(dict.fromkeys(str(a) for a in clean))


def ntp(values: Iterable[str], net: Net, field: str = "ntp_servers") -> list[str]:
    """Addresses of time servers for guests of ``net``; only DHCP of IPv4 can tell them."""
    listed = list(values)
    if listed and net.version != 4:
        raise refuse(field, _("Only IPv4 subnets tell guests of time servers."), _("none"))
    return resolvers(listed, field, family=4)


def routes(values: Iterable[Mapping[str, str]], net: Net, field: str = "routes") -> list[dict[str, str]]:
    """What guests of ``net`` are told of other ranges: each destination once, by a next hop inside the subnet."""
    found: dict[str, dict[str, str]] = {}
    for value in values:
        if not isinstance(net, ipaddress.IPv4Network):
            raise refuse(field, _("Only IPv4 subnets tell guests of routes."), _("none"))
        try:
            target = ipaddress.IPv4Network(str(value.get("destination", "")).strip())
        except ValueError as error:
            right = _("a range such as 192.168.7.0/24, a comma, and the next hop")
            text = str(value.get("destination", ""))[:60]
            raise refuse(field, _("{value} is not a range of addresses.", value=text), right) from error
        hop = address(str(value.get("nexthop", "")), field, within=net)
        if target.prefixlen == 0:
            raise refuse(field, _("The default route is the gateway."), _("a range such as 192.168.7.0/24"))
        if str(target) in found or target.subnet_of(net):
            right = _("each range once, and none of the subnet's own")
            raise refuse(field, _("There is a way to {cidr} already.", cidr=str(target)), right)
        found[str(target)] = {"destination": str(target), "nexthop": str(hop)}
    if len(found) > MOST_ROUTES:
        raise refuse(field, _("Too many routes."), _("at most {most}", most=MOST_ROUTES))
    return list(found.values())


def lease(seconds: int, field: str = "lease_seconds") -> int:
    """How long guests keep an address before they ask again, in seconds."""
    return number(seconds, 60, 31_536_000, field) or 3600


def hostname(text: str, field: str = "hostname") -> str:
    """The name of a machine in DNS, in lower case, or nothing."""
    clean = text.strip().lower()
    if clean and not LABEL.fullmatch(clean):
        right = _("1 to 63 letters, digits and hyphens, not beginning or ending with a hyphen")
        raise refuse(field, _("{hostname} is not a host name.", hostname=clean[:80]), right)
    return clean


def domain(text: str, field: str = "domain") -> str:
    """A DNS domain in lower case, or nothing."""
    clean = text.strip().lower().rstrip(".")
    if clean and not DOMAIN.fullmatch(clean):
        raise refuse(field, _("{value} is not a domain.", value=text[:60]), _("a domain such as lab.internal"))
    return clean


def record_name(text: str, field: str = "name") -> str:
    """A name that a network may answer, in lower case; parts may begin with an underscore."""
    clean = text.strip().lower().rstrip(".")
    parts = clean.split(".")
    wrong = not clean or len(clean) > 253 or not all(LABEL.fullmatch(p.removeprefix("_")) for p in parts)
    if wrong or clean.endswith(".arpa"):
        right = _("such as db or db.lab.internal")
        raise refuse(field, _("{value} cannot be a name in the DNS.", value=text[:60]), right)
    return clean


def mtu(value: int, field: str = "mtu", *, most: int = 9000, least: int = LEAST_MTU) -> int:
    """A packet size that IP and the way between hosts can carry, in bytes."""
    if not least <= value <= most:
        raise refuse(
            field, _("The MTU {value} is out of range.", value=value), _("{low} to {high}", low=least, high=most)
        )
    return value


def carried(underlay: int) -> int:
    """The largest packet of a network whose packets go through tunnels between hosts, in bytes."""
    return max(LEAST_MTU, min(underlay - TUNNEL, 8942))


def one_of(text: str, allowed: tuple[str, ...], field: str) -> str:
    """One of a few words."""
    if text not in allowed:
        raise refuse(
            field, _("{value} is not known here.", value=str(text)[:40]), _("one of {names}", names=", ".join(allowed))
        )
    return text


def number(value: int | None, low: int, high: int, field: str) -> int | None:
    """A number within bounds, or nothing."""
    if value is not None and not low <= value <= high:
        raise refuse(field, _("{value} is out of range.", value=value), _("{low} to {high}", low=low, high=high))
    return value
