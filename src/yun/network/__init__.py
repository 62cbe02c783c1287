"""Networks of the tenants: networks and subnets, routers to the outside, ports, security groups, floating IPs.

It knows what should be and has the network engine make it so. It does not know instances: a port belongs to one by
its id alone. The host's own outside leg (bridge, address, nftables) is the host driver's.
"""
