"""REST of ports: most are made and removed with their instances, others on their own."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.network import service
from yun.network.api import reach, show
from yun.network.model import Port
from yun.network.service import NewPort, PortChanges
from yun.network.service.reach import of_ports
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/ports", tags=["ports"])
BIG = 2**53
WAS = "What the fields were that are changed: refused only where one of them is another now."


class Pair(BaseModel):
    """A further sender that may speak through a port."""

    model_config = ConfigDict(extra="forbid")

    cidr: str = Field(max_length=60, examples=["10.1.0.100"], description="An address or a range.")
    mac: str | None = Field(None, max_length=40, description="The port's own where left out.")


class PortWish(BaseModel):
    """What a port may be given or have changed; null leaves it."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=400)
    security_groups: list[str] | None = Field(None, max_length=50, description="Names or ids.")
    mac: str | None = Field(None, max_length=40)
    port_security: bool | None = Field(None, description="Whether only its own addresses and MAC may speak.")
    allowed_pairs: list[Pair] | None = Field(None, max_length=100)
    ingress_kbps: int | None = Field(None, ge=-BIG, le=BIG, description="Limit to the machine, kbit/s; 0: none.")
    ingress_burst_kbit: int | None = Field(None, ge=-BIG, le=BIG, description="0: chosen.")
    egress_kbps: int | None = Field(None, ge=-BIG, le=BIG, description="Limit from the machine, kbit/s; 0: none.")
    egress_burst_kbit: int | None = Field(None, ge=-BIG, le=BIG, description="0: chosen.")
    dscp: int | None = Field(None, ge=-BIG, le=BIG, description="Mark of what the machine sends, 1 to 63; 0: none.")

    def wishes(self, *besides: str) -> dict[str, Any]:
        """What was given at all."""
        return self.model_dump(exclude_none=True, exclude={"was", *besides})


class PortBody(PortWish):
    """A port to be made; what is left out is chosen."""

    network: str | None = Field(None, max_length=400, description="Name or id; the project's default one.")
    addresses: list[str] = Field(default_factory=list, max_length=50, description="The first is what DHCP gives.")
    hostname: str = Field("", max_length=100, description="Its name in the network's DNS.")
    count: int = Field(
        1, ge=-BIG, le=BIG, description="So many alike, up to 100, all or none. `{n}` in `name` and `hostname` is the "
        "number of each, `{n:02d}` with leading zeros; without it the number is added.",
    )  # fmt: skip

    def new(self) -> NewPort:
        """What the verb wants."""
        own = ("network", "addresses", "hostname", "security_groups", "mac", "count")
        return NewPort(
            network=self.network, addresses=self.addresses, groups=self.security_groups, mac=self.mac,
            hostname=self.hostname, count=self.count, changes=PortChanges(**self.wishes(*own)),
        )  # fmt: skip


class PortPatch(PortWish):
    """What is to be changed of a port; null leaves it."""

    address: str | None = Field(None, max_length=60, description="Another first address.")
    was: dict[str, Any] | None = Field(None, description=WAS)


class AddressWish(BaseModel):
    """One address more."""

    model_config = ConfigDict(extra="forbid")

    address: str | None = Field(None, max_length=60, description="A certain one; the lowest free one by default.")
    subnet: str | None = Field(None, max_length=400, description="Name, range or id of one of the network's subnets.")


class AddressRemoval(BaseModel):
    """One address less."""

    model_config = ConfigDict(extra="forbid")

    address: str = Field(max_length=60)


@router.get("", summary="List ports")
def list_ports(
    ctx: Ctx,
    network: str | None = Query(None, max_length=400),
    instance_id: str | None = Query(None, max_length=40),
    state: str | None = Query(None, max_length=20, description="down, up or trashed"),
    sort: str = Query("created_at", max_length=40),
    cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `address:10.1. group:web text`."),
) -> dict[str, Any]:
    """The project's ports, of one network or instance if asked."""
    inside = service.get_network(ctx, network).id if network else None
    filters = {"network_id": inside, "instance_id": instance_id, "state": state}
    page = service.list_of(ctx, Port, filters=filters, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": show.ports(ctx.session, page.items), "next": page.next}


@router.post("", summary="Create a port", status_code=201)
def create_port(ctx: Ctx, body: PortBody, dry_run: bool = False) -> JSONResponse:
    """A port that is in no instance yet; its addresses and MAC are reserved. Of many the answer is the first, and under
    `ports` all of them with `id`, `name` and `address`."""
    intent = service.create_port(ctx, body.new())
    made = intent.subject.id

    def row() -> dict[str, Any]:
        shown = show.ports(ctx.session, [service.get_port(ctx, made)])[0]
        if listed := intent.arguments.get("port_ids"):
            rows = service.ports_by_id(ctx.session, listed)
            shown["ports"] = [{"id": i, "name": rows[i].name, "address": rows[i].address} for i in listed]
        return shown

    return answer(ctx, intent, dry_run=dry_run, status=201, row=row)


@router.get("/{ref}", summary="Show a port")
def show_port(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One port, by id, address, MAC, host name, or the id of its instance; also what can reach it, in words."""
    row = service.get_port(ctx, ref)
    tag(response, row)
    reached = reach.summary(of_ports(ctx.session, [row])[row.id], ctx.locale)
    return {**show.ports(ctx.session, [row])[0], "reach": reached}


@router.patch("/{ref}", summary="Change a port", status_code=202)
def update_port(ctx: Ctx, ref: str, body: PortPatch, match: Match, dry_run: bool = False) -> JSONResponse:
    """Name, groups, senders, limits; MAC and first address where it is in no instance."""
    row = service.get_port(ctx, ref)
    given = body.wishes()
    now = service.told_port(ctx.session, row)
    kept = match.edit(row, service.told_wish(ctx, row, given), now, service.PORT_TITLES, body.was)
    intent = service.update_port(ctx, row, PortChanges(**kept))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: show.ports(ctx.session, [row])[0])


@router.delete("/{ref}", summary="Delete a port")
def delete_port(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Into the trash; refused while it is in an instance."""
    row = service.get_port(ctx, ref)
    match.check(row)
    return answer(
        ctx, service.delete_port(ctx, row), dry_run=dry_run, row=lambda: show.ports(ctx.session, [row])[0]
    )


@router.post("/{ref}/add-address", summary="Add an address to a port", status_code=202)
def add_address(ctx: Ctx, ref: str, body: AddressWish, match: Match, dry_run: bool = False) -> JSONResponse:
    """One address more, of any subnet of its network."""
    row = service.get_port(ctx, ref)
    match.check(row)
    intent = service.add_address(ctx, row, body.address, subnet=body.subnet)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: show.ports(ctx.session, [row])[0])


@router.post("/{ref}/remove-address", summary="Take an address from a port", status_code=202)
def remove_address(ctx: Ctx, ref: str, body: AddressRemoval, match: Match, dry_run: bool = False) -> JSONResponse:
    """One address less; not its first."""
    row = service.get_port(ctx, ref)
    match.check(row)
    intent = service.remove_address(ctx, row, body.address)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: show.ports(ctx.session, [row])[0])
