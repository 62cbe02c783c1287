"""Commands of network functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.functions import lines
from yun.web.command import Group, failure, option, output, pass_client, say, searching

if TYPE_CHECKING:
    from yun.web.client import Client

File = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("function", cls=Group, help=_("Network functions: firewalls, reverse proxies, VPN gateways as instances."))
def function() -> None:
    """Network functions."""


def _place(ref: str, *more: str) -> str:
    from urllib.parse import quote

    return "/".join(["/functions", quote(ref, safe=""), *(quote(part, safe="") for part in more)])


def _health(row: dict[str, Any]) -> str:
    seen = row["seen"]
    return f"{say(_(seen['health']))}{': ' + seen['reason'] if seen['reason'] else ''}"


@function.command("list", help=_("List network functions and how they do."))
@searching("kind:tag text")
@option("--kind", type=click.Choice(["firewall", "proxy", "vpn"]), help=_("Only those of this kind."))
@pass_client
def list_functions(client: Client, q: str | None, kind: str | None) -> None:
    """List network functions."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("KIND"), "kind"), (_("STATE"), lambda r: say(_(r["state"]))), (_("HEALTH"), _health),
        (_("ADDRESSES"), lambda r: ", ".join([*r["addresses"], *r["floating_ips"]])), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/functions", q=q, kind=kind), columns)


@function.command("show", help=_("Show a network function, its settings and how it does."))
@click.argument("ref")
@pass_client
def show_function(client: Client, ref: str) -> None:
    """Show a network function."""
    found = client.get(_place(ref))
    columns: list[Any] = [
        (_("Name"), "name"), (_("Kind"), "kind"), (_("State"), lambda r: say(_(r["state"]))), (_("Health"), _health),
        (_("Last answered"), lambda r: r["seen"]["seen_at"]),
        (_("Addresses"), lambda r: ", ".join([*r["addresses"], *r["floating_ips"]])),
        (_("Networks"), lambda r: ", ".join(r["networks"])), (_("Public key"), "public_key"), (_("Id"), "id"),
    ]  # fmt: skip
    for name, value in _parts(found):
        columns.append((name, lambda _row, shown=value: shown))
    output(found, columns)


def _parts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """A line for each rule, backend or peer with what was last seen of it."""
    settings, facts = found["settings"], found["seen"]["facts"]
    shown: list[tuple[str, str]] = []
    for number, one in enumerate(settings.get("rules", ()), 1):
        words = [one["action"], one["way"], one["protocol"], one["ports"]]
        words += [f"{way} {one[side]}" for way, side in (("from", "source"), ("to", "destination")) if one[side]]
        shown.append((f"r{number}", " ".join(filter(None, [*words, _count(facts, f"r{number}")]))))
    if "rules" in settings:
        shown.append(("default", f"deny {_count(facts, 'default')}".strip()))
    for number, one in enumerate(settings.get("backends", ()), 1):
        seen = facts.get("backends", {}).get(f"b{number}", {})
        told = f"{say(_(seen['state']))} {seen['check']}".strip() if seen else "–"
        target = found["targets"].get(one["target"], one["target"])
        shown.append((f"b{number}", f"{one['group']}={target}:{one['port']} {told}"))
    for one in settings.get("routes", ()):
        shown.append((one["host"] + one["path"], one["group"]))
    for one in settings.get("peers", ()):
        seen = facts.get("peers", {}).get(one["public_key"], {})
        told = seen.get("endpoint") or "–"
        shown.append((one["name"], f"{one['public_key']} {', '.join(one['addresses'])} {told}"))
    return shown


