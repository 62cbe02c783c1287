"""Commands of this room, over the REST client: network, subnet, router, port, security-group, floating-ip,
service-chain, load-balancer."""

from __future__ import annotations

from yun.network.cli.balancers import load_balancer
from yun.network.cli.captures import captures
from yun.network.cli.floating_ips import floating_ip
from yun.network.cli.groups import security_group
from yun.network.cli.network_peerings import network_peering
from yun.network.cli.networks import network
from yun.network.cli.physical import physical_network
from yun.network.cli.port_forwardings import port_forwarding
from yun.network.cli.ports import port
from yun.network.cli.reach import reach  # noqa: F401 (it adds its verb)
from yun.network.cli.records import dns_record
from yun.network.cli.routers import router
from yun.network.cli.service_chains import service_chain
from yun.network.cli.sets import address_set
from yun.network.cli.subnets import subnet
from yun.network.cli.topology import topology  # noqa: F401  (a command of `network`)

commands = [
    network, subnet, router, port, captures, security_group, address_set, floating_ip, port_forwarding,
    network_peering, service_chain, load_balancer, dns_record, physical_network,
]  # fmt: skip
