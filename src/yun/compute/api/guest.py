"""REST of the guest side: what the guest's agent tells."""

from __future__ import annotations

from typing import Any

from yun.compute import service
from yun.compute.api.shared import instances
from yun.web.api import Ctx


@instances.get("/{ref}/guest", summary="What an instance's guest tells of itself")
def guest(ctx: Ctx, ref: str) -> dict[str, Any]:
    """System, host name, file systems and addresses as its agent last told them."""
    return service.guest(ctx, service.get(ctx, ref))
