"""The panel's pages: templates of every room in one environment, answers to buttons, errors a person can use.

A room's ``pages.py``::

    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    nav("instances", _("Instances"), "/instances", icon="server", order=10, permission="instance.list")

    @router.get("/instances")
    def list_page(ctx: Ctx, q: str = "", sort: str = "name", cursor: str | None = None) -> Response:
        page = service.find(ctx, …)
        return render(ctx, "compute/list.html", listing=Listing("/instances", page, sort=sort, filters={"q": q}))

    @router.get("/instances/{ref}/stop/preview")
    def stop_preview(ctx: Ctx, ref: str) -> Response:
        return preview(ctx, service.stop(ctx, ref), action=f"/instances/{ref}/stop")

    @router.post("/instances/{ref}/stop")
    def stop(ctx: Ctx, ref: str) -> Response:
        return accepted(ctx, submit(ctx, service.stop(ctx, ref)))

Templates live in ``ROOM/templates`` and are named ``ROOM/x.html``. An error raised by a GET is a page; raised by a
button or form it becomes a toast and marks on the fields by their ``name``, and what was typed stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import jinja2
from fastapi import FastAPI
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from yun.base.context import NOBODY, Context
from yun.base.errors import Forbidden, Unauthenticated, YunError
from yun.base.messages import PACKAGE, Message, _
from yun.base.paging import Page
from yun.web import assets, filters, navigation, problem, switches
from yun.web.api import Ctx, Opened, Route
from yun.web.compression import Compressed
from yun.web.navigation import command, nav, tab
from yun.web.request import THEME_COOKIE, Asker, current, enter, is_htmx, leave
from yun.web.security import inside
from yun.web.typed import FormData, Typed, number, ticked, word, words

__all__ = [
    "Ctx", "FormData", "Listing", "PageRoute", "Typed", "accepted", "command", "done", "fault_of", "go", "inside",
    "live_preview", "nav", "number", "plan", "preview", "render", "tab", "ticked", "toast", "welcome",
    "without_project", "word", "words",
]  # fmt: skip


@cache
def environment() -> jinja2.Environment:
    """The templates of every room, ``ROOM/x.html``; everything is escaped unless marked."""
    rooms = {p.parent.name: jinja2.FileSystemLoader(p) for p in sorted(PACKAGE.glob("*/templates")) if p.is_dir()}
    env = jinja2.Environment(
        loader=jinja2.PrefixLoader(rooms),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=1000,
    )
    env.globals |= {"_": _gettext, "asset": assets.url, "icon": icon, "sparkline": filters.sparkline}
    env.filters |= {
        "size": filters.size,
        "mib": filters.mib,
        "percent": filters.percent,
        "duration": filters.duration,
        "state_look": filters.state_look,
        "when": jinja2.pass_context(lambda context, value: filters.when(value, context["locale"])),
        "text": jinja2.pass_context(lambda context, value: filters.text(value, context["locale"])),
        "query": lambda values: urlencode({k: v for k, v in values.items() if v not in (None, "", False)}),
        "segment": lambda value: quote(str(value), safe=""),
    }
    return env


@jinja2.pass_context
def _gettext(context: jinja2.runtime.Context, text: str, **params: Any) -> str:
    return Message(text, params).render(context.get("locale", "en"))


def icon(name: str, label: str | None = None, css: str = "") -> Markup:
    """A picture of the sprite; ``label`` is read aloud, without it the icon is decoration."""
    return _icon(name, label, css, assets.url("icons.svg"))


@lru_cache(maxsize=1000)
def _icon(name: str, label: str | None, css: str, sprite: str) -> Markup:
    hidden = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon {}" {}><use href="{}#{}"/></svg>').format(css, hidden, sprite, name)


AT_ONCE = 500
"""What one change of many may touch (`MOST` of `yun.operations.service.many`, which stands above this room)."""


@dataclass(frozen=True)
class Listing:
    """What a list page shows: one page of rows and the state of the address bar.

    ``live`` is the kind of event subject that refreshes it; ``filters`` are the query's values by name; ``fault`` is
    what the query cannot mean; ``query`` says the whole list in the query language. The address bar also holds the way
    here: the cursors of the pages before (``trail``).
    """

    url: str
    page: Page[Any]
    sort: str = ""
    filters: Mapping[str, Any] = field(default_factory=dict)
    cursor: str | None = None
    total: int | None = None
    live: str = ""
    fault: problem.Problem | None = None
    query: str | None = None

    @property
    def everything(self) -> bool:
        """Whether more match than this page shows, and all of them can be chosen by the list's query."""
        return self.query is not None and self.total is not None and len(self.page.items) < self.total

    @property
    def at_once(self) -> int:
        """How many can be changed at once."""
        return AT_ONCE

    @property
    def filtered(self) -> bool:
        """Whether anything is left out of the list."""
        return any(v not in (None, "", False) for v in self.filters.values())

    def link(self, **changes: Any) -> str:
        """The list's address with some values changed; None leaves a value out."""
        values = {**self.filters, "sort": self.sort, **changes}
        kept = {k: v for k, v in values.items() if v not in (None, "", False)}
        return f"{self.url}?{urlencode(kept)}" if kept else self.url

    @property
    def next_link(self) -> str:
        """The address of the page after this one."""
        way = [*_trail(), *([self.cursor] if self.cursor else [])]
        return self.link(cursor=self.page.next, trail=TRAIL_MARK.join(way[-TRAIL:]))

    @property
    def previous_link(self) -> str:
        """The address of the page before this one: the last of the trail, or the first page."""
        way = _trail()
        return self.link(cursor=way[-1], trail=TRAIL_MARK.join(way[:-1])) if way else self.link()

    def sort_link(self, name: str) -> str:
        """Sort by ``name``; a second click turns the order around."""
        return self.link(sort=f"-{name}" if self.sort == name else name)


