"""The ``yun`` command: adds each room's commands and those of the machine itself, loaded when they are asked for."""

from __future__ import annotations

import click

from yun.base.messages import _
from yun.web.command import Root

LAZY = {
    "instance": ("yun.compute.cli:instance", _("Virtual machines: create, start, stop, delete, …")),
    "flavor": ("yun.compute.cli:flavor", _("Types of instances: vCPUs, memory, disk.")),
    "console": ("yun.compute.console.cli:console", _("Open an instance's serial console in this terminal.")),
    "ssh": ("yun.compute.console.cli:ssh", _("Log in to an instance by SSH.")),
    "image": ("yun.images.cli:image", _("Images that instances start from.")),
    "volume": ("yun.compute.cli:volume", _("Volumes: the disks of instances.")),
    "pool": ("yun.storage.cli:pool", _("Storage pools.")),
    "trash": ("yun.storage.cli:trash", _("What was deleted and can still be brought back.")),
    "network": ("yun.network.cli:network", _("Networks.")),
    "service-chain": ("yun.network.cli:service_chain", _("Machines through which a subnet's traffic goes.")),
    "network-peering": (
        "yun.network.cli:network_peering", _("Routers of two projects that reach each other by consent."),
    ),
    "subnet": ("yun.network.cli:subnet", _("Subnets of networks.")),
    "router": ("yun.network.cli:router", _("Routers between networks and to the outside.")),
    "port": ("yun.network.cli:port", _("Ports in networks: the cards of instances, and those that wait for one.")),
    "port-forwarding": (
        "yun.network.cli:port_forwarding", _("Single ports of an outside address that lead to machines."),
    ),
    "capture": ("yun.network.cli:captures", _("Recordings of packets of ports; begun by yun port capture.")),
    "security-group": ("yun.network.cli:security_group", _("Security groups: who may reach an instance.")),
    "address-set": ("yun.network.cli:address_set", _("Address sets: ranges with a name, for rules of groups.")),
    "floating-ip": ("yun.network.cli:floating_ip", _("Addresses that are reachable from outside.")),
    "dns-record": ("yun.network.cli:dns_record", _("Names of a network beside those of its machines.")),
    "physical-network": ("yun.network.cli:physical_network", _("Physical networks beyond the hosts' cards.")),
    "load-balancer": ("yun.network.cli:load_balancer", _("Load balancers: one address before several instances.")),
    "function": (
        "yun.functions.cli:function", _("Network functions: firewalls, reverse proxies, VPN gateways as instances."),
    ),
    "snapshot": ("yun.snapshots.cli:snapshot", _("Snapshots: keep an instance's state, go back to it.")),
    "host": ("yun.compute.cli:host", _("Hypervisor hosts and their services.")),
    "project": ("yun.identity.cli:project", _("Projects and their members.")),
    "user": ("yun.identity.cli:user", _("Users.")),
    "audit": ("yun.identity.cli:audit", _("The audit: every change, log-in and refusal.")),
    "token": ("yun.identity.cli:token", _("API tokens.")),
    "key": ("yun.identity.cli:key", _("SSH keys.")),
    "login": ("yun.identity.cli:login", _("Log in to a cloud on another machine.")),
    "whoami": ("yun.identity.cli:whoami", _("Who you are to the cloud.")),
    "operation": ("yun.operations.cli:operation", _("Operations: what runs, what happened, what can be undone.")),
    "undo": ("yun.operations.cli:undo", _("Undo an operation, or the newest of yours that can be undone.")),
    "history": ("yun.operations.cli:history", _("What happened, newest first.")),
    "up": ("yun.setup.cli:up", _("Bring the cloud up on this machine.")),
    "down": ("yun.setup.cli:down", _("Stop the cloud on this machine, or remove all it made.")),
    "doctor": ("yun.setup.cli:doctor", _("Find what is missing or broken on this machine, with the remedy.")),
    "serve": ("yun.server:serve", _("Run the cloud's process: panel, API and engine.")),
    "dev": ("yun.dev:dev", _("Run a whole cloud in memory, for work on the panel.")),
    "version": ("yun.server:version", _("The version of this command.")),
}


@click.pass_context
def _ready(ctx: click.Context) -> None:
    """Nothing to prepare."""


root = Root(
    lazy=LAZY,
    callback=_ready,
    help=_("Yun, a private cloud in one process: preview it, fork it, undo it."),
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console script."""
    root(prog_name="yun")
