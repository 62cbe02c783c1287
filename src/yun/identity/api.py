"""REST: users, projects, tokens, keys, sessions, the audit, and who is asking."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.base.messages import _
from yun.identity import service
from yun.identity.model import ApiToken, Project, SshKey, User, WebSession
from yun.operations.answer import answer, moment
from yun.operations.intent import Intent, Subject
from yun.operations.previews import taken_back
from yun.web.api import Ctx, Match, Route, tag
from yun.web.request import cloud_of, credentials

router = APIRouter(route_class=Route, tags=["identity"])
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=500)]
Search = Annotated[str, Query(max_length=100)]
Words = Annotated[str, Query(max_length=1000, description="In the query language.")]
Sort = Annotated[str, Query(max_length=40)]
Text = Annotated[str, Field(max_length=2000)]


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class UserCreate(Body):
    """A new user; without a password nobody can log in as him yet."""

    name: Text
    password: Text | None = None
    display_name: Text = ""
    email: Text = ""
    admin: bool = False
    project: Text | None = None
    role: Text = "member"


class UserChange(Body):
    """What may change of a user; absent values stay."""

    display_name: Text | None = None
    email: Text | None = None
    locale: Text | None = None
    theme: Text | None = None


class NewPassword(Body):
    """A password for somebody."""

    password: Text


class OwnPassword(Body):
    """One's own new password, with the old one as proof."""

    old_password: Text = ""
    password: Text


class Role(Body):
    """``reader``, ``member`` or ``admin``."""

    role: Text


class ProjectCreate(Body):
    """A new project."""

    name: Text
    description: Text = ""


class ProjectChange(Body):
    """What may change of a project; absent values stay."""

    name: Text | None = None
    description: Text | None = None


class TokenCreate(Body):
    """A new API token; ``days`` null lives until it is revoked."""

    name: Text
    role: Text = "member"
    project: Text | None = None
    days: float | None = 90.0


class KeyCreate(Body):
    """A public key in OpenSSH form; ``user`` for somebody else."""

    public_key: Annotated[str, Field(max_length=20000)]
    name: Text = ""
    user: Text | None = None


class Login(Body):
    """Name and password."""

    name: Text
    password: Annotated[str, Field(max_length=1024)]


# ── who is asking ──


@router.get("/whoami")
def whoami(ctx: Ctx) -> dict[str, Any]:
    """Who you are for the cloud, in which project you work, and your roles."""
    ctx.may("profile.show")
    actor = ctx.actor
    body: dict[str, Any] = {
        "kind": actor.kind, "id": actor.id, "name": actor.name, "admin": actor.is_admin, "roles": dict(actor.roles),
        "token_id": actor.token_id, "project_id": ctx.project_id, "role": actor.role_in(ctx.project_id),
        "project": None, "user": None,
    }  # fmt: skip
    if ctx.project_id is not None:
        body["project"] = service.get_project(ctx, ctx.project_id).name
    if actor.kind in ("user", "token"):
        body["user"] = show_user(service.me(ctx))
    return body


@router.patch("/whoami")
def change_profile(ctx: Ctx, body: UserChange, dry_run: bool = False) -> JSONResponse:
    """Change your own display name, e-mail address, language or theme."""
    user = service.me(ctx)
    return answer(ctx, service.update_profile(ctx, **body.model_dump()), dry_run=dry_run, row=lambda: show_user(user))


@router.post("/whoami/password")
def change_password(ctx: Ctx, request: Request, body: OwnPassword, dry_run: bool = False) -> JSONResponse:
    """Change your own password; your other sessions end."""
    keep = request.state.opened.asker.session_id
    intent = service.set_own_password(ctx, old=body.old_password, new=body.password, keep_session=keep)
    return answer(ctx, intent, dry_run=dry_run)


# ── sessions ──


@router.post("/sessions", status_code=201)
def login(request: Request, body: Login) -> JSONResponse:
    """Log in: the answer's `token` is a bearer that ends by itself; it is shown only here."""
    gate = gate_of(request)
    agent = request.headers.get("user-agent", "")
    opened = gate.login(credentials(request), body.name, body.password, agent)
    made = {"id": opened.session_id, "user_id": opened.user_id, "token": opened.secret}
    headers = {"Cache-Control": "no-store"}
    return JSONResponse({**made, "expires_at": moment(opened.expires_at)}, 201, headers=headers)


