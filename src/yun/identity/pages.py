"""The panel's door: logging in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from yun.base.errors import Invalid, Unauthenticated, Unavailable
from yun.identity.api import gate_of
from yun.web.pages import PageRoute, inside, render
from yun.web.problem import problem_of
from yun.web.request import SESSION_COOKIE, cloud_of, credentials
from yun.web.security import cookie_options

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:
    """Who are you?"""
    return render(None, "web/login.html", next=inside(next))


@router.post("/login")
def login(
    request: Request,
    name: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Open a session and go where the person wanted to go."""
    try:
        opened = gate_of(request).login(credentials(request), name, password, request.headers.get("user-agent", ""))
    except (Unauthenticated, Invalid, Unavailable) as error:
        fault = problem_of(error, request)
        return render(None, "web/login.html", fault=fault, name=name, next=inside(next), status=fault.status)
    response = RedirectResponse(inside(next), 303)
    options = cookie_options(request, cloud_of(request).settings.public_url)
    response.set_cookie(SESSION_COOKIE, opened.secret, expires=opened.expires_at, **options)
    return response


@router.post("/logout")
def logout(request: Request) -> Response:
    """End this session."""
    gate_of(request).logout(credentials(request))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response
