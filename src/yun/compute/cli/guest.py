"""Commands of the guest side: what its agent tells."""

from __future__ import annotations

from typing import Any

import click

from yun.base.messages import _
from yun.base.units import format_size
from yun.compute.cli.shared import at, instance
from yun.web.client import Client
from yun.web.command import output, pass_client, say, shell


@instance.command("guest", help=_("What an instance's guest agent tells: system, file systems, addresses."))
@click.argument("ref")
@pass_client
def guest(client: Client, ref: str) -> None:
    """A sheet, then a table of file systems and one of cards."""
    found = client.get(at(ref, "guest"))
    if shell().format != "table":
        output(found)
        return
    sheet: list[Any] = [
        (_("Guest agent"), lambda row: say(_("connected") if row["agent"] else _("not connected"))),
        (_("System"), "os_name"), (_("Kernel"), "kernel"), (_("Host name in the guest"), "hostname"),
        (_("Time zone"), "time_zone"), (_("Seen"), "seen_at"),
    ]  # fmt: skip
    output(found, sheet)
    if found["file_systems"]:
        click.echo()
        output(found["file_systems"], FILE_SYSTEMS)
    if found["cards"]:
        click.echo()
        output(found["cards"], [(_("CARD"), "name"), ("MAC", "mac"), (_("ADDRESSES"), "addresses")])


def _size(key: str) -> Any:
    return lambda row: None if row[key] is None else format_size(row[key])


FILE_SYSTEMS: list[Any] = [
    (_("MOUNT POINT"), "mount"), (_("TYPE"), "type"), (_("SIZE"), _size("total_bytes")),
    (_("USED"), _size("used_bytes")), (_("DEVICE"), "device"), (_("DISK"), "slots"),
]  # fmt: skip
