"""The command that moves a volume to another pool."""

from __future__ import annotations

from urllib.parse import quote

import click

from yun.base.messages import _
from yun.storage.cli import volume
from yun.web.client import Client
from yun.web.command import pass_client


@volume.command("move", help=_("Move a volume to another pool, also while its instance runs."))
@click.argument("ref")
@click.argument("pool")
@pass_client
def move(client: Client, ref: str, pool: str) -> None:
    """Move."""
    client.change("POST", f"/volumes/{quote(ref, safe='')}/move", {"pool": pool})
