"""The verb tag of networks."""

from __future__ import annotations

from collections.abc import Sequence

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.base.tags import check_tags
from yun.network.model import Network
from yun.network.service.look import must_allow
from yun.operations.intent import Intent, Subject, unchanged


def tag_network(ctx: Context, network: Network, tags: Sequence[str]) -> Intent:
    """The network has exactly these tags. Raises `Invalid` for what cannot be one, `Conflict` where it has them."""
    ctx.may("network.tag", network.project_id)
    must_allow(network, "tag")
    if network.project_id is None:
        raise Conflict(_("{name} is the whole cloud's, not this project's.", name=network.name))
    kept = check_tags(tags)
    if kept == network.tags:
        raise Conflict(_("Nothing would change: it has these tags."))
    return Intent(
        kind="network.tag",
        title=_("Tag network {name}", name=network.name),
        subject=Subject("network", network.id, network.name),
        project_id=network.project_id,
        arguments={"network_id": network.id, "tags": kept},
        effects=(_("Its tags are: {tags}.", tags=", ".join(kept) or "–"),),
        still=unchanged(network),
        instant=True,
    )
