"""Who may change a thing of the networks: its project's members, and the cloud's administrators what is the cloud's."""

from __future__ import annotations

from typing import Any

from yun.base.context import Context


def may_change(ctx: Context, permission: str, thing: Any) -> None:
    """Pass where the actor's role reaches what ``permission`` asks; what is no project's is for those who provide
    networks to the whole cloud. Raises `Forbidden`."""
    if thing.project_id is None:
        ctx.may("network.provide")
    ctx.may(permission, thing.project_id)
