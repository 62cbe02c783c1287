"""Commands of whole machines in one file: import of an OVA, looked at here before a byte of it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.compute.cli.shared import at, instance, size_of
from yun.web.command import failure, option, output, pass_client, say, shell

if TYPE_CHECKING:
    from yun.images.appliance import Appliance
    from yun.images.appliance.folder import Packed
    from yun.web.client import Client

CONSISTENCY = {
    "stopped": _("it was off"), "quiesced": _("brought to rest by its guest agent"),
    "crash": _("like after a power failure"),
}  # fmt: skip
File = click.Path(exists=True, path_type=Path)


@instance.command("import", help=_("Import an instance from an OVA, or an OVF with its files; it is left stopped."))
@click.argument("file", type=File)
@click.argument("name", required=False)
@option("--network", help=_("Network of its cards; the project's own by default."))
@option("--vcpus", type=int, help=_("vCPUs; else as the file says."))
@option("--memory", metavar="SIZE", help=_("Memory, such as 4G; else as the file says."))
@option("--description", default="", help=_("A line about it."))
@pass_client
def import_(client: Client, file: Path, name: str | None, memory: str | None, **options: Any) -> None:
    """Import an instance."""
    from yun.images.upload_client import upload_appliance

    source, found = _looked_at(file)
    if client.options.dry_run:
        _show(found)
        return
    body: dict[str, Any] = {"name": name, **options}
    if memory is not None:
        body["memory_mib"] = size_of(memory, "memory", "m") // MIB
    body["upload"] = upload_appliance(client, source)
    client.change("POST", "/instances/import", body)


@instance.command("export", help=_("Download an instance as an OVA; a running one goes on."))
@click.argument("ref")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@pass_client
def export(client: Client, ref: str, file: Path) -> None:
    """Export an instance."""
    if file.exists():
        raise failure(
            _("{path} is there already.", path=str(file)), "conflict", _("Choose another name, or remove it.")
        )
    answer = client.change("POST", at(ref, "export"), show=not shell().wait)
    if shell().wait:
        from yun.images.upload_client import download

        result = answer["operation"]["result"]
        download(client, result["export_id"], file, result["sha256"])
        output({"file": str(file), **result}, [
            (_("File"), "file"), (_("Format"), "format"), (_("Size"), lambda r: format_size(r["size_bytes"])),
            (_("Consistency"), lambda r: say(CONSISTENCY[r["consistency"]])),
            ("SHA-256", "sha256"),
        ])  # fmt: skip


def _looked_at(file: Path) -> tuple[Path | Packed, Appliance]:
    """What is sent, and what is in it; ends the command where it is nothing that is accepted."""
    from yun.base.errors import Invalid
    from yun.images.appliance import read
    from yun.images.appliance.folder import is_folder, pack

    try:
        packed = pack(file) if is_folder(file) else None
        return packed or file, read(packed or str(file))
    except Invalid as error:
        raise failure(error.message, "invalid", error.hint) from error


def _show(found: Appliance) -> None:
    from yun.compute.service.appliances import unchanged

    columns: list[Any] = [
        (_("Name"), "name"), (_("System"), lambda r: r["os"] or "–"), (_("vCPUs"), "vcpus"),
        (_("Memory"), lambda r: format_size(r["memory_mib"] * MIB)), (_("Firmware"), "firmware"),
        (_("Disks"), lambda r: ", ".join(f"{d['file']} {format_size(d['capacity'])} ({d['bus']})" for d in r["disks"])),
        (_("Network cards"), lambda r: ", ".join(r["nics"]) or "–"), (_("Manifest"), "checked"),
        (_("Warnings"), lambda r: " ".join(r["warnings"]) or "–"),
        (_("Stays as it is"), lambda r: " ".join(r["unchanged"])),
    ]  # fmt: skip
    row = {
        "name": found.name, "os": found.os, "vcpus": found.vcpus, "memory_mib": found.memory_mib,
        "firmware": found.firmware, "nics": list(found.nics), "checked": found.checked,
        "disks": [{"file": d.file, "capacity": d.capacity, "bus": d.bus} for d in found.disks],
        "warnings": [say(w) for w in found.warnings], "unchanged": [say(w) for w in unchanged(found)],
    }  # fmt: skip
    output(row, columns)
