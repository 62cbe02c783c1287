"""Pages: the log-in, one's own account, tokens and keys; for administrators users, projects and the audit."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from yun.base.errors import Unauthenticated
from yun.base.messages import Message, _
from yun.base.paging import Page
from yun.identity import holdings, service
from yun.identity.agent import short
from yun.identity.api import gate_of
from yun.identity.model import Project, User
from yun.identity.service.audit_search import ENTRIES as FIELDS
from yun.identity.service.people_search import PROJECTS, USERS
from yun.operations.service import submit
from yun.web import problem
from yun.web.api import GuestCtx
from yun.web.edits import changed
from yun.web.navigation import ADMIN
from yun.web.pages import (
    Ctx,
    Listing,
    PageRoute,
    Typed,
    accepted,
    command,
    go,
    inside,
    live_preview,
    nav,
    preview,
    render,
)
from yun.web.request import LOCALE_COOKIE, SESSION_COOKIE, THEME_COOKIE, cloud_of, credentials
from yun.web.searching import searched
from yun.web.security import cookie_options

router = APIRouter(route_class=PageRoute, include_in_schema=False)
nav("projects", _("Projects"), "/projects", icon="folders", order=40, section=ADMIN, permission="project.create")
nav("users", _("Users"), "/users", icon="users", order=50, section=ADMIN, permission="user.list")
nav("audit", _("Audit"), "/audit", icon="list-check", order=55, section=ADMIN, permission="audit.list")
command("user.create", _("Create a user"), "/users/new", icon="user-plus", permission="user.create")

Field = Annotated[str, Form(max_length=20000)]
ROLE_TEXTS = (
    ("reader", _("Reader: sees everything, changes nothing")),
    ("member", _("Member: makes and changes things")),
    ("admin", _("Administrator: also members and limits")),
)


# ── log-in ──


@router.get("/login")
def login_page(request: Request, ctx: GuestCtx, next: str = "/") -> Response:
    """The form; whoever is logged in goes on."""
    if ctx.actor.kind != "nobody":
        return RedirectResponse(inside(next), 303)
    return render(None, "web/login.html", next=inside(next))


@router.post("/login")
def login(request: Request, name: Field = "", password: Field = "", next: Field = "/") -> Response:
    """Open a session, or say in general words that it did not work."""
    try:
        opened = gate_of(request).login(credentials(request), name, password, request.headers.get("user-agent", ""))
    except Unauthenticated as error:
        fault = problem.problem_of(error, request)
        return render(None, "web/login.html", fault=fault, name=name[:64], next=inside(next), status=fault.status)
    response = RedirectResponse(inside(next), 303)
    settings = cloud_of(request).settings
    options = cookie_options(request, settings.public_url)
    response.set_cookie(SESSION_COOKIE, opened.secret, max_age=int(settings.session_days * 86400), **options)
    return response


@router.post("/logout")
def logout(request: Request) -> Response:
    """End the session of this browser."""
    gate_of(request).logout(credentials(request))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION_COOKIE, **cookie_options(request, cloud_of(request).settings.public_url))
    return response


# ── one's own account ──


@router.get("/account")
def account(ctx: Ctx, request: Request) -> Response:
    """Profile, language, theme, password and sessions."""
    current = request.state.opened.asker.session_id
    sessions, user = service.list_sessions(ctx), service.me(ctx)
    return render(
        ctx, "identity/account.html", user=user, sessions=sessions, current=current, short=short, was=_profile(user)
    )


PROFILE: dict[str, Message] = {
    "display_name": _("Display name"),
    "email": _("E-mail"),
    "locale": _("Language"),
    "theme": _("Theme"),
}


def _profile(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) or "" for name in PROFILE}


@router.post("/account/profile")
def save_profile(
    ctx: Ctx, typed: Typed, display_name: Field = "", email: Field = "", locale: Field = "", theme: Field = "auto"
) -> Response:
    """Save the profile; the page is loaded anew in the language chosen."""
    wanted = {"display_name": display_name, "email": email, "locale": locale, "theme": theme}
    intent = service.update_profile(ctx, **changed(typed, wanted, _profile(service.me(ctx)), PROFILE))
    response = accepted(ctx, submit(ctx, intent), location="/account")
    if "HX-Location" in response.headers:
        del response.headers["HX-Location"]
        response.headers["HX-Redirect"] = "/account"
    for cookie in (LOCALE_COOKIE, THEME_COOKIE):
        response.delete_cookie(cookie)
    return response


@router.post("/account/password")
def save_password(ctx: Ctx, request: Request, old_password: Field = "", password: Field = "") -> Response:
    """Change one's own password; this session stays."""
    keep = request.state.opened.asker.session_id
    intent = service.set_own_password(ctx, old=old_password, new=password, keep_session=keep)
    return accepted(ctx, submit(ctx, intent), location="/account")


