"""What the command prints: one JSON or YAML document, or a table for a person; and the wait for an operation."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import Message, _

if TYPE_CHECKING:
    from yun.web.client import Client

Row = Mapping[str, Any]
Column = tuple[Message | str, str | Callable[[Row], Any]]
ENDED = frozenset({"succeeded", "failed", "cancelled", "undone", "abandoned"})


def document(value: Any) -> None:
    """Print ``value`` as the invocation's one JSON or YAML document."""
    from yun.web.command import shell

    if shell().format == "yaml":
        import yaml

        click.echo(yaml.safe_dump(value, allow_unicode=True, sort_keys=False), nl=False)
    else:
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def output(value: Row | Iterable[Row], columns: Sequence[Column] = ()) -> None:
    """Print one thing or many: a table (a sheet for one thing) for a person, else the document as it is.

    ``columns`` are (heading, key or function of the row); a sheet without columns shows every key.
    """
    from yun.web.command import shell

    one = isinstance(value, Mapping)
    rows: list[Row] = [value] if isinstance(value, Mapping) else list(value)
    if shell().format != "table":
        document(rows[0] if one else rows)
    elif one:
        _sheet(rows[0], columns)
    else:
        _table(rows, columns)


def _cell(row: Row, key: str | Callable[[Row], Any]) -> str:
    value = key(row) if callable(key) else row.get(key)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return _said(_("yes") if value else _("no"))
    if key == "state":
        return printable(_said(_(str(value))))
    if isinstance(value, list | tuple | dict):
        return ", ".join(map(str, value)) if value else "–"
    return printable(str(value))


def printable(text: str) -> str:
    """Text that cannot move the terminal's cursor or change its colours."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _said(text: Message | str) -> str:
    from yun.web.command import say

    return say(text) if isinstance(text, Message) else text


def _console(**rest: Any) -> Any:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, **rest)


def _table(rows: list[Row], columns: Sequence[Column]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, _key in columns:
        table.add_column(Text(_said(heading)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row, key)) for _heading, key in columns))
    # A pipe gets whole lines: a table that wraps cannot be read by the next program.
    _console(width=None if sys.stdout.isatty() else 10_000).print(table)


def _sheet(row: Row, columns: Sequence[Column]) -> None:
    from rich.cells import cell_len

    lines = [(_said(h), _cell(row, k)) for h, k in columns] if columns else [(k, _cell(row, k)) for k in row]
    width = max((cell_len(name) for name, _value in lines), default=0)
    for name, value in lines:
        click.echo(f"{name}{' ' * (width - cell_len(name))}  {value}")


def preview(plan: Row) -> None:
    """Print what a change would do."""
    from yun.web.command import shell

    if shell().format != "table":
        document(plan)
        return
    click.echo(_said(_("Preview, nothing has been changed: {title}", title=plan.get("title", ""))))
    headings: list[tuple[str, Message]] = [
        ("effects", _("Does")),
        ("restarts", _("Restarts")),
        ("destroys", _("Destroys")),
        ("depends", _("Depends on")),
        ("capacity", _("Capacity")),
    ]
    for key, heading in headings:
        for text in plan.get(key) or []:
            click.echo("  " + _said(_("{what}: {words}", what=heading, words=text)))
    click.echo("  " + _said(_("{what}: {words}", what=_("Undo"), words=(plan.get("undo") or {}).get("text", ""))))


def wait_for(client: Client, operation: Row) -> dict[str, Any]:
    """Wait until an operation has ended, with a progress bar on a terminal; returns it as it ended.

    Whatever it waits for is named on the bar; what is stuck there, once on stderr. Raises `Failure` (exit code 10)
    where it failed, was cancelled or is stuck.
    """
    from yun.web.command import Failure

    bar, said = _Bar(str(operation.get("title", ""))), set[str]()
    current, pause = dict(operation), 0.05
    try:
        while current.get("state") not in ENDED and current.get("state") != "stuck":
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
            current = client.get(f"/operations/{current['id']}")
            waits = current.get("waits_for") or []
            for other in waits:
                if other["state"] == "stuck" and other["id"] not in said:
                    said.add(other["id"])
                    bar.say(_stuck(other["title"], other["id"]))
            text = _said(_("Waiting for: {what}", what=waits[0]["title"])) if waits else current.get("progress_text")
            bar.show(float(current.get("progress") or 0.0), text)
    finally:
        bar.close()
    if current["state"] != "succeeded":
        error = current.get("error") or {}
        told = _("{title}: {state}", title=current.get("title", ""), state=_(str(current["state"])))
        raise Failure(
            {
                "detail": f"{_said(told)}. {error.get('message') or ''}".strip(),
                "hint": error.get("hint"),
                "fields": error.get("fields"),
                "details": error.get("details"),
                "code": "failed",
            }
        )
    return current


def _stuck(title: str, identifier: str) -> Message:
    return _(
        "It waits for an operation that is stuck: {title}. Let that one go on once its cause is mended (yun operation "
        "retry {id}), or give it up (yun operation abandon {id}).",
        title=title, id=identifier,
    )  # fmt: skip


class _Bar:
    """A progress bar on stderr, only where somebody sees it."""

    def __init__(self, title: str) -> None:
        self.progress: Any = None
        self.title = title
        self.start = time.monotonic()

    def show(self, part: float, text: str | None) -> None:
        if not sys.stderr.isatty() or time.monotonic() - self.start < 0.4:
            return
        if self.progress is None:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            shape = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), TimeElapsedColumn())
            self.progress = Progress(*shape, console=_console(stderr=True), transient=True)
            self.progress.start()
            self.task = self.progress.add_task(self.title, total=1.0)
        self.progress.update(self.task, completed=part, description=printable(text or self.title))

    def say(self, message: Message) -> None:
        """One line on stderr, also where nobody sees a bar."""
        self.close()
        self.progress = None
        click.echo(_said(message), err=True)

    def close(self) -> None:
        if self.progress is not None:
            self.progress.stop()
