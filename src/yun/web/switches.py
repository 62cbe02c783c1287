"""What every page of the panel leans on: the live stream, and the switches of language, theme and project."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote, urlsplit

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from yun.web import sse
from yun.web.api import Opened, Route, somebody
from yun.web.request import LOCALE_COOKIE, PROJECT_COOKIE, THEME_COOKIE, Asker, cloud_of, credentials
from yun.web.security import cookie_options, inside

router = APIRouter(route_class=Route, include_in_schema=False)
YEAR = 365 * 86400


def _kept(request: Request, name: str, value: str) -> Response:
    """Keep a choice and show the page again; to another project's things leads no address, so that one goes home."""
    back = urlsplit(request.headers.get("hx-current-url") or request.headers.get("referer") or "/")
    where = inside(back.path + (f"?{back.query}" if back.query else ""))
    if name == PROJECT_COOKIE:
        where = "/" + where.lstrip("/").split("?")[0].split("/")[0]
    if request.headers.get("hx-request"):
        response: Response = Response(status_code=200, headers={"HX-Redirect": where})
    else:
        response = RedirectResponse(where, 303)
    options = cookie_options(request, cloud_of(request).settings.public_url)
    response.set_cookie(name, quote(value), max_age=YEAR, **options)
    return response


@router.post("/language/{code}")
def language(request: Request, code: Literal["en", "zh"]) -> Response:
    """Read the panel in another language from now on."""
    return _kept(request, LOCALE_COOKIE, code)


@router.post("/theme/{name}")
def theme(request: Request, name: Literal["light", "dark", "auto"]) -> Response:
    """Light, dark, or as the system says."""
    return _kept(request, THEME_COOKIE, name)


@router.post("/project/{ref}")
def project(request: Request, ref: str) -> Response:
    """Work in another project from now on; whether he may is asked with each request."""
    return _kept(request, PROJECT_COOKIE, ref[:80])


@router.get("/live")
async def live(request: Request) -> Response:
    """The events of the cloud for an open page, without SSE names: to each what is his, to a newcomer nothing."""
    opened: Opened = request.state.opened

    def who() -> Asker:
        somebody(opened.context())
        opened.commit()
        return opened.asker

    after = sse.last_seen(request)
    asker = await run_in_threadpool(who)
    return sse.stream(cloud_of(request).events(asker, after, credentials(request)), named=False)