TRAIL = 30
TRAIL_MARK = "~"


def _trail() -> list[str]:
    way = current().query_params.get("trail", "")[:8000]
    return [cursor for cursor in way.split(TRAIL_MARK) if cursor]


def values_of(ctx: Context | None) -> dict[str, Any]:
    """What every template may use: locale, theme, actor, projects, navigation, path."""
    request = current()
    opened: Opened | None = getattr(request.state, "opened", None)
    asker = opened.asker if opened else Asker()
    locale = ctx.locale if ctx else (opened.locale if opened else "en")
    theme = request.cookies.get(THEME_COOKIE) or asker.theme
    return {
        "ctx": ctx,
        "request": request,
        "path": request.url.path,
        "locale": locale,
        "theme": theme if theme in ("light", "dark") else "auto",
        "actor": ctx.actor if ctx else NOBODY,
        "asker": asker,
        "newest": opened.newest if opened else None,
        "may": ctx.allowed if ctx else (lambda *_: False),
        "nav_main": navigation.entries(ctx, navigation.MAIN) if ctx else [],
        "nav_admin": navigation.entries(ctx, navigation.ADMIN) if ctx else [],
        "commands": navigation.commands(ctx) if ctx else [],
        "nav_active": navigation.active(request.url.path),
        "fragment": is_htmx(request),
        "texts": {name: message.render(locale) for name, message in SCRIPT_TEXTS.items()},
    }


def render(
    ctx: Context | None, template: str, *, block: str | None = None, status: int = 200, **values: Any
) -> Response:
    """A template, or only one of its blocks, as an answer in the request's language."""
    found = environment().get_template(template)
    everything = {**values_of(ctx), **values}
    if block is None:
        return HTMLResponse(found.render(everything), status)
    context = found.new_context(everything)
    return HTMLResponse("".join(found.blocks[block](context)), status)


class Submitted(Protocol):
    """What `accepted` needs of an operation."""

    id: str
    state: str
    undoable: bool

    def title_in(self, locale: str) -> str: ...


