"""REST of instances: create, list, show, power, change, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from yun.compute import service
from yun.compute.api.disks import FirstDisk
from yun.compute.api.shared import Body, Cursor, Edit, Limit, Sort, Word, again, instances, row_of
from yun.compute.model import Instance
from yun.compute.service.edit import TITLES
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, tag
from yun.web.revisions import Expected

Seconds = Annotated[int | None, Query(ge=0, le=3600, description="Seconds the guest has to power off.")]
PublicKey = Annotated[str, Field(max_length=9000)]


class NewInstance(Body):
    """What a new instance shall be. A flavor, or `vcpus` and `memory_mib`; own sizes win over the flavor's."""

    name: str = Field(max_length=400)
    image: Annotated[str, Field(max_length=200)] = Field("", description="The image of its disk; or say `iso`.")
    iso: Annotated[str, Field(max_length=200)] = Field("", description="A CD to install from, onto an empty disk.")
    driver_iso: Annotated[str, Field(max_length=200)] = Field("", description="A second CD, such as with drivers.")
    flavor: Word | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    disk_bytes: int | None = Field(None, description="Size of the first disk; the flavor's by default.")
    network: Word | None = Field(None, description="Name or id; the project's default network by default.")
    address: Annotated[str, Field(max_length=60)] | None = Field(None, description="A certain address of the network.")
    security_groups: Annotated[list[Word], Field(max_length=20)] | None = None
    keys: list[Word] = Field([], max_length=20, description="Names of your stored SSH keys.")
    ssh_keys: list[PublicKey] = Field([], max_length=20, description="Public keys as text.")
    password: str | None = Field(None, max_length=1000, description="Of the image's default user; kept only as a hash.")
    hostname: str | None = Field(None, max_length=300)
    user_data: str = Field("", description="cloud-init user data, at most 64 KiB.")
    description: str = ""
    tags: list[str] = Field([], max_length=100)
    autostart: bool = True
    protected: bool = False
    on_crash: str = Field("restart", max_length=20, description="restart or leave")
    shutdown_seconds: int = 60
    start: bool = True
    floating_ip: bool = False
    disk: FirstDisk | None = Field(None, description="How its first disk is made, read and written.")


class Changes(Edit):
    """What can be changed of an instance; what is left out stays."""

    name: str | None = Field(None, max_length=400)
    description: str | None = None
    tags: list[str] | None = Field(None, max_length=100)
    autostart: bool | None = None
    protected: bool | None = None
    on_crash: str | None = Field(None, max_length=20)
    shutdown_seconds: int | None = None


class NewName(Edit):
    """Another display name."""

    name: str = Field(max_length=400)


class Tags(Edit):
    """All tags that the instance shall have."""

    tags: list[str] = Field(max_length=100)


