"""The operations of network cards as recipes: add, remove, change."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.network import cards
from yun.network import steps as network
from yun.network.steps import ports
from yun.operations.flow import Op, operation


@operation("instance.add_nic")
def add_nic(op: Op, instance_id: str, host_id: str, card: dict[str, Any]) -> Any:
    """Rows, the network, the definition with the seed, and the running machine."""
    op.step(steps.before_cards, instance_id)
    address = op.step(cards.join_card if "joins" in card else cards.put_card, instance_id, card)
    if isinstance(address, dict):  # of a port that was there
        address = address["address"]
    op.step(network.plug_port, card["id"], host_id)
    effect = op.step(steps.plug_card, instance_id, card["id"])
    return {"instance_id": instance_id, "port_id": card["id"], "address": address, "effect": effect}


@operation("instance.remove_nic")
def remove_nic(
    op: Op, instance_id: str, port_id: str, seconds: float, floating_ip_ids: list[str], targets: list[list[str]],
    kept: str | None = None,
) -> Any:  # fmt: skip
    """The running machine, the floating IP that leads to it, the network, rows, and the definition with the seed.

    ``kept``: the port stays; it is the host name that the instance lent it.
    """
    op.step(steps.before_cards, instance_id)
    effect = op.step(steps.pull_card, instance_id, port_id, seconds)
    op.step(network.follow_undo, targets)
    for floating_ip_id in floating_ip_ids:
        op.step(network.link, floating_ip_id, None)
    op.step(ports.park_port if kept is not None else network.unplug_port, port_id)
    op.step(network.follow, targets)
    if kept is not None:
        op.step(cards.leave_card, instance_id, port_id, kept)
    else:
        op.step(cards.release_card, instance_id, port_id)
    op.step(steps.settle_cards, instance_id)
    return {"instance_id": instance_id, "port_id": port_id, "effect": effect}


@operation("instance.change_nic")
def change_nic(
    op: Op, instance_id: str, port_id: str, values: dict[str, Any], floating_ip_ids: list[str],
    targets: list[list[str]], was: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    """The floating IP where it cannot follow, rows, the network, and the machine."""
    moved = port_id if "place" in values else None
    op.step(steps.before_cards, instance_id, moved)
    op.step(network.follow_undo, targets)
    for floating_ip_id in floating_ip_ids:
        op.step(network.link, floating_ip_id, None)
    op.step(cards.change_card, port_id, values, was)
    op.step(network.follow, targets)
    effect = op.step(steps.settle_cards, instance_id, moved)
    return {"instance_id": instance_id, "port_id": port_id, "effect": effect}
