"""The frame of the ``yun`` command: options everywhere, help in the person's language, errors as exit codes.

A room's ``cli.py``::

    @click.group("instance", cls=Group, help=_("Virtual machines."))
    def instance() -> None: ...

    @instance.command("list", help=_("List instances."))
    @option("--state", help=_("Only those in this state."))
    @pass_client
    def list_(client: Client, state: str | None) -> None:
        output(client.items("/instances", state=state), [(_("NAME"), "name"), (_("STATE"), "state")])

    @instance.command("start", help=_("Start an instance."))
    @click.argument("ref")
    @pass_client
    def start(client: Client, ref: str) -> None:
        client.change("POST", f"/instances/{quote(ref)}/start")     # preview, wait, output: all done here

`commands` names the groups that the root adds. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import LOCALES, Message, _
from yun.web.click_texts import speak
from yun.web.output import output, wait_for

if TYPE_CHECKING:
    from yun.web.client import Client

__all__ = [
    "WAS", "Command", "Failure", "Group", "Shell", "language", "option", "output", "pass_client", "seen", "shell",
    "wait_for",
]  # fmt: skip

WHOLE = 500  # characters of a verb's line in its noun's help: none is cut
EXIT_CODES = {
    "invalid": 2,
    "unauthenticated": 3,
    "forbidden": 4,
    "not_found": 5,
    "conflict": 6,
    "stale": 6,
    "over_quota": 7,
    "no_capacity": 8,
    "unavailable": 9,
    "driver_error": 9,
    "failed": 10,
}


@dataclass
class Shell:
    """The options that hold for the whole invocation."""

    format: str = "table"
    project: str | None = None
    lang: str | None = None
    wait: bool = True
    dry_run: bool = False


def shell() -> Shell:
    """The options of the running command."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Shell) if context else None
    return found or Shell()


def language() -> str:
    """``--lang``, else ``YUN_LANG``, else what the terminal's locale says; English where nothing does."""
    chosen = shell().lang or os.environ.get("YUN_LANG") or ""
    if not chosen:
        for position, word in enumerate(sys.argv[1:], 1):
            if word.startswith("--lang="):
                chosen = word[7:]
            elif word == "--lang" and position + 1 < len(sys.argv):
                chosen = sys.argv[position + 1]
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    chosen = chosen or next((v for n in names if (v := os.environ.get(n))), "")
    return chosen[:2].lower() if chosen[:2].lower() in LOCALES else "en"


def say(message: Message) -> str:
    """A message in the command's language."""
    return message.render(language())


class Failure(click.ClickException):
    """An error for the person at the terminal: message, hint and fields on stderr, exit code by the error's kind."""

    exit_code: int  # type: ignore[misc]

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or "?"))
        self.problem = problem
        self.exit_code = EXIT_CODES.get(str(problem.get("code")), 1)

    def show(self, file: Any = None) -> None:
        """Print it to stderr; nothing of it ever goes to stdout."""
        click.echo(say(_("Error: {reason}", reason=self.message)), err=True)
        both = (self.problem.get("details") or {}).get("difference") or []
        for entry in both:
            words = {name: json.dumps(entry[name], ensure_ascii=False) for name in ("theirs", "yours")}
            told = _("{field}: it is now {theirs}, you want {yours}", field=entry["field"], **words)
            click.echo(f"  {say(told)}", err=True)
        for name, expected in (self.problem.get("fields") or {}).items():
            if name not in [entry["field"] for entry in both]:
                click.echo(f"  {name}: {expected}", err=True)
        if hint := self.problem.get("hint"):
            click.echo(f"  {hint}", err=True)
        if self.problem.get("status") == 500:
            click.echo(f"  {self.problem.get('request_id')}", err=True)


def failure(message: Message, code: str = "error", hint: Message | None = None) -> Failure:
    """A failure that the command itself found."""
    return Failure({"detail": say(message), "code": code, "hint": say(hint) if hint else None})


def ask_for_good(client: Any, path: str, yes: bool) -> None:
    """Ask whether the thing at ``path`` shall be removed for good, by its name; not with ``yes`` nor for a preview."""
    if not (yes or client.options.dry_run):
        name = client.get(path)["name"]
        click.confirm(say(_("Remove {name} for good?", name=name)), abort=True, err=True)


