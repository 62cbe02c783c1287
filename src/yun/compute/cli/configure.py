"""Commands of hardware: configure, drop what is pending."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.base.units import MIB
from yun.compute import hardware as parts
from yun.compute.cli.shared import at, instance, size_of
from yun.web.command import WAS, option, output, pass_client, seen

if TYPE_CHECKING:
    from yun.web.client import Client


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """One option for each part of the hardware, in their order."""
    for name, choice in reversed(parts.CHOICES.items()):
        word = name.removesuffix("_mib").replace("_", "-")
        plain = "bios" if name == "firmware" else getattr(parts.PLAIN, name)
        if name == "pins":
            function = option("--pin", "pins", multiple=True, help=choice.title)(function)
        elif name == "memory_max_mib":
            function = option(f"--{word}", name, metavar="SIZE", help=choice.title)(function)
        elif isinstance(plain, bool):
            function = option(f"--{word}/--no-{word}", name, default=None, help=choice.title)(function)
        elif isinstance(plain, int):
            function = option(f"--{word}", name, type=int, help=choice.title)(function)
        else:
            kind = click.Choice([w or "none" for w in choice.words]) if choice.words else str
            function = option(f"--{word}", name, type=kind, help=choice.title)(function)
    return function


@instance.command("configure", help=_("Change an instance's hardware; without options it is shown."))
@click.argument("ref")
@_options
@option("--unpin", is_flag=True, help=_("Let its vCPUs run on all host processors."))
@WAS
@pass_client
def configure(client: Client, ref: str, unpin: bool, was: tuple[str, ...], **given: Any) -> None:
    """Configure."""
    values = {name: value for name, value in given.items() if value is not None and name != "pins"}
    if given["pins"] or unpin:
        values["pins"] = list(given["pins"])
    if "memory_max_mib" in values:
        values["memory_max_mib"] = size_of(values["memory_max_mib"], "memory-max", "m") // MIB
    if values.get("watchdog") == "none":
        values["watchdog"] = ""
    if not values:
        output(client.get(at(ref, "hardware")), _sheet())
        return
    client.change("PATCH", at(ref, "hardware"), {**values, **seen(was, values)})


def _sheet() -> list[Any]:
    def cell(name: str) -> Callable[[Any], str]:
        def text(row: Any) -> str:
            from yun.web.command import say

            waits = {entry["field"]: entry["now"] for entry in row["pending"]}
            value = say(parts.word(name, row[name]))
            if name not in waits:
                return value
            return say(_("{next} from the next start; now {now}", next=value, now=say(parts.word(name, waits[name]))))

        return text

    return [(choice.title, cell(name)) for name, choice in parts.CHOICES.items()]


@instance.command("drop-pending", help=_("Drop what waits for an instance's next start."))
@click.argument("ref")
@pass_client
def drop_pending(client: Client, ref: str) -> None:
    """Drop."""
    client.change("POST", at(ref, "drop-pending"))
