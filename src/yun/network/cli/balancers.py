"""Commands of load balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote
from yun.web.command import Group, failure, option, output, pass_client, say, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("load-balancer", cls=Group, help=_("Load balancers: one address before several instances."))
def load_balancer() -> None:
    """Load balancers."""


def _place(ref: str, *more: str) -> str:
    return "/".join(["/load-balancers", quote(ref), *more])


def _listeners(row: dict[str, Any]) -> str:
    return ", ".join(f"{one['protocol'].upper()} {one['port']}" for one in row["listeners"])


@load_balancer.command("list", help=_("List load balancers."))
@searching("network:lab text")
@pass_client
def list_balancers(client: Client, q: str | None) -> None:
    """List load balancers."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("ADDRESS"), "address"), (_("FLOATING IP"), "floating_address"),
        (_("LISTENERS"), _listeners), (_("MACHINES"), lambda r: len(r["backends"])), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/load-balancers", q=q), columns)


@load_balancer.command("show", help=_("Show a load balancer, its members and how they are."))
@click.argument("ref")
@pass_client
def show_balancer(client: Client, ref: str) -> None:
    """Show a load balancer."""
    found = client.get(_place(ref))
    columns: list[Any] = [
        (_("Name"), "name"), (_("Description"), "description"), (_("Address"), "address"),
        (_("Floating IP"), "floating_address"), (_("State"), "state"), (_("Id"), "id"),
    ]  # fmt: skip
    for index, one in enumerate(found["listeners"]):
        columns.append((one["id"], lambda r, i=index: r["listeners"][i]["text"]))
    for index, one in enumerate(found["members"]):
        columns.append((one["id"], lambda r, i=index: r["members"][i]["text"]))
    for index, one in enumerate(found["backends"]):
        columns.append((one["address"], lambda r, i=index: _health(r["backends"][i])))
    output(found, columns)


def _health(backend: dict[str, Any]) -> str:
    seen = ", ".join(f"{h['protocol'].upper()} {h['port']} {say(_(h['state']))}" for h in backend["health"])
    return f"{backend['hostname']} {seen}".strip()


@load_balancer.command("create", help=_("Create a load balancer."))
@click.argument("name")
@option("--network", help=_("Where its address is; the project's own network where left out."))
@option("--address", help=_("Its address; the lowest free one where left out."))
@option("--floating-ip", metavar=_("ADDRESS"), help=_("An address outside that leads nowhere yet, or new."))
@option("--listen", "listen", multiple=True, metavar=_("PORT[:MEMBER-PORT][/udp]"), help=_("A port it answers on."))
@option("--member", "members", multiple=True, metavar=_("INSTANCE"), help=_("An instance that gets its share."))
@option("--tag", "tags", multiple=True, help=_("Every instance with this tag gets its share."))
@option("--check", type=int, help=_("Look at members every so many seconds; 0: never."))
@option("--affinity", type=int, help=_("Seconds for which a caller keeps its member."))
@option("--description", help=_("A line about it."))
@pass_client
def create_balancer(
    client: Client, name: str, network: str | None, address: str | None, floating_ip: str | None,
    listen: tuple[str, ...], members: tuple[str, ...], tags: tuple[str, ...], check: int | None, affinity: int | None,
    description: str | None,
) -> None:  # fmt: skip
    """Create a load balancer."""
    body = given(name=name, network=network, address=address, floating_ip=floating_ip, description=description)
    body["listeners"] = [_listener(text, check, affinity) for text in listen]
    body["members"] = [{"kind": "instance", "target": m} for m in members] + [
        {"kind": "tag", "target": t} for t in tags
    ]
    client.change("POST", "/load-balancers", body)


def _listener(text: str, check: int | None, affinity: int | None, **more: Any) -> dict[str, Any]:
    """``PORT[:MEMBER-PORT][/PROTOCOL]`` as the API wants it."""
    ports, _slash, protocol = text.partition("/")
    first, colon, second = ports.partition(":")
    try:
        body = given(port=int(first), member_port=int(second) if colon else None, protocol=protocol or None)
    except ValueError as error:
        message = _("{value} is not a port to listen on.", value=text[:40])
        raise failure(message, "invalid", _("such as 80, 80:8080 or 53/udp")) from error
    return body | given(check_seconds=check, affinity_seconds=affinity, **more)


