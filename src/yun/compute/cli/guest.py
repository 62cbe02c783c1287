"""Commands of the guest side: what its agent tells, and what it is asked to do."""

from __future__ import annotations

import sys
from typing import Any

import click

from yun.base.messages import _
from yun.base.units import format_size
from yun.compute.cli.shared import at, instance
from yun.web.client import Client
from yun.web.command import option, output, pass_client, say, shell


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


@instance.command("set-password", help=_("Set a password in a running guest; it is asked for, or read from a pipe."))
@click.argument("ref")
@option("--user", default="", help=_("A user of the guest; the image's default user otherwise."))
@pass_client
def set_password(client: Client, ref: str, user: str) -> None:
    """Never as an argument: those are seen by everybody on this machine."""
    if sys.stdin.isatty():
        password = click.prompt(say(_("Password")), hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    client.change("POST", at(ref, "set-password"), {"password": password, "user": user})


@instance.command("freeze", help=_("Freeze the file systems of a guest; they thaw by themselves."))
@click.argument("ref")
@option("--seconds", type=int, default=30, show_default=True, help=_("How long at most."))
@pass_client
def freeze(client: Client, ref: str, seconds: int) -> None:
    """Freeze."""
    client.change("POST", at(ref, "freeze"), {"seconds": seconds})


@instance.command("thaw", help=_("Thaw the file systems of a guest."))
@click.argument("ref")
@pass_client
def thaw(client: Client, ref: str) -> None:
    """Thaw."""
    client.change("POST", at(ref, "thaw"))


@instance.command("trim", help=_("Give blocks that a guest no longer uses back to the storage pool."))
@click.argument("ref")
@pass_client
def trim(client: Client, ref: str) -> None:
    """Trim."""
    answer = client.change("POST", at(ref, "trim"))
    result = _result(answer)
    if result is not None:
        click.echo(say(_("Trimmed: {size}", size=format_size(result["trimmed_bytes"]))))
        for path, reason in result["refused"].items():
            click.echo(f"{path}: {reason}", err=True)


@instance.command("sync-time", help=_("Set a guest's clock to the cloud's."))
@click.argument("ref")
@pass_client
def sync_time(client: Client, ref: str) -> None:
    """Set the clock."""
    result = _result(client.change("POST", at(ref, "sync-time")))
    if result is None or result["was_ahead_seconds"] is None:
        return
    ahead = result["was_ahead_seconds"]
    if ahead > 0:
        click.echo(say(_("It was {seconds} s ahead.", seconds=ahead)))
    else:
        click.echo(say(_("It was {seconds} s behind.", seconds=-ahead)))


@instance.command(
    "run", help=_("Run a command in a guest, and end with its exit code."),
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)  # fmt: skip
@option("--timeout", type=int, default=60, show_default=True, help=_("Seconds after which it is killed."))
@click.argument("ref")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_client
def run(client: Client, ref: str, timeout: int, command: tuple[str, ...]) -> None:
    """What it printed comes out here; killed after its time ends with 124, as ``timeout`` does."""
    words = list(command[1:] if command[0] == "--" and len(command) > 1 else command)
    answer = client.change("POST", at(ref, "run"), {"command": words, "timeout": timeout}, show=False)
    result = _result(answer)
    if shell().format != "table" or result is None:
        client.told(answer, answer["operation"])
    if (ended := (answer["operation"].get("result") or None)) is None:
        return
    if result is not None:
        click.echo(_shown(result["stdout"], sys.stdout), nl=False)
        click.echo(_shown(result["stderr"], sys.stderr), nl=False, err=True)
        if result["truncated"]:
            click.echo(say(_("(More was printed than is kept.)")), err=True)
    code = 124 if ended["timed_out"] else ended["exit_code"]
    if code is None:
        code = 128 + (ended["signal"] or 0)
    raise click.exceptions.Exit(code)


def _shown(text: str, stream: Any) -> str:
    """What a guest prints must not act on a person's terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "" for c in text) if stream.isatty() else text


def _result(answer: dict[str, Any]) -> dict[str, Any] | None:
    """What came of a change that was waited for, where a person reads it."""
    result = (answer.get("operation") or {}).get("result")
    return result if shell().format == "table" else None
