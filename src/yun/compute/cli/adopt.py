"""Commands of machines that nobody here made: host found, instance adopt, instance release."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.compute.cli.shared import at, instance
from yun.hosts.cli import host
from yun.web.client import Client
from yun.web.command import option, output, pass_client, say, shell


def _files(row: Any) -> str:
    return ", ".join(f"{d['slot']} {d['path']}" for d in row["disks"] if d["becomes_volume"]) or "–"


@host.command("found", help=_("List machines of libvirt's that the cloud did not make, or say what one of them is."))
@click.argument("ref", required=False)
@pass_client
def found(client: Client, ref: str | None) -> None:
    """Found machines."""
    if ref is not None:
        row = client.get(f"/found-machines/{quote(ref, safe='')}")
        if shell().format != "table":
            output(row)
            return
        for title, part in ((_("Now"), "now"), (_("After a restart"), "later"), (_("Stays as it is"), "kept"),
                            (_("In the way"), "problems")):  # fmt: skip
            if row["report"][part]:
                click.echo(f"{say(title)}:")
                for line in row["report"][part]:
                    click.echo(f"  {line}")
        return
    columns: list[Any] = [
        (_("NAME"), "name"), (_("STATE"), "state"), (_("VCPUS"), "vcpus"),
        (_("MEMORY"), lambda r: format_size(r["memory_mib"] * MIB)), (_("HOST"), "host"),
        (_("ADOPTABLE"), lambda r: say(_("yes") if r["adoptable"] else _("no"))), (_("DISKS"), _files),
    ]  # fmt: skip
    output(client.items("/found-machines"), columns)


@instance.command("adopt", help=_("Take a found machine over, without stopping it."))
@click.argument("ref")
@option("--name", help=_("What it is called here; libvirt's name of it otherwise."))
@pass_client
def adopt(client: Client, ref: str, name: str | None) -> None:
    """Adopt."""
    client.change("POST", f"/found-machines/{quote(ref, safe='')}/adopt", {"name": name})


@instance.command("release", help=_("Hand an instance back to libvirt as a plain machine, without stopping it."))
@click.argument("ref")
@pass_client
def release(client: Client, ref: str) -> None:
    """Release."""
    client.change("POST", at(ref, "release"))