@load_balancer.command("update", help=_("Change name, description or floating IP."))
@click.argument("ref")
@option("--name", help=_("Another name."))
@option("--description", help=_("A line about it."))
@option("--floating-ip", metavar=_("ADDRESS"), help=_("An address outside that leads nowhere yet, or none."))
@pass_client
def update_balancer(
    client: Client, ref: str, name: str | None, description: str | None, floating_ip: str | None
) -> None:
    """Change a load balancer."""
    body = given(name=name, description=description)
    if floating_ip is not None:
        body["floating_ip"] = None if floating_ip == "none" else floating_ip
    client.change("PATCH", _place(ref), body)


@load_balancer.command("delete", help=_("Delete a load balancer; the machines behind it go on."))
@click.argument("ref")
@pass_client
def delete_balancer(client: Client, ref: str) -> None:
    """Delete a load balancer."""
    client.change("DELETE", _place(ref))


@load_balancer.command("add-listener", help=_("Answer on one more port."))
@click.argument("ref")
@click.argument("listen", metavar="PORT[:MEMBER-PORT][/udp]")
@option("--check", type=int, help=_("Look at members every so many seconds; 0: never."))
@option("--timeout", type=int, help=_("Seconds for which an answer is waited."))
@option("--failures", type=int, help=_("Failures in a row that take a member out."))
@option("--affinity", type=int, help=_("Seconds for which a caller keeps its member."))
@pass_client
def add_listener(
    client: Client, ref: str, listen: str, check: int | None, timeout: int | None, failures: int | None,
    affinity: int | None,
) -> None:  # fmt: skip
    """Add a listener."""
    body = _listener(listen, check, affinity, check_timeout=timeout, check_failures=failures)
    client.change("POST", _place(ref, "listeners"), body)


@load_balancer.command("change-listener", help=_("Change what a listener does; the rest stays as it is."))
@click.argument("ref")
@click.argument("listener")
@option("--listen", metavar=_("PORT[:MEMBER-PORT][/udp]"), help=_("A port it answers on."))
@option("--check", type=int, help=_("Look at members every so many seconds; 0: never."))
@option("--timeout", type=int, help=_("Seconds for which an answer is waited."))
@option("--failures", type=int, help=_("Failures in a row that take a member out."))
@option("--affinity", type=int, help=_("Seconds for which a caller keeps its member."))
@pass_client
def change_listener(
    client: Client, ref: str, listener: str, listen: str | None, check: int | None, timeout: int | None,
    failures: int | None, affinity: int | None,
) -> None:  # fmt: skip
    """Change a listener."""
    found: dict[str, Any] = next((one for one in client.get(_place(ref))["listeners"] if one["id"] == listener), {})
    body = {name: value for name, value in found.items() if name not in ("id", "text")}
    if listen is not None:
        body |= _listener(listen, None, None)
    body |= given(check_seconds=check, check_timeout=timeout, check_failures=failures, affinity_seconds=affinity)
    client.change("PUT", _place(ref, "listeners", quote(listener)), body)


@load_balancer.command("remove-listener", help=_("Answer on one port less."))
@click.argument("ref")
@click.argument("listener")
@pass_client
def remove_listener(client: Client, ref: str, listener: str) -> None:
    """Remove a listener."""
    client.change("DELETE", _place(ref, "listeners", quote(listener)))


@load_balancer.command("add-member", help=_("Share the connections with one more."))
@click.argument("ref")
@click.argument("target")
@option("--kind", type=click.Choice(["instance", "tag", "port"]), default="instance", show_default=True,
        help=_("What TARGET is."))  # fmt: skip
@pass_client
def add_member(client: Client, ref: str, target: str, kind: str) -> None:
    """Add a member."""
    client.change("POST", _place(ref, "members"), {"kind": kind, "target": target})


@load_balancer.command("remove-member", help=_("Share the connections with one less."))
@click.argument("ref")
@click.argument("member")
@pass_client
def remove_member(client: Client, ref: str, member: str) -> None:
    """Remove a member."""
    client.change("DELETE", _place(ref, "members", quote(member)))
