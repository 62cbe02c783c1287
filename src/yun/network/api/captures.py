"""REST of recordings of packets, and of what goes through ports."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.network import service
from yun.network.api import show
from yun.network.model import Capture
from yun.network.service.captures import note_download
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag
from yun.web.request import cloud_of

router = APIRouter(route_class=Route, tags=["ports"])
PCAP = "application/vnd.tcpdump.pcap"


class CaptureBody(BaseModel):
    """What of a port is recorded, and for how long."""

    model_config = ConfigDict(extra="forbid")

    filter: str = Field("", max_length=1000, examples=["tcp host 10.1.0.7 port 80"], description="Empty: everything.")
    seconds: int = Field(60, ge=-(2**53), le=2**53, description="1 to 600.")
    max_bytes: int = Field(10 << 20, ge=-(2**53), le=2**53, description="At most 100 MiB.")


@router.get("/ports/{ref}/metrics", summary="What goes through a port")
def port_metrics(ctx: Ctx, ref: str) -> dict[str, Any]:
    """Bytes, packets and drops both ways, of the last hour."""
    return service.port_metrics(ctx, service.get_port(ctx, ref))


@router.post("/ports/{ref}/capture", summary="Record packets of a port", status_code=201)
def capture(ctx: Ctx, ref: str, body: CaptureBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """Ends by itself; the file is kept for a day."""
    row = service.get_port(ctx, ref)
    match.check(row)
    intent = service.capture(ctx, row, filter=body.filter, seconds=body.seconds, max_bytes=body.max_bytes)
    made = intent.subject.id
    return answer(
        ctx, intent, dry_run=dry_run, status=201, row=lambda: show.capture(service.get_capture(ctx, made))
    )


@router.get("/captures", summary="List recordings of packets")
def list_captures(
    ctx: Ctx,
    port_id: str | None = Query(None, max_length=40),
    sort: str = Query("created_at", max_length=40),
    cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `state:complete by:li`."),
) -> dict[str, Any]:
    """The project's recordings, of one port if asked."""
    page = service.list_of(ctx, Capture, filters={"port_id": port_id}, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": [show.capture(r) for r in page.items], "next": page.next}


@router.get("/captures/{ref}", summary="Show a recording of packets")
def show_capture(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One recording, by id."""
    row = service.get_capture(ctx, ref)
    tag(response, row)
    return show.capture(row)


@router.get("/captures/{ref}/file", summary="Download recorded packets", response_class=FileResponse)
def download(ctx: Ctx, request: Request, ref: str) -> FileResponse:
    """The file, as Wireshark and tcpdump read it; `Range` is honoured. The audit tells who took it."""
    row = service.get_capture(ctx, ref)
    stat = service.capture_file(ctx, row)
    # The rest of a download that broke is no second one.
    if request.headers.get("range", "bytes=0-").startswith("bytes=0-"):
        with cloud_of(request).database.write() as session:
            note_download(session, ctx, row)
    return FileResponse(row.path, filename=f"{row.id}.pcap", media_type=PCAP, stat_result=stat)


@router.post("/captures/{ref}/stop", summary="Stop recording packets", status_code=202)
def stop(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """What it has so far stays."""
    row = service.get_capture(ctx, ref)
    match.check(row)
    return answer(ctx, service.stop_capture(ctx, row), dry_run=dry_run, row=lambda: show.capture(row))


@router.delete("/captures/{ref}", summary="Delete recorded packets")
def delete(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """The file is deleted for good."""
    row = service.get_capture(ctx, ref)
    match.check(row)
    return answer(ctx, service.delete_capture(ctx, row), dry_run=dry_run, row=lambda: show.capture(row))
