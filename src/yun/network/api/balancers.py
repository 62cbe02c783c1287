"""REST of load balancers."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import show
from yun.network.model import LoadBalancer
from yun.network.service import NewBalancer, NewListener
from yun.network.service.balancers import UNCHANGED
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/load-balancers", tags=["load balancers"])
BIG = 2**53


class ListenerBody(BaseModel):
    """A port on which the load balancer answers."""

    model_config = ConfigDict(extra="forbid")

    port: int = Field(ge=-BIG, le=BIG)
    protocol: str = Field("tcp", max_length=20, description="`tcp` or `udp`.")
    member_port: int | None = Field(None, ge=-BIG, le=BIG, description="Where members listen; the same port if null.")
    affinity_seconds: int = Field(0, ge=-BIG, le=BIG, description="How long a caller keeps its member; 0: not at all.")
    check_seconds: int = Field(5, ge=-BIG, le=BIG, description="How often members are looked at; 0: never.")
    check_timeout: int = Field(2, ge=-BIG, le=BIG, description="Seconds an answer is waited for.")
    check_failures: int = Field(3, ge=-BIG, le=BIG, description="Failures in a row that take a member out.")

    def new(self) -> NewListener:
        """What the verb wants."""
        return NewListener(**self.model_dump())


class MemberBody(BaseModel):
    """Who shares the connections."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["port", "instance", "tag"] = "instance"
    target: str = Field(max_length=400, description="What people call the port, the instance's id or host name, a tag.")


class BalancerBody(BaseModel):
    """A load balancer to be made; what is left out is chosen."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400)
    network: str | None = Field(None, max_length=400)
    address: str | None = Field(None, max_length=60)
    description: str = Field("", max_length=4000)
    floating_ip: str | None = Field(None, max_length=60, description="One that leads nowhere, `new`, or null.")
    listeners: list[ListenerBody] = Field(default_factory=list, max_length=20)
    members: list[MemberBody] = Field(default_factory=list, max_length=200)

    def new(self) -> NewBalancer:
        """What the verb wants."""
        return NewBalancer(
            name=self.name, network=self.network, address=self.address, description=self.description,
            floating_ip=self.floating_ip, listeners=tuple(one.new() for one in self.listeners),
            members=tuple((m.kind, m.target) for m in self.members),
        )  # fmt: skip


class BalancerChange(BaseModel):
    """What of a load balancer shall be another; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=400)
    description: str | None = Field(None, max_length=4000)
    floating_ip: str | None = Field(None, max_length=60, description="Null takes it off.")


def _show(ctx: Context, row: LoadBalancer) -> dict[str, Any]:
    return show.balancer(row, ctx.session, ctx.locale)


def _get(ctx: Context, ref: str, match: Match) -> LoadBalancer:
    row = service.get_balancer(ctx, ref)
    match.check(row)
    return row


@router.get("", summary="List load balancers")
def list_balancers(
    ctx: Ctx, state: str | None = Query(None, max_length=20), sort: str = Query("name", max_length=40),
    cursor: str | None = Query(None, max_length=1000), limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `network:lab text`."),
) -> dict[str, Any]:  # fmt: skip
    """The project's load balancers."""
    page = service.list_of(ctx, LoadBalancer, filters={"state": state}, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": [_show(ctx, row) for row in page.items], "next": page.next}


@router.post("", summary="Create a load balancer", status_code=201)
def create_balancer(ctx: Ctx, body: BalancerBody, dry_run: bool = False) -> JSONResponse:
    """An address whose connections are shared among members."""
    intent = service.create_balancer(ctx, body.new())
    made = intent.subject.id
    return answer(
        ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get_balancer(ctx, made))
    )


@router.get("/{ref}", summary="Show a load balancer")
def show_balancer(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One load balancer with its listeners, members and how they are; by name, inner address or id."""
    row = service.get_balancer(ctx, ref)
    tag(response, row)
    return _show(ctx, row)


@router.patch("/{ref}", summary="Change a load balancer")
def update_balancer(
    ctx: Ctx, ref: str, body: BalancerChange, match: Match, dry_run: bool = False
) -> JSONResponse:
    """Another name, description or floating IP."""
    row = _get(ctx, ref, match)
    floating = body.floating_ip if "floating_ip" in body.model_fields_set else UNCHANGED
    intent = service.update_balancer(ctx, row, name=body.name, description=body.description, floating_ip=floating)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/{ref}", summary="Delete a load balancer")
def delete_balancer(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Into the trash; its members go on."""
    row = _get(ctx, ref, match)
    return answer(ctx, service.delete_balancer(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/{ref}/listeners", summary="Add a listener")
def add_listener(ctx: Ctx, ref: str, body: ListenerBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """One more port on which it answers."""
    row = _get(ctx, ref, match)
    return answer(ctx, service.add_listener(ctx, row, body.new()), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.put("/{ref}/listeners/{listener}", summary="Change a listener")
def change_listener(
    ctx: Ctx, ref: str, listener: str, body: ListenerBody, match: Match, dry_run: bool = False
) -> JSONResponse:
    """The listener is as in the body."""
    row = _get(ctx, ref, match)
    intent = service.change_listener(ctx, row, listener, body.new())
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/{ref}/listeners/{listener}", summary="Remove a listener")
def remove_listener(ctx: Ctx, ref: str, listener: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """It no longer answers on that port."""
    row = _get(ctx, ref, match)
    return answer(ctx, service.remove_listener(ctx, row, listener), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/{ref}/members", summary="Add a member")
def add_member(ctx: Ctx, ref: str, body: MemberBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """A port, an instance, or every instance with a tag."""
    row = _get(ctx, ref, match)
    intent = service.add_member(ctx, row, body.kind, body.target)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/{ref}/members/{member}", summary="Remove a member")
def remove_member(ctx: Ctx, ref: str, member: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """It gets no new connections."""
    row = _get(ctx, ref, match)
    return answer(ctx, service.remove_member(ctx, row, member), dry_run=dry_run, row=lambda: _show(ctx, row))