@router.post("/account/sessions/{session_id}/end")
def end_session(ctx: Ctx, session_id: str) -> Response:
    """End one of one's own sessions."""
    service.logout_session(ctx, session_id)
    return go("/account")


@router.post("/account/sessions/end")
def end_sessions(ctx: Ctx) -> Response:
    """End all sessions, this one too."""
    service.logout_everywhere(ctx)
    return go("/account")


# ── tokens ──


@router.get("/tokens")
def tokens(ctx: Ctx) -> Response:
    """One's own API tokens."""
    found = service.list_tokens(ctx)
    names = {p.id: p.name for p in service.list_projects(ctx, limit=1000).items}
    listing = Listing("/tokens", Page(found), live="token")
    return render(ctx, "identity/tokens.html", listing=listing, names=names, now=ctx.clock.now())


@router.get("/tokens/new")
def token_dialog(ctx: Ctx) -> Response:
    """The dialog for a new token."""
    projects = service.list_projects(ctx, limit=1000).items
    return render(ctx, "identity/token_dialog.html", action="/tokens", projects=projects, roles=ROLE_TEXTS)


@router.post("/tokens")
def create_token(
    ctx: Ctx, name: Field = "", role: Field = "member", project: Field = "", days: Field = "90"
) -> Response:
    """Make a token and show its secret, this once."""
    life = {"7": 7.0, "30": 30.0, "90": 90.0, "365": 365.0, "": None}.get(days, -1.0)
    intent, secret = service.create_token(ctx, service.NewToken(name, role, project or None, life))
    submit(ctx, intent)
    return render(ctx, "identity/token_secret.html", name=intent.subject.name, secret=secret)


@router.get("/tokens/{ref}/revoke/preview")
def revoke_preview(ctx: Ctx, ref: str) -> Response:
    """What revoking does."""
    return preview(ctx, service.revoke_token(ctx, ref), action=f"/tokens/{ref}/revoke", confirm=_("Revoke"))


@router.post("/tokens/{ref}/revoke")
def revoke_token(ctx: Ctx, ref: str) -> Response:
    """End a token."""
    return accepted(ctx, submit(ctx, service.revoke_token(ctx, ref)), location="/tokens")


# ── keys ──


@router.get("/keys")
def keys(ctx: Ctx) -> Response:
    """One's own SSH keys."""
    return render(ctx, "identity/keys.html", listing=Listing("/keys", Page(service.list_keys(ctx)), live="key"))


@router.get("/keys/new")
def key_dialog(ctx: Ctx) -> Response:
    """The dialog for a new key."""
    ctx.may("key.create")
    return render(ctx, "identity/key_dialog.html", action="/keys")


@router.post("/keys")
def add_key(ctx: Ctx, public_key: Field = "", name: Field = "") -> Response:
    """Keep a public key."""
    return accepted(ctx, submit(ctx, service.add_key(ctx, service.NewKey(public_key, name))), location="/keys")


@router.get("/keys/{ref}/delete/preview")
def delete_key_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    return preview(ctx, service.delete_key(ctx, ref), action=f"/keys/{ref}/delete", confirm=_("Delete"))


@router.post("/keys/{ref}/delete")
def delete_key(ctx: Ctx, ref: str) -> Response:
    """Forget a key."""
    return accepted(ctx, submit(ctx, service.delete_key(ctx, ref)), location="/keys")


# ── users ──


