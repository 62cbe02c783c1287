"""Commands of security groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import ALLOW, given, quote, reached
from yun.web.command import Group, failure, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("security-group", cls=Group, help=_("Security groups: who may reach an instance."))
def security_group() -> None:
    """Security groups."""


@security_group.command("list", help=_("List security groups."))
@searching("port:22 text")
@pass_client
def list_groups(client: Client, q: str | None) -> None:
    """List security groups."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("RULES"), lambda r: len(r["rules"])), (_("DESCRIPTION"), "description"),
        (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/security-groups", q=q), columns)


@security_group.command("show", help=_("Show a security group and its rules."))
@click.argument("ref")
@pass_client
def show_group(client: Client, ref: str) -> None:
    """Show a security group."""
    found = client.get(f"/security-groups/{quote(ref)}")
    columns: list[Any] = [
        (_("Name"), "name"), (_("Description"), "description"), (_("Stateless"), "stateless"), (_("Id"), "id"),
        (_("Gets in"), lambda r: reached(r, "in")), (_("Gets out"), lambda r: reached(r, "out")),
    ]  # fmt: skip
    for index, rule in enumerate(found["rules"]):
        columns.append((rule["id"], lambda r, i=index: f"{r['rules'][i]['text']} ({r['rules'][i]['family']})"))
    output(found, columns)


@security_group.command("create", help=_("Create a security group."))
@click.argument("name")
@option("--description", help=_("A line about it."))
@ALLOW
@pass_client
def create_group(client: Client, name: str, description: str | None, allow: tuple[str, ...]) -> None:
    """Create a security group."""
    client.change("POST", "/security-groups", given(name=name, description=description, allow=allow))


@security_group.command("delete", help=_("Delete a security group."))
@click.argument("ref")
@pass_client
def delete_group(client: Client, ref: str) -> None:
    """Delete a security group."""
    client.change("DELETE", f"/security-groups/{quote(ref)}")


@security_group.command("update", help=_("Change name or description of a group, or whether it follows connections."))
@click.argument("ref")
@option("--name", help=_("Another name."))
@option("--description", help=_("A line about it."))
@option("--stateless/--stateful", default=None, help=_("Follow no connections: answers need rules of their own."))
@pass_client
def update_group(
    client: Client, ref: str, name: str | None, description: str | None, stateless: bool | None
) -> None:
    """Change a security group."""
    body = given(name=name, description=description, stateless=stateless)
    client.change("PATCH", f"/security-groups/{quote(ref)}", body)


@security_group.command("clone", help=_("Make a new security group with the same rules."))
@click.argument("ref")
@click.argument("name")
@option("--description", help=_("A line about it."))
@pass_client
def clone_group(client: Client, ref: str, name: str, description: str | None) -> None:
    """Clone a security group."""
    client.change("POST", f"/security-groups/{quote(ref)}/clone", given(name=name, description=description))


@security_group.command("log", help=_("Note for a while what a group's rules let through and what is dropped."))
@click.argument("ref")
@option("--minutes", type=int, default=10, show_default=True, help=_("For how long: 1 to 60."))
@pass_client
def log_group(client: Client, ref: str, minutes: int) -> None:
    """Note the hits of a group."""
    client.change("POST", f"/security-groups/{quote(ref)}/log", {"minutes": minutes})


@security_group.command("stop-log", help=_("Note nothing more of a group."))
@click.argument("ref")
@pass_client
def stop_log(client: Client, ref: str) -> None:
    """Stop noting the hits of a group."""
    client.change("POST", f"/security-groups/{quote(ref)}/stop-log")


@security_group.command("hits", help=_("Show what was noted of a group, by rule, with the last samples."))
@click.argument("ref")
@pass_client
def show_hits(client: Client, ref: str) -> None:
    """Show the hits of a group."""
    columns: list[Any] = [
        (_("COUNT"), "count"), (_("RULE"), "text"), (_("LAST"), "last_at"),
        (_("LAST SAMPLE"), lambda r: sample(r["samples"][0]) if r["samples"] else "–"),
    ]  # fmt: skip
    output(client.get(f"/security-groups/{quote(ref)}/hits")["hits"], columns)


def sample(found: dict[str, Any]) -> str:
    """A packet that was noted, in a line."""
    ends = [
        f"{found[end]}:{found[f'{end}_port']}" if found[f"{end}_port"] is not None else str(found[end])
        for end in ("source", "target")
    ]
    return f"{found['protocol']} {ends[0]} → {ends[1]}"


@security_group.command("add-rule", help=_("Allow one more thing."))
@click.argument("ref")
@option("--protocol", help=_("any, tcp, udp or icmp."), default="tcp", show_default=True)
@option("--port", "ports", metavar="PORT[-PORT]", help=_("A port or a range of ports."))
@option("--from", "source", metavar="WHO", help=_("Incoming, from a range, an address, a security group or a set."))
@option("--to", "target", metavar="WHO", help=_("Outgoing, to a range, an address, a security group or a set."))
@option("--egress", is_flag=True, help=_("Outgoing, to anybody."))
@option("--ipv6", is_flag=True, help=_("For IPv6."))
@option("--description", help=_("A line about it."))
@pass_client
def add_rule(
    client: Client, ref: str, protocol: str, ports: str | None, source: str | None, target: str | None, egress: bool,
    ipv6: bool, description: str | None,
) -> None:  # fmt: skip
    """Add a rule."""
    body = given(protocol=protocol, remote=source or target, description=description)
    body |= {"direction": "egress" if target or egress else "ingress", "family": "ipv6" if ipv6 else "ipv4"}
    body |= _ports(ports)
    client.change("POST", f"/security-groups/{quote(ref)}/rules", body)


def _ports(text: str | None) -> dict[str, int]:
    if not text:
        return {}
    first, dash, last = text.partition("-")
    try:
        return {"port_min": int(first)} | ({"port_max": int(last)} if dash else {})
    except ValueError as error:
        message = _("{value} is not a port or a range of ports.", value=text[:40])
        raise failure(message, "invalid", _("a number such as 80, or a range such as 8000-8080")) from error


@security_group.command("update-rule", help=_("Change a rule in its place; what is not given stays."))
@click.argument("ref")
@click.argument("rule")
@option("--protocol", help=_("any, tcp, udp or icmp."))
@option("--port", "ports", metavar="PORT[-PORT]", help=_("A port or a range of ports."))
@option("--from", "source", metavar="WHO", help=_("Incoming, from a range, an address, a security group or a set."))
@option("--to", "target", metavar="WHO", help=_("Outgoing, to a range, an address, a security group or a set."))
@option("--anybody", is_flag=True, help=_("From or to anybody."))
@option("--description", help=_("A line about it."))
@pass_client
def update_rule(
    client: Client, ref: str, rule: str, protocol: str | None, ports: str | None, source: str | None,
    target: str | None, anybody: bool, description: str | None,
) -> None:  # fmt: skip
    """Change a rule."""
    body = given(protocol=protocol, remote=source or target, description=description) | _ports(ports)
    if anybody:
        body["remote"] = None
    if source or target:
        body["direction"] = "egress" if target else "ingress"
    client.change("PATCH", f"/security-groups/{quote(ref)}/rules/{quote(rule)}", body)


@security_group.command("remove-rule", help=_("Allow one thing less."))
@click.argument("ref")
@click.argument("rule")
@pass_client
def remove_rule(client: Client, ref: str, rule: str) -> None:
    """Remove a rule."""
    client.change("DELETE", f"/security-groups/{quote(ref)}/rules/{quote(rule)}")
