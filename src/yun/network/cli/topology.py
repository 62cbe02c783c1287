"""The topology as a tree of lines: external networks, their routers, the routers' networks, and what hangs on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import Message, _
from yun.network.cli.networks import network
from yun.network.topology.words import short
from yun.web.command import option, output, pass_client, say, searching, shell
from yun.web.output import printable

if TYPE_CHECKING:
    from yun.web.client import Client

FEW = 10
Branch = tuple[str, list["Branch"]]


@network.command("topology", help=_("Show networks with their routers and all that hangs on them, as a tree."))
@option("--all", "whole", is_flag=True, help=_("Every machine, not only the first of each network."))
@option("--limit", type=click.IntRange(1, 200), default=40, help=_("At most so many networks."))
@searching("external:no range:10.1. text")
@pass_client
def topology(client: Client, whole: bool, limit: int, q: str | None) -> None:
    """Show the tree, or the nodes and edges as a document."""
    found = client.get("/network/topology", q=q, limit=limit)
    if shell().format != "table":
        return output(found)
    for line in tree(found, say, 10**6 if whole else FEW):
        click.echo(printable(line))
    return None


def tree(found: dict[str, Any], said: Callable[[Message], str], most: int) -> Iterator[str]:
    """The lines of the tree; of each network at most ``most`` machines."""
    grown = _Tree(found, said, most)
    tops = grown.tops()
    if not tops:
        yield said(_("No networks yet."))
    for text, branches in tops:
        yield text
        yield from _lines(branches, "")
    left = found["left_out"]
    if left["networks"]:
        yield said(_("{count} more networks are not shown: search for those you want to see.", count=left["networks"]))
    if left["routers"]:
        yield said(_("{count} more routers are not shown.", count=left["routers"]))


def _lines(branches: list[Branch], before: str) -> Iterator[str]:
    for place, (text, below) in enumerate(branches):
        last = place == len(branches) - 1
        yield f"{before}{'└─ ' if last else '├─ '}{text}"
        yield from _lines(below, before + ("   " if last else "│  "))


class _Tree:
    """The nodes by id, and the edges by what they lead to or from."""

    def __init__(self, found: dict[str, Any], said: Callable[[Message], str], most: int) -> None:
        self.said, self.most = said, most
        self.nodes: dict[str, Any] = {n["id"]: n for n in found["nodes"]}
        self.edges: list[dict[str, Any]] = found["edges"]
        self.shown: set[str] = set()

    def _to(self, kind: str, target: str) -> list[dict[str, Any]]:
        return [e for e in self.edges if e["kind"] == kind and e["target"] == target]

    def tops(self) -> list[Branch]:
        """External networks with their routers, routers without a way out, networks without a router."""
        found: list[Branch] = []
        outside = [n for n in self.nodes.values() if n["kind"] == "network" and n["external"]]
        for node in outside:
            idle = sorted(self.nodes[e["source"]]["name"] for e in self._to("floating_ip", node["id"]))
            below = [self._router(e["source"], e["addresses"]) for e in self._to("gateway", node["id"])]
            if idle:
                below.append((self.said(_("Floating IPs that lead nowhere: {names}", names=", ".join(idle))), []))
            found.append((self._network_line(node, []), below))
        routed = {e["source"] for e in self.edges if e["kind"] == "gateway" and e["target"] in self.nodes}
        found += [
            self._router(n["id"], []) for n in self.nodes.values() if n["kind"] == "router" and n["id"] not in routed
        ]
        joined = {e["target"] for e in self.edges if e["kind"] == "interface"}
        lonely = [
            n for n in self.nodes.values() if n["kind"] == "network" and not n["external"] and n["id"] not in joined
        ]
        return found + [self._network(n, []) for n in lonely]

    def _router(self, identifier: str, outside: list[str]) -> Branch:
        node = self.nodes[identifier]
        nat = [self.said(_("source NAT"))] if node["snat"] and outside else []
        peers = node["peerings"]
        peered = [self.said(_("peered: {names}", names=", ".join(peers)))] if peers else []
        chains = node["service_chains"]
        chained = [self.said(_("service chains: {names}", names=", ".join(chains)))] if chains else []
        text = "  ".join([self.said(_("router {name}", name=node["name"])), *outside, *nat, *peered, *chained])
        legs = [e for e in self.edges if e["kind"] == "interface" and e["source"] == identifier]
        return text, [self._network(self.nodes[e["target"]], e["addresses"]) for e in legs]

    def _network_line(self, node: dict[str, Any], legs: list[str]) -> str:
        name = node["name"]
        text = _("external network {name}", name=name) if node["external"] else _("network {name}", name=name)
        via = [self.said(_("via {addresses}", addresses=", ".join(legs)))] if legs else []
        return "  ".join([self.said(text), *node["ranges"], *via])

    def _network(self, node: dict[str, Any], legs: list[str]) -> Branch:
        """A network, with what hangs on it where it is named first."""
        text = self._network_line(node, legs)
        if node["id"] in self.shown:
            return text, [(self.said(_("(shown above)")), [])]
        self.shown.add(node["id"])
        ports = self._to("port", node["id"])
        machines = dict.fromkeys(e["source"] for e in ports)
        below: list[Branch] = [(self._thing(m, [e for e in ports if e["source"] == m]), []) for m in machines]
        left = node["machines_left_out"] + max(0, len(below) - self.most)
        if left:
            below = [*below[: self.most], (self.said(_("{count} more", count=left)), [])]
        return text, below

    def _thing(self, identifier: str, ports: list[dict[str, Any]]) -> str:
        node = self.nodes[identifier]
        name = node["name"]
        if node["kind"] == "load_balancer":
            name = self.said(_("load balancer {name}", name=name))
        parts = [name, ", ".join(a for e in ports for a in e["addresses"])]
        if node["floating_addresses"]:
            parts.append("⇄ " + ", ".join(node["floating_addresses"]))
        members = [
            self.nodes[e["target"]]["name"]
            for e in self.edges
            if e["kind"] == "member" and e["source"] == identifier
        ]
        if node["listens_on"] or members:
            parts.append(" ".join([*node["listens_on"], *(["→", ", ".join(members)] if members else [])]))
        if node["security_groups"]:
            parts.append("[" + ", ".join(g["name"] for g in node["security_groups"]) + "]")
        known = [e for e in ports if e["bytes_in_per_second"] is not None]
        if known:
            into, out = (sum(e[f"bytes_{way}_per_second"] for e in known) for way in ("in", "out"))
            parts.append(f"↓{short(into)}/s ↑{short(out)}/s")
        if not any(e["up"] for e in ports):
            parts.append(self.said(_("not connected")))
        return "  ".join(parts)
