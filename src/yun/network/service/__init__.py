"""The verbs of the networks. What changes returns an `Intent`; what reads returns rows; plans serve rooms above."""

from yun.network.service.balancer_parts import NewBalancer, NewListener, get_listener, say_listener, say_member
from yun.network.service.balancers import (
    add_listener,
    add_member,
    change_listener,
    create_balancer,
    delete_balancer,
    remove_listener,
    remove_member,
    tend_balancers,
    update_balancer,
)
from yun.network.service.balancing import (
    backends_of,
    behind_floating_ip,
    health_of,
    listeners_of,
    members_of,
    ports_of_member,
)
from yun.network.service.batch import (
    group_names,
    groups_by_port,
    places_by_port,
    pool_use,
    ports_by_id,
    subnets_by_network,
    taken,
)
from yun.network.service.captures import capture, capture_file, delete_capture, get_capture, port_metrics, stop_capture
from yun.network.service.chain_words import losing as losing_chains
from yun.network.service.chain_words import losing_ports as losing_chain_ports
from yun.network.service.chain_words import said_kind
from yun.network.service.chaining import chains_of_ports, chains_of_router, hops_of, status_of
from yun.network.service.chains import (
    MOST_HOPS,
    ON_FAILURE,
    ChainChanges,
    NewChain,
    NewHop,
    create_chain,
    delete_chain,
    update_chain,
)
from yun.network.service.changes import (
    NETWORK_TITLES,
    SUBNET_TITLES,
    NetworkChanges,
    SubnetChanges,
    told_network,
    told_subnet,
    update_network,
    update_subnet,
)
from yun.network.service.defaults import ensure_default, reconcile
from yun.network.service.families import family
from yun.network.service.floating import (
    FloatingIpPlan,
    allocate,
    associate,
    disassociate,
    external_address,
    plan_floating_ip,
    release,
    update_floating_ip,
)
from yun.network.service.forwarding import (
    NewForwarding,
    create_forwarding,
    delete_forwarding,
    forwardings_of,
    forwardings_through,
    get_forwarding,
    outside_address,
)
from yun.network.service.groups import NewRule, add_rule, delete_group, remove_rule, say
from yun.network.service.legs import add_interface, clear_gateway, interface_of, remove_interface, set_gateway
from yun.network.service.look import (
    addresses_of,
    card_now,
    external_network,
    floating_of,
    get,
    get_balancer,
    get_chain,
    get_floating_ip,
    get_group,
    get_network,
    get_port,
    get_router,
    get_subnet,
    groups_of,
    ids_of,
    legs_of,
    list_of,
    places_of,
    ports_of,
    router_of,
    rules_of,
    subnets_of,
)
from yun.network.service.networks import NewNetwork, create_network, create_subnet, delete_network, delete_subnet
from yun.network.service.new_groups import KNOWN, OWN, NewGroup, create_group
from yun.network.service.new_ports import create_port
from yun.network.service.paths import floating_through, inner_choices, routers_on, routes_of
from yun.network.service.peering import (
    NewPeering,
    accept_peering,
    create_peering,
    delete_peering,
    get_peering,
    list_peerings,
    side_of,
)
from yun.network.service.physical import (
    NewPhysical,
    create_physical,
    delete_physical,
    get_physical,
    hosts_apart,
    list_physical,
    physical_names,
    refuse_apart,
)
from yun.network.service.port_verbs import (
    PORT_NUMBERS,
    PORT_TITLES,
    NewPort,
    PortChanges,
    add_address,
    delete_port,
    remove_address,
    told_port,
    told_wish,
    update_port,
)
from yun.network.service.ports import PortPlan, default_group, default_network, forget_ports, groups_for, plan_port
from yun.network.service.records import create_record, delete_record, get_record, list_records, records_of
from yun.network.service.reserving import addresses_in, reserve, said_of, shown, unreserve
from yun.network.service.routers import NewRouter, create_router, delete_router, update_router
from yun.network.service.routes import add_route, remove_route
from yun.network.service.shares import shares_of
from yun.network.service.sharing import share, unshare
from yun.network.service.subnets import NewSubnet
from yun.network.service.tags import tag_network
from yun.network.service.topologies import topology

__all__ = [
    "KNOWN", "MOST_HOPS", "NETWORK_TITLES", "ON_FAILURE", "OWN", "PORT_NUMBERS", "PORT_TITLES", "SUBNET_TITLES",
    "ChainChanges", "FloatingIpPlan", "NetworkChanges", "NewBalancer", "NewChain", "NewForwarding", "NewGroup",
    "NewHop", "NewListener", "NewNetwork", "NewPeering", "NewPhysical", "NewPort", "NewRouter", "NewRule", "NewSubnet",
    "PortChanges", "PortPlan", "SubnetChanges", "accept_peering", "add_address", "add_interface", "add_listener",
    "add_member", "add_route", "add_rule", "addresses_in", "addresses_of", "allocate", "associate", "backends_of",
    "behind_floating_ip", "capture", "capture_file", "card_now", "chains_of_ports", "chains_of_router",
    "change_listener", "clear_gateway", "create_balancer", "create_chain", "create_forwarding", "create_group",
    "create_network", "create_peering", "create_physical", "create_port", "create_record", "create_router",
    "create_subnet", "default_group", "default_network", "delete_balancer", "delete_capture", "delete_chain",
    "delete_forwarding", "delete_group", "delete_network", "delete_peering", "delete_physical", "delete_port",
    "delete_record", "delete_router", "delete_subnet", "disassociate", "ensure_default", "external_address",
    "external_network", "family", "floating_of", "floating_through", "forget_ports", "forwardings_of",
    "forwardings_through", "get", "get_balancer", "get_capture", "get_chain", "get_floating_ip", "get_forwarding",
    "get_group", "get_listener", "get_network", "get_peering", "get_physical", "get_port", "get_record", "get_router",
    "get_subnet", "group_names", "groups_by_port", "groups_for", "groups_of", "health_of", "hops_of", "hosts_apart",
    "ids_of", "inner_choices", "interface_of", "legs_of", "list_of", "list_peerings", "list_physical", "list_records",
    "listeners_of", "losing_chain_ports", "losing_chains", "members_of", "outside_address", "physical_names",
    "places_by_port", "places_of", "plan_floating_ip", "plan_port", "pool_use", "port_metrics", "ports_by_id",
    "ports_of", "ports_of_member", "reconcile", "records_of", "refuse_apart", "release", "remove_address",
    "remove_interface", "remove_listener", "remove_member", "remove_route", "remove_rule", "reserve", "router_of",
    "routers_on", "routes_of", "rules_of", "said_kind", "said_of", "say", "say_listener", "say_member", "set_gateway",
    "share", "shares_of", "shown", "side_of", "status_of", "stop_capture", "subnets_by_network", "subnets_of",
    "tag_network", "taken", "tend_balancers", "told_network", "told_port", "told_subnet", "told_wish", "topology",
    "unreserve", "unshare", "update_balancer", "update_chain", "update_floating_ip", "update_network", "update_port",
    "update_router", "update_subnet",
]  # fmt: skip
