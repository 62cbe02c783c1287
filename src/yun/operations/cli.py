"""Commands: operations, history, undo."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from yun.base.messages import _
from yun.web.client import Client
from yun.web.command import Command, Failure, Group, failure, option, output, pass_client, say, searching, wait_for
from yun.web.output import Column, Row, preview

# Where a thing is asked for, by the noun of its command; those without a place are known by their history alone.
PLACES: dict[str, str | None] = {
    "instance": "/instances", "flavor": "/flavors", "image": "/images", "volume": "/volumes", "pool": "/pools",
    "network": "/networks", "subnet": "/subnets", "router": "/routers", "port": "/ports",
    "security-group": "/security-groups", "floating-ip": "/floating-ips", "capture": "/captures",
    "host": "/hosts", "user": "/users",
    "project": "/projects", "key": "/keys", "token": None, "layer": None,
}  # fmt: skip


def _state(row: Row) -> str:
    return say(_(str(row["state"])))


COLUMNS: list[Column] = [
    (_("ID"), "id"),
    (_("WHAT"), "title"),
    (_("STATE"), _state),
    (_("BY"), lambda o: o["actor"]["name"]),
    (_("WHEN"), "created_at"),
    (_("UNDO"), lambda o: bool(o["undo"]["possible"])),
]
THING: list[Column] = [
    (_("ID"), "id"),
    (_("WHAT"), "title"),
    (_("STATE"), _state),
    (_("PROGRESS"), lambda o: f"{o['progress']:.0%}"),
    (_("BY"), lambda o: o["actor"]["name"]),
    (_("WHEN"), "created_at"),
    (_("ENDED"), "finished_at"),
    (_("UNDO UNTIL"), lambda o: o["undo"]["until"] or o["undo"]["reason"]),
    (_("ERROR"), lambda o: (o["error"] or {}).get("message")),
    (_("STEPS"), lambda o: ", ".join(f"{s['name']} {_state(s)}" for s in o.get("steps", []))),
]


@click.group("operation", cls=Group, help=_("Operations: what runs, what happened, what can be undone."))
def operation() -> None:
    """The noun."""


@operation.command("list", help=_("List operations, newest first."))
@option("--state", help=_("Only those in this state."))
@option("--open", "open_only", is_flag=True, help=_("Only those that have not ended."))
@option("--limit", type=int, default=50, help=_("At most so many."))
@searching("kind:instance. by:admin created<1d text")
@pass_client
def list_(client: Client, state: str | None, open_only: bool, limit: int, q: str | None) -> None:
    """List."""
    found = client.items("/operations", limit=limit, state=state, open_only=open_only or None, q=q)
    output(found, COLUMNS)


@operation.command("show", help=_("Show an operation with its steps."))
@click.argument("operation_id")
@pass_client
def show(client: Client, operation_id: str) -> None:
    """Show."""
    output(client.get(f"/operations/{quote(operation_id)}"), THING)


@operation.command("watch", help=_("Follow an operation until it ends."))
@click.argument("operation_id")
@pass_client
def watch(client: Client, operation_id: str) -> None:
    """Follow."""
    output(wait_for(client, client.get(f"/operations/{quote(operation_id)}")), THING)


def _act(client: Client, verb: str, operation_id: str, *, follow: bool = True) -> None:
    path = f"/operations/{quote(operation_id)}/{verb}"
    if client.options.dry_run:
        preview(client.plan("POST", path))
        return
    answer: dict[str, Any] = client.send("POST", path).json()
    if follow and client.options.wait and verb == "retry":
        answer = wait_for(client, answer)
    output(answer, THING)


@operation.command("cancel", help=_("Ask an operation to stop; what it did is taken back."))
@click.argument("operation_id")
@pass_client
def cancel(client: Client, operation_id: str) -> None:
    """Cancel."""
    _act(client, "cancel", operation_id)


@operation.command("retry", help=_("Let a stuck operation go on."))
@click.argument("operation_id")
@pass_client
def retry(client: Client, operation_id: str) -> None:
    """Retry."""
    _act(client, "retry", operation_id)


@operation.command("abandon", help=_("Give a stuck operation up and release what it holds."))
@click.argument("operation_id")
@pass_client
def abandon(client: Client, operation_id: str) -> None:
    """Abandon."""
    _act(client, "abandon", operation_id)


@operation.command("undo", help=_("Undo a finished operation."))
@click.argument("operation_id", required=False)
@option("--through", is_flag=True, help=_("First undo everything later that stands on it."))
@pass_client
def undo_operation(client: Client, operation_id: str | None, through: bool) -> None:
    """Undo."""
    _undo(client, operation_id, through)


@click.command("undo", cls=Command, help=_("Undo an operation, or the newest of yours that can be undone."))
@click.argument("operation_id", required=False)
@option("--through", is_flag=True, help=_("First undo everything later that stands on it."))
@pass_client
def undo(client: Client, operation_id: str | None, through: bool) -> None:
    """Undo."""
    _undo(client, operation_id, through)


def _undo(client: Client, operation_id: str | None, through: bool) -> None:
    path = f"/operations/{quote(operation_id)}/undo" if operation_id else "/operations/undo"
    client.change("POST", path, through=through or None)


@click.command("history", cls=Command, help=_("What happened, newest first; to one thing: history NOUN NAME."))
@click.argument("noun", required=False)
@click.argument("name", required=False)
@option("--limit", type=int, default=30, help=_("At most so many."))
@searching("kind:instance. by:admin created<1d text")
@pass_client
def history(client: Client, noun: str | None, name: str | None, limit: int, q: str | None) -> None:
    """The history of everything, or of one thing by id or name."""
    if noun is None:
        output(client.items("/operations", limit=limit, q=q), COLUMNS)
        return
    noun = noun.replace("_", "-")
    if noun not in PLACES:
        known = ", ".join(PLACES)
        raise click.UsageError(say(_("There is no noun {noun}; say one of: {known}", noun=noun, known=known)))
    if name is None:
        raise click.UsageError(say(_("Name the thing: yun history {noun} NAME", noun=noun)))
    kind = noun.replace("-", "_")
    missing = failure(_("There is no {noun} {reference}.", noun=_(noun), reference=name), "not_found")
    # What has the name today may have had another one; what is gone is known by the name it had.
    try:
        place = PLACES[noun]
        identifier = client.get(f"{place}/{quote(name, safe='')}")["id"] if place is not None else name
    except Failure as error:
        identifier, missing = name, error
    found = list(client.items("/operations", limit=limit, subject_kind=kind, subject=identifier, q=q))
    if not found and identifier == name and not q:
        raise missing
    output(found, COLUMNS)