@router.get("/users")
def users(ctx: Ctx, q: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """All users."""
    page, fault = searched(ctx, q, USERS, lambda words: service.list_users(ctx, q=words, sort=sort, cursor=cursor))
    listing = Listing("/users", page, sort=sort, filters={"q": q}, cursor=cursor, live="user", fault=fault)
    roles = {u.id: service.roles_of(ctx.session, u.id) for u in page.items}
    return render(ctx, "identity/users.html", listing=listing, roles=roles)


@router.get("/users/new")
def user_form(ctx: Ctx) -> Response:
    """The form for a new user."""
    ctx.may("user.create")
    projects = service.list_projects(ctx, limit=1000).items
    return render(
        ctx, "identity/user_form.html", action="/users", preview_url="/users/plan", projects=projects, roles=ROLE_TEXTS
    )


def _new_user(
    name: Field = "", password: Field = "", display_name: Field = "", email: Field = "", admin: Field = "",
    project: Field = "", role: Field = "member",
) -> service.NewUser:  # fmt: skip
    return service.NewUser(
        name=name, password=password or None, display_name=display_name, email=email, admin=admin == "true",
        project=project or None, role=role,
    )  # fmt: skip


@router.post("/users/plan")
async def plan_user(request: Request) -> Response:
    """What creating the user would do."""
    from yun.web.api import in_context

    form = {k: str(v) for k, v in (await request.form()).items()}
    known = ("name", "password", "display_name", "email", "admin", "project", "role")
    new = _new_user(**{k: form[k] for k in known if k in form})
    return await in_context(request, lambda ctx: live_preview(ctx, lambda: service.create_user(ctx, new)), write=False)


@router.post("/users")
def create_user(
    ctx: Ctx, name: Field = "", password: Field = "", display_name: Field = "", email: Field = "", admin: Field = "",
    project: Field = "", role: Field = "member",
) -> Response:  # fmt: skip
    """Make a user."""
    new = _new_user(name, password, display_name, email, admin, project, role)
    operation = submit(ctx, service.create_user(ctx, new))
    return accepted(ctx, operation, location=f"/users/{operation.subject_id}")


@router.get("/users/{ref}")
def user_page(ctx: Ctx, ref: str) -> Response:
    """One user: roles, sessions, tokens, keys."""
    user = service.get_user(ctx, ref)
    names = {p.id: p.name for p in service.list_projects(ctx, limit=1000).items}
    return render(
        ctx, "identity/user.html", user=user, roles=service.roles_of(ctx.session, user.id), names=names,
        sessions=service.list_sessions(ctx, user.id), tokens=service.list_tokens(ctx, user.id),
        keys=service.list_keys(ctx, user.id), live=f"user:{user.id}", now=ctx.clock.now(), short=short,
    )  # fmt: skip


@router.get("/users/{ref}/password")
def password_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for a new password."""
    user = service.get_user(ctx, ref)
    return render(ctx, "identity/password_dialog.html", action=f"/users/{user.id}/password", user=user)


@router.post("/users/{ref}/password")
def set_password(ctx: Ctx, ref: str, password: Field = "") -> Response:
    """Set a user's password."""
    return accepted(ctx, submit(ctx, service.set_password(ctx, ref, password)), location=f"/users/{ref}")


@router.get("/users/{ref}/role")
def role_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for the role in the whole cloud."""
    user = service.get_user(ctx, ref)
    held = service.roles_of(ctx.session, user.id).get("*", "")
    return render(
        ctx, "identity/role_dialog.html", action=f"/users/{user.id}/role", user=user, roles=ROLE_TEXTS, held=held
    )


@router.post("/users/{ref}/role")
def set_role(ctx: Ctx, ref: str, role: Field = "") -> Response:
    """Give the user a role in the whole cloud, or (nothing) take it away."""
    intent = service.grant_in_cloud(ctx, ref, role) if role else service.revoke_in_cloud(ctx, ref)
    return accepted(ctx, submit(ctx, intent), location=f"/users/{ref}")


@router.get("/users/{ref}/disable/preview")
def disable_preview(ctx: Ctx, ref: str) -> Response:
    """What disabling does."""
    return preview(ctx, service.disable_user(ctx, ref), action=f"/users/{ref}/disable", confirm=_("Disable"))


@router.post("/users/{ref}/disable")
def disable_user(ctx: Ctx, ref: str) -> Response:
    """Keep a user out."""
    return accepted(ctx, submit(ctx, service.disable_user(ctx, ref)), location=f"/users/{ref}")


@router.post("/users/{ref}/enable")
def enable_user(ctx: Ctx, ref: str) -> Response:
    """Let a user in again."""
    return accepted(ctx, submit(ctx, service.enable_user(ctx, ref)), location=f"/users/{ref}")


@router.post("/users/{ref}/logout")
def logout_user(ctx: Ctx, ref: str) -> Response:
    """End all sessions of a user."""
    service.logout_everywhere(ctx, ref)
    return go(f"/users/{ref}")


# ── projects ──


@router.get("/projects")
def projects(ctx: Ctx, q: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """The projects that exist for the actor."""
    page, fault = searched(ctx, q, PROJECTS, lambda words: service.list_projects(
        ctx, q=words, sort=sort, cursor=cursor
    ))  # fmt: skip
    listing = Listing("/projects", page, sort=sort, filters={"q": q}, cursor=cursor, live="project", fault=fault)
    return render(ctx, "identity/projects.html", listing=listing)


@router.get("/projects/new")
def project_dialog(ctx: Ctx) -> Response:
    """The dialog for a new project."""
    ctx.may("project.create")
    return render(ctx, "identity/project_dialog.html", action="/projects", project=None)


@router.post("/projects")
def create_project(ctx: Ctx, name: Field = "", description: Field = "") -> Response:
    """Make a project."""
    operation = submit(ctx, service.create_project(ctx, name=name, description=description))
    return accepted(ctx, operation, location=f"/projects/{operation.subject_id}")


@router.get("/projects/{ref}")
def project_page(ctx: Ctx, ref: str) -> Response:
    """One project and its members."""
    project = service.get_project(ctx, ref)
    members = service.list_members(ctx, project.id)
    contents = [(holdings.noun(k), n) for k, n in holdings.contents(ctx.session, project.id).items()]
    return render(
        ctx, "identity/project.html", project=project, members=members, contents=contents, live=f"project:{project.id}"
    )


@router.get("/projects/{ref}/edit")
def edit_project(ctx: Ctx, ref: str) -> Response:
    """The dialog for name and description."""
    project = service.get_project(ctx, ref)
    ctx.may("project.update", project.id)
    action = f"/projects/{project.id}/edit"
    return render(ctx, "identity/project_dialog.html", action=action, project=project, was=_named(project))


NAMED: dict[str, Message] = {"name": _("Name"), "description": _("Description")}


def _named(project: Project) -> dict[str, Any]:
    return {name: getattr(project, name) for name in NAMED}


@router.post("/projects/{ref}/edit")
def save_project(ctx: Ctx, typed: Typed, ref: str, name: Field = "", description: Field = "") -> Response:
    """Rename or describe a project."""
    now = _named(service.get_project(ctx, ref))
    intent = service.update_project(ctx, ref, **changed(typed, {"name": name, "description": description}, now, NAMED))
    return accepted(ctx, submit(ctx, intent), location=f"/projects/{ref}")


@router.get("/projects/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    return preview(ctx, service.delete_project(ctx, ref), action=f"/projects/{ref}/delete", confirm=_("Delete"))


@router.post("/projects/{ref}/delete")
def delete_project(ctx: Ctx, ref: str) -> Response:
    """Delete an empty project."""
    return accepted(ctx, submit(ctx, service.delete_project(ctx, ref)), location="/projects")


@router.get("/projects/{ref}/members/new")
def member_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for a member."""
    project = service.get_project(ctx, ref)
    ctx.may("project.grant", project.id)
    return render(
        ctx, "identity/member_dialog.html", action=f"/projects/{project.id}/members", project=project, roles=ROLE_TEXTS
    )


@router.post("/projects/{ref}/members")
def add_member(ctx: Ctx, ref: str, user: Field = "", role: Field = "member") -> Response:
    """Give a user a role in the project."""
    return accepted(ctx, submit(ctx, service.grant_in_project(ctx, ref, user, role)), location=f"/projects/{ref}")


@router.get("/projects/{ref}/members/{user}/remove/preview")
def remove_preview(ctx: Ctx, ref: str, user: str) -> Response:
    """What removing does."""
    action = f"/projects/{ref}/members/{user}/remove"
    return preview(ctx, service.revoke_in_project(ctx, ref, user), action=action, confirm=_("Remove"))


@router.post("/projects/{ref}/members/{user}/remove")
def remove_member(ctx: Ctx, ref: str, user: str) -> Response:
    """Take a user's role in the project away."""
    return accepted(ctx, submit(ctx, service.revoke_in_project(ctx, ref, user)), location=f"/projects/{ref}")


# ── audit ──


@router.get("/audit")
def audit(ctx: Ctx, q: str = "", action: str = "", cursor: str | None = None) -> Response:
    """Every change, log-in and refusal."""
    page, fault = searched(ctx, q, FIELDS, lambda words: service.list_audit(
        ctx, q=words, action=action[:80], cursor=cursor
    ))  # fmt: skip
    listing = Listing("/audit", page, filters={"q": q, "action": action}, cursor=cursor, fault=fault)
    return render(ctx, "identity/audit.html", listing=listing, actions=AUDIT_ACTIONS)


AUDIT_ACTIONS = (
    ("session.login", _("Log-ins")),
    ("session.login_failed", _("Failed log-ins")),
    ("permission.refused", _("Refusals")),
    ("user.", _("Users")),
    ("project.", _("Projects")),
    ("token.", _("API tokens")),
    ("key.", _("SSH keys")),
    ("instance.", _("Instances")),
    ("image.", _("Images")),
    ("network.", _("Networks")),
)
