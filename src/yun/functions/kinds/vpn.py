"""VPN gateways: a tunnel network whose peers reach the gateway's network, by WireGuard."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.functions import checks
from yun.functions.checks import Place
from yun.functions.kinds import Surroundings, firewall

MOST_PEERS = 250
MOST_RANGES = 20
PORT = 51820
TUNNEL = "10.99.0.1/24"
KEEPALIVE = 25
FRESH_SECONDS = 180
"""A peer whose last handshake is not older is connected: the protocol makes a new one every two minutes of traffic."""


def new_keys() -> tuple[str, str]:
    """A private key and its public one, as WireGuard writes them."""
    key = X25519PrivateKey.generate()
    private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return base64.b64encode(private).decode(), public_of(base64.b64encode(private).decode())


def public_of(private: str) -> str:
    """The public key of a private one. Raises ValueError where that is none."""
    key = X25519PrivateKey.from_private_bytes(base64.b64decode(private, validate=True))
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def check(given: Mapping[str, Any], arms: int) -> dict[str, Any]:
    """As `KindOf.check`."""
    names = ("port", "address", "endpoint", "masquerade", "networks", "keepalive", "peers")
    checks.only(given, names, Place("settings"))
    port = checks.port(PORT if given.get("port") is None else given["port"], Place("port"))
    tunnel = _tunnel(given.get("address") or TUNNEL)
    keepalive = KEEPALIVE if given.get("keepalive") is None else given["keepalive"]
    peers = [_peer(one, number) for number, one in enumerate(checks.rows(given, "peers", MOST_PEERS), 1)]
    _apart(peers, tunnel)
    return {
        "port": port, "address": str(tunnel), "endpoint": checks.host(given.get("endpoint"), Place("endpoint")),
        "masquerade": checks.flag(given.get("masquerade"), Place("masquerade"), default=True),
        "networks": _ranges(checks.rows(given, "networks", MOST_RANGES), Place("networks", 0)),
        "keepalive": checks.number(keepalive, 0, 600, Place("keepalive")),
        "peers": peers,
    }  # fmt: skip


def _tunnel(value: Any) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    right = _("the gateway's own address in the tunnel with its range, such as 10.99.0.1/24")
    try:
        found = ipaddress.ip_interface(checks.text(value))
    except ValueError as error:
        raise Place("address").wrong(_("{value} is not possible here.", value=str(value)[:60]), right) from error
    if found.network.num_addresses < 4 or found.ip in (found.network.network_address, found.network.broadcast_address):
        raise Place("address").wrong(_("{value} is not possible here.", value=str(value)[:60]), right)
    return found


def _ranges(given: list[Any], place: Place) -> list[str]:
    return list(dict.fromkeys(checks.cidr(one, place) for one in given))


def _peer(given: Any, number: int) -> dict[str, Any]:
    place = Place("peers", number, "peer")
    checks.only(given, ("name", "public_key", "addresses"), place)
    addresses = given.get("addresses")
    listed = addresses if isinstance(addresses, list | tuple) else [addresses]
    if not any(listed):
        raise place.at("addresses").wrong(_("Which addresses does the peer have?"), _("such as 10.99.0.2/32"))
    ranges = _ranges(list(listed)[: MOST_RANGES + 1], place.at("addresses"))
    if len(ranges) > MOST_RANGES:
        raise place.at("addresses").wrong(_("This is too much."), _("at most {most}", most=MOST_RANGES))
    return {
        "name": checks.name(given.get("name"), place.at("name")),
        "public_key": _key(given.get("public_key"), place.at("public_key")), "addresses": ranges,
    }  # fmt: skip


def _key(value: Any, place: Place) -> str:
    clean = checks.text(value)
    try:
        raw = base64.b64decode(clean.encode(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32 or base64.b64encode(raw).decode() != clean or not any(raw):
        raise place.wrong(
            _("This is no public key of WireGuard."), _("44 characters, as `wg pubkey` prints them")
        )
    return clean


def _apart(peers: list[dict[str, Any]], tunnel: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> None:
    """Raise `Invalid` where two peers have a name, a key or addresses in common, or one has the gateway's."""
    taken: list[tuple[Any, str]] = [(ipaddress.ip_network(tunnel.ip), "")]
    for number, peer in enumerate(peers, 1):
        place = Place("peers", number, "addresses")
        for part in ("name", "public_key"):
            if any(peer[part] == other[part] for other in peers[: number - 1]):
                raise place.at(part).wrong(_("Another peer has it already."), _("another one"))
        for cidr in peer["addresses"]:
            network: Any = ipaddress.ip_network(cidr)
            for other, name in taken:
                if network.version == other.version and network.overlaps(other):
                    raise place.wrong(
                        _("{cidr} belongs to {name} already.", cidr=cidr, name=name or _("the gateway itself")),
                        _("addresses that nobody else has"),
                    )  # fmt: skip
            taken.append((network, peer["name"]))


