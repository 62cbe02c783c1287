"""Routes: one transaction and one `Context` per request, committed before the answer leaves.

A room's ``api.py``::

    router = APIRouter(route_class=Route, prefix="/instances", tags=["instances"])

    @router.get("/{ref}")
    def show(ctx: Ctx, ref: str, response: Response) -> InstanceOut:
        row = service.get(ctx, ref)
        tag(response, row)
        return InstanceOut.of(row)

    @router.patch("/{ref}")
    def change(ctx: Ctx, ref: str, body: Change, match: Match, dry_run: bool = False) -> …:
        match.check(service.get(ctx, ref))

Endpoints are plain ``def`` (they run in the thread pool). ``ctx`` is opened on first use: GET, HEAD and OPTIONS read,
everything else writes (on SQLite ``BEGIN IMMEDIATE``). An exception rolls back and becomes problem+json. An
``async def`` endpoint (a stream, an upload) must not take ``Ctx``; it uses `in_context` for its short database work.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Header, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from yun.base import log
from yun.base.context import Context
from yun.base.db import translated
from yun.base.errors import Conflict, Forbidden, Invalid, Unauthenticated, Unavailable
from yun.base.messages import _
from yun.web import problem
from yun.web.repetition import Repeat, Replayed, dry
from yun.web.request import (
    SAFE_METHODS,
    Asker,
    Kept,
    cloud_of,
    credentials,
    current,
    enter,
    in_background,
    language,
    leave,
)
from yun.web.revisions import Match, marked, tag

__all__ = ["Ctx", "GuestCtx", "Match", "Opened", "Route", "in_context", "install", "somebody", "tag"]

T = TypeVar("T")


class Opened:
    """A request's transaction: opened by the first use of its context, ended once by `commit` or `abort`.

    ``draws`` is for pages: ``newest`` is then the number of the newest event before anything else was read, so that
    the page's stream can go on there and nothing that happens while it is loaded is missed.
    """

    def __init__(self, connection: HTTPConnection, *, write: bool, draws: bool = False) -> None:
        self.connection = connection
        self.write = write
        self.draws = draws
        self.newest: int | None = None
        self.session: Session | None = None
        self.ctx: Context | None = None
        self.asker = Asker()
        self.repeat: Repeat | None = None
        self.ended = False

    def context(self) -> Context:
        """The context; the first call authenticates. Raises `Unauthenticated` and `Unavailable`."""
        if self.ctx is None:
            cloud = cloud_of(self.connection)
            self.session = cloud.database.session(write=self.write)
            found = credentials(self.connection)
            with translated():
                if self.draws:
                    self.newest = cloud.newest_event(self.session)
                self.asker = cloud.authenticate(self.session, found)
            self.ctx = Context(
                actor=self.asker.actor,
                session=self.session,
                settings=cloud.settings,
                project_id=self.asker.project_id,
                clock=cloud.clock,
                locale=language(self.connection, self.asker.locale),
                address=found.address,
                idempotency_key=self.connection.headers.get("idempotency-key"),
            )
        return self.ctx

    def recall(self) -> None:
        """Raise `Replayed` where this very request was answered before under the same key.

        Raises `Conflict` where the key was used for another request.
        """
        if self.repeat is None or self.ctx is None or self.session is None:
            return
        found = cloud_of(self.connection).recall(self.session, self._who(), self.repeat.key)
        if found is None:
            return
        if found.request != self.repeat.digest:
            raise Conflict(
                _("This Idempotency-Key was used for another request."),
                hint=_("Choose a new key for a new request."),
                fields={"Idempotency-Key": _("a new key")},
            )
        raise Replayed(found.status, found.body)

    def commit(self, response: Response | None = None) -> None:
        """End well: what was written is there when this returns, and so is the answer for a repetition."""
        if self.session is not None:
            with translated():
                # An answer that must not be stored (it shows a secret once) is not kept for a repetition either.
                storable = response is not None and "no-store" not in response.headers.get("cache-control", "")
                if self.repeat and self.ctx and response is not None and response.status_code < 400 and storable:
                    body = bytes(getattr(response, "body", b"")).decode()
                    self._remember(self.session, self.repeat, Kept(self.repeat.digest, response.status_code, body))
                self.session.commit()
            self.session.close()
        self.ended = True

    def _remember(self, session: Session, repeat: Repeat, kept: Kept) -> None:
        session.flush()
        try:
            cloud_of(self.connection).remember(session, self._who(), repeat.key, kept)
            session.flush()
        except IntegrityError as error:
            raise Conflict(
                _("The same request is being answered right now."), hint=_("Repeat it to get that answer.")
            ) from error

    def _who(self) -> str:
        """Under whom answers are kept: a token never gets what its owner or another of his tokens was answered."""
        actor = self.asker.actor
        return actor.token_id or actor.id

    def abort(self) -> None:
        """End badly: nothing was written."""
        if self.session is not None:
            self.session.rollback()
            self.session.close()

    def note(self, error: Forbidden) -> None:
        """Tell the audit of a refusal, unless the page and not the person asked. Call it after `abort`."""
        if self.ctx is None or in_background(self.connection):
            return
        with contextlib.suppress(Unavailable):  # a database that is away must not hide the refusal
            cloud_of(self.connection).refused(self.ctx, error)

    @property
    def locale(self) -> str:
        """The language of the answer, as far as it is known."""
        return self.ctx.locale if self.ctx else language(self.connection)


def _ending(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint, which also ends the request's transaction in its own thread, where nothing that could fail comes
    after it: what only read, and what made its answer itself. Each change of threads costs a turn at the interpreter.
    """
    if inspect.iscoroutinefunction(endpoint) or getattr(endpoint, "ends", False):
        return endpoint

    @functools.wraps(endpoint)
    def call(*arguments: Any, **named: Any) -> Any:
        made = endpoint(*arguments, **named)
        opened: Opened | None = getattr(current().state, "opened", None)
        if opened is not None and (isinstance(made, Response) or not opened.write):
            opened.commit(made if isinstance(made, Response) else None)
        return made

    call.ends = True  # type: ignore[attr-defined]
    return call


