"""REST of the guest side: what the guest's agent tells, and what it is asked to do."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, instances, row_of
from yun.compute.service import inside
from yun.operations.answer import answer
from yun.web.api import Ctx


class NewPassword(Body):
    """A password for a user of the guest."""

    password: str = Field(max_length=1000)
    user: str = Field("", max_length=100, description="The image's default user otherwise.")


class Freezing(Body):
    """How long file systems may stand still."""

    seconds: int = Field(inside.FREEZE_SECONDS, description="After these they go on by themselves.")


class Command(Body):
    """What to run."""

    command: list[Annotated[str, Field(max_length=20_000)]] = Field(
        max_length=300, description="The program and its arguments; no shell reads them."
    )
    timeout: int = Field(inside.RUN_SECONDS, description="Seconds after which it is killed.")


@instances.get("/{ref}/guest", summary="What an instance's guest tells of itself")
def guest(ctx: Ctx, ref: str) -> dict[str, Any]:
    """System, host name, file systems and addresses as its agent last told them."""
    return service.guest(ctx, service.get(ctx, ref))


@instances.post("/{ref}/set-password", summary="Set a password in the guest", status_code=202)
def set_password(ctx: Ctx, ref: str, body: NewPassword, dry_run: bool = False) -> JSONResponse:
    """While it runs, through its agent; only a hash goes there."""
    found = service.get(ctx, ref)
    intent = service.set_password(ctx, found, body.password, user=body.user)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/freeze", summary="Freeze the guest's file systems", status_code=202)
def freeze(ctx: Ctx, ref: str, body: Freezing, dry_run: bool = False) -> JSONResponse:
    """Written out and held, until `thaw`, or by themselves after `seconds`."""
    found = service.get(ctx, ref)
    intent = service.freeze(ctx, found, seconds=body.seconds)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/thaw", summary="Thaw the guest's file systems", status_code=202)
def thaw(ctx: Ctx, ref: str, dry_run: bool = False) -> JSONResponse:
    """Let them go on."""
    found = service.get(ctx, ref)
    return answer(ctx, service.thaw(ctx, found), dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/trim", summary="Trim the guest's file systems", status_code=202)
def trim(ctx: Ctx, ref: str, dry_run: bool = False) -> JSONResponse:
    """Give unused blocks back to the storage pool; how much is the operation's result."""
    found = service.get(ctx, ref)
    return answer(ctx, service.trim(ctx, found), dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/sync-time", summary="Set the guest's clock", status_code=202)
def sync_time(ctx: Ctx, ref: str, dry_run: bool = False) -> JSONResponse:
    """To the cloud's; by how much it was wrong is the operation's result."""
    found = service.get(ctx, ref)
    return answer(ctx, service.sync_time(ctx, found), dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/run", summary="Run a command in the guest", status_code=202)
def run(ctx: Ctx, ref: str, body: Command, dry_run: bool = False) -> JSONResponse:
    """At most once, as the guest's administrator; exit code and output (64 KiB) are the operation's result."""
    found = service.get(ctx, ref)
    intent = service.run(ctx, found, body.command, timeout=body.timeout)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))