def said(settings: Mapping[str, Any]) -> list[Message]:
    """As `KindOf.said`."""
    return [
        _("It answers WireGuard on UDP port {port}; its address in the tunnel is {address}.", port=settings["port"],
          address=settings["address"]),
        *(_("The peer {name} with {addresses} may come in.", name=peer["name"], addresses=", ".join(peer["addresses"]))
          for peer in settings["peers"]),
        *((_("What peers send has the gateway's own address in its network."),) if settings["masquerade"] else ()),
    ]  # fmt: skip


def files(settings: Mapping[str, Any], around: Surroundings) -> dict[str, str]:
    """As `KindOf.files`."""
    tunnel: Any = ipaddress.ip_interface(settings["address"])
    lines = ["[Interface]", f"PrivateKey = {around.secret}", f"ListenPort = {settings['port']}"]
    routes = []
    for peer in settings["peers"]:
        lines += ["[Peer]", f"PublicKey = {peer['public_key']}", f"AllowedIPs = {', '.join(peer['addresses'])}"]
        for cidr in peer["addresses"]:
            network: Any = ipaddress.ip_network(cidr)
            if network.version != tunnel.version or not network.subnet_of(tunnel.network):
                routes.append(cidr)
    family = "ip6" if tunnel.version == 6 else "ip"
    nat = [f'{family} saddr {tunnel.network} oifname "eth0" masquerade'] if settings["masquerade"] else []
    chains = {"postrouting": ("type nat hook postrouting priority srcnat; policy accept;", *nat)}
    return {
        "wg0.conf": "\n".join(lines) + "\n", "addresses": f"{tunnel}\n",
        "routes": "".join(f"{cidr}\n" for cidr in routes), "vpn.nft": firewall.table(chains),
    }  # fmt: skip


def read(answer: str) -> dict[str, Any]:
    """As `KindOf.read`: by public key where the peer speaks from, its last handshake (seconds since 1970, 0: never) and
    what came and went (bytes)."""
    peers: dict[str, dict[str, Any]] = {}
    for line in answer.splitlines()[:MOST_PEERS]:
        parts = line.split("\t")
        if len(parts) != 7:
            raise ValueError("no peer of a tunnel")
        key, endpoint, _allowed, handshake, received, sent, _keepalive = parts
        peers[key[:44]] = {
            "endpoint": "" if endpoint == "(none)" else endpoint[:60], "handshake": int(handshake),
            "received": int(received), "sent": int(sent),
        }  # fmt: skip
    return {"peers": peers}


def lasting(facts: Mapping[str, Any]) -> Any:
    """As `KindOf.lasting`: from where which peer has come in."""
    return {key: [one["endpoint"], one["handshake"] > 0] for key, one in facts.get("peers", {}).items()}


def client_config(
    settings: Mapping[str, Any], name: str, *, public_key: str, endpoint: str, private_key: str = ""
) -> str:
    """What a peer's own WireGuard needs, as a file. The private key is the peer's own: the cloud does not have it.

    Raises `Invalid` where no peer is called so.
    """
    peer = next((one for one in settings["peers"] if one["name"] == name), None)
    if peer is None:
        raise Invalid(_("There is no peer {name}.", name=name[:60]), fields={"peer": _("the name of one of its peers")})
    tunnel: Any = ipaddress.ip_interface(settings["address"])
    reached = list(dict.fromkeys([str(tunnel.network), *settings["networks"]]))
    shown = f"[{endpoint}]" if ":" in endpoint else endpoint
    lines = [
        "[Interface]", f"PrivateKey = {private_key or '<your private key>'}",
        f"Address = {', '.join(peer['addresses'])}", "", "[Peer]", f"PublicKey = {public_key}",
        f"Endpoint = {shown}:{settings['port']}", f"AllowedIPs = {', '.join(reached)}",
    ]  # fmt: skip
    if settings["keepalive"]:
        lines.append(f"PersistentKeepalive = {settings['keepalive']}")
    return "\n".join(lines) + "\n"
