"""Requests that are repeated, previews that must not act, ETags of what is shown, and bodies that never end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Form, Request, Response
from pydantic import BaseModel
from starlette.testclient import TestClient

from tests.web.conftest import Note, SmallCloud, notes
from yun.base.context import Context
from yun.base.errors import Forbidden
from yun.base.messages import _
from yun.web.api import Ctx, Match, Route, in_context, tag
from yun.web.pages import PageRoute
from yun.web.security import MAX_BODY

NOTES = "/api/v1/notes"
SHOWN_BESIDE = {"ports": 0}


def only_root(ctx: Context) -> None:
    if not ctx.actor.is_admin:
        raise Forbidden(_("a number"), private="note.read")


class Body(BaseModel):
    text: str


@pytest.fixture(autouse=True)
def routes(app: FastAPI) -> None:
    router = APIRouter(route_class=Route, prefix=NOTES)

    @router.post("", status_code=201)
    def write(ctx: Ctx, body: Body, response: Response, dry_run: bool = False) -> dict[str, Any]:
        if not dry_run:
            ctx.session.add(Note(id=body.text, text=body.text))
        return {"text": body.text, "dry_run": dry_run}

    @router.post("/secret", status_code=201)
    def secret(ctx: Ctx, response: Response) -> dict[str, str]:
        response.headers["Cache-Control"] = "no-store"
        return {"secret": "xyzzy"}

    @router.delete("/{ref}", status_code=204)
    def drop(ctx: Ctx, ref: str) -> Response:
        ctx.session.delete(ctx.session.get_one(Note, ref))
        return Response(status_code=204)

    @router.get("/{ref}")
    def show(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
        row = ctx.session.get_one(Note, ref)
        tag(response, row)
        return {"text": row.text, **SHOWN_BESIDE}

    @router.patch("/{ref}")
    def change(ctx: Ctx, ref: str, match: Match) -> dict[str, Any]:
        row = ctx.session.get_one(Note, ref)
        match.check(row)
        row.revision += 1
        return {}

    @router.post("/{ref}/press")
    async def press(request: Request, ref: str) -> dict[str, str]:
        def ask(ctx: Context) -> str:
            only_root(ctx)
            return ctx.actor.name

        return {"by": await in_context(request, ask, write=False)}

    pages = APIRouter(route_class=PageRoute)

    @pages.post("/form")
    def form(ctx: Ctx, user_data: str = Form("")) -> Response:
        return Response(str(len(user_data)))

    @pages.get("/page")
    def page(ctx: Ctx) -> Response:
        only_root(ctx)
        return Response("seen")

    app.include_router(router)
    app.include_router(pages)


def key(name: str, **more: str) -> dict[str, str]:
    return {"Idempotency-Key": name, **more}


def test_a_repetition_under_the_same_key_gets_the_first_answer_and_writes_nothing(
    client: TestClient, small: SmallCloud
) -> None:
    first = client.post(NOTES, json={"text": "one"}, headers=key("k"))
    again = client.post(NOTES, json={"text": "one"}, headers=key("k"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert notes(small) == ["one"]


def test_a_key_is_good_for_one_request_only(client: TestClient, small: SmallCloud) -> None:
    client.post(NOTES, json={"text": "one"}, headers=key("k"))
    other = client.post(NOTES, json={"text": "two"}, headers=key("k"))
    assert (other.status_code, list(other.json()["fields"])) == (409, ["Idempotency-Key"])
    elsewhere = client.post(NOTES, json={"text": "one"}, headers=key("k", **{"X-Yun-Project": "prj_2"}))
    assert elsewhere.status_code == 409
    assert notes(small) == ["one"]


def test_a_preview_takes_no_key_and_gets_no_kept_answer(client: TestClient, small: SmallCloud) -> None:
    shown = client.post(NOTES, params={"dry_run": "true"}, json={"text": "one"}, headers=key("k"))
    assert shown.json()["dry_run"] is True
    assert small.kept == {}
    assert client.post(NOTES, json={"text": "one"}, headers=key("k")).json()["dry_run"] is False
    again = client.post(NOTES, params={"dry_run": "true"}, json={"text": "other"}, headers=key("k"))
    assert again.json() == {"text": "other", "dry_run": True}


def test_an_answer_with_a_secret_is_not_kept(client: TestClient, small: SmallCloud) -> None:
    assert client.post(f"{NOTES}/secret", headers=key("k")).status_code == 201
    assert small.kept == {}


@pytest.mark.parametrize("value", ["true", "1", "yes", "perhaps"])
def test_a_change_without_a_preview_refuses_to_be_previewed(client: TestClient, small: SmallCloud, value: str) -> None:
    client.post(NOTES, json={"text": "one"})
    for method, path in (("DELETE", f"{NOTES}/one"), ("POST", f"{NOTES}/one/press")):
        refused = client.request(method, path, params={"dry_run": value})
        assert (refused.status_code, list(refused.json()["fields"])) == (422, ["dry_run"])
    assert notes(small) == ["one"]
    assert client.delete(f"{NOTES}/one", params={"dry_run": "false"}).status_code == 204


def test_what_is_shown_beside_a_row_makes_a_new_answer_and_no_new_revision(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(NOTES, json={"text": "one"})
    seen = client.get(f"{NOTES}/one").headers["etag"]
    assert seen.startswith("W/")
    assert client.get(f"{NOTES}/one", headers={"If-None-Match": seen}).status_code == 304
    monkeypatch.setitem(SHOWN_BESIDE, "ports", 1)
    assert client.get(f"{NOTES}/one", headers={"If-None-Match": seen}).json() == {"text": "one", "ports": 1}
    assert client.patch(f"{NOTES}/one", headers={"If-Match": seen}).status_code == 200
    assert client.patch(f"{NOTES}/one", headers={"If-Match": seen}).status_code == 412
    assert client.patch(f"{NOTES}/one", headers={"If-Match": '"one.2"'}).status_code == 200


def endless(size: int) -> Iterator[bytes]:
    for _n in range(size // 65536):
        yield b"a" * 65536


def test_nobodys_endless_body_is_cut_off(app: FastAPI) -> None:
    came = 0

    def counted() -> Iterator[bytes]:
        nonlocal came
        for piece in endless(64 << 20):
            came += len(piece)
            yield piece

    nobody = TestClient(app, raise_server_exceptions=False)
    headers = key("k", **{"Content-Type": "application/json"})
    answer = nobody.post(NOTES, content=counted(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    announced = nobody.post(NOTES, content=b"a" * (MAX_BODY + 1), headers=headers)
    assert announced.status_code == 413
    assert announced.headers["x-request-id"]
    assert nobody.post(NOTES, content=b"{}", headers=headers).status_code == 401


def test_a_form_with_a_megabyte_of_user_data_passes(client: TestClient) -> None:
    assert client.post("/form", data={"user_data": "a" * 1_000_000}).text == "1000000"


def test_a_refusal_inside_an_asynchronous_route_is_told_to_the_audit(client: TestClient, small: SmallCloud) -> None:
    assert client.post(f"{NOTES}/x/press").status_code == 403
    assert small.refusals == ["alice: note.read"]


def test_what_a_page_asks_for_by_itself_does_not_fill_the_audit(app: FastAPI, small: SmallCloud) -> None:
    browser = TestClient(app, cookies={"yun_session": "alice"}, raise_server_exceptions=False)
    assert browser.get("/page", headers={"HX-Request": "true"}).status_code == 200
    assert browser.get("/page", headers={"Sec-Fetch-Mode": "cors"}).status_code == 403
    assert small.refusals == []
    assert browser.get("/page", headers={"Sec-Fetch-Mode": "navigate"}).status_code == 403
    assert browser.get("/page", headers={"HX-Request": "true", "HX-Boosted": "true"}).status_code == 403
    assert small.refusals == ["alice: note.read"] * 2


def test_somebody_without_a_project_may_listen_and_is_told_whom_to_ask(app: FastAPI, small: SmallCloud) -> None:
    small.news.append((1, "toy.told", {"id": 1}))
    browser = TestClient(app, cookies={"yun_session": "newcomer"}, raise_server_exceptions=False)
    assert '"id": 1' in browser.get("/live").text
    refused = browser.get("/page", headers={"Accept-Language": "zh"})
    assert refused.status_code == 403
    assert "请联系管理员" in refused.text
