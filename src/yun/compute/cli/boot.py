"""Commands of what an instance boots from: its order, and what only its next start boots from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.compute.cli.shared import at, instance
from yun.web.command import WAS, failure, option, output, pass_client, say, seen

if TYPE_CHECKING:
    from yun.web.client import Client


def _device(row: Any) -> str:
    return f"{row['name']} ({row['holds']})" if row["holds"] else str(row["name"])


SHEET: list[Any] = [
    (_("Tried in turn"), lambda row: ", ".join(_device(d) for d in row["order"]) or "–"),
    (_("Chosen"), lambda row: say(_("yes") if row["chosen"] else _("no"))),
    (_("Next start boots from"), lambda row: _device(row["once"]) if row["once"] else "–"),
    (_("Devices"), lambda row: ", ".join(_device(d) for d in row["devices"])),
]


@instance.command("boot-order", help=_("Change what an instance boots from, first to last; without devices: show it."))
@click.argument("ref")
@click.argument("devices", nargs=-1)
@option("--usual", is_flag=True, help=_("As it is where nobody chose."))
@WAS
@pass_client
def boot_order(client: Client, ref: str, devices: tuple[str, ...], usual: bool, was: tuple[str, ...]) -> None:
    """Boot order."""
    if not devices and not usual:
        output(client.get(at(ref, "boot")), SHEET)
        return
    if devices and usual:
        raise failure(_("Devices or --usual, not both."), "invalid")
    client.change("PUT", at(ref, "boot-order"), {"devices": list(devices), **seen(was, {"devices": devices})})


@instance.command("boot-once", help=_("Boot an instance once from a device: a slot, a MAC, disk, cd or network."))
@click.argument("ref")
@click.argument("device", required=False)
@option("--drop", is_flag=True, help=_("Its next start boots as ever."))
@pass_client
def boot_once(client: Client, ref: str, device: str | None, drop: bool) -> None:
    """Boot once."""
    if bool(device) == drop:
        raise failure(_("Name a device, or say --drop."), "invalid")
    client.change("PUT", at(ref, "boot-once"), {"device": device or ""})
