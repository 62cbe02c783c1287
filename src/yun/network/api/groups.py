"""REST of security groups."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import reach, show
from yun.network.model import SecurityGroup
from yun.network.service import KNOWN, OWN, NewGroup, NewRule, group_changes, hits
from yun.network.service.reach import of_group
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/security-groups", tags=["security groups"])
Wide = Annotated[int, Field(ge=-(2**53), le=2**53)]


class RuleBody(BaseModel):
    """A rule to be added."""

    model_config = ConfigDict(extra="forbid")

    direction: str = Field("ingress", max_length=20, description="ingress or egress")
    protocol: str = Field("tcp", max_length=20, description="any, tcp, udp or icmp")
    port_min: Wide | None = None
    port_max: Wide | None = Field(None, description="The first port where left out.")
    remote: str | None = Field(
        None, max_length=400, description="A range, an address, a security group or an address set, also as "
        "`group:NAME` and `set:NAME`.",
    )  # fmt: skip
    family: str = Field("ipv4", max_length=10, description="ipv4 or ipv6")
    icmp_type: Wide | None = None
    icmp_code: Wide | None = None
    description: str = Field("", max_length=1000)


class GroupWish(BaseModel):
    """What a new security group lets in; it lets everything out."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field("", max_length=4000)
    allow: list[Annotated[str, Field(max_length=60)]] = Field(
        default_factory=list, max_length=100, examples=[["ssh", "http", "tcp:8080"]],
        description="From anybody, of both IP versions: " + ", ".join(f"`{w}`" for w in KNOWN) + ", `tcp:8080`, "
        f"`udp:5000-5100`; `{OWN}`: all that comes from the group itself.",
    )  # fmt: skip
    rules: list[RuleBody] = Field(
        default_factory=list, max_length=200,
        description="Further rules; `group:` with the new name is the group itself.",
    )

    def wish(self, name: str) -> NewGroup:
        """What the verb wants."""
        rules = [NewRule(**rule.model_dump()) for rule in self.rules]
        return NewGroup(name, self.description, self.allow, rules)


class GroupBody(GroupWish):
    """A security group to be made."""

    name: str = Field(max_length=400)


class GroupChange(BaseModel):
    """What is to change of a security group; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=400)
    description: str | None = Field(None, max_length=4000)
    stateless: bool | None = Field(None, description="Follow no connections: answers need rules of their own.")


class GroupCopy(BaseModel):
    """How the copy of a security group is called."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400)
    description: str | None = Field(None, max_length=4000, description="The source's where left out.")


class RuleChange(BaseModel):
    """What is to change of a rule; what is left out stays, a null empties it."""

    model_config = ConfigDict(extra="forbid")

    direction: str = Field("ingress", max_length=20, description="ingress or egress")
    protocol: str = Field("tcp", max_length=20, description="any, tcp, udp or icmp")
    port_min: Wide | None = None
    port_max: Wide | None = None
    remote: str | None = Field(None, max_length=400, description="As in a new rule.")
    family: str = Field("ipv4", max_length=10, description="ipv4 or ipv6")
    icmp_type: Wide | None = None
    icmp_code: Wide | None = None
    description: str = Field("", max_length=1000)


def _show(ctx: Context, row: SecurityGroup) -> dict[str, Any]:
    return show.group(row, ctx.session, ctx.locale)


@router.get("", summary="List security groups")
def list_groups(
    ctx: Ctx, state: str | None = Query(None, max_length=20), sort: str = Query("name", max_length=40),
    cursor: str | None = Query(None, max_length=1000), limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `port:22 text`."),
) -> dict[str, Any]:  # fmt: skip
    """The project's security groups with their rules."""
    page = service.list_of(ctx, SecurityGroup, filters={"state": state}, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": show.groups(ctx.session, page.items, ctx.locale), "next": page.next}


@router.post("", summary="Create a security group", status_code=201)
def create_group(ctx: Ctx, body: GroupBody, dry_run: bool = False) -> JSONResponse:
    """It lets everything out, and in what is said; nothing until rules are added where nothing is."""
    wish = body.wish(body.name)
    intent = service.create_group(ctx, wish.name, wish.description, allow=wish.allow, rules=wish.rules)
    made = intent.subject.id
    return answer(ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get_group(ctx, made)))


