"""Commands: pools, volumes, the trash."""

from __future__ import annotations

from urllib.parse import quote

import click

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import format_size, parse_size
from yun.web.client import Client
from yun.web.command import Failure, Group, ask_for_good, option, output, pass_client, say, searching
from yun.web.output import Column

POOLS: list[Column] = [
    (_("NAME"), "name"),
    (_("STATE"), "state"),
    (_("DEFAULT"), "is_default"),
    (_("SIZE"), lambda p: format_size(p["capacity_bytes"])),
    (_("FREE"), lambda p: format_size(p["free_bytes"])),
    (_("USED"), lambda p: format_size(p["used_bytes"])),
    (_("PROMISED"), lambda p: format_size(p["promised_bytes"])),
    (_("LEFT"), lambda p: format_size(p["left_bytes"])),
]
POOL: list[Column] = [
    (_("ID"), "id"),
    *POOLS,
    (_("PATH"), "path"),
    (_("OVERCOMMIT"), "overcommit"),
    (_("RESERVE"), lambda p: format_size(p["reserve_bytes"])),
]
REMOVALS = {
    "waiting": _("waiting for the guest"),
    "refused": _("the guest refused"),
    "timed_out": _("the guest has not let go yet"),
}
"""Where the removal of a disk from a running guest stands, in words."""


def _removal(state: str | None) -> str:
    return say(REMOVALS[state]) if state in REMOVALS else "–"


VOLUMES: list[Column] = [
    (_("NAME"), "name"),
    (_("STATE"), "state"),
    (_("SIZE"), lambda v: format_size(v["size_bytes"])),
    (_("USED"), lambda v: None if v["used_bytes"] is None else format_size(v["used_bytes"])),
    (_("POOL"), "pool"),
    (_("INSTANCE"), lambda v: (v["attachment"] or {}).get("instance")),
    (_("SLOT"), lambda v: (v["attachment"] or {}).get("slot")),
    (_("TAGS"), "tags"),
]
VOLUME: list[Column] = [
    (_("ID"), "id"),
    *VOLUMES,
    (_("REMOVAL"), lambda v: _removal((v["attachment"] or {}).get("removal"))),
    (_("DESCRIPTION"), "description"),
    (_("BASE"), "layer_id"),
    (_("CREATED"), "created_at"),
]
ITEMS: list[Column] = [
    (_("ID"), "id"),
    (_("KIND"), "kind"),
    (_("NAME"), "name"),
    (_("SIZE"), lambda i: format_size(i["bytes"])),
    (_("DELETED"), "trashed_at"),
    (_("REMOVED ON"), "purge_at"),
]


def size_of(text: str, field: str) -> int:
    """Bytes from ``10G``; a failure that names the option otherwise."""
    try:
        return parse_size(text, field=field)
    except Invalid as error:
        fields = {name: say(right) for name, right in error.fields.items()}
        raise Failure({"detail": say(error.message), "code": error.code, "fields": fields}) from error


# ── pools ──


@click.group("pool", cls=Group, help=_("Storage pools: directories that hold disks."))
def pool() -> None:
    """The noun."""


@pool.command("list", help=_("List pools."))
@pass_client
def list_pools(client: Client) -> None:
    """List."""
    output(client.items("/pools"), POOLS)


@pool.command("show", help=_("Show a pool."))
@click.argument("ref")
@pass_client
def show_pool(client: Client, ref: str) -> None:
    """Show."""
    output(client.get(f"/pools/{quote(ref, safe='')}"), POOL)


@pool.command("create", help=_("Make a directory of the host a pool."))
@click.argument("name")
@click.argument("path")
@pass_client
def create_pool(client: Client, name: str, path: str) -> None:
    """Create."""
    client.change("POST", "/pools", {"name": name, "path": path})


@pool.command("update", help=_("Change what a pool may promise."))
@click.argument("ref")
@option("--overcommit", type=float, help=_("How many times its space it may promise."))
@option("--reserve", help=_("What stays free, such as 5G."))
@option("--default", "is_default", is_flag=True, default=None, help=_("Use it where nobody names a pool."))
@pass_client
def update_pool(
    client: Client, ref: str, overcommit: float | None, reserve: str | None, is_default: bool | None
) -> None:
    """Change."""
    body = {
        "overcommit": overcommit,
        "reserve_bytes": size_of(reserve, "reserve") if reserve else None,
        "is_default": is_default,
    }
    client.change("PATCH", f"/pools/{quote(ref, safe='')}", {k: v for k, v in body.items() if v is not None})


