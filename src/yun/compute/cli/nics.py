"""Commands of network cards: add, remove, change."""

from __future__ import annotations

from typing import Any

import click

from yun.base.messages import _
from yun.compute.cli.shared import at, instance
from yun.web.client import Client
from yun.web.command import WAS, option, pass_client, seen

MODELS = click.Choice(["virtio", "e1000", "e1000e", "rtl8139"])
network = option("--network", help=_("The network it is on."))
address = option("--address", help=_("A certain address."))
groups = option("--security-group", "security_groups", multiple=True, help=_("Security group; may be repeated."))
model = option("--model", type=MODELS, help=_("The card as the guest sees it."))
mac = option("--mac", help=_("A certain MAC address."))
link = option("--link", type=click.Choice(["up", "down"]), help=_("Its cable: in or out."))


def _body(link: str | None, security_groups: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    body = {name: value for name, value in values.items() if value is not None}
    if link is not None:
        body["link_up"] = link == "up"
    if security_groups:
        body["security_groups"] = list(security_groups)
    return body


@instance.command("add-nic", help=_("Add a network card, also while the instance runs."))
@click.argument("ref")
@network
@address
@groups
@model
@mac
@link
@option("--port", help=_("A port that is in no instance: it brings network, addresses, MAC and groups along."))
@pass_client
def add_nic(client: Client, ref: str, link: str | None, security_groups: tuple[str, ...], **values: Any) -> None:
    """Add a card."""
    client.change("POST", at(ref, "add-nic"), _body(link, security_groups, values))


@instance.command("remove-nic", help=_("Remove a network card, named by its address, MAC or id."))
@click.argument("ref")
@click.argument("card")
@option("--timeout", type=int, default=30, show_default=True, help=_("Seconds a running guest has to let go of it."))
@option("--keep-port", "keep_port", is_flag=True, help=_("The port stays with all that it has, for another instance."))
@pass_client
def remove_nic(client: Client, ref: str, card: str, timeout: int, keep_port: bool) -> None:
    """Remove a card."""
    client.change("POST", at(ref, "remove-nic"), {"card": card, "timeout": timeout, "keep_port": keep_port})


@instance.command("change-nic", help=_("Change a network card, named by its address, MAC or id."))
@click.argument("ref")
@click.argument("card")
@network
@address
@groups
@option("--no-security-group", "no_groups", is_flag=True, help=_("It is in no security group."))
@model
@mac
@link
@WAS
@pass_client
def change_nic(
    client: Client, ref: str, card: str, link: str | None, security_groups: tuple[str, ...], no_groups: bool,
    was: tuple[str, ...], **values: Any,
) -> None:  # fmt: skip
    """Change a card."""
    body = _body(link, security_groups, values)
    if no_groups:
        body["security_groups"] = []
    client.change("POST", at(ref, "change-nic"), {"card": card, **body, **seen(was, body)})
