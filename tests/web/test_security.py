"""The guard: what another site's page sends does not count, and every answer carries the headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from yun.web.api import Ctx, Route
from yun.web.pages import inside
from yun.web.request import SESSION_COOKIE
from yun.web.security import Guard


@pytest.fixture
def browser(app: FastAPI) -> TestClient:
    router = APIRouter(route_class=Route)

    @router.post("/change")
    def change(ctx: Ctx) -> dict[str, str]:
        return {"by": ctx.actor.name}

    @router.get("/look")
    def look(ctx: Ctx) -> dict[str, str]:
        return {"by": ctx.actor.name}

    app.include_router(router)

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("in")
        await websocket.close()

    client = TestClient(app, base_url="http://cloud.test", raise_server_exceptions=False)
    client.cookies.set(SESSION_COOKIE, "alice")
    return client


def test_our_own_pages_may_change_things(browser: TestClient) -> None:
    assert browser.post("/change", headers={"Origin": "http://cloud.test"}).json() == {"by": "alice"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://cloud.test.evil.test"},
        {"Origin": "http://cloud.test:8000"},
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_change_from_another_page_is_refused(browser: TestClient, headers: dict[str, str]) -> None:
    answer = browser.post("/change", headers=headers)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_bearer_needs_no_origin(browser: TestClient) -> None:
    browser.cookies.clear()
    answer = browser.post("/change", headers={"Authorization": "Bearer root", "Origin": "http://evil.test"})
    assert answer.json() == {"by": "root"}


def test_looking_is_allowed_from_links_elsewhere(browser: TestClient) -> None:
    assert browser.get("/look", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_a_socket_of_another_site_is_refused(browser: TestClient) -> None:
    with browser.websocket_connect("ws://cloud.test/socket", headers={"Origin": "http://cloud.test"}) as ours:
        assert ours.receive_text() == "in"
    with pytest.raises(WebSocketDisconnect), browser.websocket_connect(
        "ws://cloud.test/socket", headers={"Origin": "http://evil.test"}
    ):
        pass


def test_behind_a_proxy_its_address_counts() -> None:
    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": "/", "query_string": b"",
        "headers": [(b"host", b"inner:8480"), (b"origin", b"https://cloud.example.org"), (b"cookie", b"yun_session=x")],
    }  # fmt: skip
    from starlette.requests import HTTPConnection

    async def nothing(*_: Any) -> None:
        return

    assert Guard(nothing).foreign(HTTPConnection(scope))
    assert not Guard(nothing, "https://cloud.example.org").foreign(HTTPConnection(scope))


@pytest.mark.parametrize("path", ["/look", "/nothing"])
def test_every_answer_carries_the_headers(browser: TestClient, path: str) -> None:
    headers = browser.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["object-src"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["x-request-id"].startswith("req_")


def test_choices_are_kept_in_cookies_that_scripts_cannot_read(browser: TestClient) -> None:
    answer = browser.post("/language/zh", headers={"Origin": "http://cloud.test"}, follow_redirects=False)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert browser.post("/language/fr", headers={"Origin": "http://cloud.test"}).status_code == 422


@pytest.mark.parametrize(
    "bad", ["//evil.test", "/\\evil.test", "http://evil.test", "evil", "", None, "/a\nb", "javascript:x"]
)
def test_a_login_never_leads_out_of_the_panel(bad: str | None) -> None:
    assert inside(bad) == "/"
    assert inside("/instances?q=a") == "/instances?q=a"


def test_built_files_are_kept_by_browsers_and_travel_compressed(app: FastAPI, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/app-1.css").write_text("a { color: red }\n" * 1000)
    app.mount("/static", StaticFiles(directory=tmp_path))
    answer = TestClient(app).get("/static/dist/app-1.css")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" not in TestClient(app).get("/static/dist/none.css").headers.get("cache-control", "")


@pytest.mark.parametrize(
    "bad", ["http://cloud.test//evil.test", "http://cloud.test/\\evil.test", "http://x//evil.test/a?b"]
)
def test_a_switch_never_leads_out_of_the_panel(browser: TestClient, bad: str) -> None:
    for header in ("Referer", "HX-Current-URL"):
        for path in ("/theme/dark", "/language/zh", "/project/prj_1"):
            headers = {"Origin": "http://cloud.test", header: bad}
            where = browser.post(path, headers=headers, follow_redirects=False).headers["location"]
            assert inside(where) == where, (path, header, where)
