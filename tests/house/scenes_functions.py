"""Scenes of network functions."""

from __future__ import annotations

from typing import Any

from tests.house.story import MAKE_NET, Ask, Scene, instance
from yun.base.context import Context
from yun.compute import service as compute
from yun.functions import service
from yun.images import service as images
from yun.operations.intent import Intent

IMAGE: Ask = lambda ctx: images.build(ctx, "function")  # noqa: E731
PEER = {"name": "laptop", "public_key": "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", "addresses": ["10.99.0.2/32"]}
SETTINGS: dict[str, dict[str, Any]] = {
    "firewall": {"rules": [{"action": "allow", "way": "in", "protocol": "tcp", "ports": "80,443"}]},
    "proxy": {"backends": [{"target": "m1", "port": 8080}, {"target": "10.0.0.9", "group": "api"}]},
    "vpn": {"peers": [PEER]},
}


def make(kind: str, **rest: Any) -> Ask:
    """A function called f1."""
    return lambda ctx: service.create(ctx, service.NewFunction("f1", kind, SETTINGS[kind], **rest))


def on(verb: Any, *words: Any, name: str = "f1") -> Ask:
    """Ask a verb of a function."""
    return lambda ctx: verb(ctx, *service.get(ctx, name), *words)


def tend(ctx: Context) -> Intent:
    """Its instance's agent is seen."""
    return compute.tend(ctx, compute.get(ctx, "f1"))


FIREWALL = (IMAGE, MAKE_NET, make("firewall", inner_network="n1"), tend)
OTHER = {"masquerade": False, "rules": [{"action": "deny", "protocol": "udp", "source": "10.0.0.0/8"}]}
SCENES: dict[str, Scene] = {
    "function.update": Scene(on(service.update, OTHER), FIREWALL),
    "function.refresh": Scene(on(service.refresh), FIREWALL, undoable=False),
}
MORE: dict[str, Scene] = {
    "instance.create of a firewall": Scene(make("firewall", inner_network="n1"), (IMAGE, MAKE_NET)),
    "instance.create of a gateway": Scene(make("vpn"), (IMAGE,)),
    "instance.delete of a proxy": Scene(on(service.delete), (instance(), IMAGE, make("proxy"))),
    "function.update of one that is off": Scene(
        on(service.update, {"peers": []}), (IMAGE, make("vpn", start=False))
    ),
}
"""Further scenes of the same kinds, walked by the same tests."""