@router.get("/sessions")
def list_sessions(ctx: Ctx, request: Request, user: Search | None = None) -> dict[str, Any]:
    """Where you are logged in."""
    mine = request.state.opened.asker.session_id
    return {"items": [show_session(s, mine) for s in service.list_sessions(ctx, user)], "next": None}


@router.delete("/sessions/{session_id}", status_code=204)
def logout(ctx: Ctx, request: Request, session_id: str, dry_run: bool = False) -> Response:
    """End a session; `current` is the one you use now."""
    current = request.state.opened.asker.session_id
    ended = service.logout_session(ctx, current if session_id == "current" and current else session_id)
    if dry_run:
        return _sessions_preview(ctx, ended, 1)
    return Response(status_code=204)


@router.delete("/sessions")
def logout_everywhere(ctx: Ctx, user: Search | None = None, dry_run: bool = False) -> JSONResponse:
    """End all your sessions, or as an administrator all of another user."""
    owner, count = service.logout_everywhere(ctx, user)
    if dry_run:
        return _sessions_preview(ctx, owner, count)
    return JSONResponse({"ended": count})


def _sessions_preview(ctx: Context, owner: User, count: int) -> JSONResponse:
    title = _("Log {name} out", name=owner.name)
    effect = _("{count} sessions of {name} end.", count=count, name=owner.name)
    intent = Intent(
        kind="session.logout", title=title, subject=Subject("user", owner.id, owner.name), effects=(effect,),
        undoable=False, no_undo=_("An ended session stays ended; log in again instead."),
    )  # fmt: skip
    return taken_back(ctx, intent)


def gate_of(request: Request) -> service.Gate:
    """The gate of the cloud that serves this request."""
    cloud = cloud_of(request)
    return service.Gate(cloud.database, cloud.settings, cloud.clock)


# ── users ──


@router.get("/users")
def list_users(
    ctx: Ctx, q: Words = "", sort: Sort = "name", cursor: Cursor = None, limit: Limit = 100
) -> dict[str, Any]:
    """All users; `q` such as `role:admin project:lab text`."""
    page = service.list_users(ctx, q=q, sort=sort, cursor=cursor, limit=limit)
    return {"items": [show_user(u, ctx) for u in page.items], "next": page.next}


@router.get("/users/{ref}")
def get_user(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One user with his roles."""
    user = service.get_user(ctx, ref)
    tag(response, user)
    return show_user(user, ctx)


@router.post("/users", status_code=201)
def create_user(ctx: Ctx, body: UserCreate, dry_run: bool = False) -> JSONResponse:
    """Create a user."""
    intent = service.create_user(ctx, service.NewUser(**body.model_dump()))
    row = lambda: show_user(service.get_user(ctx, intent.subject.id), ctx)  # noqa: E731
    return answer(ctx, intent, dry_run=dry_run, status=201, row=row)


@router.patch("/users/{ref}")
def update_user(ctx: Ctx, ref: str, body: UserChange, match: Match, dry_run: bool = False) -> JSONResponse:
    """Change a user's profile."""
    user = service.get_user(ctx, ref)
    wanted = body.model_dump(exclude_none=True)
    values = match.edit(user, wanted, {name: getattr(user, name) for name in wanted}, {})
    intent = service.update_user(ctx, user.id, **values)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: show_user(user, ctx))


