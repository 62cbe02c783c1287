"""The pages of identity: the log-in and its cookie, and that every page opens in both languages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.identity.conftest import House
from tests.identity.test_api import GOOD, FrontDoor
from tests.identity.test_verbs import ED25519
from yun.identity import agent, pages, secret, service
from yun.rooms import furniture
from yun.web import api as web_api
from yun.web import pages as web_pages
from yun.web.request import SESSION_COOKIE
from yun.web.security import Guard

OURS = {"Origin": "http://yun.test"}
HTMX = {**OURS, "HX-Request": "true"}


@pytest.fixture
def browser(house: House) -> Iterator[TestClient]:
    furniture("model")  # the layout asks for permissions of other rooms
    app = FastAPI()
    app.state.cloud = FrontDoor(house)
    app.include_router(pages.router)
    web_api.install(app)
    web_pages.install(app)
    app.add_middleware(Guard)
    with TestClient(app, base_url="http://yun.test", follow_redirects=False) as made:
        yield made


def log_in(browser: TestClient, name: str, password: str = GOOD, **form: str):  # type: ignore[no-untyped-def]
    return browser.post("/login", headers=OURS, data={"name": name, "password": password, **form})


def test_the_log_in_sets_a_cookie_that_scripts_and_other_sites_do_not_get(house: House, browser: TestClient) -> None:
    house.user("li")
    assert "password" in browser.get("/login").text
    answer = log_in(browser, "li", next="/keys")
    assert (answer.status_code, answer.headers["location"]) == (303, "/keys")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(SESSION_COOKIE + "=yun_s_")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert browser.get("/login").headers["location"] == "/"
    assert browser.post("/logout", headers=OURS).status_code == 303
    assert browser.get("/keys").headers["location"].startswith("/login")


def test_the_cookie_is_new_with_every_log_in(house: House, browser: TestClient) -> None:
    house.user("li")
    browser.cookies.set(SESSION_COOKIE, "yun_s_planted")
    log_in(browser, "li")
    assert browser.cookies.get(SESSION_COOKIE, domain="yun.test") != "yun_s_planted"


@pytest.mark.parametrize("where", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_the_log_in_leads_nowhere_else(house: House, browser: TestClient, where: str) -> None:
    house.user("li")
    assert log_in(browser, "li", next=where).headers["location"] == "/"


def test_a_failed_log_in_is_general_keeps_the_name_and_shows_no_markup(house: House, browser: TestClient) -> None:
    house.user("li")
    wrong = log_in(browser, "li", "not the right one")
    unknown = log_in(browser, "nobody here", "not the right one")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert "Name or password is wrong." in wrong.text
    assert "Name or password is wrong." in unknown.text
    assert 'value="li"' in wrong.text
    assert "not the right one" not in wrong.text
    assert "<script>alert" not in log_in(browser, '"><script>alert(1)</script>', "x").text


def test_another_sites_form_cannot_log_anybody_in(house: House, browser: TestClient) -> None:
    house.user("li")
    form = {"name": "li", "password": GOOD}
    assert browser.post("/login", headers={"Origin": "https://evil.example"}, data=form).status_code == 403


def test_the_throttle_speaks_on_the_page(house: House, browser: TestClient) -> None:
    house.user("li")
    for _n in range(5):
        log_in(browser, "li", "not the right one")
    assert "Too many failed log-ins" in log_in(browser, "li").text


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_page_opens_for_an_administrator(house: House, browser: TestClient, language: str) -> None:
    house.user("li", project="default", display_name="<b>李</b>")
    house.do(service.add_key, service.NewKey(ED25519))
    log_in(browser, "admin", house.password)
    li = house.read(service.get_user, "li").id
    project = house.read(service.get_project, "default").id
    key = house.read(service.list_keys)[0].id
    for path in (
        "/account", "/tokens", "/tokens/new", "/keys", "/keys/new", f"/keys/{key}/delete/preview",
        "/users", "/users/new",
        f"/users/{li}", f"/users/{li}/password", f"/users/{li}/role", f"/users/{li}/disable/preview", "/projects",
        "/projects/new", f"/projects/{project}", f"/projects/{project}/edit", f"/projects/{project}/members/new",
        f"/projects/{project}/members/{li}/remove/preview", "/audit", "/audit?action=session.login&q=admin",
    ):  # fmt: skip
        answer = browser.get(path, headers={"Accept-Language": language})
        assert answer.status_code == 200, (path, answer.text[:300])
        assert "<b>李</b>" not in answer.text


def test_a_member_sees_his_own_pages_and_is_refused_the_others(house: House, browser: TestClient) -> None:
    house.user("li", project="default")
    log_in(browser, "li")
    for path in ("/account", "/tokens", "/keys", "/projects"):
        assert browser.get(path).status_code == 200
    for path in ("/users", "/audit", "/users/new", "/projects/new"):
        assert browser.get(path).status_code == 403
    assert "/users" not in browser.get("/account").text


def test_a_tokens_secret_is_shown_in_the_dialog_and_never_again(house: House, browser: TestClient) -> None:
    house.user("li", project="default")
    log_in(browser, "li")
    made = browser.post("/tokens", headers=HTMX, data={"name": "ci", "role": "reader", "project": "", "days": "30"})
    plain = made.text.split('value="')[1].split('"')[0]
    assert plain.startswith(secret.TOKEN)
    assert house.ask(bearer=plain).actor.name == "li"
    assert plain not in browser.get("/tokens").text
    token = house.read(service.list_tokens, "li")[0][0].id
    assert browser.post(f"/tokens/{token}/revoke", headers=HTMX).status_code == 200
    assert "revoked" in browser.get("/tokens").text


def test_the_buttons_do_what_they_say(house: House, browser: TestClient) -> None:
    log_in(browser, "admin", house.password)
    made = browser.post("/users", headers=HTMX, data={"name": "wang", "password": GOOD, "admin": "true"})
    assert made.status_code == 200
    wang = house.read(service.get_user, "wang").id
    assert house.actor(wang).is_admin
    assert browser.post(f"/users/{wang}/role", headers=HTMX, data={"role": ""}).status_code == 200
    assert not house.actor(wang).is_admin
    browser.post("/projects", headers=HTMX, data={"name": "lab"})
    lab = house.read(service.get_project, "lab").id
    browser.post(f"/projects/{lab}/members", headers=HTMX, data={"user": "wang", "role": "reader"})
    assert house.actor(wang).roles == {lab: "reader"}
    browser.post(f"/users/{wang}/disable", headers=HTMX)
    assert house.read(service.get_user, "wang").state == "disabled"
    plan = browser.post("/users/plan", headers=HTMX, data={"name": "x", "admin": "true"})
    assert "administer the whole cloud" in plan.text
    refused = browser.post("/users", headers=HTMX, data={"name": "wang"})
    assert refused.status_code == 409
    assert '"name"' in refused.headers["hx-trigger"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        ("yun", "yun"), ("", ""),
    ],
)  # fmt: skip
def test_a_browser_is_named_in_two_words(text: str, words: str) -> None:
    assert agent.short(text) == words


def test_an_error_where_a_dialog_was_to_open_is_a_dialog_and_no_page(house: House, browser: TestClient) -> None:
    log_in(browser, "admin", house.password)
    admin = house.read(service.get_user, "admin").id
    answer = browser.get(f"/users/{admin}/disable/preview", headers={"HX-Request": "true", "HX-Target": "dialog"})
    assert answer.status_code == 200
    assert "last administrator" in answer.text
    assert "<html" not in answer.text
    assert 'id="dialog-title"' in answer.text
