"""What the house asks of the network engine; one object serves the whole cloud (OVN's northbound database).

Every thing is named by its id of ours, kept in ``external_ids``, so repeating a call finds what is there: "make it
so". One call is one transaction. Rows of strangers are never touched. All methods may raise `DriverError`.
"""

from __future__ import annotations

from yun.drivers.network.port.balancers import BackendHealth, BackendSpec, BalancerSpec, CheckSpec, ListenerSpec
from yun.drivers.network.port.chains import ChainHopSpec, ChainSpec
from yun.drivers.network.port.engine import NetworkEngine
from yun.drivers.network.port.groups import AddressSetSpec, GroupSpec, RuleSpec
from yun.drivers.network.port.networks import NetworkSpec, PortSpec, RateSpec, SubnetSpec
from yun.drivers.network.port.routers import (
    AdvertisementSpec,
    ForwardSpec,
    NatSpec,
    PeerSpec,
    RouterInterfaceSpec,
    RouterSpec,
)

__all__ = [
    "AddressSetSpec", "AdvertisementSpec", "BackendHealth", "BackendSpec", "BalancerSpec", "ChainHopSpec",
    "ChainSpec", "CheckSpec", "ForwardSpec", "GroupSpec", "ListenerSpec", "NatSpec", "NetworkEngine", "NetworkSpec",
    "PeerSpec", "PortSpec", "RateSpec", "RouterInterfaceSpec", "RouterSpec", "RuleSpec", "SubnetSpec",
]  # fmt: skip
