"""Commands of instances: create, list, show, power, change, delete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.compute.cli.first_disk import first_disk
from yun.compute.cli.shared import at, instance, size_of
from yun.web.command import WAS, ask_for_good, option, output, pass_client, searching, seen, shell
from yun.web.output import preview

if TYPE_CHECKING:
    from yun.web.client import Client

POLICY = click.Choice(["restart", "leave"])
File = click.Path(exists=True, dir_okay=False, path_type=Path)


def _addresses(row: Any) -> str:
    return ", ".join([*row["addresses"], *row["floating_ips"]]) or "–"


def _state(row: Any) -> str:
    from yun.web.command import say

    task = row.get("task")
    return str(task["doing"]) if task else say(_(row["state"]))


def _size(row: Any) -> str:
    from yun.web.command import say

    return say(_("{vcpus} vCPU, {memory}", vcpus=row["vcpus"], memory=format_size(row["memory_mib"] * MIB)))


def _whole_size(row: Any) -> str:
    """The size, and what runs until the next start where that is another one."""
    from yun.web.command import say

    now = {e["field"]: e["now"] for e in row.get("pending") or [] if e["field"] in ("vcpus", "memory_mib")}
    return say(_("{next} from the next start; now {now}", next=_size(row), now=_size(row | now))) if now else _size(row)


def _on_crash(row: Any) -> str:
    from yun.web.command import say

    return say({"restart": _("start it again"), "leave": _("leave it down")}[row["on_crash"]])


def _disks(row: Any) -> str:
    from yun.web.command import say

    later = f" ({say(_('from the next start on'))})"
    told = (f"{d['slot']} {format_size(d['size_bytes'])}{later if d['waits'] else ''}" for d in row["disks"])
    return ", ".join(told) or "–"


def _image(row: Any) -> str:
    return str(row["image_name"]) or "–"


SHEET: list[Any] = [
    (_("Name"), "name"), (_("State"), _state), (_("Addresses"), _addresses), (_("Size"), _whole_size),
    (_("Flavor"), lambda r: r["flavor_name"] or "–"), (_("Image"), _image), (_("Disks"), _disks),
    (_("Host name"), "hostname"), (_("User"), lambda r: r["default_user"] or "–"), (_("Host"), "host_name"),
    (_("Tags"), "tags"), (_("Description"), lambda r: r["description"] or "–"),
    (_("Starts after a host reboot"), "autostart"), (_("Protected"), "protected"), (_("When it crashes"), _on_crash),
    (_("Created"), "created_at"), ("Id", "id"),
]  # fmt: skip


def _secret(path: Path) -> str:
    return _text(path).rstrip("\r\n")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        from yun.web.command import failure

        raise failure(_("{path} is not UTF-8 text.", path=str(path)), "invalid") from error


def _public_keys(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Stored keys by name, and public keys read from files: a ``--key`` with a slash or ending in .pub is a file."""
    stored, literal = [], []
    for name in names:
        if "/" in name or name.endswith(".pub"):
            literal.append(_text(Path(name).expanduser()).strip())
        else:
            stored.append(name)
    return stored, literal


@instance.command("create", help=_("Create an instance and start it."))
@click.argument("name")
@option("--image", default="", help=_("Image to boot from, by name or id."))
@option("--iso", default="", help=_("Instead of an image: a CD to install from, onto an empty disk."))
@option("--driver-iso", default="", help=_("A second CD beside it, such as with drivers for Windows."))
@option("--flavor", help=_("Size by name; or say --vcpus and --memory."))
@option("--vcpus", type=int, help=_("Number of virtual processors."))
@option("--memory", metavar="SIZE", help=_("Memory, such as 512M or 2G."))
@option("--disk", metavar="SIZE", help=_("Size of its disk, such as 10G; the flavor's by default."))
@option("--network", help=_("Network, by name or id; the project's default one otherwise."))
@option("--address", help=_("A certain address of the network."))
@option("--security-group", "groups", multiple=True, help=_("Security group; may be repeated."))
@option("--key", "keys", multiple=True, help=_("SSH key: a stored one's name, or a file that ends in .pub."))
@option("--password-file", type=File, help=_("File with the password of the image's user, on one line."))
@option("--user-data", type=File, help=_("File with cloud-init user data."))
@option("--hostname", help=_("Host name in the guest; follows from the name otherwise."))
@option("--description", default="", help=_("A text about it."))
@option("--tag", "tags", multiple=True, help=_("Tag; may be repeated."))
@option("--autostart/--no-autostart", default=True, help=_("Start it again after a reboot of its host."))
@option("--protect", is_flag=True, help=_("Refuse its deletion."))
@option("--on-crash", type=POLICY, default="restart", help=_("What happens when it crashes."))
@option("--shutdown-seconds", type=int, default=60, help=_("Seconds it has to power off when it is stopped."))
@option("--floating-ip", is_flag=True, help=_("Give it an address that can be reached from outside."))
@option("--start/--no-start", default=True, help=_("Whether it is started at once."))
@pass_client
@first_disk
def create(client: Client, name: str, image: str, iso: str, driver_iso: str, flavor: str | None,
           vcpus: int | None, memory: str | None, disk: str | None, network: str | None, address: str | None,
           groups: tuple[str, ...], keys: tuple[str, ...],
           password_file: Path | None, user_data: Path | None, hostname: str | None, description: str,
           tags: tuple[str, ...], autostart: bool, protect: bool, on_crash: str, shutdown_seconds: int,
           floating_ip: bool, start: bool, disk_ways: dict[str, Any]) -> None:  # fmt: skip
    """Create an instance."""
    stored, literal = _public_keys(keys)
    body: dict[str, Any] = {
        "name": name, "image": image, "iso": iso, "driver_iso": driver_iso, "flavor": flavor,
        "vcpus": vcpus, "network": network, "address": address,
        "memory_mib": size_of(memory, "memory", "m") // MIB if memory else None,
        "disk_bytes": size_of(disk, "disk", "g") if disk else None,
        "security_groups": list(groups) if groups else None, "keys": stored, "ssh_keys": literal,
        "password": _secret(password_file) if password_file else None, "hostname": hostname,
        "user_data": _text(user_data) if user_data else "", "description": description, "tags": list(tags),
        "autostart": autostart, "protected": protect, "on_crash": on_crash, "shutdown_seconds": shutdown_seconds,
        "floating_ip": floating_ip, "start": start, "disk": disk_ways,
    }  # fmt: skip
    answer = client.change("POST", "/instances", body, show=False)
    if shell().format == "table":
        output(answer, SHEET)
    client.told(answer, answer["operation"])


