"""REST of networks and subnets."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import show
from yun.network.api.groups import GroupWish
from yun.network.model import Network, Subnet
from yun.network.service import NetworkChanges, NewNetwork, NewSubnet, SubnetChanges
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, tags=["networks"])
WAS = "What the fields were that are changed: refused only where one of them is another now."


class HostRoute(BaseModel):
    """A way that guests are told of."""

    model_config = ConfigDict(extra="forbid")

    destination: str = Field(max_length=60, examples=["192.168.7.0/24"])
    nexthop: str = Field(max_length=60, examples=["10.1.0.9"])


class SubnetBody(BaseModel):
    """A subnet to be made; what is left out is chosen."""

    model_config = ConfigDict(extra="forbid")

    cidr: str = Field(max_length=60, examples=["10.1.0.0/24"])
    name: str = Field("", max_length=400)
    gateway: str | None = Field("auto", max_length=60, description="`auto` (the first address), an address, or null.")
    pool_start: str | None = Field(None, max_length=60)
    pool_end: str | None = Field(None, max_length=60)
    dns_servers: list[str] = Field(default_factory=list, max_length=20)
    domain: str = Field("", max_length=300)
    dhcp: bool = True
    lease_seconds: int = Field(3600, ge=-(2**53), le=2**53)
    ntp_servers: list[str] = Field(default_factory=list, max_length=20)
    routes: list[HostRoute] = Field(default_factory=list, max_length=100)
    ipv6_mode: str | None = Field(
        None, max_length=40, description="`slaac` (where left out), `dhcpv6-stateful` or `dhcpv6-stateless`; IPv6 only."
    )
    routed: bool = Field(True, description="Whether the project's router connects it to the outside.")

    def new(self) -> NewSubnet:
        """What the verb wants."""
        return NewSubnet(**self.model_dump())


class OwnGroup(GroupWish):
    """A security group that is made with a network."""

    name: str = Field("", max_length=400, description="The network's name where left out.")


class NetworkBody(BaseModel):
    """A network to be made, with its first subnet and a security group if it is to have them."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400)
    description: str = Field("", max_length=4000)
    mtu: int | None = Field(None, ge=-(2**53), le=2**53, description="Bytes; null: what the hosts carry.")
    domain: str | None = Field(None, max_length=300, description="Where its machines have names; null: the project's.")
    subnet: SubnetBody | None = None
    physical: str | None = Field(None, max_length=100, description="A physical network, for administrators.")
    vlan: int | None = Field(None, ge=-(2**53), le=2**53, description="Its tag there; null: none.")
    external: bool = Field(False, description="For routers and floating IPs of all projects, not for machines.")
    security_group: OwnGroup | None = Field(None, description="One that is made in the same operation.")


class NetworkPatch(BaseModel):
    """What is to be changed of a network; null leaves it."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=400)
    description: str | None = Field(None, max_length=4000)
    mtu: int | None = Field(None, ge=-(2**53), le=2**53)
    domain: str | None = Field(None, max_length=300)
    was: dict[str, Any] | None = Field(None, description=WAS)


class SubnetPatch(BaseModel):
    """What is to be changed of a subnet; null leaves it."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=400)
    gateway: str | None = Field(None, max_length=60, description="An address, or `none`.")
    pool_start: str | None = Field(None, max_length=60)
    pool_end: str | None = Field(None, max_length=60)
    dns_servers: list[str] | None = Field(None, max_length=20, description="Empty: the cloud's own.")
    domain: str | None = Field(None, max_length=300)
    dhcp: bool | None = None
    lease_seconds: int | None = Field(None, ge=-(2**53), le=2**53)
    ntp_servers: list[str] | None = Field(None, max_length=20)
    routes: list[HostRoute] | None = Field(None, max_length=100)
    was: dict[str, Any] | None = Field(None, description=WAS)


class NetworkTags(BaseModel):
    """All tags that a network shall have."""

    model_config = ConfigDict(extra="forbid")

    tags: list[str] = Field(max_length=100)


class SubnetInNetwork(SubnetBody):
    """A subnet to be made in a network."""

    network: str = Field(max_length=400, description="Name or id of the network.")

    def new(self) -> NewSubnet:
        """What the verb wants."""
        return NewSubnet(**self.model_dump(exclude={"network"}))


def _network(ctx: Context, row: Network) -> dict[str, Any]:
    return show.network(row, service.subnets_of(ctx.session, row.id), _shares(ctx, [row]).get(row.id, ()))


def _shares(ctx: Context, rows: list[Network]) -> dict[str, list[str]]:
    """With whom the networks are shared; whoever uses another's sees his own projects alone."""
    found = service.shares_of(ctx.session, [r.id for r in rows])
    owners = {r.id: r.project_id for r in rows}
    return {
        network_id: [p for p in projects if ctx.sees(owners[network_id]) or p == "*" or ctx.sees(p)]
        for network_id, projects in found.items()
    }


