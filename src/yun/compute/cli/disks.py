"""Commands of volumes that concern instances: attach, detach, grow. They join the noun of the room of storage."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import click

from yun.base.messages import _
from yun.compute.cli.first_disk import CACHES, IO_MODES
from yun.compute.cli.limits import LIMIT_HELP, limits_of
from yun.compute.cli.shared import instance
from yun.storage.cli import form, size_of, volume
from yun.web.client import Client
from yun.web.command import option, pass_client

BUSES = click.Choice(["virtio", "scsi", "sata", "ide"])
bus = option("--bus", type=BUSES, default="virtio", help=_("How the guest sees it."))
slot = option("--slot", default="", help=_("The disk's name, such as vdb; the first free one by default."))
readonly = option("--read-only", "readonly", is_flag=True, help=_("The guest can only read it."))
cache = option("--cache", type=CACHES, default="none", help=_("How the host caches it."))
io = option("--io", type=IO_MODES, help=_("How the host reads and writes it; the hypervisor's own way."))
discard = option(
    "--no-discard", "discard", flag_value=False, default=True, help=_("What its guest gives up stays taken.")
)
serial = option("--serial", default="", help=_("By what the guest finds it; the volume's id by default."))
limit = option("--limit", "limits", multiple=True, metavar="KIND=RATE", help=LIMIT_HELP)
limit_group = option("--limit-group", default="", help=_("Disks of the instance with the same name share one budget."))


def ways(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say how a new disk is read and written."""
    for add in (limit_group, limit, serial, discard, io, cache):
        command = add(command)
    return command


def told(place: dict[str, object], limits: tuple[str, ...]) -> dict[str, object]:
    """What was said of a disk, by the names of the API."""
    return {name: value for name, value in place.items() if value is not None} | {"limits": limits_of(limits)}


@instance.command("add-disk", help=_("Add an empty disk, while the instance runs where its bus allows it."))
@click.argument("ref")
@option("--size", required=True, help=_("Its size, such as 10G."))
@option("--name", help=_("The volume's name."))
@option("--pool", help=_("The pool it lies in."))
@form
@bus
@slot
@readonly
@ways
@pass_client
def add_disk(
    client: Client, ref: str, size: str, name: str | None, pool: str | None, form: str, limits: tuple[str, ...],
    **place: object,
) -> None:  # fmt: skip
    """Add a disk."""
    body = {
        "size_bytes": size_of(size, "size"), "name": name, "pool": pool, "format": form, **told(place, limits),
    }  # fmt: skip
    client.change("POST", f"/instances/{quote(ref, safe='')}/add-disk", body)


@volume.command("attach", help=_("Attach a volume to an instance."))
@click.argument("ref")
@click.argument("instance_ref", metavar="INSTANCE")
@bus
@slot
@readonly
@ways
@pass_client
def attach(client: Client, ref: str, instance_ref: str, limits: tuple[str, ...], **place: object) -> None:
    """Attach."""
    body = {"instance": instance_ref, **told(place, limits)}
    client.change("POST", f"/volumes/{quote(ref, safe='')}/attach", body)


@volume.command("detach", help=_("Detach a volume from its instance; it stays, or goes to the trash."))
@click.argument("ref")
@option("--timeout", type=int, default=30, show_default=True, help=_("Seconds a running guest has to let go of it."))
@option("--boot-disk", is_flag=True, help=_("The instance boots from it, and this is meant."))
@option("--even-if-mounted", is_flag=True, help=_("Take it although the guest has it mounted."))
@option("--trash", is_flag=True, help=_("Also put the volume into the trash."))
@pass_client
def detach(client: Client, ref: str, **body: object) -> None:
    """Detach."""
    client.change("POST", f"/volumes/{quote(ref, safe='')}/detach", body)


@instance.command("detach", help=_("Detach disks from an instance, several at once; the volumes stay."))
@click.argument("ref")
@click.argument("disks", nargs=-1, required=True, metavar="DISK…")
@option("--trash", multiple=True, metavar="DISK", help=_("Put this one into the trash then; may be repeated."))
@option("--trash-all", is_flag=True, help=_("Put all of them into the trash then."))
@option("--timeout", type=int, default=30, show_default=True, help=_("Seconds a running guest has to let go of it."))
@option("--boot-disk", is_flag=True, help=_("The instance boots from it, and this is meant."))
@option("--even-if-mounted", is_flag=True, help=_("Take it although the guest has it mounted."))
@pass_client
def detach_disks(
    client: Client, ref: str, disks: tuple[str, ...], trash: tuple[str, ...], trash_all: bool, **body: object
) -> None:
    """Detach several."""
    chosen = {"disks": list(disks), "trash": list(disks if trash_all else trash)}
    client.change("POST", f"/instances/{quote(ref, safe='')}/detach", {**chosen, **body})


@volume.command("grow", help=_("Grow a volume, also while its instance runs."))
@click.argument("ref")
@click.argument("size")
@pass_client
def grow(client: Client, ref: str, size: str) -> None:
    """Grow."""
    client.change("POST", f"/volumes/{quote(ref, safe='')}/grow", {"size_bytes": size_of(size, "size")})
