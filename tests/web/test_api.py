"""Routes: one transaction a request, its end before the answer, errors in one shape."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.testclient import TestClient

from tests.web.conftest import Note, SmallCloud, notes
from yun.base.errors import Conflict, DriverError, Forbidden, Invalid, NoCapacity, NotFound, OverQuota, Unavailable
from yun.base.messages import _
from yun.web.api import Ctx, Match, Route, tag
from yun.web.typed import Typed


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=10)
    count: int = Field(1, ge=1, le=5)


RAISED = {
    "invalid": (Invalid(_("a number"), fields={"size": _("a whole number")}, hint=_("a text")), 422),
    "not_found": (NotFound(_("a number")), 404),
    "conflict": (Conflict(_("a number"), details={"state": "stopped"}), 409),
    "over_quota": (OverQuota(_("a number")), 409),
    "no_capacity": (NoCapacity(_("a number")), 507),
    "unavailable": (Unavailable(_("a number")), 503),
    "driver_error": (DriverError(_("a number")), 503),
    "forbidden": (Forbidden(_("a number"), private="note.write"), 403),
}


@pytest.fixture(autouse=True)
def routes(app: FastAPI, small: SmallCloud) -> None:
    router = APIRouter(route_class=Route, prefix="/api/v1/notes")

    @router.get("")
    def read(ctx: Ctx) -> dict[str, Any]:
        return {"actor": ctx.actor.name, "locale": ctx.locale, "project": ctx.project_id, "key": ctx.idempotency_key}

    @router.post("", status_code=201)
    def write(ctx: Ctx, body: Body) -> dict[str, Any]:
        ctx.session.add(Note(id=body.text, text=body.text))
        return {"text": body.text}

    @router.post("/then/{what}")
    def write_and_fail(ctx: Ctx, what: str) -> None:
        ctx.session.add(Note(id=what, text=what))
        ctx.session.flush()
        raise RAISED[what][0] if what in RAISED else RuntimeError("a bug with a secret inside")

    @router.post("/typed")
    def typed(ctx: Ctx, form: Typed) -> None:
        ctx.session.add(Note(id="typed", text=str(form.get("text"))))

    @router.get("/writing")
    def sneaks(ctx: Ctx) -> None:
        ctx.session.execute(sa.text("SELECT 1"))

    @router.get("/{ref}")
    def show(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
        row = ctx.session.get_one(Note, ref)
        tag(response, row)
        return {"text": row.text}

    @router.patch("/{ref}")
    def change(ctx: Ctx, ref: str, match: Match) -> dict[str, Any]:
        row = ctx.session.get_one(Note, ref)
        match.check(row)
        row.text, row.revision = "changed", row.revision + 1
        return {"text": row.text}

    app.include_router(router)


def test_what_was_written_is_there_when_the_answer_comes(client: TestClient, small: SmallCloud) -> None:
    assert client.post("/api/v1/notes", json={"text": "one"}).status_code == 201
    assert notes(small) == ["one"]


@pytest.mark.parametrize("code", RAISED)
def test_each_error_has_its_status_and_leaves_nothing_behind(client: TestClient, small: SmallCloud, code: str) -> None:
    answer = client.post(f"/api/v1/notes/then/{code}")
    assert answer.status_code == RAISED[code][1]
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code
    assert body["detail"] == "a number"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert notes(small) == []
    if code in ("unavailable", "driver_error"):
        assert int(answer.headers["retry-after"]) > 0
    if code == "invalid":
        assert body["fields"] == {"size": "a whole number"}
        assert body["hint"] == "a text"
    if code == "conflict":
        assert body["details"] == {"state": "stopped"}


def test_a_refusal_is_told_to_the_audit(client: TestClient, small: SmallCloud) -> None:
    client.post("/api/v1/notes/then/forbidden")
    assert small.refusals == ["alice: note.write"]


def test_a_bug_is_a_500_with_an_id_and_its_chain_only_in_the_log(
    client: TestClient, small: SmallCloud, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="yun.web"):
        logging.getLogger("yun").propagate = True
        answer = client.post("/api/v1/notes/then/bug")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] in answer.json()["detail"]
    assert answer.json()["request_id"] in caplog.text
    assert "a bug with a secret inside" in caplog.text
    assert notes(small) == []


def test_a_wrong_body_names_every_field_in_the_callers_language(client: TestClient) -> None:
    body = {"text": "much too long", "count": 9, "other": 1}
    english = client.post("/api/v1/notes", json=body).json()
    assert english["code"] == "invalid"
    assert english["fields"] == {
        "text": "at most 10 characters", "count": "at most 5", "other": "there is no such field",
    }  # fmt: skip
    chinese = client.post("/api/v1/notes", json=body, headers={"Accept-Language": "zh-CN,zh;q=0.9"}).json()
    assert chinese["title"] == "请求有误"
    assert chinese["fields"]["text"] == "最多 10 个字符"


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[]", b'"x"', b"null"])
def test_a_body_that_is_no_object_is_refused(client: TestClient, raw: bytes) -> None:
    answer = client.post("/api/v1/notes", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_addresses_and_methods_that_do_not_exist_are_problems_too(client: TestClient) -> None:
    missing = client.get("/api/v1/nowhere")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    method = client.delete("/api/v1/notes")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")


def test_the_context_carries_project_key_and_language(client: TestClient) -> None:
    headers = {"X-Yun-Project": "%E9%A1%B9%E7%9B%AE", "Idempotency-Key": "k1", "Accept-Language": "zh"}
    said = client.get("/api/v1/notes", headers=headers).json()
    assert said == {"actor": "alice", "locale": "zh", "project": "项目", "key": "k1"}


def test_a_credential_that_does_not_hold_is_401(client: TestClient) -> None:
    answer = client.get("/api/v1/notes", headers={"Authorization": "Bearer mallory"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_etag_saves_the_second_reading_and_guards_the_change(client: TestClient, small: SmallCloud) -> None:
    client.post("/api/v1/notes", json={"text": "two"})
    first = client.get("/api/v1/notes/two")
    seen = first.headers["etag"]
    assert seen.startswith('W/"two.1.')
    again = client.get("/api/v1/notes/two", headers={"If-None-Match": seen})
    assert (again.status_code, again.content) == (304, b"")
    assert client.patch("/api/v1/notes/two", headers={"If-Match": seen}).status_code == 200
    stale = client.patch("/api/v1/notes/two", headers={"If-Match": seen})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    assert client.patch("/api/v1/notes/two").status_code == 200


def test_a_locked_database_is_unavailable_and_recovers(small: SmallCloud, client: TestClient) -> None:
    small.database.close()
    with small.database.session(write=True) as holder:
        holder.execute(sa.text("SELECT 1"))

        @sa.event.listens_for(small.database.engine, "connect")
        def hurry(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA busy_timeout=50")

        answer = client.post("/api/v1/notes", json={"text": "late"})
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
    assert client.post("/api/v1/notes", json={"text": "late"}).status_code == 201
    assert notes(small) == ["late"]


def test_who_hangs_up_in_the_middle_of_a_body_is_no_fault_of_the_clouds(
    app: FastAPI, small: SmallCloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="yun.web")
    parts = iter([{"type": "http.request", "body": b"text=some", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer alice"), (b"content-type", b"application/x-www-form-urlencoded")]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/api/v1/notes/typed", "raw_path": b"/api/v1/notes/typed", "query_string": b"", "root_path": "",
        "headers": [(b"host", b"testserver"), *headers], "client": ("127.0.0.1", 1), "server": ("testserver", 80),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert notes(small) == []
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING], caplog.text
    assert "hung up" in caplog.text
    assert {m["status"] for m in sent if m["type"] == "http.response.start"} <= {499}
