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
import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, FastAPI, Header, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from yun.base import log
from yun.base.context import Context
from yun.base.db import translated
from yun.base.errors import Conflict, Forbidden, Unauthenticated, Unavailable
from yun.base.messages import _
from yun.web import problem
from yun.web.request import SAFE_METHODS, Asker, Kept, cloud_of, credentials, enter, language, leave

T = TypeVar("T")


MAX_REMEMBERED = 1 << 20


@dataclass(frozen=True)
class Repeat:
    """A changing request that may be repeated: its key, and a digest of what it asks."""

    key: str
    digest: str

    @classmethod
    async def of(cls, request: Request) -> Repeat | None:
        """The request's key and digest; None without a key, and for bodies too large to be remembered."""
        key = request.headers.get("idempotency-key")
        size = request.headers.get("content-length", "0")
        if not key or len(key) > 200 or not size.isdigit() or int(size) > MAX_REMEMBERED:
            return None
        asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
        return cls(key, hashlib.sha256(asked).hexdigest())


class Replayed(Exception):
    """The request was answered before: this is that answer."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(status)
        self.status, self.body = status, body

    def response(self) -> Response:
        """The first answer again, marked as such."""
        headers = {"Idempotency-Replayed": "true"}
        return Response(self.body, self.status, media_type="application/json", headers=headers)


class Opened:
    """A request's transaction: opened by the first use of its context, ended once by `commit` or `abort`."""

    def __init__(self, connection: HTTPConnection, *, write: bool) -> None:
        self.connection = connection
        self.write = write
        self.session: Session | None = None
        self.ctx: Context | None = None
        self.asker = Asker()
        self.repeat: Repeat | None = None

    def context(self) -> Context:
        """The context; the first call authenticates. Raises `Unauthenticated` and `Unavailable`."""
        if self.ctx is None:
            cloud = cloud_of(self.connection)
            self.session = cloud.database.session(write=self.write)
            found = credentials(self.connection)
            with translated():
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
                    kept = Kept(self.repeat.digest, response.status_code, body)
                    cloud_of(self.connection).remember(self.session, self._who(), self.repeat.key, kept)
                self.session.commit()
            self.session.close()

    def _who(self) -> str:
        """Under whom answers are kept: a token never gets what its owner or another of his tokens was answered."""
        actor = self.asker.actor
        return actor.token_id or actor.id

    def abort(self) -> None:
        """End badly: nothing was written."""
        if self.session is not None:
            self.session.rollback()
            self.session.close()

    @property
    def locale(self) -> str:
        """The language of the answer, as far as it is known."""
        return self.ctx.locale if self.ctx else language(self.connection)


class Route(APIRoute):
    """The route class of every room's routers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            opened = request.state.opened = Opened(request, write=request.method not in SAFE_METHODS)
            opened.repeat = await Repeat.of(request) if opened.write else None
            current = enter(request)
            subject = log.subject.set(problem.request_id(request))
            try:
                try:
                    response = await inner(request)
                    await run_in_threadpool(opened.commit, response)
                except BaseException:
                    await run_in_threadpool(opened.abort)
                    raise
            except Exception as error:
                if isinstance(error, Forbidden) and opened.ctx is not None:
                    with contextlib.suppress(Unavailable):  # a database that is away must not hide the refusal
                        await run_in_threadpool(cloud_of(request).refused, opened.ctx, error)
                return await run_in_threadpool(self.on_error, error, request, opened)
            finally:
                log.subject.reset(subject)
                leave(current)
            return _unchanged(request, response) or response

        return handle

    def on_error(self, error: Exception, request: Request, opened: Opened) -> Response:
        """The answer to an exception: problem+json here, a page in `yun.web.pages`."""
        return problem.respond(error, request, opened.locale)


_bearer = HTTPBearer(auto_error=False, description="An API token (`yun token create`) or the machine's root token.")


def open_context(
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
    """The dependency behind `Ctx`. Raises `Unauthenticated` for nobody, before anything else is looked at."""
    opened: Opened = request.state.opened
    ctx = somebody(opened.context())
    opened.recall()
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


class Revised(Protocol):
    """A row with a revision."""

    id: str
    revision: int


class Expected:
    """The revision that the caller saw last (``If-Match``), if he says one."""

    def __init__(
        self, if_match: Annotated[str | None, Header(description="ETag of the revision that is to be changed.")] = None
    ) -> None:
        self.tags = None if if_match is None else {t.strip().removeprefix("W/") for t in if_match.split(",")}

    def check(self, row: Revised) -> None:
        """Raise `problem.Stale` (412) where the row has moved on since."""
        if self.tags is not None and "*" not in self.tags and etag(row) not in self.tags:
            raise problem.Stale(
                _("This was changed by somebody else in the meantime."), hint=_("Load it again and repeat your change.")
            )


Match = Annotated[Expected, Depends()]


def etag(row: Revised) -> str:
    """The ETag of a row: its id and revision."""
    return f'"{row.id}.{row.revision}"'


def tag(response: Response, row: Revised) -> None:
    """Put the row's ETag on the answer; a GET with the same ``If-None-Match`` is then answered 304."""
    response.headers["ETag"] = etag(row)


def _unchanged(request: Request, response: Response) -> Response | None:
    wanted, known = request.headers.get("if-none-match"), response.headers.get("etag")
    if request.method not in SAFE_METHODS or response.status_code != 200 or not wanted or not known:
        return None
    seen = {t.strip().removeprefix("W/") for t in wanted.split(",")}
    return Response(status_code=304, headers={"ETag": known}) if known in seen else None


async def in_context(connection: HTTPConnection, call: Callable[[Context], T], *, write: bool) -> T:
    """Run ``call`` with a context in its own short transaction, in the thread pool: for streams and WebSockets."""

    def run() -> T:
        opened = Opened(connection, write=write)
        try:
            result = call(somebody(opened.context()))
            opened.commit()
        except BaseException:
            opened.abort()
            raise
        return result

    return await run_in_threadpool(run)


def install(app: FastAPI) -> None:
    """Give the application problem+json for whatever no `Route` answered (no such address, wrong method)."""

    def answer(request: Request, error: Exception) -> Response:
        return problem.respond(error, request)

    for kind in (HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)
