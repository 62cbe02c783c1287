"""Rows → what the drivers are told: specs of the network engine, and the card of a virtual machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from yun.network.spec.balancers import balancer_spec
from yun.network.spec.cards import nic_of
from yun.network.spec.groups import group_spec, set_spec
from yun.network.spec.networks import network_spec
from yun.network.spec.ports import port_spec
from yun.network.spec.routers import router_spec

SPECS: dict[str, Callable[[Session, str], Any]] = {
    "network": network_spec,
    "set": set_spec,
    "group": group_spec,
    "router": router_spec,
    "port": port_spec,
    "balancer": balancer_spec,
}
"""What the engine knows, by its word, in the order in which it is made; it is removed in reverse."""

__all__ = ["SPECS", "balancer_spec", "group_spec", "network_spec", "nic_of", "port_spec", "router_spec", "set_spec"]
