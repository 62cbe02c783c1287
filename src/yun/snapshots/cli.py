"""Commands of snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.snapshots.drawing import Line, drawn
from yun.web.command import WAS, Group, ask_for_good, failure, option, output, pass_client, say, seen, shell
from yun.web.output import Column

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("snapshot", cls=Group, help=_("Snapshots of instances: keep a state, go back to it, make others of it."))
def snapshot() -> None:
    """Snapshots."""


def _at(ref: str, *rest: str) -> str:
    from urllib.parse import quote

    return "/".join(["/snapshots", quote(ref, safe=""), *rest])


def _moment(row: Any) -> str:
    return str(row["taken_at"] or row["created_at"])[:19].replace("T", " ")


def _kept(row: Any) -> str:
    """What is in it, in a word or two."""
    return say(_("disks and memory")) if row["memory"] else say(_("disks"))


COLUMNS: list[Column] = [
    (_("NAME"), "name"), (_("INSTANCE"), "instance"), (_("STATE"), "state"), (_("TAKEN"), _moment), (_("KEEPS"), _kept),
    (_("OWN"), lambda r: format_size(r["own_bytes"])), (_("SHARED"), lambda r: format_size(r["shared_bytes"])),
    (_("NOTE"), "note"), (_("ID"), "id"),
]  # fmt: skip
SHEET: list[Column] = [
    (_("Name"), "name"), (_("Instance"), "instance"), (_("State"), "state"), (_("Taken"), _moment),
    (_("By"), "created_by"), (_("Why"), "kind_text"), (_("Notes"), "note"),
    (_("The instance was"), lambda r: say(_(r["power"])) if r["power"] else None),
    (_("Keeps"), _kept), (_("Condition"), "consistency_text"),
    (_("Stood still for"), lambda r: None if r["pause_ms"] is None else f"{r['pause_ms']:.0f} ms"),
    (_("Disks"), lambda r: [f"{d['slot']} {d['name']} {format_size(d['size_bytes'])}" for d in r["disks"]]),
    (_("Memory"), lambda r: format_size(r["memory_bytes"]) if r["memory"] else None),
    (_("Size then"), lambda r: _size(r["definition"])),
    (_("Own"), lambda r: format_size(r["own_bytes"])), (_("Shared"), lambda r: format_size(r["shared_bytes"])),
    (_("The instance grew from it"), "is_present"), (_("Parent"), "parent_id"), (_("Id"), "id"),
]  # fmt: skip


def _size(definition: dict[str, Any]) -> str | None:
    if "vcpus" not in definition:
        return None
    return f"{definition['vcpus']} vCPU, {format_size(definition.get('memory_mib', 0) * MIB)}"


@snapshot.command("create", help=_("Take a snapshot of an instance, running or off; it goes on."))
@click.argument("instance")
@click.argument("name", required=False)
@option("--note", default="", help=_("What it is for."))
@option("--with-memory", "memory", is_flag=True, help=_("Keep what the guest has in memory, too."))
@option("--quiesce/--no-quiesce", default=True,
        help=_("Whether the guest agent brings the file systems to rest for that moment."))  # fmt: skip
@option("--without", multiple=True, metavar=_("DISK"), help=_("Leave a disk out; may be repeated."))
@pass_client
def create(client: Client, instance: str, without: tuple[str, ...], **rest: Any) -> None:
    """Take a snapshot."""
    client.change("POST", "/snapshots", {**rest, "instance": instance, "without": list(without)})


@snapshot.command("list", help=_("List snapshots, newest first."))
@option("--instance", help=_("Only those of this instance."))
@option("-q", "--query", "q", help=_("A part of a name, a note or an instance's name."))
@option("--sort", help=_("created_at, name or memory_bytes; with - before it, turned around."))
@pass_client
def list_snapshots(client: Client, instance: str | None, q: str | None, sort: str | None) -> None:
    """List."""
    output(client.items("/snapshots", instance=instance, q=q, sort=sort), COLUMNS)


@snapshot.command("show", help=_("Show a snapshot: NAME, INSTANCE/NAME or id."))
@click.argument("ref")
@pass_client
def show(client: Client, ref: str) -> None:
    """Show."""
    output(client.get(_at(ref)), SHEET)


@snapshot.command("fork", help=_("Fork a running instance: copies that go on from this moment with its memory."))
@click.argument("instance")
@click.argument("name")
@option("--count", type=int, default=1, help=_("How many; {n} in the name stands for the number."))
@option("--network", help=_("Another network for their first card."))
@option("--isolated", is_flag=True, help=_("Pull the cables of their cards."))
@pass_client
def fork(client: Client, instance: str, name: str, **rest: Any) -> None:
    """Fork."""
    client.change("POST", "/snapshots/fork", {"instance": instance, "name": name, **rest})


# ── the tree ──


@snapshot.command("tree", help=_("Draw an instance's tree of snapshots; * is where the instance is now."))
@click.argument("instance")
@pass_client
def tree(client: Client, instance: str) -> None:
    """Draw the tree."""
    found = client.get("/snapshots/tree", instance=instance)
    if shell().format != "table":
        output(found)
        return
    nodes = {node["id"]: node for node in found["nodes"]}
    lines = drawn([(node["id"], node["parent_id"]) for node in found["nodes"]], found["present"])
    here = {"name": say(_("you are here")), "here": True}
    rows = [{**(nodes[line.id] if line.id is not None else here), "line": line} for line in lines]
    output(rows, [
        (found["instance"], lambda r: f"{_branches(r['line'])} {r['name']}"),
        (_("TAKEN"), lambda r: _moment(r) if "here" not in r else ""),
        (_("THEN"), lambda r: say(_(r["power"] or r["state"])) if "here" not in r else say(_(found["instance_state"]))),
        (_("KEEPS"), lambda r: _kept(r) if "here" not in r else ""),
        (_("OWN"), lambda r: format_size(r["own_bytes"]) if "here" not in r else ""),
        (_("SHARED"), lambda r: format_size(r["shared_bytes"]) if "here" not in r else ""),
        (_("NOTE"), lambda r: r.get("note", "")),
    ])  # fmt: skip


def _branches(line: Line) -> str:
    mark = "*" if line.id is None else "●"
    if not line.lane:
        return mark
    return "│ " * (line.lane - 1) + ("├─" if line.off else "│ ") + mark


@snapshot.command("compare", help=_("Say what differs between two snapshots of an instance."))
@click.argument("first")
@click.argument("second")
@pass_client
def compare(client: Client, first: str, second: str) -> None:
    """Compare."""
    found = client.get("/snapshots/compare", first=first, second=second)
    if shell().format != "table":
        output(found)
        return
    one, other = found["first"]["name"], found["second"]["name"]
    rows: list[dict[str, Any]] = [
        {"what": name, "first": was, "second": now} for name, (was, now) in found["definition"].items()
    ]
    there = say(_("is there"))
    rows += [{"what": _disk(disk), "first": there, "second": None} for disk in found["only_first"]]
    rows += [{"what": _disk(disk), "first": None, "second": there} for disk in found["only_second"]]
    rows += [
        {"what": _disk(disk), "first": _written(disk["first_bytes"]), "second": _written(disk["second_bytes"])}
        for disk in found["disks"]
    ]
    output(rows, [(_("WHAT"), "what"), (one, "first"), (other, "second")])


def _disk(disk: dict[str, Any]) -> str:
    return f"{disk['slot']} {disk['name']}"


def _written(count: int) -> str:
    return say(_("{size} written", size=format_size(count)))


# ── changes ──


@snapshot.command("update", help=_("Give a snapshot another name or note."))
@click.argument("ref")
@option("--name", help=_("Its new name."))
@option("--note", help=_("What it is for."))
@WAS
@pass_client
def update(client: Client, ref: str, was: tuple[str, ...], **changes: Any) -> None:
    """Change."""
    body = {name: value for name, value in changes.items() if value is not None}
    client.change("PATCH", _at(ref), {**body, **seen(was, body)})


PLACE = ("keep", "added")
NEW = ("flavor", "vcpus", "memory_mib", "network", "project", "pool", "full")


@snapshot.command("restore", help=_("Bring an instance back to a snapshot, or make a new instance of it."))
@click.argument("ref")
@option("--with-memory/--disks-only", "memory", default=None,
        help=_("Whether the guest goes on with what it had in memory; if that was kept, it does."))  # fmt: skip
@option("--keep/--no-keep", default=None, help=_("Whether what the instance is now is kept as a snapshot first."))
@option("--added", type=click.Choice(["detach", "remove"]),
        help=_("What becomes of disks that it has got since: they stay as volumes, or go to the trash."))  # fmt: skip
@option("--start/--no-start", default=None, help=_("Whether it runs afterwards; as it does now where left out."))
@option("--as", "name", metavar=_("NAME"), help=_("Make a new instance of this name; the one there stays as it is."))
@option("--flavor", help=_("With --as: another size."))
@option("--vcpus", type=int, help=_("With --as: vCPUs, instead of the flavor's."))
@option("--memory", "memory_mib", help=_("With --as: memory such as 2G, instead of the flavor's."))
@option("--network", help=_("With --as: another network."))
@option("--into", "project", help=_("With --as: another project."))
@option("--pool", help=_("With --as: another storage location."))
@option("--full", is_flag=True, default=None, help=_("With --as: independent of the snapshot's files."))
@pass_client
def restore(client: Client, ref: str, name: str | None, start: bool | None, memory: bool | None, **rest: Any) -> None:
    """Restore."""
    told = {key: value for key, value in rest.items() if value is not None}
    if name is None:
        _refuse(told, NEW, _("goes with --as only"))
        client.change("POST", _at(ref, "restore"), {**told, "memory": memory, "start": start})
        return
    _refuse(told | ({"memory": memory} if memory else {}), (*PLACE, "memory"), _("does not go with --as"))
    if "memory_mib" in told:
        told["memory_mib"] = _mib(told["memory_mib"])
    body = {**told, "name": name, "start": start is not False}
    client.change("POST", _at(ref, "restore-as"), body)


OPTIONS = {"memory_mib": "memory", "project": "into", "memory": "with-memory"}


def _refuse(told: dict[str, Any], names: tuple[str, ...], why: Message) -> None:
    """End the command where an option is used that has no meaning with the others."""
    for name in names:
        if name in told:
            raise failure(_("--{option} {why}.", option=OPTIONS.get(name, name), why=why), "invalid")


def _mib(text: str) -> int:
    from yun.base.errors import Invalid
    from yun.base.units import parse_size

    try:
        return parse_size(text, field="memory", default_unit="m") // MIB
    except Invalid as error:
        raise failure(error.message, "invalid", _("Say a size such as 10G or 512M.")) from error


@snapshot.command("take-disk", help=_("Make a volume of a disk of a snapshot."))
@click.argument("ref")
@click.argument("disk")
@option("--name", help=_("How the volume is called."))
@pass_client
def take_disk(client: Client, ref: str, disk: str, name: str | None) -> None:
    """Take a disk out."""
    client.change("POST", _at(ref, "take-disk"), {"disk": disk, "name": name})


@snapshot.command("delete", help=_("Move a snapshot to the trash; others and the instance stay as they are."))
@click.argument("ref")
@pass_client
def delete(client: Client, ref: str) -> None:
    """Delete."""
    client.change("DELETE", _at(ref))


@snapshot.command("purge", help=_("Remove a snapshot from the trash for good."))
@click.argument("ref")
@option("-y", "--yes", is_flag=True, help=_("Do not ask."))
@pass_client
def purge(client: Client, ref: str, yes: bool) -> None:
    """Purge."""
    ask_for_good(client, _at(ref), yes)
    client.change("POST", _at(ref, "purge"))
