"""The command that answers whether one thing can talk to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.networks import network
from yun.web.command import option, output, pass_client, say, shell

if TYPE_CHECKING:
    from yun.web.client import Client


@network.command("reach", help=_("Can A talk to B? Says what decides it; ends with 1 where it cannot."))
@click.argument("source", metavar="A")
@click.argument("target", metavar="B")
@option("--protocol", help=_("tcp, udp, icmp, ping or any."))
@option("--port", type=int, help=_("A port of TCP or UDP."))
@pass_client
def reach(client: Client, source: str, target: str, protocol: str | None, port: int | None) -> None:
    """Ask whether A can talk to B."""
    asked = {"from": source, "to": target, "protocol": protocol, "port": port}
    found = client.get("/network/reach", **{k: v for k, v in asked.items() if v is not None})
    if shell().format == "table":
        click.echo(found["text"])
        for step in found["steps"]:
            click.echo(f"  {'✓' if step['ok'] else '✗'} {step['text']}")
        rule = found["missing_rule"]
        if rule:
            click.echo(say(_("Missing: {command}", command=offered(rule))))
    else:
        output(found)
    if not found["reachable"]:
        raise click.exceptions.Exit(1)


def offered(rule: dict[str, Any]) -> str:
    """The command that adds the rule that is lacking."""
    words = ["yun security-group add-rule", rule["security_group_name"], f"--protocol {rule['protocol']}"]
    if rule["port_min"] is not None:
        words.append(f"--port {rule['port_min']}")
    outward = rule["direction"] == "egress"
    if rule["remote"]:
        words.append(f"--{'to' if outward else 'from'} {rule['remote']}")
    elif outward:
        words.append("--egress")
    if rule["family"] == "ipv6":
        words.append("--ipv6")
    return " ".join(words)