@instances.get("", summary="List instances")
def list_instances(
    ctx: Ctx,
    q: Annotated[str, Query(max_length=1000, description="Such as `state:running tag:web memory>4G name~class`.")] = "",
    state: Annotated[str | None, Query(max_length=100)] = None,
    tag: Annotated[str | None, Query(max_length=100)] = None,
    usage: Annotated[bool, Query(description="Add what each uses now.")] = False,
    sort: Sort = "-created_at",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> JSONResponse:
    """Instances of the project (all that you may see, without one), in pages."""
    words = [q, *(f'{name}:"{value}"' for name, value in (("state", state), ("tag", tag)) if value)]
    page = service.list_values(ctx, q=" ".join(words), sort=sort, cursor=cursor, limit=limit)
    items = service.completed(ctx, page.items)
    if usage:
        service.add_usage(ctx, items)
    return JSONResponse({"items": items, "next": page.next})


@instances.post("", summary="Create an instance", status_code=201)
def create(ctx: Ctx, body: NewInstance, dry_run: bool = False) -> JSONResponse:
    """From an image, on a network, with keys or a password; it is started unless `start` is false."""
    values = body.model_dump()
    for name in ("keys", "ssh_keys", "tags"):
        values[name] = tuple(values[name])
    if values["security_groups"] is not None:
        values["security_groups"] = tuple(values["security_groups"])
    values["disk"] = service.FirstDisk(**(values["disk"] or {}))
    intent = service.create(ctx, service.Wish(**values))
    return answer(ctx, intent, dry_run=dry_run, status=201, row=lambda: again(ctx, intent.subject.id))


@instances.get("/{ref}", summary="Show an instance")
def show(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One instance by name or id, with its disks and ports."""
    found = service.get(ctx, ref)
    tag(response, found)
    return row_of(ctx, found)


@instances.patch("/{ref}", summary="Change an instance")
def update(ctx: Ctx, ref: str, body: Changes, match: Match, dry_run: bool = False) -> JSONResponse:
    """Name, description, tags, autostart, delete protection, crash policy, time to power off."""
    found = service.get(ctx, ref)
    values = _agreed(match, found, body)
    return answer(ctx, service.update(ctx, found, **values), dry_run=dry_run, row=lambda: again(ctx, found.id))


def _agreed(match: Expected, found: Instance, body: Edit) -> dict[str, Any]:
    """What of the body is to be changed, where nobody else changed it since the caller looked."""
    wanted = body.model_dump(exclude_none=True, exclude={"was"})  # null says nothing, as everywhere
    return match.edit(found, wanted, {name: getattr(found, name) for name in wanted}, TITLES, body.was)


@instances.delete("/{ref}", summary="Delete an instance", status_code=202)
def delete(
    ctx: Ctx, ref: str, match: Match, timeout: Seconds = None, force: bool = False, dry_run: bool = False
) -> JSONResponse:
    """Into the trash, from which undo brings it back as it was; running if it ran."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.delete(ctx, found, timeout=timeout, force=force)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/start", summary="Start an instance", status_code=202)
def start(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Switch it on."""
    found = service.get(ctx, ref)
    match.check(found)
    return answer(ctx, service.start(ctx, found), dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/stop", summary="Stop an instance", status_code=202)
def stop(
    ctx: Ctx, ref: str, match: Match, timeout: Seconds = None, force: bool = False, dry_run: bool = False
) -> JSONResponse:
    """Ask the guest to power off; cut the power after `timeout` seconds, or at once with `force`."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.stop(ctx, found, timeout=timeout, force=force)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/reboot", summary="Reboot an instance", status_code=202)
def reboot(
    ctx: Ctx, ref: str, match: Match, timeout: Seconds = None, hard: bool = False, dry_run: bool = False
) -> JSONResponse:
    """Off and on: softly, with the power cut after `timeout` seconds, or `hard`."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.reboot(ctx, found, hard=hard, timeout=timeout)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/pause", summary="Pause an instance", status_code=202)
def pause(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Let its vCPUs stand still."""
    found = service.get(ctx, ref)
    match.check(found)
    return answer(ctx, service.pause(ctx, found), dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/resume", summary="Resume an instance", status_code=202)
def resume(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Let it go on."""
    found = service.get(ctx, ref)
    match.check(found)
    return answer(ctx, service.resume(ctx, found), dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/rename", summary="Rename an instance")
def rename(ctx: Ctx, ref: str, body: NewName, match: Match, dry_run: bool = False) -> JSONResponse:
    """Another display name; the guest's host name stays."""
    found = service.get(ctx, ref)
    name = _agreed(match, found, body).get("name", found.name)
    return answer(ctx, service.rename(ctx, found, name), dry_run=dry_run, row=lambda: again(ctx, found.id))


class NewSize(Edit):
    """A flavor, or numbers, which win over the flavor's."""

    flavor: Word | None = None
    vcpus: int | None = None
    memory_mib: int | None = None


@instances.post("/{ref}/resize", summary="Resize an instance", status_code=202)
def resize(ctx: Ctx, ref: str, body: NewSize, match: Match, dry_run: bool = False) -> JSONResponse:
    """Other vCPUs and memory, from its next start on; until then they are `pending`."""
    found = service.get(ctx, ref)
    intent = service.resize(ctx, found, **body.model_dump(exclude={"was"}))
    size = ("vcpus", "memory_mib")
    wanted, now = {n: intent.arguments["values"][n] for n in size}, {n: getattr(found, n) for n in size}
    match.edit(found, wanted, now, service.HARDWARE_TITLES, body.was)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/tag", summary="Tag an instance")
def tag_instance(ctx: Ctx, ref: str, body: Tags, match: Match, dry_run: bool = False) -> JSONResponse:
    """Exactly these tags."""
    found = service.get(ctx, ref)
    tags = _agreed(match, found, body).get("tags", found.tags)
    return answer(ctx, service.tag(ctx, found, tags), dry_run=dry_run, row=lambda: again(ctx, found.id))


@instances.post("/{ref}/purge", summary="Purge an instance", status_code=202)
def purge(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Remove it from the trash for good."""
    found = service.get(ctx, ref)
    match.check(found)
    return answer(ctx, service.purge(ctx, found), dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/tend", summary="Look after an instance", status_code=202)
def tend(ctx: Ctx, ref: str, dry_run: bool = False) -> JSONResponse:
    """Compare it with what the hypervisor says now, and mend it."""
    found = service.get(ctx, ref)
    return answer(ctx, service.tend(ctx, found), dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.get("/{ref}/metrics", summary="What an instance uses")
def metrics(ctx: Ctx, ref: str) -> dict[str, Any]:
    """Processor, memory, disk and network of the last hour."""
    return service.metrics(ctx, service.get(ctx, ref))
