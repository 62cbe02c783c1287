"""Commands of CD drives: insert and eject."""

from __future__ import annotations

import click

from yun.base.messages import _
from yun.compute.cli.shared import at, instance
from yun.web.client import Client
from yun.web.command import option, pass_client


@instance.command("insert", help=_("Insert a CD, also while the instance runs."))
@click.argument("ref")
@click.argument("image")
@option("--slot", default="", help=_("The drive, such as sdh; an empty or a new one by default."))
@option(
    "--bus", type=click.Choice(["sata", "scsi", "ide"]),
    help=_("Where a new drive goes: ide beside a boot disk there, else sata."),
)
@option("--force", is_flag=True, help=_("Even where the guest keeps the tray locked."))
@option("--boot-once", is_flag=True, help=_("Let the next start boot from it, and only that one."))
@pass_client
def insert(client: Client, ref: str, image: str, slot: str, bus: str | None, force: bool, boot_once: bool) -> None:
    """Insert a CD."""
    body = {"image": image, "slot": slot, "bus": bus or "", "force": force, "boot_once": boot_once}
    client.change("POST", at(ref, "insert"), body)


@instance.command("eject", help=_("Take a CD out, also while the instance runs."))
@click.argument("ref")
@option("--slot", default="", help=_("The drive; not needed where only one holds a CD."))
@option("--force", is_flag=True, help=_("Even where the guest keeps the tray locked."))
@option("--remove", is_flag=True, help=_("Remove the drive too."))
@pass_client
def eject(client: Client, ref: str, slot: str, force: bool, remove: bool) -> None:
    """Eject a CD."""
    client.change("POST", at(ref, "eject"), {"slot": slot, "force": force, "remove": remove})
