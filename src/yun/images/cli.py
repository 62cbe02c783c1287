"""Commands of images. An upload that broke off goes on when the same command is given again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.base.units import format_size
from yun.storage.cli import volume
from yun.web.command import Group, ask_for_good, failure, option, output, pass_client, searching, shell

if TYPE_CHECKING:
    from yun.web.client import Client


def _quote(reference: str) -> str:
    from yun.web.client import quote

    return quote(reference, safe="")


def _system(row: Any) -> str:
    return f"{row['os']} {row['os_version']}".strip() or "–"


def _properties(command: Any) -> Any:
    """The options that say what an image is."""
    for decorate in reversed((
        option("--description", help=_("A line about it.")),
        option("--os", "os", help=_("Operating system, such as debian.")),
        option("--os-version", help=_("Its version, such as 12.")),
        option("--default-user", help=_("The user that keys and passwords are for.")),
        option("--architecture", type=click.Choice(["x86_64", "aarch64"]), help=_("Processor architecture.")),
        option("--firmware", type=click.Choice(["bios", "uefi", "uefi-secure"]), help=_("What it boots with.")),
        option(
            "--hardware", type=click.Choice(["virtio", "compatible"]),
            help=_("What it has drivers for; compatible: a SATA disk and an e1000 card."),
        ),
        option("--min-disk", metavar="SIZE", help=_("Least disk of a machine, such as 10G.")),
        option("--min-memory", metavar="SIZE", help=_("Least memory of a machine, such as 512M.")),
        option("--cloud-init/--no-cloud-init", default=None, help=_("Whether cloud-init runs in it.")),
    )):  # fmt: skip
        command = decorate(command)
    return command


def _coming(command: Any) -> Any:
    """The options that say how an image is kept."""
    for decorate in reversed((
        option("--public", is_flag=True, help=_("Let every project use it.")),
        option("--format", "form", default="auto", help=_("What the file must be: qcow2, raw, vmdk, …")),
        option("--checksum", default="", help=_("Checksum of the file: sha256:… or sha512:…")),
        option("--compress", is_flag=True, help=_("Keep it compressed: smaller, slower to read.")),
    )):  # fmt: skip
        command = decorate(command)
    return command


def _body(name: str | None, options: dict[str, Any]) -> dict[str, Any]:
    from yun.base.units import MIB, parse_size

    given = dict(options)
    body: dict[str, Any] = {"name": name} if name is not None else {}
    if (least := given.pop("min_disk", None)) is not None:
        body["min_disk_bytes"] = int(parse_size(least, field="min-disk"))
    if (memory := given.pop("min_memory", None)) is not None:
        body["min_memory_mib"] = int(parse_size(memory, field="min-memory", default_unit="m")) // MIB
    if given.pop("public", False):
        body["visibility"] = "public"
    if (form := given.pop("form", None)) is not None:
        body["format"] = form
    return body | {key: value for key, value in given.items() if value is not None and value != ""}


@click.group("image", cls=Group, help=_("Images that instances start from."))
def image() -> None:
    """Images."""


@image.command("list", help=_("List images."))
@option("--state", help=_("Only those in this state; trashed shows the trash."))
@searching("os:debian size>1G kind:iso text")
@pass_client
def list_(client: Client, state: str | None, q: str | None) -> None:
    """List images."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("STATE"), "state"), (_("SYSTEM"), _system),
        (_("SIZE"), lambda r: format_size(r["size_bytes"])), (_("DISK"), lambda r: format_size(r["min_disk_bytes"])),
        (_("VISIBILITY"), "visibility"), (_("SOURCE"), "source"), (_("TAGS"), "tags"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/images", state=state, q=q), columns)


@image.command("show", help=_("Show an image."))
@click.argument("ref")
@pass_client
def show(client: Client, ref: str) -> None:
    """Show an image."""
    columns: list[Any] = [
        (_("Name"), "name"), (_("Description"), "description"), (_("State"), "state"), (_("Visibility"), "visibility"),
        (_("Tags"), "tags"),
        (_("System"), _system), (_("Default user"), "default_user"),
        (_("Architecture"), "architecture"), (_("Firmware"), "firmware"), (_("Hardware"), "hardware"),
        (_("Starts"), lambda r: r["boots"] or "–"),
        ("cloud-init", "cloud_init"),
        (_("Least disk"), lambda r: format_size(r["min_disk_bytes"])),
        (_("Least memory"), lambda r: f"{r['min_memory_mib']} MiB"),
        (_("Size"), lambda r: format_size(r["size_bytes"])),
        (_("Virtual size"), lambda r: format_size(r["virtual_bytes"])),
        (_("Came as"), "format"), (_("Came from"), lambda r: f"{r['source']}: {r['source_name']}"),
        ("SHA-256", "checksum"), (_("Disks that stand on it"), "used_by"), (_("Created"), "created_at"), ("Id", "id"),
    ]  # fmt: skip
    output(client.get(f"/images/{_quote(ref)}"), columns)


@image.command("import", help=_("Import an image from a file, an address, or a file of the host."))
@click.argument("name")
@option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=_("A file here; it is uploaded."),
)
@option("--url", help=_("An http or https address."))
@option("--host-file", metavar="PATH", help=_("A file on the host (administrators)."))
@_coming
@_properties
@pass_client
def import_(
    client: Client, name: str, file: Path | None, url: str | None, host_file: str | None, **options: Any
) -> None:
    """Import an image."""
    if sum(source is not None for source in (file, url, host_file)) != 1:
        raise failure(_("Say where the image comes from: --file, --url or --host-file."), "invalid")
    body = _body(name, options)
    if file is not None:
        from yun.images.upload_client import upload

        upload(client, file, body)
    elif url is not None:
        client.change("POST", "/images", body | {"url": url})
    else:
        client.change("POST", "/images", body | {"path": host_file})