class Route(APIRoute):
    """The route class of every room's routers."""

    draws = False

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, _ending(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            write = request.method not in SAFE_METHODS
            opened = request.state.opened = Opened(request, write=write, draws=self.draws)
            entered = enter(request)
            subject = log.subject.set(problem.request_id(request))
            try:
                try:
                    if opened.write and dry(request):
                        self.refuse_without_preview()
                    response = await inner(request)
                    if not opened.ended:
                        await run_in_threadpool(opened.commit, response)
                except BaseException:
                    await run_in_threadpool(opened.abort)
                    raise
            except Replayed as again:
                return again.response()
            except Exception as error:
                if isinstance(error, Forbidden):
                    await run_in_threadpool(opened.note, error)
                return await run_in_threadpool(self.on_error, error, request, opened)
            finally:
                log.subject.reset(subject)
                leave(entered)
            return marked(request, response)

        return handle

    def refuse_without_preview(self) -> None:
        """Pass where the endpoint knows previews. Raises `Invalid`: a change must not happen for want of one."""
        if "dry_run" not in inspect.signature(self.endpoint).parameters:
            raise Invalid(
                _("There is no preview of this; nothing was done."), fields={"dry_run": _("leave it out")}
            )

    def on_error(self, error: Exception, request: Request, opened: Opened) -> Response:
        """The answer to an exception: problem+json here, a page in `yun.web.pages`."""
        return problem.respond(error, request, opened.locale)


_bearer = HTTPBearer(auto_error=False, description="An API token (`yun token create`) or the machine's root token.")


def authenticated(
    request: Request,
    _token: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    _key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            max_length=200,
            description="Repeating a change with the same key answers with the first one's operation.",
        ),
    ] = None,
    _project: Annotated[
        str | None, Header(alias="X-Yun-Project", description="Project to work in, by name or id.")
    ] = None,
) -> Context:
    """Raises `Unauthenticated` for nobody, before anything else is looked at."""
    opened: Opened = request.state.opened
    return somebody(opened.context())


async def open_context(request: Request, ctx: Annotated[Context, Depends(authenticated)]) -> Context:
    """The dependency behind `Ctx`. Raises `Replayed` for a repetition; nobody's body is read for that."""
    opened: Opened = request.state.opened
    if opened.write:
        opened.repeat = await Repeat.of(request, ctx.project_id)
        if opened.repeat is not None:
            await run_in_threadpool(opened.recall)
    return ctx


def open_to_guests(request: Request) -> Context:
    """The dependency behind `GuestCtx`: nobody may come in, too."""
    opened: Opened = request.state.opened
    return opened.context()


def somebody(ctx: Context) -> Context:
    """The context, where there is somebody behind it. Raises `Unauthenticated`."""
    if ctx.actor.kind == "nobody":
        raise Unauthenticated(_("Please log in."))
    return ctx


Ctx = Annotated[Context, Depends(open_context)]
GuestCtx = Annotated[Context, Depends(open_to_guests)]


async def in_context(connection: HTTPConnection, call: Callable[[Context], T], *, write: bool) -> T:
    """Run ``call`` with a context in its own short transaction, in the thread pool: for streams and WebSockets."""

    def run() -> T:
        opened = Opened(connection, write=write)
        try:
            result = call(somebody(opened.context()))
            opened.commit()
        except BaseException as error:
            opened.abort()
            if isinstance(error, Forbidden):
                opened.note(error)
            raise
        return result

    return await run_in_threadpool(run)


def install(app: FastAPI) -> None:
    """Give the application problem+json for whatever no `Route` answered (no such address, wrong method)."""

    def answer(request: Request, error: Exception) -> Response:
        return problem.respond(error, request)

    for kind in (HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)
