"""The verbs by which the cloud keeps its networks in order: first set-up, and the periodic comparison."""

from __future__ import annotations

from yun.base.context import Context
from yun.base.messages import _
from yun.operations.intent import Intent, Subject

CLOUD = Subject("network", "cloud", "default")


def ensure_default(ctx: Context) -> Intent:
    """External network, and for each project that never had them: default network, router, security group.

    Idempotent: what is there stays. Precondition for it to succeed: the local host is known, its services run.
    """
    ctx.may("network.ensure_default")
    return Intent(
        kind="network.ensure_default",
        title=_("Set up the default networks"),
        subject=CLOUD,
        effects=(
            _("The external network {cidr} exists, and this host is its gateway.", cidr=ctx.settings.external_cidr),
            _("Each project has a network {cidr}, a router and a security group.", cidr=ctx.settings.default_cidr),
        ),
        undoable=False,
        no_undo=_("The default networks are needed by everything else; delete single ones instead."),
        transparent=True,
    )


def reconcile(ctx: Context) -> Intent:
    """Compare the network engine with what should be, and mend it."""
    ctx.may("network.reconcile")
    return Intent(
        kind="network.reconcile",
        title=_("Compare the networks with the engine"),
        subject=CLOUD,
        effects=(_("What is missing in the engine is made again; leftovers of ours are removed."),),
        undoable=False,
        no_undo=_("It only brings the engine in line."),
        transparent=True,
    )