@router.get("/{ref}", summary="Show a security group")
def show_group(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One security group, by name or id."""
    row = service.get_group(ctx, ref)
    tag(response, row)
    return {**_show(ctx, row), "reach": reach.summary(of_group(ctx.session, row.id), ctx.locale)}


@router.patch("/{ref}", summary="Change a security group", status_code=202)
def update_group(ctx: Ctx, ref: str, body: GroupChange, match: Match, dry_run: bool = False) -> JSONResponse:
    """Other name or description, or whether it follows connections."""
    row = service.get_group(ctx, ref)
    match.check(row)
    intent = group_changes.update_group(ctx, row, **body.model_dump())
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/{ref}/clone", summary="Clone a security group", status_code=201)
def clone_group(ctx: Ctx, ref: str, body: GroupCopy, dry_run: bool = False) -> JSONResponse:
    """A new group with the same rules; no port is in it."""
    intent = group_changes.clone_group(ctx, service.get_group(ctx, ref), body.name, body.description)
    made = intent.subject.id
    return answer(ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get_group(ctx, made)))


@router.delete("/{ref}", summary="Delete a security group")
def delete_group(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Into the trash; refused while ports or rules use it."""
    row = service.get_group(ctx, ref)
    match.check(row)
    return answer(ctx, service.delete_group(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))


class LogBody(BaseModel):
    """For how long hits are noted."""

    model_config = ConfigDict(extra="forbid")

    minutes: Wide = Field(10, description="1 to 60")


@router.post("/{ref}/log", summary="Note the hits of a security group for a while", status_code=202)
def log_group(ctx: Ctx, ref: str, body: LogBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """What its rules let through, and what is dropped at its ports; it ends by itself."""
    row = service.get_group(ctx, ref)
    match.check(row)
    return answer(ctx, hits.log_group(ctx, row, body.minutes), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/{ref}/stop-log", summary="Stop noting the hits of a security group", status_code=202)
def stop_log(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """What was noted stays to be read."""
    row = service.get_group(ctx, ref)
    match.check(row)
    return answer(ctx, hits.stop_log(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.get("/{ref}/hits", summary="Show what was noted of a security group")
def show_hits(ctx: Ctx, ref: str) -> dict[str, Any]:
    """By rule: how often, when last, and samples; what was dropped has no rule."""
    return show.hits(hits.hits(ctx, service.get_group(ctx, ref)), ctx.locale)


@router.post("/{ref}/rules", summary="Add a rule to a security group")
def add_rule(ctx: Ctx, ref: str, body: RuleBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """One more thing is allowed, replies included."""
    row = service.get_group(ctx, ref)
    match.check(row)
    intent = service.add_rule(ctx, row, NewRule(**body.model_dump()))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.patch("/{ref}/rules/{rule_id}", summary="Change a rule of a security group", status_code=202)
def update_rule(
    ctx: Ctx, ref: str, rule_id: str, body: RuleChange, match: Match, dry_run: bool = False
) -> JSONResponse:
    """The rule says something else, in its place and at once; what is left out stays."""
    row = service.get_group(ctx, ref)
    match.check(row)
    wish = group_changes.changed_wish(group_changes.rule_of(ctx, row, rule_id), body.model_dump(exclude_unset=True))
    intent = group_changes.update_rule(ctx, row, rule_id, wish)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/{ref}/rules/{rule_id}", summary="Remove a rule from a security group")
def remove_rule(ctx: Ctx, ref: str, rule_id: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """One thing is no longer allowed; connections that stand may go on until they end."""
    row = service.get_group(ctx, ref)
    match.check(row)
    intent = service.remove_rule(ctx, row, rule_id)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))
