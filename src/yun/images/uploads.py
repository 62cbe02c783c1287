"""REST of uploads: the tus protocol, version 1.0.0, so that a broken upload goes on where it stood.

``POST`` begins one with everything the image shall be in ``Upload-Metadata``; ``PATCH`` adds pieces; ``HEAD`` says how
much has come. The piece that completes it also submits the import: its answer names operation and image. With
``purpose volume`` it becomes a volume (of ``name``, in ``pool``) in place of an image; with ``purpose appliance``
nothing is submitted: it waits for `/instances/import`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.images import service, tus
from yun.images.model import Upload
from yun.images.receive import ChecksumMismatch, Piece, receive
from yun.operations.answer import HEADER, answer, moment
from yun.operations.service import submit
from yun.web import problem
from yun.web.api import Ctx, Route, in_context

router = APIRouter(route_class=Route, prefix="/image-uploads", tags=["images"])
IMAGE_HEADER = "Yun-Image"
PREFIX = "/api/v1/image-uploads"
TusVersion = Annotated[str | None, Header(alias="Tus-Resumable")]


class WrongVersion(problem.Stale):
    """The client speaks another version of the protocol (412)."""

    code = "tus_version"


def check_version(version: str | None) -> None:
    """Pass where the client speaks our version of the protocol. Raises `WrongVersion`."""
    if not tus.speaks(version):
        raise WrongVersion(_("Only version {version} of the tus protocol is spoken here.", version=tus.VERSION))


def show_upload(upload: Upload) -> dict[str, Any]:
    """An upload as JSON."""
    return {
        "id": upload.id, "name": upload.name, "filename": upload.filename, "project_id": upload.project_id,
        "length_bytes": upload.length_bytes, "offset_bytes": service.received(upload), "wanted": upload.wanted,
        "purpose": upload.purpose, "image_id": upload.image_id, "operation_id": upload.operation_id,
        "created_at": moment(upload.created_at), "expires_at": moment(upload.expires_at),
    }  # fmt: skip


def _headers(upload: Upload, have: int) -> dict[str, str]:
    found = tus.BASE | {"Upload-Offset": str(have), "Upload-Expires": tus.expires(upload.expires_at)}
    if upload.operation_id:
        found[HEADER] = upload.operation_id
    if upload.image_id:
        found[IMAGE_HEADER] = upload.image_id
    return found


@router.options("", summary="What the upload protocol offers here")
def options() -> Response:
    """Version, extensions, checksum algorithms."""
    return Response(
        status_code=204,
        headers=tus.BASE
        | {
            "Tus-Version": tus.VERSION, "Tus-Extension": tus.EXTENSIONS,
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
            "Tus-Max-Size": str(service.MAX_LENGTH),
        },
    )  # fmt: skip


@router.post("", summary="Begin an upload", status_code=201)
def begin(
    ctx: Ctx,
    version: TusVersion = None,
    length: Annotated[str | None, Header(alias="Upload-Length")] = None,
    metadata: Annotated[str | None, Header(alias="Upload-Metadata", max_length=16384)] = None,
    dry_run: bool = False,
) -> Response:
    """Everything is checked that can be known before the file has come. ``Location`` is where the pieces go."""
    check_version(version)
    said = tus.metadata(metadata)
    purpose = said.pop("purpose", "image")
    pool = said.pop("pool", None) if purpose == "volume" else None
    arguments, filename = tus.wanted(said)
    upload = service.begin_upload(
        ctx, service.NewImage(**arguments), length=tus.number(length, "Upload-Length"), filename=filename,
        purpose=purpose, pool=pool,
    )  # fmt: skip
    if dry_run:
        intent = service.keep_upload(upload) if purpose == "appliance" else service.becomes(ctx, upload)
        preview = answer(ctx, intent, dry_run=True)
        ctx.session.delete(upload)
        return preview
    if ctx.settings.fake:
        Path(upload.path).parent.mkdir(parents=True, exist_ok=True)
    headers = _headers(upload, 0) | {"Location": f"{PREFIX}/{upload.id}"}
    return JSONResponse(show_upload(upload), 201, headers=headers)


@router.get("", summary="List one's unfinished uploads")
def list_uploads(ctx: Ctx) -> dict[str, Any]:
    """So that a page or a command that was closed can go on."""
    return {"items": [show_upload(upload) for upload in service.list_uploads(ctx)], "next": None}


@router.head("/{identifier}", summary="How much of an upload has come")
def offset(ctx: Ctx, identifier: str, version: TusVersion = None) -> Response:
    """In the header ``Upload-Offset``."""
    check_version(version)
    upload = service.get_upload(ctx, identifier)
    headers = _headers(upload, service.received(upload)) | {"Upload-Length": str(upload.length_bytes)}
    return Response(status_code=200, headers=headers)


@router.get("/{identifier}", summary="Show an upload")
def show(ctx: Ctx, identifier: str) -> dict[str, Any]:
    """With what has come, and the operation once it is complete."""
    return show_upload(service.get_upload(ctx, identifier))


@router.delete("/{identifier}", summary="Drop an upload", status_code=204)
def drop(ctx: Ctx, identifier: str, version: TusVersion = None) -> Response:
    """What has come is thrown away."""
    check_version(version)
    service.drop_upload(ctx, service.get_upload(ctx, identifier))
    return Response(status_code=204, headers=tus.BASE)


@router.patch(
    "/{identifier}",
    summary="Add a piece to an upload",
    status_code=204,
    openapi_extra={
        "requestBody": {
            "content": {tus.CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
            "required": True,
        }
    },
)
async def add(
    request: Request,
    identifier: str,
    version: TusVersion = None,
    at: Annotated[str | None, Header(alias="Upload-Offset")] = None,
    checksum: Annotated[str | None, Header(alias="Upload-Checksum")] = None,
) -> Response:
    """The piece must begin at ``Upload-Offset``. Once all has come, the import begins."""

    def adding(ctx: Context) -> tuple[Upload, int]:
        return _adding(ctx, identifier)

    check_version(version)
    if request.headers.get("content-type") != tus.CONTENT_TYPE:
        return Response(status_code=415, headers=tus.BASE | {"Accept-Patch": tus.CONTENT_TYPE})
    said, expected = tus.number(at, "Upload-Offset"), tus.checksum(checksum)
    upload, reserve = await in_context(request, adding, write=True)
    if upload.operation_id is not None:
        if said == upload.length_bytes:
            return Response(status_code=204, headers=_headers(upload, said))
        raise tus.wrong_offset(upload.length_bytes, said)
    try:
        piece = Piece(upload.path, said, upload.length_bytes, expected, reserve)
        have = await receive(piece, request.stream(), lambda: in_context(request, adding, write=True))
    except ChecksumMismatch as error:
        body = problem.problem_of(error, request).to_json() | {"status": 460}
        return JSONResponse(body, 460, headers=tus.BASE, media_type="application/problem+json")
    except ClientDisconnect:
        return Response(status_code=499, headers=tus.BASE)
    upload = await in_context(request, lambda ctx: _added(ctx, identifier, have), write=True)
    return Response(status_code=204, headers=_headers(upload, have))


def _adding(ctx: Context, identifier: str) -> tuple[Upload, int]:
    """The upload, kept for another day since somebody adds to it, and what its disk keeps in reserve."""
    upload = service.get_upload(ctx, identifier)
    service.touch(ctx, upload)
    return upload, service.reserve_of(ctx, upload)


def _added(ctx: Context, identifier: str, have: int) -> Upload:
    upload = service.get_upload(ctx, identifier)
    service.touch(ctx, upload)
    if have < upload.length_bytes or upload.purpose == "appliance":
        return upload
    if upload.operation_id is not None:
        raise Conflict(_("The upload of {name} has ended.", name=upload.name))
    ctx.project_id = ctx.project_id or upload.project_id
    upload.operation_id = submit(ctx, service.becomes(ctx, upload)).id
    return upload
