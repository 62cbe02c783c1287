"""Scenes of security groups and address sets."""

from __future__ import annotations

from typing import Any

from tests.house.story import Scene
from yun.base.context import Context
from yun.network import service as network
from yun.network.service import NewRule, group_changes, hits, sets
from yun.operations.intent import Intent


def make(ctx: Context) -> Intent:
    """A group of one's own."""
    return network.create_group(ctx, "web2")


def fill(ctx: Context) -> Intent:
    """A rule in it that names the group itself."""
    return network.add_rule(ctx, network.get_group(ctx, "web2"), NewRule(port_min=80, remote="web2"))


def make_set(ctx: Context) -> Intent:
    """An address set."""
    return sets.create_set(ctx, "office", ["192.0.2.0/24", "2001:db8::/32"])


def name_set(ctx: Context) -> Intent:
    """A rule that names it."""
    return network.add_rule(ctx, network.get_group(ctx, "web2"), NewRule(port_min=22, remote="set:office"))


def first_rule(ctx: Context) -> Any:
    """The id of the group's rule for a port."""
    rules = network.rules_of(ctx.session, network.get_group(ctx, "web2").id)
    return next(r.id for r in rules if r.port_min is not None)


def change_rule(ctx: Context) -> Intent:
    """Another port and anybody."""
    return group_changes.update_rule(ctx, network.get_group(ctx, "web2"), first_rule(ctx), NewRule(port_min=443))


def change(ctx: Context) -> Intent:
    """Another name, and no connections are followed."""
    found = network.get_group(ctx, "web2")
    return group_changes.update_group(ctx, found, name="网站", description="d", stateless=True)


SCENES: dict[str, Scene] = {
    "security_group.update": Scene(change, (make, fill)),
    "security_group.update_rule": Scene(change_rule, (make, fill)),
    "security_group.clone": Scene(
        lambda ctx: group_changes.clone_group(ctx, network.get_group(ctx, "web2"), "web3"), (make, fill)
    ),
    "security_group.log": Scene(lambda ctx: hits.log_group(ctx, network.get_group(ctx, "web2")), (make, fill)),
    "security_group.stop_log": Scene(
        lambda ctx: hits.stop_log(ctx, network.get_group(ctx, "web2")),
        (make, lambda ctx: hits.log_group(ctx, network.get_group(ctx, "web2"))), undoable=False,
    ),
    "address_set.create": Scene(make_set),
    "address_set.update": Scene(
        lambda ctx: sets.update_set(ctx, sets.get_set(ctx, "office"), name="o2", ranges=["198.51.100.7"]),
        (make_set, make, name_set),
    ),
    "address_set.delete": Scene(lambda ctx: sets.delete_set(ctx, sets.get_set(ctx, "office")), (make_set,)),
}