@instance.command("list", help=_("List instances."))
@searching("state:running tag:web memory>4G name~class text")
@option("--state", help=_("Only those in this state."))
@option("--tag", help=_("Only those with this tag."))
@option("--sort", default="-created_at", help=_("name, created_at, state, memory_mib or vcpus; - before it: down."))
@option("--limit", type=int, help=_("At most so many."))
@pass_client
def list_(client: Client, q: str, state: str | None, tag: str | None, sort: str, limit: int | None) -> None:
    """List instances."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("STATE"), _state), (_("ADDRESSES"), _addresses), (_("SIZE"), _size),
        (_("IMAGE"), _image), (_("HOST"), "host_name"), (_("TAGS"), "tags"), ("ID", "id"),
    ]  # fmt: skip
    output(client.items("/instances", limit=limit, q=q, state=state, tag=tag, sort=sort), columns)


@instance.command("show", help=_("Show an instance."))
@click.argument("ref")
@pass_client
def show(client: Client, ref: str) -> None:
    """Show an instance."""
    output(client.get(at(ref)), SHEET)


@instance.command("start", help=_("Start instances."))
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@pass_client
def start(client: Client, refs: tuple[str, ...]) -> None:
    """Start."""
    _each(client, refs, "POST", "start")


@instance.command("stop", help=_("Stop instances: ask the guest, then cut the power."))
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@option("--timeout", type=int, help=_("Seconds the guest has to power off."))
@option("--force", is_flag=True, help=_("Cut the power at once."))
@pass_client
def stop(client: Client, refs: tuple[str, ...], timeout: int | None, force: bool) -> None:
    """Stop."""
    _each(client, refs, "POST", "stop", timeout=timeout, force=force)


@instance.command("reboot", help=_("Reboot instances."))
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@option("--timeout", type=int, help=_("Seconds the guest has to power off."))
@option("--hard", is_flag=True, help=_("Cut the power at once."))
@pass_client
def reboot(client: Client, refs: tuple[str, ...], timeout: int | None, hard: bool) -> None:
    """Reboot."""
    _each(client, refs, "POST", "reboot", timeout=timeout, hard=hard)


@instance.command("pause", help=_("Pause instances: their vCPUs stand still."))
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@pass_client
def pause(client: Client, refs: tuple[str, ...]) -> None:
    """Pause."""
    _each(client, refs, "POST", "pause")


@instance.command("resume", help=_("Let paused instances go on."))
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@pass_client
def resume(client: Client, refs: tuple[str, ...]) -> None:
    """Resume."""
    _each(client, refs, "POST", "resume")


@instance.command("delete", help=_("Delete instances: into the trash, from which undo brings them back."))
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@option("--timeout", type=int, help=_("Seconds the guest has to power off."))
@option("--force", is_flag=True, help=_("Cut the power at once."))
@pass_client
def delete(client: Client, refs: tuple[str, ...], timeout: int | None, force: bool) -> None:
    """Delete."""
    _each(client, refs, "DELETE", timeout=timeout, force=force)


def _each(client: Client, refs: tuple[str, ...], method: str, *verb: str, **params: Any) -> None:
    """The same change of one instance or several; one that is refused does not keep the others from it.

    With several, ``-o json`` prints one list, in it what was refused as ``{"ref", "error"}``. The exit code is that
    of the first refusal.
    """
    params = {k: (str(v).lower() if isinstance(v, bool) else v) for k, v in params.items()}
    if len(refs) == 1:
        client.change(method, at(refs[0], *verb), **params)
        return
    table, answers, code = shell().format == "table", [], 0
    for ref in refs:
        try:
            answers.append(_one_of_many(client, method, at(ref, *verb), show=table, **params))
        except click.ClickException as error:
            code = code or error.exit_code
            if table:
                error.show()
            else:
                answers.append({"ref": ref, "error": getattr(error, "problem", {"detail": error.message})})
    if not table:
        output(answers)
    if code:
        raise click.exceptions.Exit(code)


def _one_of_many(client: Client, method: str, path: str, *, show: bool, **params: Any) -> dict[str, Any]:
    if not client.options.dry_run:
        return client.change(method, path, show=show, **params)
    plan = client.plan(method, path, **params)
    if show:
        preview(plan)
    return plan


@instance.command("rename", help=_("Give an instance another name; the guest's host name stays."))
@click.argument("ref")
@click.argument("name")
@WAS
@pass_client
def rename(client: Client, ref: str, name: str, was: tuple[str, ...]) -> None:
    """Rename."""
    body = {"name": name}
    client.change("POST", at(ref, "rename"), {**body, **seen(was, body)})


@instance.command("tag", help=_("Give an instance exactly these tags."))
@click.argument("ref")
@click.argument("tags", nargs=-1)
@WAS
@pass_client
def tag(client: Client, ref: str, tags: tuple[str, ...], was: tuple[str, ...]) -> None:
    """Tag."""
    body = {"tags": list(tags)}
    client.change("POST", at(ref, "tag"), {**body, **seen(was, body)})


@instance.command("update", help=_("Change an instance's description and policies."))
@click.argument("ref")
@option("--description", help=_("A text about it."))
@option("--autostart/--no-autostart", default=None, help=_("Start it again after a reboot of its host."))
@option("--protect/--no-protect", "protected", default=None, help=_("Refuse its deletion."))
@option("--on-crash", type=POLICY, help=_("What happens when it crashes."))
@option("--shutdown-seconds", type=int, help=_("Seconds it has to power off when it is stopped."))
@WAS
@pass_client
def update(client: Client, ref: str, was: tuple[str, ...], **changes: Any) -> None:
    """Change."""
    body = {k: v for k, v in changes.items() if v is not None}
    client.change("PATCH", at(ref), {**body, **seen(was, body)})


@instance.command("resize", help=_("Give an instance another size, from its next start on."))
@click.argument("ref")
@option("--flavor", help=_("The size by name."))
@option("--vcpus", type=int, help=_("Number of vCPUs; the flavor's by default."))
@option("--memory", help=_("Memory, such as 512M or 4G; the flavor's by default."))
@WAS
@pass_client
def resize(
    client: Client, ref: str, flavor: str | None, vcpus: int | None, memory: str | None, was: tuple[str, ...]
) -> None:
    """Resize."""
    memory_mib = size_of(memory, "memory", "m") // MIB if memory else None
    body = {"flavor": flavor, "vcpus": vcpus, "memory_mib": memory_mib}
    client.change("POST", at(ref, "resize"), {**body, **seen(was, {"vcpus": 0, "memory_mib": 0})})


@instance.command("purge", help=_("Remove an instance from the trash for good."))
@click.argument("ref")
@option("-y", "--yes", is_flag=True, help=_("Do not ask."))
@pass_client
def purge(client: Client, ref: str, yes: bool) -> None:
    """Purge."""
    ask_for_good(client, at(ref), yes)
    client.change("POST", at(ref, "purge"))


@instance.command("tend", help=_("Compare an instance with what the hypervisor says now, and mend it."))
@click.argument("ref")
@pass_client
def tend(client: Client, ref: str) -> None:
    """Tend."""
    client.change("POST", at(ref, "tend"))


@instance.command("metrics", help=_("What an instance uses now."))
@click.argument("ref")
@pass_client
def metrics(client: Client, ref: str) -> None:
    """Metrics."""
    found = client.get(at(ref, "metrics"))
    if shell().format != "table":
        output(found)
        return

    def rate(key: str) -> Any:
        return lambda row: f"{format_size(row[key])}/s" if row[key] is not None else "–"

    columns: list[Any] = [
        (_("AT"), "at"), ("CPU", lambda r: "–" if r["cpu"] is None else f"{r['cpu'] * 100:.0f} %"),
        (_("MEMORY"), lambda r: format_size((r["memory_used_kib"] or r["memory_kib"]) * 1024)),
        (_("DISK READ"), rate("disk_read")), (_("DISK WRITE"), rate("disk_write")),
        (_("NET IN"), rate("net_rx")), (_("NET OUT"), rate("net_tx")),
    ]  # fmt: skip
    output(found["points"][-10:], columns)