@image.command("pull", help=_("Pull a cloud image of the catalogue."))
@click.argument("catalogue")
@option("--name", help=_("What to call it; else as in the catalogue."))
@_coming
@_properties
@pass_client
def pull(client: Client, catalogue: str, name: str | None, **options: Any) -> None:
    """Pull an image."""
    client.change("POST", "/images/pull", _body(name, options) | {"catalogue": catalogue})


@image.command("build", help=_("Build an image on the host: tiny, tiny-generic, function or debian-12."))
@click.argument("recipe")
@option("--name", help=_("What to call it; else as the recipe."))
@option("--private", is_flag=True, help=_("For its own project alone."))
@option("--compress", is_flag=True, help=_("Keep it compressed: smaller, slower to read."))
@_properties
@pass_client
def build(client: Client, recipe: str, name: str | None, private: bool, **options: Any) -> None:
    """Build an image."""
    body = _body(name, options) | {"recipe": recipe, "visibility": "private" if private else "public"}
    client.change("POST", "/images/build", body)


@image.command("catalogue", help=_("List what can be pulled and built."))
@pass_client
def catalogue(client: Client) -> None:
    """List the catalogue and the recipes."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("TITLE"), "title"), (_("USER"), "default_user"),
        (_("DISK"), lambda r: format_size(r["min_disk_bytes"])), (_("HOW"), "how"),
    ]  # fmt: skip
    rows = [row | {"how": "pull"} for row in client.get("/image-catalogue")["items"]]
    for row in client.get("/image-recipes")["items"]:
        rows.append(row | {"title": f"{row['os']} {row['os_version']}", "how": "build"})
    output(rows, columns)


@image.command("update", help=_("Change an image's name and properties, or who sees it."))
@click.argument("ref")
@option("--name", help=_("A new name."))
@option("--public/--private", "public", default=None, help=_("Whether every project can use it (administrators)."))
@_properties
@pass_client
def update(client: Client, ref: str, name: str | None, public: bool | None, **options: Any) -> None:
    """Change an image."""
    body = _body(name, options)
    if public is not None:
        wanted = {"visibility": "public" if public else "private"}
        client.change("POST", f"/images/{_quote(ref)}/set-visibility", wanted, show=not body)
    if body or public is None:
        client.change("PATCH", f"/images/{_quote(ref)}", body)


@image.command("tag", help=_("Give an image exactly these tags; none takes all away."))
@click.argument("ref")
@click.argument("tags", nargs=-1)
@pass_client
def tag_image(client: Client, ref: str, tags: tuple[str, ...]) -> None:
    """Tag."""
    client.change("POST", f"/images/{_quote(ref)}/tag", {"tags": list(tags)})


@image.command("delete", help=_("Delete an image; the trash keeps it for a while."))
@click.argument("ref")
@pass_client
def delete(client: Client, ref: str) -> None:
    """Delete an image."""
    client.change("DELETE", f"/images/{_quote(ref)}")


@image.command("purge", help=_("Remove a deleted image for good."))
@click.argument("ref")
@option("-y", "--yes", is_flag=True, help=_("Do not ask."))
@pass_client
def purge(client: Client, ref: str, yes: bool) -> None:
    """Remove for good."""
    ask_for_good(client, f"/images/{_quote(ref)}", yes)
    client.change("POST", f"/images/{_quote(ref)}/purge")


@image.command("export", help=_("Download an image to a file."))
@click.argument("ref")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@option("--format", "form", type=click.Choice(["qcow2", "raw", "ova"]), default="qcow2", help=_("Format of the file."))
@option("--compress/--no-compress", default=True, help=_("Make the file small (qcow2)."))
@pass_client
def export(client: Client, ref: str, file: Path, form: str, compress: bool) -> None:
    """Download an image."""
    if file.exists():
        raise failure(
            _("{path} is there already.", path=str(file)), "conflict", _("Choose another name, or remove it.")
        )
    body = {"format": form, "compress": compress}
    answer = client.change("POST", f"/images/{_quote(ref)}/export", body, show=not shell().wait)
    if shell().wait:
        from yun.images.upload_client import download

        result = answer["operation"]["result"]
        download(client, result["export_id"], file, result["sha256"])
        output({"file": str(file), **result}, [
            (_("File"), "file"), (_("Format"), "format"), (_("Size"), lambda r: format_size(r["size_bytes"])),
            ("SHA-256", "sha256"),
        ])  # fmt: skip


@volume.command("upload", help=_("Make a volume of a disk file: qcow2, raw, VMDK, VDI, VHDX."))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("name", required=False)
@option("--pool", help=_("The pool it lies in."))
@option("--format", "format_", help=_("What it must turn out to be; raw also takes what does not look like a disk."))
@option("--checksum", help=_("sha256:… or sha512:… of the file."))
@option("--description", help=_("What it is for."))
@pass_client
def upload_volume(client: Client, file: Path, name: str | None, format_: str | None, **options: str | None) -> None:
    """Upload a volume."""
    from yun.images.upload_client import upload

    body = {"name": name or file.stem, "purpose": "volume", "format": format_, **options}
    upload(client, file, {key: value for key, value in body.items() if value})


commands = [image, volume]
