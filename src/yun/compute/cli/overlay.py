"""Commands of definitions: show the XML, lay some over it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from yun.base.messages import _
from yun.compute.cli.shared import at, instance
from yun.web.command import WAS, option, output, pass_client, seen, shell

if TYPE_CHECKING:
    from yun.web.client import Client


@instance.command("xml", help=_("Show the domain XML of an instance's next start."))
@click.argument("ref")
@option("--running", is_flag=True, help=_("Of what runs now."))
@option("--difference", is_flag=True, help=_("The lines that differ between the two."))
@pass_client
def xml(client: Client, ref: str, running: bool, difference: bool) -> None:
    """Show."""
    found = client.get(at(ref, "xml"))
    if shell().format != "table":
        output(found)
        return
    click.echo("\n".join(found["difference"]) if difference else found["running" if running else "next"].rstrip())


@instance.command("set-overlay", help=_("Lay the XML of a file over an instance's definition; an empty file: none."))
@click.argument("ref")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@WAS
@pass_client
def set_overlay(client: Client, ref: str, file: Path, was: tuple[str, ...]) -> None:
    """Lay."""
    body = {"overlay": file.read_text(encoding="utf-8")}
    client.change("PUT", at(ref, "overlay"), {**body, **seen(was, body)})
