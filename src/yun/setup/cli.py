"""Commands of the machine itself: up, down, doctor."""

from __future__ import annotations

import os

import click

from yun.base.messages import _
from yun.web.command import Command, option, say, shell


@click.command("up", cls=Command, help=_("Bring the cloud up on this machine."))
@option("--hello/--no-hello", default=True, help=_("Also make a first machine named hello."))
@option("--foreground", is_flag=True, help=_("Stay, and end the cloud's process when this command ends."))
@option("--listen", metavar="ADDRESS", help=_("Address of the panel and the API; beyond loopback TLS is required."))
@option("--port", type=int, help=_("Their TCP port."))
def up(hello: bool, foreground: bool, listen: str | None, port: int | None) -> None:
    """Bring the cloud up."""
    from yun.setup.up import Wish, bring_up

    bring_up(Wish(hello=hello, foreground=foreground, listen=listen, port=port), os.environ)


@click.command("down", cls=Command, help=_("Stop the cloud on this machine, or remove all it made."))
@option("--guests", is_flag=True, help=_("Stop the instances too."))
@option("--purge", is_flag=True, help=_("Remove everything: instances, disks, images, networks, the database."))
@option("--yes", is_flag=True, help=_("Do not ask."))
def down(guests: bool, purge: bool, yes: bool) -> None:
    """Stop the cloud."""
    from yun.base.config import load
    from yun.setup.down import no_cloud, purge_all, stop_all, what_is_lost
    from yun.setup.process import served

    settings = load(served(os.environ))
    if purge:
        if (nothing := no_cloud(settings)) is not None:
            click.echo(say(nothing))
            return
        if not yes:
            click.echo(say(_("This removes for ever:")))
            for line in what_is_lost(settings):
                click.echo(f"  - {say(line)}")
            click.confirm(say(_("Go on?")), abort=True)
        purge_all(settings)
    else:
        stop_all(settings, guests=guests)


@click.command("doctor", cls=Command, help=_("Find what is missing or broken on this machine, with the remedy."))
def doctor() -> None:
    """Look at everything; exit code 1 where something is wrong."""
    from yun.base.config import load
    from yun.setup.doctor import effective, examine
    from yun.setup.process import recall
    from yun.web.output import document

    settings = load(recall(os.environ))
    found = examine(settings)
    if shell().format != "table":
        findings = [
            {
                "topic": f.topic, "level": f.level, "text": say(f.text), "remedy": say(f.remedy) if f.remedy else None,
            }
            for f in found
        ]  # fmt: skip
        document({"findings": findings, "settings": effective(settings)})
    else:
        marks = {"ok": "✓", "warning": "!", "error": "✗"}
        for f in found:
            click.echo(f"{marks[f.level]} {f.topic:<13}{say(f.text)}")
            if f.remedy:
                click.echo(f"  {'':<13}→ {say(f.remedy)}")
        click.echo("")
        click.echo(say(_("Settings in force:")))
        for name, value in effective(settings).items():
            click.echo(f"  {name} = {value}")
    if any(f.level == "error" for f in found):
        raise click.exceptions.Exit(1)
