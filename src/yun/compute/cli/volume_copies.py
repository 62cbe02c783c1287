"""Commands of whole volumes: an independent copy of one, and a file of one to download."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from yun.base.messages import _
from yun.base.units import format_size
from yun.storage.cli import volume
from yun.web.client import Client
from yun.web.command import failure, option, output, pass_client, say, shell


@volume.command("copy", help=_("Make an independent copy of a volume, also while its instance runs."))
@click.argument("ref")
@click.argument("name", required=False)
@option("--pool", help=_("The pool it goes to; the source's by default."))
@option("--project", "project_", help=_("The project it goes to; the source's by default."))
@pass_client
def copy(client: Client, ref: str, name: str | None, pool: str | None, project_: str | None) -> None:
    """Copy."""
    body = {"name": name, "pool": pool, "project": project_}
    client.change("POST", f"/volumes/{quote(ref, safe='')}/copy", body)


@volume.command("download", help=_("Download a volume to a file, also while its instance runs."))
@click.argument("ref")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@option("--format", "form", type=click.Choice(["qcow2", "raw"]), default="qcow2", help=_("Format of the file."))
@option("--compress/--no-compress", default=True, help=_("Make the file small (qcow2)."))
@pass_client
def download(client: Client, ref: str, file: Path, form: str, compress: bool) -> None:
    """Download."""
    if file.exists():
        raise failure(
            _("{path} is there already.", path=str(file)), "conflict", _("Choose another name, or remove it.")
        )
    body = {"format": form, "compress": compress}
    answer = client.change("POST", f"/volumes/{quote(ref, safe='')}/download", body, show=not shell().wait)
    if shell().wait and not client.options.dry_run:
        from yun.images.upload_client import download as fetch

        result = answer["operation"]["result"]
        fetch(client, result["export_id"], file, result["sha256"])
        output({"file": str(file), **result}, [
            (_("File"), "file"), (_("Format"), "format"), (_("Size"), lambda r: format_size(r["size_bytes"])),
            (_("Condition"), lambda r: say(CONDITIONS[r["consistency"]])), ("SHA-256", "sha256"),
        ])  # fmt: skip


CONDITIONS = {
    "stopped": _("nothing wrote to it"),
    "quiesced": _("the guest's file systems were at rest"),
    "crash": _("as after a power failure"),
}
"""In what condition a disk was copied."""
