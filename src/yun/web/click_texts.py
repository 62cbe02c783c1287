"""What the library of the command says by itself, in the person's language: frames of the help, wrong options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click.core
import click.exceptions
import click.formatting
import click.parser
import click.termui
import click.types

from yun.base.messages import Message, _, catalogue

MODULES = (click.core, click.exceptions, click.formatting, click.parser, click.termui, click.types)
TEXTS: tuple[Message, ...] = (
    _("Options"), _("Commands"), _("Error: {message}"), _("Try '{command} {option}' for help."),
    _("Invalid value: {message}"), _("Invalid value for {param_hint}: {message}"), _("Missing argument"),
    _("Missing option"), _("Missing parameter"), _("Missing {param_type}"), _("Missing parameter: {param_name}"),
    _("Missing command."), _("No such option {name!r}."), _("No such command {name!r}."),
    _("Did you mean {possibility}?"), _("(Did you mean one of: {possibilities}?)"),
    _("Got unexpected extra argument ({args})"), _("Got unexpected extra arguments ({args})"),
    _("Option {name!r} does not take a value."), _("Option {name!r} requires an argument."),
    _("Option {name!r} requires {nargs} arguments."), _("Argument {name!r} takes {nargs} values."),
    _("Choose from:\n\t{choices}"), _("{value!r} is not {choice}."), _("{value!r} is not one of {choices}."),
    _("{value!r} is not a valid {number_type}."), _("{value} is not in the range {range}."),
    _("{name} {filename!r} does not exist."), _("{name} {filename!r} is a file."),
    _("{name} {filename!r} is a directory."), _("{name} {filename!r} is not readable."),
    _("{name} {filename!r} is not writable."), _("Could not open file {filename!r}: {message}"),
    _("unknown error"), _("default: {default}"), _("Aborted!"), _("Repeat for confirmation"),
    _("Error: The two entered values do not match."), _("Error: invalid input"),
    _("file"), _("directory"), _("path"),
)  # fmt: skip
"""Those that a person of the command can meet; others stay as the library has them."""


def speak(language: Callable[[], str]) -> None:
    """From now on the library's modules look their texts up in our catalogue, in the language that ``language()`` says
    then. It has no other way in: it binds gettext when it is imported, and gettext knows only catalogues in files."""

    def one(text: str) -> str:
        return catalogue(language()).gettext(text) if text else text

    def counted(single: str, several: str, number: int) -> str:
        return one(single if number == 1 else several)

    for module in MODULES:
        for name, function in (("_", one), ("ngettext", counted)):
            if hasattr(module, name):
                _bind(module, name, function)


def _bind(module: Any, name: str, function: Callable[..., str]) -> None:
    setattr(module, name, function)