@router.delete("/users/{ref}")
def disable_user(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Disable a user: users are kept, so that the history keeps its names."""
    match.check(service.get_user(ctx, ref))
    return answer(ctx, service.disable_user(ctx, ref), dry_run=dry_run)


@router.post("/users/{ref}/enable")
def enable_user(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Let a disabled user in again."""
    match.check(service.get_user(ctx, ref))
    return answer(ctx, service.enable_user(ctx, ref), dry_run=dry_run)


@router.post("/users/{ref}/password")
def set_password(ctx: Ctx, ref: str, body: NewPassword, match: Match, dry_run: bool = False) -> JSONResponse:
    """Set a user's password; his sessions end."""
    match.check(service.get_user(ctx, ref))
    return answer(ctx, service.set_password(ctx, ref, body.password), dry_run=dry_run)


@router.put("/users/{ref}/role")
def grant_in_cloud(ctx: Ctx, ref: str, body: Role, match: Match, dry_run: bool = False) -> JSONResponse:
    """Give a user a role in the whole cloud."""
    match.check(service.get_user(ctx, ref))
    return answer(ctx, service.grant_in_cloud(ctx, ref, body.role), dry_run=dry_run)


@router.delete("/users/{ref}/role")
def revoke_in_cloud(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Take a user's role in the whole cloud away."""
    match.check(service.get_user(ctx, ref))
    return answer(ctx, service.revoke_in_cloud(ctx, ref), dry_run=dry_run)


# ── projects ──


@router.get("/projects")
def list_projects(
    ctx: Ctx, q: Words = "", sort: Sort = "name", cursor: Cursor = None, limit: Limit = 100
) -> dict[str, Any]:
    """The projects in which you have a role; `q` such as `member:alice text`."""
    page = service.list_projects(ctx, q=q, sort=sort, cursor=cursor, limit=limit)
    return {"items": [show_project(p, ctx) for p in page.items], "next": page.next}


@router.get("/projects/{ref}")
def get_project(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One project with its members."""
    project = service.get_project(ctx, ref)
    tag(response, project)
    members = [
        {
            "id": m.user.id, "name": m.user.name, "display_name": m.user.display_name,
            "role": m.role, "cloud": m.everywhere,
        }
        for m in service.list_members(ctx, project.id)
    ]  # fmt: skip
    return {**show_project(project, ctx), "members": members}


@router.post("/projects", status_code=201)
def create_project(ctx: Ctx, body: ProjectCreate, dry_run: bool = False) -> JSONResponse:
    """Create a project."""
    intent = service.create_project(ctx, **body.model_dump())
    row = lambda: show_project(service.get_project(ctx, intent.subject.id), ctx)  # noqa: E731
    return answer(ctx, intent, dry_run=dry_run, status=201, row=row)


@router.patch("/projects/{ref}")
def update_project(ctx: Ctx, ref: str, body: ProjectChange, match: Match, dry_run: bool = False) -> JSONResponse:
    """Rename or describe a project."""
    project = service.get_project(ctx, ref)
    wanted = body.model_dump(exclude_none=True)
    values = match.edit(project, wanted, {name: getattr(project, name) for name in wanted}, {})
    intent = service.update_project(ctx, project.id, **values)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: show_project(project, ctx))


@router.delete("/projects/{ref}")
def delete_project(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Delete an empty project."""
    match.check(service.get_project(ctx, ref))
    return answer(ctx, service.delete_project(ctx, ref), dry_run=dry_run)


@router.put("/projects/{ref}/members/{user}")
def grant_in_project(ctx: Ctx, ref: str, user: str, body: Role, match: Match, dry_run: bool = False) -> JSONResponse:
    """Give a user a role in a project."""
    match.check(service.get_project(ctx, ref))
    return answer(ctx, service.grant_in_project(ctx, ref, user, body.role), dry_run=dry_run)


@router.delete("/projects/{ref}/members/{user}")
def revoke_in_project(ctx: Ctx, ref: str, user: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Take a user's role in a project away."""
    match.check(service.get_project(ctx, ref))
    return answer(ctx, service.revoke_in_project(ctx, ref, user), dry_run=dry_run)


# ── tokens and keys ──


@router.get("/tokens")
def list_tokens(ctx: Ctx, user: Search | None = None) -> dict[str, Any]:
    """Your API tokens; an administrator may ask for another `user`'s, or `*`."""
    return {"items": [show_token(t, u) for t, u in service.list_tokens(ctx, user)], "next": None}


@router.post("/tokens", status_code=201)
def create_token(ctx: Ctx, body: TokenCreate, dry_run: bool = False) -> JSONResponse:
    """Create an API token; `secret` is shown in this answer and never again."""
    intent, secret = service.create_token(ctx, service.NewToken(**body.model_dump()))

    def row() -> dict[str, Any]:
        return {**show_token(service.get_token(ctx, intent.subject.id), service.me(ctx)), "secret": secret}

    response = answer(ctx, intent, dry_run=dry_run, status=201, row=row)
    response.headers["Cache-Control"] = "no-store"  # so that it is not kept for a repetition either
    return response


@router.delete("/tokens/{ref}")
def revoke_token(ctx: Ctx, ref: str, dry_run: bool = False) -> JSONResponse:
    """Revoke an API token."""
    return answer(ctx, service.revoke_token(ctx, ref), dry_run=dry_run)


@router.get("/keys")
def list_keys(ctx: Ctx, user: Search | None = None) -> dict[str, Any]:
    """Your SSH keys; an administrator may ask for another `user`'s."""
    return {"items": [show_key(k) for k in service.list_keys(ctx, user)], "next": None}


@router.get("/keys/{ref}")
def get_key(ctx: Ctx, ref: str) -> dict[str, Any]:
    """One SSH key."""
    return show_key(service.get_key(ctx, ref))


@router.post("/keys", status_code=201)
def add_key(ctx: Ctx, body: KeyCreate, dry_run: bool = False) -> JSONResponse:
    """Add a public SSH key."""
    intent = service.add_key(ctx, service.NewKey(**body.model_dump()))
    row = lambda: show_key(service.get_key(ctx, intent.subject.id))  # noqa: E731
    return answer(ctx, intent, dry_run=dry_run, status=201, row=row)


@router.delete("/keys/{ref}")
def delete_key(ctx: Ctx, ref: str, dry_run: bool = False) -> JSONResponse:
    """Delete an SSH key; instances that hold it keep it."""
    return answer(ctx, service.delete_key(ctx, ref), dry_run=dry_run)


# ── audit ──


@router.get("/audit")
def list_audit(
    ctx: Ctx,
    q: Annotated[str, Query(max_length=1000, description="Such as `action:session. outcome:failed text`.")] = "",
    actor: Search = "", action: Search = "", address: Search = "", cursor: Cursor = None, limit: Limit = 100,
) -> dict[str, Any]:  # fmt: skip
    """Every change, log-in, failed log-in and refusal, newest first."""
    page = service.list_audit(ctx, q=q, actor=actor, action=action, address=address, cursor=cursor, limit=limit)
    return {"items": [show_line(line, ctx.locale) for line in page.items], "next": page.next}


# ── rows as JSON ──


def show_user(user: User, ctx: Context | None = None) -> dict[str, Any]:
    """A user as JSON, never with anything of his password; with ``ctx`` also his roles."""
    body: dict[str, Any] = {
        "id": user.id, "name": user.name, "display_name": user.display_name, "email": user.email,
        "state": user.state, "locale": user.locale, "theme": user.theme, "has_password": user.password_hash is not None,
        "created_at": moment(user.created_at), "updated_at": moment(user.updated_at), "revision": user.revision,
    }  # fmt: skip
    if ctx is not None:
        body["roles"] = service.roles_of(ctx.session, user.id)
    return body


def show_project(project: Project, ctx: Context) -> dict[str, Any]:
    """A project as JSON, with the asker's role in it."""
    return {
        "id": project.id, "name": project.name, "description": project.description,
        "role": ctx.actor.role_in(project.id), "created_at": moment(project.created_at),
        "updated_at": moment(project.updated_at), "revision": project.revision,
    }  # fmt: skip


def show_token(token: ApiToken, owner: User) -> dict[str, Any]:
    """A token as JSON, without its secret."""
    return {
        "id": token.id, "name": token.name, "user": owner.name, "user_id": owner.id, "project_id": token.project_id,
        "role": token.role, "hint": token.hint + "…", "created_at": moment(token.created_at),
        "expires_at": moment(token.expires_at), "revoked_at": moment(token.revoked_at),
        "used_at": moment(token.used_at), "used_from": token.used_from,
    }  # fmt: skip


def show_key(key: SshKey) -> dict[str, Any]:
    """A public key as JSON."""
    return {
        "id": key.id, "name": key.name, "user_id": key.user_id, "kind": key.kind, "bits": key.bits,
        "fingerprint": key.fingerprint, "comment": key.comment, "public_key": key.public_key,
        "created_at": moment(key.created_at),
    }  # fmt: skip


def show_session(session: WebSession, current: str | None) -> dict[str, Any]:
    """A session as JSON, without its secret."""
    return {
        "id": session.id, "current": session.id == current, "address": session.address,
        "user_agent": session.user_agent, "created_at": moment(session.created_at), "seen_at": moment(session.seen_at),
        "expires_at": moment(session.expires_at),
    }  # fmt: skip


def show_line(line: service.AuditLine, locale: str) -> dict[str, Any]:
    """A line of the audit as JSON."""
    return {
        "at": moment(line.at), "action": line.action, "title": line.title.render(locale), "outcome": line.outcome,
        "actor": {"kind": line.actor_kind, "id": line.actor_id, "name": line.actor_name}, "address": line.address,
        "subject": {"kind": line.subject.kind, "id": line.subject.id, "name": line.subject.name},
        "project_id": line.project_id, "operation_id": line.operation_id, "data": line.data,
    }  # fmt: skip
