"""The command of the same change of many instances: one preview, one question, one report."""

from __future__ import annotations

from typing import Any

import click

from yun.base.messages import _
from yun.compute.cli.shared import instance, size_of
from yun.web.client import Client
from yun.web.command import option, output, pass_client, say, shell
from yun.web.output import document, preview, wait_for

VERBS = click.Choice(["start", "stop", "reboot", "pause", "resume", "delete", "tag", "resize", "update"])
FAILED = 10


@instance.command("bulk", help=_("The same change of all instances that a query finds, such as 'tag:web'."))
@click.argument("query")
@click.argument("verb", type=VERBS)
@option("--flavor", help=_("resize: a flavor."))
@option("--vcpus", type=int, help=_("resize: so many vCPUs."))
@option("--memory", help=_("resize: so much memory, such as 2G."))
@option("--add", "add_tags", multiple=True, help=_("tag: a tag that each shall have; may be repeated."))
@option("--remove", "remove_tags", multiple=True, help=_("tag: a tag that none shall have; may be repeated."))
@option("--autostart/--no-autostart", default=None, help=_("update: start again after a reboot of the host."))
@option("--protect/--unprotect", "protected", default=None, help=_("update: refuse to be deleted."))
@option("--on-crash", type=click.Choice(["restart", "leave"]), help=_("update: what is done when one goes down."))
@option("--shutdown-seconds", type=int, help=_("update: how long a guest may take to power off."))
@option("--timeout", type=int, help=_("stop, reboot, delete: seconds until the power is cut."))
@option("--force", is_flag=True, help=_("stop, reboot, delete: cut the power at once."))
@option("-y", "--yes", is_flag=True, help=_("Do not ask."))
@pass_client
def bulk(client: Client, query: str, verb: str, memory: str | None, yes: bool, **values: Any) -> None:
    """Change many."""
    arguments = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    if memory:
        arguments["memory_mib"] = size_of(memory, "memory_mib", "m") >> 20
    body = {"query": query, "verb": verb, "arguments": arguments}
    if not yes or client.options.dry_run:
        plan = client.plan("POST", "/instances/bulk", body)
        shown = {**plan, "effects": [*plan["effects"], *(_left_out(one) for one in plan["left_out"])]}
        if client.options.dry_run:
            preview(plan if shell().format != "table" else shown)
            return
        for line in (plan["title"], *(f"  {effect}" for effect in shown["effects"])):
            click.echo(line, err=True)
        click.confirm(say(_("Do it?")), abort=True, err=True)
    answer = client.send("POST", "/instances/bulk", json=body).json()
    _report(client, answer)


def _left_out(one: dict[str, Any]) -> str:
    return f"{one['name']}: {say(_('Left out: {reason}', reason=one['reason']))}"


def _report(client: Client, answer: dict[str, Any]) -> None:
    """What became of each; ends with the code of a failure where one failed."""
    failed = False
    for item in answer["items"]:
        if "operation" in item and client.options.wait:
            try:
                item["operation"] = wait_for(client, item["operation"])
            except click.ClickException as error:
                failed = True
                item["error"] = {"code": "failed", "message": error.message}
    if shell().format != "table":
        document(answer)
    else:
        output(answer["items"], [(_("Name"), "name"), (_("Outcome"), _outcome), (_("Operation"), _operation)])
    if failed:
        raise click.exceptions.Exit(FAILED)


def _outcome(item: Any) -> str:
    if "error" in item:
        return str(item["error"]["message"])
    return say(_(str(item["operation"]["state"])))


def _operation(item: Any) -> str:
    return str(item["operation"]["id"]) if "operation" in item else "–"
