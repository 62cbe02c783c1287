"""The command that moves a disk to another bus."""

from __future__ import annotations

from urllib.parse import quote

import click

from yun.base.messages import _
from yun.compute.cli.disks import BUSES
from yun.storage.cli import volume
from yun.web.client import Client
from yun.web.command import pass_client


@volume.command("change-bus", help=_("Move a volume to another bus of its instance, which must be off."))
@click.argument("ref")
@click.argument("bus", type=BUSES)
@pass_client
def change_bus(client: Client, ref: str, bus: str) -> None:
    """Change the bus."""
    client.change("POST", f"/volumes/{quote(ref, safe='')}/change-bus", {"bus": bus})
