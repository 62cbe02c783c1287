"""A port → the card of a virtual machine."""

from __future__ import annotations

from yun.drivers.hypervisor.port import NicSpec
from yun.hosts.model import Host
from yun.network.model import Network, Port


def nic_of(port: Port, network: Network, host: Host) -> NicSpec:
    """The virtual card of a port on a host; packets keep their checksums off where Open vSwitch runs in userspace."""
    return NicSpec(
        mac=port.mac, port_uuid=port.uuid, mtu=network.mtu, model=port.model, link_up=port.link_up,
        host_checksum_offload=host.datapath != "netdev",
    )