@pool.command("delete", help=_("Delete an empty pool."))
@click.argument("ref")
@pass_client
def delete_pool(client: Client, ref: str) -> None:
    """Delete."""
    client.change("DELETE", f"/pools/{quote(ref, safe='')}")


# ── volumes ──


@click.group("volume", cls=Group, help=_("Volumes: the disks of instances."))
def volume() -> None:
    """The noun."""


form = option(
    "--format", "form", type=click.Choice(["qcow2", "raw"]), default="qcow2", show_default=True,
    help=_("Format of the file."),
)  # fmt: skip


@volume.command("list", help=_("List volumes."))
@option("--state", help=_("Only those in this state."))
@option("--pool", "pool_", help=_("Only those in this pool."))
@searching("size>10G attached:no text")
@pass_client
def list_volumes(client: Client, state: str | None, pool_: str | None, q: str | None) -> None:
    """List."""
    output(client.items("/volumes", state=state, pool=pool_, q=q), VOLUMES)


@volume.command("show", help=_("Show a volume."))
@click.argument("ref")
@pass_client
def show_volume(client: Client, ref: str) -> None:
    """Show."""
    output(client.get(f"/volumes/{quote(ref, safe='')}"), VOLUME)


@volume.command("create", help=_("Create an empty volume."))
@click.argument("name")
@option("--size", required=True, help=_("Its size, such as 10G."))
@option("--pool", "pool_", help=_("The pool it lies in."))
@option("--description", default="", help=_("What it is for."))
@form
@pass_client
def create_volume(client: Client, name: str, size: str, pool_: str | None, description: str, form: str) -> None:
    """Create."""
    body = {
        "name": name, "size_bytes": size_of(size, "size"), "pool": pool_, "description": description, "format": form,
    }  # fmt: skip
    client.change("POST", "/volumes", body)


@volume.command("tag", help=_("Give a volume exactly these tags; none takes all away."))
@click.argument("ref")
@click.argument("tags", nargs=-1)
@pass_client
def tag_volume(client: Client, ref: str, tags: tuple[str, ...]) -> None:
    """Tag."""
    client.change("POST", f"/volumes/{quote(ref, safe='')}/tag", {"tags": list(tags)})


@volume.command("delete", help=_("Move a volume to the trash; yun trash purge removes it for good."))
@click.argument("ref")
@pass_client
def delete_volume(client: Client, ref: str) -> None:
    """Delete."""
    client.change("DELETE", f"/volumes/{quote(ref, safe='')}")


# ── the trash ──


@click.group("trash", cls=Group, help=_("What was deleted and can still be brought back."))
def trash() -> None:
    """The noun."""


@trash.command("list", help=_("List what was deleted."))
@option("--kind", help=_("Only things of this kind, such as instance."))
@searching("kind:volume size>10G deleted>2d text")
@pass_client
def list_trash(client: Client, kind: str | None, q: str | None) -> None:
    """List."""
    output(client.items("/trash", kind=kind, q=q), ITEMS)


@trash.command("show", help=_("Show an item of the trash."))
@click.argument("ref")
@pass_client
def show_trash(client: Client, ref: str) -> None:
    """Show."""
    output(client.get(f"/trash/{quote(ref, safe='')}"), ITEMS)


@trash.command("restore", help=_("Bring a thing back."))
@click.argument("ref")
@option("--through", is_flag=True, help=_("Also undo what was changed since and stands in the way."))
@pass_client
def restore(client: Client, ref: str, through: bool) -> None:
    """Restore."""
    client.change("POST", f"/trash/{quote(ref, safe='')}/restore", through=through or None)


@trash.command("purge", help=_("Remove a thing for good."))
@click.argument("ref")
@option("-y", "--yes", is_flag=True, help=_("Do not ask."))
@pass_client
def purge(client: Client, ref: str, yes: bool) -> None:
    """Purge."""
    item = client.get(f"/trash/{quote(ref, safe='')}")
    ask_for_good(client, f"/trash/{quote(item['id'], safe='')}", yes)
    client.change("POST", f"/trash/{quote(item['id'], safe='')}/purge")
