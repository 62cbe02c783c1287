"""Commands of copies: clones of an instance, and images made of one."""

from __future__ import annotations

from urllib.parse import quote

import click

from yun.base.messages import _
from yun.base.units import MIB
from yun.compute.cli.shared import at, instance, size_of
from yun.storage.cli import volume
from yun.web.client import Client
from yun.web.command import option, pass_client


@instance.command("clone", help=_("Make copies of an instance, running or stopped."))
@click.argument("ref")
@click.argument("name", required=False)
@option("--name", "pattern", help=_("Their name, such as class-{n:02d}: {n} is the number."))
@option("--count", type=int, default=1, show_default=True, help=_("How many, all at once."))
@option("--full", is_flag=True, help=_("Independent copies: everything on the disks is copied."))
@option("--flavor", help=_("Another size; the source's otherwise."))
@option("--vcpus", type=int, help=_("vCPUs, instead of the flavor's."))
@option("--memory", help=_("Memory such as 2G, instead of the flavor's."))
@option("--network", help=_("Another network; the source's otherwise."))
@option("--into", help=_("Another project; the source's otherwise."))
@option("--no-start", is_flag=True, help=_("Leave them off."))
@pass_client
def clone(
    client: Client, ref: str, name: str | None, pattern: str | None, memory: str | None, into: str | None,
    no_start: bool, **rest: object,
) -> None:  # fmt: skip
    """Clone."""
    chosen = pattern or name
    if not chosen:
        raise click.UsageError(_("How shall the copy be called?").render("en"))
    body = {
        **rest, "name": chosen, "project": into, "start": not no_start,
        "memory_mib": size_of(memory, "memory", "m") // MIB if memory else None,
    }  # fmt: skip
    client.change("POST", at(ref, "clone"), body)


@instance.command("make-image", help=_("Make an image of an instance's boot disk, running or stopped."))
@click.argument("ref")
@click.argument("name")
@option("--description", default="", help=_("For people."))
@option("--public", is_flag=True, help=_("Every project can use it."))
@option("--compress", is_flag=True, help=_("Smaller, and slower to read."))
@pass_client
def make_image(client: Client, ref: str, name: str, description: str, public: bool, compress: bool) -> None:
    """Make an image."""
    body = {
        "name": name, "description": description, "visibility": "public" if public else "private",
        "compress": compress,
    }  # fmt: skip
    client.change("POST", at(ref, "make-image"), body)


@volume.command("flatten", help=_("Shorten a volume's chain of frozen files, also while its instance runs."))
@click.argument("ref")
@option("--whole", is_flag=True, help=_("Down to nothing: independent of its image's file too."))
@pass_client
def flatten(client: Client, ref: str, whole: bool) -> None:
    """Flatten."""
    client.change("POST", f"/volumes/{quote(ref, safe='')}/flatten", {"whole": whole})
