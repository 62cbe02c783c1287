"""What the routes of this room have in common: bodies, parameters, and an instance as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.compute import service
from yun.compute.model import Instance
from yun.web.api import Route

Cursor = Annotated[str | None, Query(max_length=500)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Sort = Annotated[str, Query(max_length=40)]
Word = Annotated[str, Field(max_length=200)]

instances = APIRouter(route_class=Route, prefix="/instances", tags=["instances"])
volumes = APIRouter(route_class=Route, prefix="/volumes", tags=["storage"])
"""Routes of volumes that concern instances; the others are the room of storage's."""


class Body(BaseModel):
    """A request's body: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class Edit(Body):
    """A change of what is there."""

    was: dict[str, Any] | None = Field(
        None, description="What the fields to be changed were when you looked; where one is another now, it is a 409 "
        "that names it, what is there now, and what you want.",
    )  # fmt: skip


def row_of(ctx: Context, instance: Instance) -> dict[str, Any]:
    """The instance with its disks and ports."""
    return service.detail(ctx, instance)


def again(ctx: Context, instance_id: str) -> dict[str, Any]:
    """The instance as it is after the verb was done."""
    return service.detail(ctx, service.get(ctx, instance_id))