class Plan(Protocol):
    """What `preview` needs of an intent."""

    @property
    def title(self) -> Message: ...

    def render(self, locale: str, *, now: datetime, undo_days: float) -> dict[str, Any]: ...


def plan(ctx: Context, intent: Plan) -> dict[str, Any]:
    """An intent as the preview shows it, in the person's language."""
    return intent.render(ctx.locale, now=ctx.clock.now(), undo_days=ctx.settings.undo_days)


def preview(
    ctx: Context, intent: Plan, *, action: str, fields: Mapping[str, Any] | None = None, confirm: Message | None = None
) -> Response:
    """The dialog that asks before: what the intent would do; its button posts ``fields`` to ``action``."""
    word = (confirm or intent.title).render(ctx.locale)
    shown = plan(ctx, intent)
    return render(ctx, "web/preview.html", plan=shown, action=action, fields=fields or {}, confirm=word)


def fault_of(ctx: Context, error: YunError) -> problem.Problem:
    """An error that a page tells itself, in the person's language."""
    return problem.problem_of(error, current(), ctx.locale)


def live_preview(ctx: Context, intent: Callable[[], Plan]) -> Response:
    """The right side of a form: what pressing the button would do, or what is still missing."""
    try:
        return render(ctx, "web/plan.html", plan=plan(ctx, intent()), fault=None)
    except YunError as error:
        fault = fault_of(ctx, error)
        if fault.status >= 500 and fault.status not in (503, 507):
            raise
        response = render(ctx, "web/plan.html", plan=None, fault=fault)
        response.headers["HX-Trigger"] = json.dumps({"yun:marks": {"fields": fault.fields or {}}})
        return response


def toast(
    response: Response, text: str, *, kind: str = "success", operation: str | None = None, undo: bool = False,
    **more: Any,
) -> Response:  # fmt: skip
    """Have the page show a toast when this answer arrives; ``kind`` is success, info, warning or danger.

    ``undo_all`` names the operations that one button takes back, ``hint`` says more.
    """
    told = json.loads(response.headers.get("HX-Trigger", "{}"))
    told["yun:toast"] = {"text": text, "kind": kind, "operation": operation, "undo": undo, **more}
    response.headers["HX-Trigger"] = json.dumps(told)
    return response


def done(*operations: str) -> Response:
    """The bare answer to a button: its dialog closes; failures of ``operations`` will be told to this person."""
    told: dict[str, Any] = {"operation": operations[-1] if operations else None}
    if len(operations) > 1:
        told["operations"] = operations
    return Response(status_code=204, headers={"HX-Trigger": json.dumps({"yun:done": told})})


def accepted(ctx: Context, operation: Submitted, *, location: str | None = None) -> Response:
    """The answer to a button: dialog closed, toast with *Undo* where it makes sense, and perhaps another page."""
    response = done(operation.id)
    if location:
        response.headers.update(go(location).headers)
        response.status_code = 200
    title = operation.title_in(ctx.locale)
    told = _("{title}: started.", title=title)
    if operation.state == "succeeded":
        told = _("{title}: done.", title=title)
    return toast(response, told.render(ctx.locale), operation=operation.id, undo=operation.undoable)


def go(location: str) -> Response:
    """Lead the browser to another page, by htmx where htmx asked."""
    if is_htmx(current()):
        aim = {"path": location, "target": "#main", "select": "#main", "swap": "outerHTML show:window:top"}
        return Response(status_code=200, headers={"HX-Location": json.dumps(aim)})
    return RedirectResponse(location, 303)


