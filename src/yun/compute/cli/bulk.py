"""The commands of the same change of many things: one preview, one question, one report."""

from __future__ import annotations

from typing import Any

import click

from yun.base.messages import _
from yun.compute.cli.shared import instance, size_of
from yun.images.cli import image
from yun.network.cli import network
from yun.storage.cli import volume
from yun.web.client import Client
from yun.web.command import option, output, pass_client, say, shell
from yun.web.output import document, preview, wait_for

VERBS = click.Choice(["start", "stop", "reboot", "pause", "resume", "delete", "tag", "resize", "update"])
VOLUME_VERBS = click.Choice(["delete", "detach", "move", "tag"])
FAILED = 10


def _which(command: Any) -> Any:
    """The argument and the options that say which things are meant."""
    for decorate in reversed((
        click.argument("names", nargs=-1),
        option("--where", metavar="QUERY", help=_("All that this search finds, such as 'tag:web state:running'.")),
    )):  # fmt: skip
        command = decorate(command)
    return command


@instance.command("bulk", help=_("The same change of many instances: VERB NAME…, or VERB --where 'tag:web'."))
@click.argument("verb", type=VERBS)
@_which
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
def bulk(
    client: Client, verb: str, names: tuple[str, ...], where: str | None, memory: str | None, yes: bool, **values: Any
) -> None:
    """Change many instances."""
    arguments = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    if memory:
        arguments["memory_mib"] = size_of(memory, "memory_mib", "m") >> 20
    _change_many(client, "/instances/bulk", _meant(names, where), {"verb": verb, "arguments": arguments}, yes)


@volume.command("bulk", help=_("The same change of many volumes: VERB NAME…, or VERB --where 'attached:no'."))
@click.argument("verb", type=VOLUME_VERBS)
@_which
@option("--pool", help=_("move: the pool they go to."))
@option("--add", "add_tags", multiple=True, help=_("tag: a tag that each shall have; may be repeated."))
@option("--remove", "remove_tags", multiple=True, help=_("tag: a tag that none shall have; may be repeated."))
@option("--timeout", type=int, help=_("detach: seconds a guest has to let go."))
@option("-y", "--yes", is_flag=True, help=_("Do not ask."))
@pass_client
def bulk_volumes(
    client: Client, verb: str, names: tuple[str, ...], where: str | None, yes: bool, **values: Any
) -> None:
    """Change many volumes."""
    arguments = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    _change_many(client, "/volumes/bulk", _meant(names, where), {"verb": verb, "arguments": arguments}, yes)


def _tagged(command: Any) -> Any:
    """What commands of things that are deleted and tagged have in common."""
    for decorate in reversed((
        click.argument("verb", type=click.Choice(["delete", "tag"])), _which,
        option("--add", "add_tags", multiple=True, help=_("tag: a tag that each shall have; may be repeated.")),
        option("--remove", "remove_tags", multiple=True, help=_("tag: a tag that none shall have; may be repeated.")),
        option("-y", "--yes", is_flag=True, help=_("Do not ask.")), pass_client,
    )):  # fmt: skip
        command = decorate(command)
    return command


@image.command("bulk", help=_("The same change of many images: VERB NAME…, or VERB --where 'os:debian'."))
@_tagged
def bulk_images(
    client: Client, verb: str, names: tuple[str, ...], where: str | None, yes: bool, **values: Any
) -> None:
    """Change many images."""
    arguments = {name: list(v) for name, v in values.items()}
    _change_many(client, "/images/bulk", _meant(names, where), {"verb": verb, "arguments": arguments}, yes)


@network.command("bulk", help=_("The same change of many networks: VERB NAME…, or VERB --where 'tag:lab'."))
@_tagged
def bulk_networks(
    client: Client, verb: str, names: tuple[str, ...], where: str | None, yes: bool, **values: Any
) -> None:
    """Change many networks."""
    arguments = {name: list(v) for name, v in values.items()}
    _change_many(client, "/networks/bulk", _meant(names, where), {"verb": verb, "arguments": arguments}, yes)


def _meant(names: tuple[str, ...], where: str | None) -> dict[str, Any]:
    if bool(names) == (where is not None):
        raise click.UsageError(say(_("Name some, or say --where QUERY.")))
    return {"ids": list(names)} if names else {"query": where}


def _change_many(client: Client, path: str, which: dict[str, Any], change: dict[str, Any], yes: bool) -> None:
    """Show, ask, do. What a search finds is looked up once: only those that were shown are changed."""
    if not yes or client.options.dry_run:
        plan = client.plan("POST", path, {**which, **change})
        shown = {**plan, "effects": [*plan["effects"], *(_left_out(one) for one in plan["left_out"])]}
        if client.options.dry_run:
            preview(plan if shell().format != "table" else shown)
            return
        for line in (plan["title"], *(f"  {effect}" for effect in shown["effects"])):
            click.echo(line, err=True)
        click.confirm(say(_("Do it?")), abort=True, err=True)
        if "query" in which:
            which = {**which, "ids": [one["id"] for one in plan["machines"]]}
    answer = client.send("POST", path, json={**which, **change}).json()
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
        if answer["since"]:
            names = ", ".join(one["name"] for one in answer["since"])
            click.echo(say(_("The search finds more by now, which was not changed: {names}", names=names)), err=True)
    if failed:
        raise click.exceptions.Exit(FAILED)


def _outcome(item: Any) -> str:
    if "error" in item:
        return str(item["error"]["message"])
    return say(_(str(item["operation"]["state"])))


def _operation(item: Any) -> str:
    return str(item["operation"]["id"]) if "operation" in item else "–"
