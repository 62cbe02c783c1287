"""The command that changes a disk where it is."""

from __future__ import annotations

import click

from yun.base.messages import _
from yun.compute.cli.first_disk import CACHES, IO_MODES
from yun.compute.cli.limits import LIMIT_HELP, limits_of
from yun.compute.cli.shared import at, instance
from yun.web.client import Client
from yun.web.command import WAS, option, pass_client, seen


@instance.command("change-disk", help=_("Limit a disk while the instance runs; or change how it is read and written."))
@click.argument("ref")
@click.argument("disk")
@option("--limit", "limits", multiple=True, metavar="KIND=RATE", help=LIMIT_HELP)
@option("--no-limits", is_flag=True, help=_("Nothing is limited any more."))
@option("--limit-group", help=_("Disks of the instance with the same name share one budget."))
@option("--no-limit-group", is_flag=True, help=_("It has a budget of its own."))
@option("--cache", type=CACHES, help=_("How the host caches it, from the next start on."))
@option("--io", type=click.Choice([*IO_MODES.choices, "default"]),
        help=_("How the host reads and writes it, from the next start on."))  # fmt: skip
@option("--discard/--no-discard", "discard", default=None,
        help=_("Whether what its guest gives up is given back to the pool, from the next start on."))  # fmt: skip
@option("--serial", help=_("By what the guest finds it, from the next start on; empty: the volume's id."))
@WAS
@pass_client
def change_disk(
    client: Client, ref: str, disk: str, limits: tuple[str, ...], no_limits: bool, limit_group: str | None,
    no_limit_group: bool, io: str | None, was: tuple[str, ...], **values: object,
) -> None:  # fmt: skip
    """Change a disk."""
    body: dict[str, object] = {name: value for name, value in values.items() if value is not None}
    if limits or no_limits:
        body["limits"] = limits_of(limits) if not no_limits else {}
    if limit_group is not None or no_limit_group:
        body["limit_group"] = limit_group if not no_limit_group else ""
    if io is not None:
        body["io"] = io if io != "default" else ""
    plain = {name: value for name, value in body.items() if name != "limits"}
    client.change("POST", at(ref, "change-disk"), {"disk": disk, **body, **seen(was, plain)})