class PageRoute(Route):
    """The route class of pages: errors become pages, toasts and marks on fields; nobody is sent to the login page."""

    draws = True

    def on_error(self, error: Exception, request: Request, opened: Opened) -> Response:
        fault = problem.problem_of(error, request, opened.locale)
        if isinstance(error, Unauthenticated):
            return _to_login(request)
        renewing = request.headers.get("hx-target") == "list"
        if is_htmx(request) and (request.method != "GET" or renewing):
            told = {"yun:problem": {**fault.to_json(), "fields": dict(fault.fields or {})}}
            return Response(status_code=fault.status, headers={"HX-Trigger": json.dumps(told)})
        if request.headers.get("hx-target") == "dialog":
            return render(None, "web/fault.html", fault=fault)
        try:
            ctx = opened.context()
        except Exception:
            ctx = None
        if ctx is not None and opened.session is not None:
            opened.session.close()
        if isinstance(error, Forbidden) and ctx is not None and without_project(ctx):
            return welcome(ctx, status=200 if is_htmx(request) else fault.status)
        return render(ctx, "web/error.html", fault=fault, status=200 if is_htmx(request) else fault.status)


def without_project(ctx: Context) -> bool:
    """Whether somebody is logged in who has no role anywhere yet: most pages have nothing to show him."""
    return ctx.actor.kind != "nobody" and not ctx.actor.roles


def welcome(ctx: Context, *, status: int = 200) -> Response:
    """The page of somebody who is in no project yet."""
    return render(ctx, "web/no_project.html", status=status)


def _to_login(request: Request) -> Response:
    shown = request.headers.get("hx-current-url") if request.headers.get("hx-request") else None
    parts = urlsplit(shown or str(request.url))
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    where = "/login" if path in ("/", "/login") else f"/login?next={quote(path, safe='/')}"
    if request.headers.get("hx-request"):
        return Response(status_code=200, headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)


_TIMES = ("year", "month", "day", "hour", "minute")
SCRIPT_TEXTS: dict[str, Message] = {
    "undo": _("Undo"),
    "close": _("Close"),
    "copied": _("Copied"),
    "lost": _("The connection to the cloud was lost. Trying again…"),
    "ended": _("Your session has ended."),
    "login": _("Log in again"),
    "selected": _("{count} selected"),
    "all_selected": _("All {count} that match are selected"),
    "nothing": _("Nothing found"),
    "connecting": _("Connecting…"),
    "connected": _("Connected"),
    "disconnected": _("Disconnected"),
    "waiting": _("Waiting for the machine to start"),
    "failed": _("The request failed. Try again."),
    "unreachable": _("The cloud does not answer."),
    "just_now": _("just now"),
    "in_a_moment": _("in a moment"),
    **{f"{name}_ago": past for name, (_length, past, _future) in zip(_TIMES, filters.UNITS, strict=True)},
    **{f"in_{name}": future for name, (_length, _past, future) in zip(_TIMES, filters.UNITS, strict=True)},
    "uploading": _("Uploading {percent} %"),
    "missing_files": _("Not chosen, and needed: {names}. Choose all files of the OVF together."),
    "no_description": _("There is no .ovf among these files: choose it and all files beside it together."),
    "upload_again": _("The upload was interrupted. Choose the same file again to go on."),
    "succeeded": _("{title}: done."),
    "failed_operation": _("{title}: failed. {reason}"),
    "failed_operations": _("{count} operations failed."),
    "undo_all": _("Undo all"),
    "history": _("Whole history"),
    "restored": _("What you had filled in is here again; passwords are not kept."),
    "action": _("Action"),
}


def wants_page(request: Request) -> bool:
    """Whether a browser asks for something to look at, and not a program for data."""
    return not request.url.path.startswith(("/api/", "/static/")) and "text/html" in request.headers.get("accept", "")


def install(app: FastAPI) -> None:
    """Give the application pages for addresses that lead nowhere, and the switches of language, theme and project."""

    def missing(request: Request, error: Exception) -> Response:
        if not wants_page(request):
            return problem.respond(error, request)
        opened = Opened(request, write=False, draws=True)
        request.state.opened = opened
        token = enter(request)
        try:
            ctx = opened.context()
            ctx.session.rollback()
        except YunError:
            ctx = None
        try:
            fault = problem.problem_of(error, request, opened.locale)
            return render(ctx, "web/error.html", fault=fault, status=fault.status)
        finally:
            leave(token)
            opened.abort()

    app.add_exception_handler(HTTPException, missing)
    app.include_router(switches.router)
    app.add_middleware(Compressed)
