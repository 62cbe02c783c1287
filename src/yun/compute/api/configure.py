"""REST of hardware: what it is, what of it waits for the next start, changing it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi.responses import JSONResponse, Response
from pydantic import Field

from yun.compute import hardware as parts
from yun.compute import service
from yun.compute.api.shared import Edit, Word, instances, row_of
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, tag


class Hardware(Edit):
    """What can be changed of the hardware; what is left out stays."""

    max_vcpus: int | None = Field(None, description="To how many vCPUs it can grow while it runs; 0: not at all.")
    sockets: int | None = Field(None, description="With cores and threads: they multiply to the most vCPUs, or are 0.")
    cores: int | None = None
    threads: int | None = None
    cpu_model: Word | None = Field(None, description="Such as host-passthrough or Nehalem; empty: the best there is.")
    pins: Annotated[list[Word], Field(max_length=288)] | None = Field(
        None, description="Host processors such as `0-3,8`: one set for all vCPUs, or one for each."
    )
    memory_max_mib: int | None = Field(None, description="To how much memory it can grow while it runs; 0: not at all.")
    huge_pages: bool | None = None
    firmware: Word | None = Field(None, description="bios, uefi or uefi-secure; only while it is stopped.")
    machine: Word | None = Field(None, description="q35 or pc; only while it is stopped.")
    tpm: bool | None = Field(None, description="A TPM 2.0; only while it is stopped.")
    display: Word | None = Field(None, description="vnc, spice or both")
    video: Word | None = Field(None, description="vga, virtio, qxl, bochs or cirrus")
    keyboard: Word | None = Field(None, description="Layout such as de; empty: as the viewer sends it.")
    clock: Word | None = Field(None, description="utc or localtime")
    watchdog: Word | None = Field(None, description="i6300esb, ib700 or empty")
    watchdog_action: Word | None = Field(None, description="reset, poweroff, pause or none")
    rng: bool | None = None
    agent: bool | None = Field(None, description="Whether it has a channel for the guest agent.")
    serial_ports: int | None = None
    panic: Word | None = Field(None, description="ignore, destroy, restart or preserve")
    disk_full: Word | None = Field(None, description="stop, enospace or report")
    start_order: int | None = Field(None, description="After a reboot of its host; 0 comes last.")
    start_delay: int | None = Field(None, description="Seconds after the one that starts before it.")


@instances.get("/{ref}/hardware", summary="Show an instance's hardware")
def show_hardware(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """All of it, plain or chosen, and `pending`: what waits for the next start."""
    found = service.get(ctx, ref)
    tag(response, found)
    return {**parts.shown(found.firmware, found.hardware), "pending": service.waiting_of(found)}


@instances.patch("/{ref}/hardware", summary="Configure an instance", status_code=202)
def configure(ctx: Ctx, ref: str, body: Hardware, match: Match, dry_run: bool = False) -> JSONResponse:
    """Change its hardware: at once, at its next start (until then it is `pending`), or only while it is stopped."""
    found = service.get(ctx, ref)
    wanted = {k: v for k, v in body.model_dump(exclude_unset=True, exclude={"was"}).items() if v is not None}
    now = parts.shown(found.firmware, found.hardware)
    values = match.edit(found, wanted, now, service.HARDWARE_TITLES, body.was)
    intent = service.configure(ctx, found, **values)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/drop-pending", summary="Drop what waits for an instance's next start", status_code=202)
def drop_pending(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """What runs stays so."""
    found = service.get(ctx, ref)
    match.check(found)
    return answer(ctx, service.drop_pending(ctx, found), dry_run=dry_run, row=lambda: row_of(ctx, found))
