"""Tables of the networks, what each verb asks of a role, and the states of each thing."""

from __future__ import annotations

from yun.network.model import (
    balancers,
    captures,
    chains,
    floating,
    forwarding,
    groups,
    names,
    networks,
    peering,
    physical,
    ports,
    routers,
    sharing,
)
from yun.network.model.balancers import Listener, LoadBalancer, Member, MemberHealth
from yun.network.model.captures import CAPTURE_STATES, COMPLETE, FAILED, RECORDING, Capture, PortSample
from yun.network.model.chains import BLOCK, BYPASS, ServiceChain, ServiceChainHop
from yun.network.model.floating import FloatingIp
from yun.network.model.forwarding import PortForwarding
from yun.network.model.groups import (
    AddressSet,
    PortSecurityGroup,
    SecurityGroup,
    SecurityHit,
    SecurityLogMark,
    SecurityRule,
)
from yun.network.model.names import DnsRecord
from yun.network.model.networks import AddressRange, Network, NetworkDefault, Reservation, Subnet
from yun.network.model.peering import REQUESTED, NetworkPeering
from yun.network.model.physical import PhysicalNetwork
from yun.network.model.ports import Port, PortAddress
from yun.network.model.routers import Router, RouterInterface, RouterRoute
from yun.network.model.sharing import ALL, NetworkShare
from yun.network.model.states import ACTIVE, DOWN, TRASHED, UP, Trashable

PARTS = (
    networks, routers, ports, captures, groups, floating, forwarding, peering, chains, balancers, names, sharing,
    physical,
)  # fmt: skip

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    noun: verbs for part in PARTS for noun, verbs in part.ALLOWED.items()
}
"""Which verb is allowed in which state, by noun."""

__all__ = [
    "ACTIVE", "ALL", "ALLOWED", "BLOCK", "BYPASS", "CAPTURE_STATES", "COMPLETE", "DOWN", "FAILED", "RECORDING",
    "REQUESTED", "TRASHED", "UP", "AddressRange", "AddressSet", "Capture", "DnsRecord", "FloatingIp", "Listener",
    "LoadBalancer", "Member", "MemberHealth", "Network", "NetworkDefault", "NetworkPeering", "NetworkShare",
    "PhysicalNetwork", "Port", "PortAddress", "PortForwarding", "PortSample", "PortSecurityGroup", "Reservation",
    "Router", "RouterInterface", "RouterRoute", "SecurityGroup", "SecurityHit", "SecurityLogMark", "SecurityRule",
    "ServiceChain", "ServiceChainHop", "Subnet", "Trashable",
]  # fmt: skip
