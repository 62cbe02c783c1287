"""The command that says what can reach an instance."""

from __future__ import annotations

import click

from yun.base.messages import _
from yun.compute.cli.shared import at, instance
from yun.web.client import Client
from yun.web.command import output, pass_client, say, shell

PARTS = (("in", _("Gets in")), ("out", _("Gets out")), ("outside", _("Outside")), ("notes", _("Note")))


@instance.command("reach", help=_("Say what can reach an instance, and what it can reach."))
@click.argument("ref")
@pass_client
def reach(client: Client, ref: str) -> None:
    """Say what can reach an instance."""
    found = client.get(at(ref, "reach"))
    if shell().format != "table":
        output(found)
        return
    for port in found["ports"]:
        click.echo(port["address"])
        for name, title in PARTS:
            for line in port[name]:
                click.echo(say(_("  {title}: {line}", title=title, line=line)))