@router.get("/networks", summary="List networks")
def list_networks(
    ctx: Ctx, state: str | None = Query(None, max_length=20), sort: str = Query("name", max_length=40),
    q: str = Query("", max_length=1000, description="Such as `external:no range:10.1. text`."),
    cursor: str | None = Query(None, max_length=1000), limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:  # fmt: skip
    """The project's networks, and the external one of the cloud."""
    page = service.list_of(ctx, Network, filters={"state": state}, sort=sort, cursor=cursor, limit=limit, q=q)
    subnets = service.subnets_by_network(ctx.session, [n.id for n in page.items])
    shared = _shares(ctx, page.items)
    items = [show.network(n, subnets.get(n.id, []), shared.get(n.id, ())) for n in page.items]
    return {"items": items, "next": page.next}


@router.post("/networks", summary="Create a network", status_code=201)
def create_network(ctx: Ctx, body: NetworkBody, dry_run: bool = False) -> JSONResponse:
    """A network, with its first subnet and a security group if the body has them: all of it or nothing."""
    own = body.security_group
    new = NewNetwork(
        body.name, body.description, body.mtu, body.domain, body.subnet.new() if body.subnet else None,
        body.physical, body.vlan, body.external, own.wish(own.name) if own else None,
    )  # fmt: skip
    intent = service.create_network(ctx, new)
    made, group_id = intent.subject.id, intent.arguments.get("group_id")

    def row() -> dict[str, Any]:
        shown = _network(ctx, service.get_network(ctx, made))
        if group_id is not None:
            group = service.get_group(ctx, group_id)
            shown["security_group"] = {"id": group.id, "name": group.name}
        return shown

    return answer(ctx, intent, dry_run=dry_run, status=201, row=row)


@router.get("/networks/{ref}", summary="Show a network")
def show_network(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One network, by name or id."""
    row = service.get_network(ctx, ref)
    tag(response, row)
    return _network(ctx, row)


@router.patch("/networks/{ref}", summary="Change a network", status_code=202)
def update_network(ctx: Ctx, ref: str, body: NetworkPatch, match: Match, dry_run: bool = False) -> JSONResponse:
    """Name, description, MTU, domain; its ports go on."""
    row = service.get_network(ctx, ref)
    wanted = body.model_dump(exclude_none=True, exclude={"was"})
    values = match.edit(row, wanted, service.told_network(row), service.NETWORK_TITLES, body.was)
    intent = service.update_network(ctx, row, NetworkChanges(**values))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _network(ctx, row))


@router.post("/networks/{ref}/tag", summary="Tag a network")
def tag_network(ctx: Ctx, ref: str, body: NetworkTags, match: Match, dry_run: bool = False) -> JSONResponse:
    """Exactly these tags."""
    row = service.get_network(ctx, ref)
    match.check(row)
    intent = service.tag_network(ctx, row, body.tags)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _network(ctx, row))


@router.delete("/networks/{ref}", summary="Delete a network")
def delete_network(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Into the trash, with its subnets; refused while ports are on it."""
    row = service.get_network(ctx, ref)
    match.check(row)
    return answer(ctx, service.delete_network(ctx, row), dry_run=dry_run, row=lambda: _network(ctx, row))


@router.post("/networks/ensure-default", summary="Set up the default networks")
def ensure_default(ctx: Ctx, dry_run: bool = False) -> JSONResponse:
    """The external network and each project's default things; what is there stays."""
    return answer(ctx, service.ensure_default(ctx), dry_run=dry_run)


@router.post("/networks/reconcile", summary="Compare the networks with the engine")
def reconcile(ctx: Ctx, dry_run: bool = False) -> JSONResponse:
    """What is missing in the engine is made again; leftovers of ours are removed."""
    return answer(ctx, service.reconcile(ctx), dry_run=dry_run)


@router.get("/subnets", summary="List subnets")
def list_subnets(
    ctx: Ctx, network: str | None = Query(None, max_length=400), state: str | None = Query(None, max_length=20),
    sort: str = Query("created_at", max_length=40), cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `range:10.1. dhcp:yes text`."),
) -> dict[str, Any]:  # fmt: skip
    """The project's subnets, of one network if asked."""
    inside = service.get_network(ctx, network).id if network else None
    filters = {"network_id": inside, "state": state}
    page = service.list_of(ctx, Subnet, filters=filters, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": [show.subnet(s, ctx.session) for s in page.items], "next": page.next}


@router.post("/subnets", summary="Create a subnet", status_code=201)
def create_subnet(ctx: Ctx, body: SubnetInNetwork, dry_run: bool = False) -> JSONResponse:
    """A subnet in a network."""
    intent = service.create_subnet(ctx, service.get_network(ctx, body.network), body.new())
    made = intent.subject.id
    return answer(
        ctx, intent, dry_run=dry_run, status=201,
        row=lambda: show.subnet(service.get_subnet(ctx, made), ctx.session),
    )  # fmt: skip


@router.get("/subnets/{ref}", summary="Show a subnet")
def show_subnet(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One subnet, by name, range (with ``%2F``) or id."""
    row = service.get_subnet(ctx, ref)
    tag(response, row)
    return show.subnet(row, ctx.session)


@router.patch("/subnets/{ref}", summary="Change a subnet", status_code=202)
def update_subnet(ctx: Ctx, ref: str, body: SubnetPatch, match: Match, dry_run: bool = False) -> JSONResponse:
    """Name, gateway, pool, and what guests are told; its ports go on."""
    row = service.get_subnet(ctx, ref)
    wanted = body.model_dump(exclude_none=True, exclude={"was"})
    values = match.edit(row, wanted, service.told_subnet(row), service.SUBNET_TITLES, body.was)
    intent = service.update_subnet(ctx, row, SubnetChanges(**values))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: show.subnet(row, ctx.session))


@router.delete("/subnets/{ref}", summary="Delete a subnet")
def delete_subnet(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Into the trash; refused while ports have addresses of it."""
    row = service.get_subnet(ctx, ref)
    match.check(row)
    intent = service.delete_subnet(ctx, row)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: show.subnet(row, ctx.session))