def _set(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    source = context.get_parameter_source(parameter.name or "")
    if source is not None and source.name == "COMMANDLINE":
        setattr(context.ensure_object(Shell), (parameter.name or "").removeprefix("yun_"), value)


def _everywhere(*, hidden: bool) -> list[click.Option]:
    rest: dict[str, Any] = {"expose_value": False, "callback": _set, "hidden": hidden, "is_eager": True}
    formats = click.Choice(["table", "json", "yaml"])
    return [
        Option(["-o", "--output", "yun_format"], type=formats, help=_("Form of the answer."), **rest),
        Option(["--project", "yun_project"], help=_("Project to work in, by name or id."), **rest),
        Option(["--lang", "yun_lang"], type=click.Choice(LOCALES), help=_("Language of texts and errors."), **rest),
        Option(["--wait/--no-wait", "yun_wait"], default=True, help=_("Wait until the work is done."), **rest),
        Option(["--dry-run", "yun_dry_run"], is_flag=True, help=_("Only show what would happen."), **rest),
    ]


class _Helped:
    """The option ``--help`` in the command's language."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Made once by the library, and spoken anew each time."""
        found: click.Option | None = super().get_help_option(ctx)  # type: ignore[misc]
        if found is not None:
            found.help = say(_("Show this message and exit."))
        return found


class _Spoken:
    """A help text that is rendered when it is asked for."""

    _help: Message | str | None = None

    @property
    def help(self) -> str | None:
        """The text in the command's language."""
        return say(self._help) if isinstance(self._help, Message) else self._help

    @help.setter
    def help(self, value: Message | str | None) -> None:
        self._help = value


class Option(_Spoken, click.Option):
    """An option whose ``help`` is a `Message`, as its ``metavar`` may be."""

    def __init__(self, param_decls: Sequence[str] | None = None, *, help: Message | None = None, **rest: Any) -> None:
        super().__init__(param_decls, **rest)
        self._help = help

    def make_metavar(self, *args: Any, **context: Any) -> str:
        """What stands for its value in a help, in the person's language."""
        told: Any = super().make_metavar(*args, **context)
        return say(told) if isinstance(told, Message) else str(told)


class Formatter(click.HelpFormatter):
    """Headings as each language writes them."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """The first line of a help."""
        super().write_usage(prog, args, prefix or say(_("Usage: {command}", command="")))

    def write_heading(self, heading: str) -> None:
        """The line above a part."""
        self.write(f"{'':>{self.current_indent}}{say(_('{title}:', title=heading))}\n")


class Context(click.Context):
    """What a command is called with; its help has our headings."""

    formatter_class = Formatter


class Command(_Helped, _Spoken, click.Command):
    """A command whose ``help`` is a `Message` and that takes the options of the frame at its own end, too."""

    context_class = Context

    def __init__(self, name: str | None, *, help: Message | str | None = None, **rest: Any) -> None:
        super().__init__(name, **rest)
        self._help = help
        taken = {o for p in self.params for o in (*p.opts, *p.secondary_opts)}
        for extra in _everywhere(hidden=True):
            if not taken & {*extra.opts, *extra.secondary_opts}:
                self.params.append(extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As ever; a name that begins with a dash looks like an option, and is told how to be one."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            named = [param for param in self.params if isinstance(param, click.Argument)]
            meant = next((word for word in given if word.startswith(error.option_name)), "")
            if named and meant and not meant.startswith("--"):
                told = _("A name that begins with - stands behind --, such as: {command}",
                         command=f"{ctx.command_path} -- {meant}")  # fmt: skip
                raise click.UsageError(f"{error.format_message()}\n  {say(told)}", ctx) from error
            raise


class Group(_Helped, _Spoken, click.Group):
    """A noun; its verbs are `Command`."""

    context_class = Context
    command_class = Command

    def __init__(self, name: str | None = None, *, help: Message | str | None = None, **rest: Any) -> None:
        super().__init__(name, **rest)
        self._help = help

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every verb with its whole first sentence."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, verb.get_short_help_str(WHOLE)) for name, verb in found if verb and not verb.hidden]
        if rows:
            with formatter.section(say(_("Commands"))):
                formatter.write_dl(rows)


Group.group_class = Group


class Root(Group):
    """The command ``yun`` itself: rooms' groups are loaded when they are asked for.

    ``lazy`` maps a name to ``"module:attribute"`` and the line that `--help` shows for it, so that help imports
    no room.
    """

    def __init__(self, *, lazy: dict[str, tuple[str, Message]], **rest: Any) -> None:
        super().__init__("yun", **rest)
        self.lazy = lazy
        self.params.extend(_everywhere(hidden=False))

    def main(self, *args: Any, **rest: Any) -> Any:
        speak(language)
        return super().main(*args, **rest)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.lazy:
            import importlib

            module, _colon, attribute = self.lazy[cmd_name][0].partition(":")
            found: click.Command = getattr(importlib.import_module(module), attribute)
            return found
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            if name in self.lazy:
                rows.append((name, say(self.lazy[name][1])))
            elif (found := super().get_command(ctx, name)) and not found.hidden:
                rows.append((name, found.get_short_help_str(60)))
        with formatter.section(say(_("Commands"))):
            formatter.write_dl(rows)


def option(*names: str, help: Message | None = None, **rest: Any) -> Callable[[Any], Any]:
    """`click.option` with a `Message` as its help, and perhaps as its metavar."""
    return click.option(*names, cls=Option, help=help, **rest)


def searching(example: str) -> Any:
    """The option ``-q`` of a list: a query in the query language."""
    return option("-q", "--query", "q", help=_("Search, such as: {example}", example=example))


WAS = option(
    "--was", multiple=True, metavar="FIELD=VALUE",
    help=_("Only while a field is still so; where somebody changed it, nothing is done, and both values are said."),
)  # fmt: skip


def seen(pairs: Sequence[str], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a body that ``--was`` makes: each value is read as the wanted one of its field."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        field = name.strip().replace("-", "_")
        if not equals or field not in wanted:
            example = f"{next(iter(wanted), 'description')}=…"
            told = _("--was names a field that is being changed, such as {example}.", example=example)
            raise failure(told, "invalid")
        found[field] = _like(text, wanted[field])
    return {"was": found} if found else {}


def _like(text: str, other: Any) -> Any:
    if isinstance(other, bool):
        return text.strip().lower() in ("true", "yes", "on", "1")
    if isinstance(other, int):
        return int(text) if text.strip().isdecimal() else text
    if isinstance(other, list | tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def pass_client(call: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command the API's `Client` as first argument, made on first use."""

    def wrapped(*args: Any, **kw: Any) -> Any:
        from yun.web.client import Client

        context = click.get_current_context()
        root = context.find_root()
        client: Client | None = root.meta.get("yun.client")
        if client is None:
            client = root.meta["yun.client"] = Client.found(shell())
            root.call_on_close(client.close)
        return call(client, *args, **kw)

    return update_wrapper(wrapped, call)
