"""The stages of bringing a cloud up: each has a name, says what it does, and on failure why and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from yun.base.errors import YunError
from yun.base.messages import Message, _
from yun.web.command import Failure, say


class StageFailed(click.ClickException):
    """A stage did not reach its end; what it had done stays, and a second run goes on from there."""

    exit_code = 1

    def __init__(self, name: Message, why: str, remedy: str) -> None:
        super().__init__(why)
        self.name = name
        self.remedy = remedy

    def show(self, file: object = None) -> None:
        """The step, the reason, the remedy; on stderr."""
        click.echo(say(_("✗ {stage}: {reason}", stage=self.name, reason=self.message)), err=True)
        if self.remedy:
            click.echo(f"  → {self.remedy}", err=True)


class Tell:
    """Prints the stages; ``quiet`` prints only failures."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.began = time.monotonic()

    def line(self, message: Message) -> None:
        """A line for the person."""
        if not self.quiet:
            click.echo(say(message))

    @contextmanager
    def stage(self, name: Message, remedy: Message | None = None) -> Iterator[Callable[[Message], None]]:
        """Run a stage; the yielded call sets what its line says at the end.

        Errors of the house, of the API's client and of the system become `StageFailed`; the error's own hint is the
        remedy where it has one, else ``remedy``.
        """
        told: list[Message] = []
        began = time.monotonic()
        try:
            yield told.append
        except YunError as error:
            why = say(error.message) + (f" [{error.private[-400:]}]" if error.private else "")
            raise StageFailed(name, why, say(error.hint or remedy or Message(""))) from error
        except Failure as error:
            hint = str(error.problem.get("hint") or "") or say(remedy or Message(""))
            raise StageFailed(name, error.message, hint) from error
        except OSError as error:
            why = f"{error.strerror or error} ({error.filename})" if error.filename else str(error)
            raise StageFailed(name, why, say(remedy or Message(""))) from error
        text = told[-1] if told else _("done")
        seconds = time.monotonic() - began
        self.line(_("✓ {stage}: {result} ({seconds} s)", stage=name, result=text, seconds=f"{seconds:.1f}"))