def _count(facts: dict[str, Any], name: str) -> str:
    counted = facts.get("counters", {}).get(name)
    return f"({counted[0]} / {counted[1]} B)" if counted else ""


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what a function shall do."""
    for one in reversed((
        option("--settings", "file", type=File, help=_("File with all settings, YAML or JSON; options win over it.")),
        option("--rule", "rules", multiple=True, metavar=_("RULE"),
               help=_("Firewall: such as 'allow in tcp 80,443 from 10.0.0.0/8'; may be repeated.")),
        option("--masquerade/--no-masquerade", default=None, help=_("Hide what goes out behind its own address.")),
        option("--port", type=int, help=_("Proxy or VPN: the port it answers on.")),
        option("--backend", "backends", multiple=True, metavar="[GROUP=]TARGET[:PORT]",
               help=_("Proxy: an instance or address that is asked; may be repeated.")),
        option("--route", "routes", multiple=True, metavar="[HOST][/PATH]=GROUP",
               help=_("Proxy: what goes to another group than the first; may be repeated.")),
        option("--check", "check_path", metavar=_("PATH"), help=_("Proxy: the path by which backends are looked at.")),
        option("--tunnel", metavar=_("ADDRESS/LENGTH"), help=_("VPN: its own address in the tunnel with its range.")),
        option("--endpoint", metavar=_("HOST"), help=_("VPN: where peers reach it; its floating IP where left out.")),
        option("--peer", "peers", multiple=True, metavar=_("NAME=KEY@RANGE"),
               help=_("VPN: who may come in, by public key, with his addresses; may be repeated.")),
    )):  # fmt: skip
        command = one(command)
    return command


def _told(
    file: Path | None, rules: tuple[str, ...], backends: tuple[str, ...], routes: tuple[str, ...],
    peers: tuple[str, ...], **single: Any,
) -> dict[str, Any]:  # fmt: skip
    """What the options say as settings. Ends the command where one cannot be understood."""
    made = _read(file) if file else {}
    listed = {"rules": (lines.rule, rules), "backends": (lines.backend, backends), "routes": (lines.route, routes),
              "peers": (lines.peer, peers)}  # fmt: skip
    try:
        for name, (read, given) in listed.items():
            if given:
                made[name] = [] if given == ("none",) else [read(text) for text in given]
    except Invalid as error:
        raise failure(error.message, "invalid", next(iter(error.fields.values()))) from error
    made |= {name: value for name, value in single.items() if value is not None}
    return made


def _read(file: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise failure(_("{file} cannot be read.", file=file.name), "invalid", _("YAML or JSON")) from error
    if not isinstance(found, dict):
        raise failure(_("{file} cannot be read.", file=file.name), "invalid", _("names and values"))
    return found


@function.command("create", help=_("Create a network function: an instance that is one."))
@click.argument("name")
@option("--kind", type=click.Choice(["firewall", "proxy", "vpn"]), required=True, help=_("What it is."))
@option("--network", help=_("Of its first card, a firewall's outside; the project's own where left out."))
@option("--address", help=_("A certain address of the network."))
@option("--inner-network", help=_("Firewall: the network inside, of its second card."))
@option("--inner-address", help=_("A certain address of the network inside."))
@option("--flavor", help=_("Size by name; 1 vCPU and 256 MiB where left out."))
@option("--image", default="function", help=_("An image of network functions, by name or id."))
@option("--security-group", "groups", multiple=True, help=_("Security group; may be repeated."))
@option("--key", "keys", multiple=True, help=_("Name of a stored SSH key; may be repeated."))
@option("--floating-ip", is_flag=True, help=_("Give it an address that can be reached from outside."))
@option("--description", default="", help=_("A text about it."))
@option("--start/--no-start", default=True, help=_("Whether it is started at once."))
@_settings
@pass_client
def create_function(
    client: Client, name: str, kind: str, groups: tuple[str, ...], keys: tuple[str, ...], file: Path | None,
    rules: tuple[str, ...], backends: tuple[str, ...], routes: tuple[str, ...], peers: tuple[str, ...],
    masquerade: bool | None, port: int | None, check_path: str | None, tunnel: str | None, endpoint: str | None,
    **rest: Any,
) -> None:  # fmt: skip
    """Create a network function."""
    settings = _told(
        file, rules, backends, routes, peers, masquerade=masquerade, port=port, check_path=check_path, address=tunnel,
        endpoint=endpoint,
    )  # fmt: skip
    body = {
        "name": name, "kind": kind, "settings": settings, "security_groups": list(groups) if groups else None,
        "keys": list(keys), **rest,
    }  # fmt: skip
    client.change("POST", "/functions", body)


@function.command("update", help=_("Change what a network function does; what is not said stays as it is."))
@click.argument("ref")
@_settings
@pass_client
def update_function(
    client: Client, ref: str, file: Path | None, rules: tuple[str, ...], backends: tuple[str, ...],
    routes: tuple[str, ...], peers: tuple[str, ...], masquerade: bool | None, port: int | None,
    check_path: str | None, tunnel: str | None, endpoint: str | None,
) -> None:  # fmt: skip
    """Change a network function."""
    told = _told(
        file, rules, backends, routes, peers, masquerade=masquerade, port=port, check_path=check_path, address=tunnel,
        endpoint=endpoint,
    )  # fmt: skip
    settings = told if file else {**client.get(_place(ref))["settings"], **told}
    client.change("PATCH", _place(ref), {"settings": settings})


@function.command("delete", help=_("Delete a network function with its instance, which goes to the trash."))
@click.argument("ref")
@option("--force", is_flag=True, help=_("Cut the power at once."))
@pass_client
def delete_function(client: Client, ref: str, force: bool) -> None:
    """Delete a network function."""
    client.change("DELETE", _place(ref), None, force=force or None)


@function.command("refresh", help=_("Ask a network function now how it does."))
@click.argument("ref")
@pass_client
def refresh_function(client: Client, ref: str) -> None:
    """Ask a network function how it does."""
    client.change("POST", _place(ref, "refresh"))


@function.command("client-config", help=_("Print the WireGuard file for a peer; its private key is read from a file."))
@click.argument("ref")
@click.argument("peer")
@option("--private-key", "key", type=File, help=_("File with the peer's private key; it does not leave this machine."))
@pass_client
def client_config(client: Client, ref: str, peer: str, key: Path | None) -> None:
    """Print what a peer needs."""
    told = client.get(_place(ref, "peers", peer, "config"))["config"]
    click.echo(told.replace("<your private key>", key.read_text().strip()) if key else told, nl=False)


@function.command("new-key", help=_("Make a key pair for a VPN peer on this machine; print the public key."))
@click.argument("file", type=click.Path(path_type=Path))
def new_key(file: Path) -> None:
    """Make a key pair for a peer; the private key goes to a file."""
    import os

    from yun.functions.kinds.vpn import new_keys

    private, public = new_keys()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise failure(
            _("{file} cannot be written: {reason}", file=str(file), reason=error.strerror or ""), "invalid",
            _("a file that does not exist yet"),
        ) from error  # fmt: skip
    with os.fdopen(handle, "w") as out:
        out.write(private + "\n")
    click.echo(public)
