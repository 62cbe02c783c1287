"""Pages: templates that escape, answers to buttons, errors a person can use, small pictures and words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from jinja2 import DictLoader
from starlette.responses import Response
from starlette.testclient import TestClient

from tests.web.conftest import SmallCloud
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.base.paging import Page
from yun.base.permissions import NEEDS, Need
from yun.web import filters
from yun.web.pages import (
    Ctx,
    Listing,
    PageRoute,
    Typed,
    accepted,
    environment,
    live_preview,
    number,
    preview,
    render,
    ticked,
    word,
    words,
)
from yun.web.request import SESSION_COOKIE
from yun.web.typed import listed


@dataclass
class Operation:
    id: str = "op_1"
    state: str = "queued"
    undoable: bool = True

    def title_in(self, locale: str) -> str:
        return "停止" if locale == "zh" else "Stop"


@dataclass
class Plan:
    title: Message

    def render(self, locale: str, *, now: datetime, undo_days: float) -> dict[str, Any]:
        undo = {"possible": True, "until": None, "text": f"for {undo_days:g} days"}
        lines = {"effects": ["<b>bold</b>"], "restarts": [], "destroys": ["memory"], "depends": [], "capacity": []}
        return {"title": self.title.render(locale), "undo": undo, **lines}


@pytest.fixture
def browser(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    page = (
        '{% extends "web/layout.html" %}{% block main %}<h1>{{ name }}</h1>'
        "{% block part %}[{{ name }}]{% endblock %}{% endblock %}"
    )
    loader: Any = environment().loader
    monkeypatch.setitem(loader.mapping, "test", DictLoader({"page.html": page}))
    router = APIRouter(route_class=PageRoute)

    @router.get("/page")
    def show(ctx: Ctx, name: str = "x", block: str | None = None) -> Response:
        if ctx.actor.kind == "nobody":
            ctx.may("anything")
        return render(ctx, "test/page.html", name=name, block=block)

    @router.get("/wrong")
    def wrong(ctx: Ctx) -> Response:
        raise Conflict(_("a number"), hint=_("a text"))

    @router.post("/act")
    def act(ctx: Ctx, location: str | None = None) -> Response:
        return accepted(ctx, Operation(), location=location)

    @router.post("/form")
    def form(ctx: Ctx, typed: Typed) -> Response:
        if not word(typed, "name"):
            raise Invalid(_("a number"), fields={"name": _("is required")})
        said = [word(typed, "name"), words(typed, "tag"), ticked(typed, "on"), number(typed, "count")]
        return Response(json.dumps(said))

    @router.get("/ask")
    def ask(ctx: Ctx) -> Response:
        return preview(ctx, Plan(_("Search")), action="/act", fields={"id": ["a", "b"], "none": None})

    @router.post("/plan")
    def plan(ctx: Ctx, typed: Typed) -> Response:
        def intent() -> Plan:
            if not word(typed, "name"):
                raise Invalid(_("a number"), fields={"name": _("is required")})
            return Plan(_("Search"))

        return live_preview(ctx, intent)

    app.include_router(router)
    here = "http://cloud.test"
    client = TestClient(app, base_url=here, headers={"Origin": here}, follow_redirects=False)
    client.cookies.set(SESSION_COOKIE, "alice")
    yield client
    client.close()


HTMX = {"HX-Request": "true"}


def test_what_people_typed_is_escaped(browser: TestClient) -> None:
    text = browser.get("/page", params={"name": "<script>alert('云')</script>"}).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text


def test_a_page_names_the_newest_event_from_before_it_was_drawn(
    app: FastAPI, browser: TestClient, small: SmallCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NEEDS, "event.list", Need("reader"))
    router = APIRouter(route_class=PageRoute)

    @router.get("/meanwhile")
    def meanwhile(ctx: Ctx) -> Response:
        small.news.append((8, "thing.changed", {"name": "while it was drawn"}))
        return render(ctx, "test/page.html", name="x")

    app.include_router(router)
    assert 'data-newest="0"' in browser.get("/page").text
    small.news = [(7, "thing.made", {"name": "before"})]
    text = browser.get("/meanwhile").text
    assert 'data-newest="7"' in text
    told = browser.get("/live", params={"after": 7}).text
    assert "id: 8" in told
    assert "id: 7" not in told
    assert 'data-newest="8"' in browser.get("/no-such-page", headers={"Accept": "text/html"}).text


def test_a_block_alone_can_be_asked_for(browser: TestClient) -> None:
    assert browser.get("/page", params={"name": "n", "block": "part"}).text == "[n]"


def test_pages_carry_no_inline_script_or_handler(browser: TestClient) -> None:
    text = browser.get("/page").text
    for tag in text.split("<script")[1:]:
        assert 'src="' in tag.split(">")[0] or 'type="application/json"' in tag.split(">")[0]
    assert " onclick" not in text
    assert "javascript:" not in text


def test_nobody_is_led_to_the_login_and_back(browser: TestClient) -> None:
    browser.cookies.clear()
    answer = browser.get("/page?name=n")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/page%3Fname%3Dn")
    htmx = browser.get("/page", headers={**HTMX, "HX-Current-URL": "http://cloud.test/where?a=b"})
    assert htmx.headers["hx-redirect"] == "/login?next=/where%3Fa%3Db"


def test_an_error_of_a_page_is_a_page(browser: TestClient) -> None:
    answer = browser.get("/wrong")
    assert answer.status_code == 409
    assert "text/html" in answer.headers["content-type"]
    assert "a number" in answer.text
    assert "a text" in answer.text
    missing = browser.get("/nowhere", headers={"Accept": "text/html"})
    assert missing.status_code == 404
    assert "<html" in missing.text
    assert browser.get("/api/v1/nowhere", headers={"Accept": "text/html"}).json()["code"] == "not_found"


def test_a_button_is_answered_with_a_toast_that_offers_undo(browser: TestClient) -> None:
    answer = browser.post("/act", headers=HTMX)
    told = json.loads(answer.headers["hx-trigger"])
    assert answer.status_code == 204
    assert told["yun:toast"] == {
        "text": "Stop: started.", "kind": "success", "operation": "op_1", "undo": True,
    }  # fmt: skip
    assert told["yun:done"] == {"operation": "op_1"}
    moved = browser.post("/act?location=/page", headers={**HTMX, "Accept-Language": "zh"})
    assert json.loads(moved.headers["hx-location"])["path"] == "/page"
    assert json.loads(moved.headers["hx-trigger"])["yun:toast"]["text"] == "停止：已开始。"


def test_a_refused_form_says_which_field_and_what_would_be_right(browser: TestClient) -> None:
    answer = browser.post("/form", headers=HTMX)
    assert answer.status_code == 422
    assert json.loads(answer.headers["hx-trigger"])["yun:problem"]["fields"] == {"name": "is required"}


def test_forms_are_read_as_they_were_typed(browser: TestClient) -> None:
    typed = {"name": "  网站 ", "tag": ["a", " ", "b"], "on": "true", "count": "12"}
    assert browser.post("/form", data=typed).json() == ["网站", ["a", "b"], True, 12]
    bad = browser.post("/form", data={"name": "n", "count": "12x"}, headers=HTMX)
    assert "count" in json.loads(bad.headers["hx-trigger"])["yun:problem"]["fields"]


def test_the_question_shows_the_preview_and_posts_its_fields(browser: TestClient) -> None:
    text = browser.get("/ask", headers=HTMX).text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "memory" in text
    assert "for 7 days" in text
    assert 'hx-post="/act"' in text
    assert text.count('name="id"') == 2
    assert 'name="none"' not in text


def test_the_live_preview_follows_or_says_what_is_missing(browser: TestClient) -> None:
    missing = browser.post("/plan", headers=HTMX)
    assert missing.status_code == 200
    assert "is required" in missing.text
    assert json.loads(missing.headers["hx-trigger"])["yun:marks"]["fields"] == {"name": "is required"}
    assert "for 7 days" in browser.post("/plan", data={"name": "n"}, headers=HTMX).text


def test_a_listing_keeps_the_address_bar() -> None:
    listing = Listing("/things", Page([]), sort="name", filters={"q": "a b", "state": ""})
    assert listing.link(cursor="c") == "/things?q=a+b&sort=name&cursor=c"
    assert listing.sort_link("name") == "/things?q=a+b&sort=-name"
    assert listing.sort_link("size") == "/things?q=a+b&sort=size"
    assert listing.filtered
    assert not Listing("/things", Page([]), filters={"q": ""}).filtered


def test_times_are_relative_in_both_languages_with_the_exact_one_beside() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert filters.relative(now - timedelta(hours=3), "en", now) == "3 h ago"
    assert filters.relative(now - timedelta(minutes=1), "zh", now) == "1 分钟前"
    assert filters.relative(now + timedelta(days=6), "en", now) == "in 6 d"
    assert filters.relative(now, "en", now) == "just now"
    assert filters.relative(None, "en") == "–"
    assert 'title="2026-01-02 00:00:00 UTC"' in filters.when(now, "en")


def test_durations_and_sizes_are_for_people() -> None:
    assert [filters.duration(s) for s in (None, 0.25, 42, 61, 3 * 3600, 90000)] == [
        "–", "0.2 s", "42 s", "1 min 01 s", "3 h 00 min", "1 d 1 h",
    ]  # fmt: skip
    assert filters.size(None) == "–"
    assert filters.mib(1536) == "1.5 GiB"


def test_a_sparkline_is_drawn_only_from_enough_numbers() -> None:
    assert "svg" not in filters.sparkline([1.0])
    drawn = filters.sparkline([0.0, None, float("nan"), 2.0], top=1.0)
    assert "polyline" in drawn
    assert "nan" not in drawn


def test_a_list_of_words_is_parted_by_commas_of_either_language_or_spaces() -> None:
    assert listed("blue, green，红 黄 ,，") == ["blue", "green", "红", "黄"]
    assert listed("  ") == []
