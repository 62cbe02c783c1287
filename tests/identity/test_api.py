"""Identity over HTTP: the whole application, real tables, real secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.identity.conftest import House
from tests.identity.test_verbs import ED25519
from yun.base.context import Context
from yun.base.errors import Forbidden
from yun.identity import api, secret, service
from yun.web import api as web_api
from yun.web.request import SESSION_COOKIE, Asker, Credentials
from yun.web.security import Guard

GOOD = "correct horse battery"


class FrontDoor:
    """The cloud as the web sees it, with identity alone behind it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.database, self.settings, self.clock = house.database, house.settings, house.clock

    def authenticate(self, session: Any, credentials: Credentials) -> Asker:
        return service.authenticate(session, credentials, self.settings, self.clock)

    def refused(self, ctx: Context, error: Forbidden) -> None:
        self.house.gate.refused(ctx, error)

    def newest_event(self, session: Any) -> int:
        return 0

    def events(self, asker: Asker, after: int | None, credentials: Credentials) -> Any:
        raise AssertionError("no page here has a stream of events")


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    app = FastAPI()
    app.state.cloud = FrontDoor(house)
    app.include_router(api.router, prefix="/api/v1")
    web_api.install(app)
    app.add_middleware(Guard)
    with TestClient(app, base_url="http://yun.test/api/v1/") as made:
        yield made


@pytest.fixture
def root(house: House) -> dict[str, str]:
    return bearer(secret.root_token_path(house.settings).read_text().strip())


def bearer(plain: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {plain}", **more}


def test_the_root_token_administers_the_cloud(client: TestClient, root: dict[str, str]) -> None:
    who = client.get("whoami", headers=root).json()
    assert (who["kind"], who["admin"], who["project"]) == ("root", True, "default")
    made = client.post("users", headers=root, json={"name": "li", "password": GOOD, "display_name": "李"})
    assert made.status_code == 201
    assert made.json()["display_name"] == "李"
    assert made.json()["operation"]["undo"]["possible"]
    assert "password_hash" not in made.text
    assert "argon2" not in made.text
    again = client.post("users", headers=root, json={"name": "li"})
    assert (again.status_code, again.json()["code"], set(again.json()["fields"])) == (409, "conflict", {"name"})


def test_a_preview_over_http_changes_nothing(client: TestClient, root: dict[str, str]) -> None:
    plan = client.post("users?dry_run=true", headers=root, json={"name": "li", "admin": True})
    assert plan.status_code == 200
    assert plan.json()["dry_run"] is True
    assert client.get("users/li", headers=root).status_code == 404


def test_errors_speak_the_asked_language(client: TestClient) -> None:
    answer = client.get("whoami", headers=bearer("yun_t_wrong", **{"Accept-Language": "zh-CN"}))
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "令牌" in answer.json()["detail"]


def test_logging_in_gives_a_bearer_that_logging_out_ends(house: House, client: TestClient) -> None:
    house.user("li", project="default")
    wrong = client.post("sessions", json={"name": "li", "password": "not this one"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthenticated")
    opened = client.post("sessions", json={"name": "li", "password": GOOD})
    assert opened.status_code == 201
    mine = bearer(opened.json()["token"])
    assert client.get("whoami", headers=mine).json()["user"]["name"] == "li"
    listed = client.get("sessions", headers=mine).json()["items"]
    assert [s["current"] for s in listed] == [True]
    assert "secret" not in str(listed)
    assert client.delete("sessions/current", headers=mine).status_code == 204
    assert client.get("whoami", headers=mine).status_code == 401


def test_log_ins_are_throttled_over_http(house: House, client: TestClient) -> None:
    house.user("li")
    for _n in range(5):
        client.post("sessions", json={"name": "li", "password": "not this one"})
    answer = client.post("sessions", json={"name": "li", "password": GOOD})
    assert answer.status_code == 401
    assert answer.json()["details"]["retry_after"] >= 1


def test_a_token_is_shown_once_and_holds_until_revoked(house: House, client: TestClient) -> None:
    li = house.user("li", project="default", role="member")
    session = house.gate.login(Credentials(address="192.0.2.1"), "li", GOOD)
    mine = bearer(session.secret)
    made = client.post("tokens", headers=mine, json={"name": "ci", "role": "reader", "project": "default"})
    assert made.status_code == 201
    plain = made.json()["secret"]
    assert plain not in client.get("tokens", headers=mine).text
    assert secret.digest(plain) not in client.get("tokens", headers=mine).text
    operation = made.json()["operation"]
    assert plain not in str(operation)
    assert client.get("whoami", headers=bearer(plain)).json()["roles"] == {
        house.read(service.get_project, "default").id: "reader"
    }
    assert client.post("tokens", headers=bearer(plain), json={"name": "more"}).status_code == 403
    assert client.get("users", headers=bearer(plain)).status_code == 403
    assert client.delete("tokens/ci", headers=mine).status_code == 200
    assert client.get("whoami", headers=bearer(plain)).status_code == 401
    assert house.read(service.list_audit, actor=house.actor(house.read(service.get_user, "admin").id))
    assert li.id


def test_a_strange_project_is_404_in_the_header_and_in_the_address(
    house: House, client: TestClient, root: dict[str, str]
) -> None:
    client.post("projects", headers=root, json={"name": "密室"})
    house.user("li", project="default")
    mine = bearer(house.gate.login(Credentials(), "li", GOOD).secret)
    assert client.get("projects/密室", headers=mine).status_code == 404
    assert client.patch("projects/密室", headers=mine, json={"description": "x"}).status_code == 404
    assert client.delete("projects/密室", headers=mine).status_code == 404
    strange = client.get("whoami", headers={**mine, "X-Yun-Project": "%E5%AF%86%E5%AE%A4"})
    assert strange.status_code == 404
    chosen = client.get("whoami", headers={**root, "X-Yun-Project": "%E5%AF%86%E5%AE%A4"})
    assert chosen.json()["project"] == "密室"


def test_another_sites_page_cannot_use_the_cookie(house: House, client: TestClient) -> None:
    house.user("li")
    opened = house.gate.login(Credentials(), "li", GOOD)
    cookie = {"Cookie": f"{SESSION_COOKIE}={opened.secret}"}
    key = {"public_key": ED25519}
    for foreign in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        assert client.post("keys", headers={**cookie, **foreign}, json=key).status_code == 403
    ours = client.post("keys", headers={**cookie, "Origin": "http://yun.test"}, json=key)
    assert ours.status_code == 201


def test_a_refusal_is_in_the_audit_although_the_request_was_rolled_back(
    house: House, client: TestClient, root: dict[str, str]
) -> None:
    house.user("li", project="default")
    mine = bearer(house.gate.login(Credentials(), "li", GOOD).secret)
    assert client.post("users", headers=mine, json={"name": "x"}).status_code == 403
    lines = client.get("audit?action=permission.refused", headers=root).json()["items"]
    assert [(line["actor"]["name"], line["subject"]["name"], line["address"]) for line in lines] == [
        ("li", "user.create", "testclient")
    ]


def test_every_change_over_http_is_in_the_audit(client: TestClient, root: dict[str, str]) -> None:
    assert client.post("projects", headers=root, json={"name": "lab"}).status_code == 201
    assert client.post("users", headers=root, json={"name": "li", "password": GOOD}).status_code == 201
    for method, path, body, action in (
        ("PATCH", "users/li", {"email": "li@example.org"}, "user.update"),
        ("PUT", "projects/lab/members/li", {"role": "member"}, "project.grant"),
        ("DELETE", "projects/lab/members/li", None, "project.revoke"),
        ("PUT", "users/li/role", {"role": "reader"}, "user.grant"),
        ("DELETE", "users/li/role", None, "user.revoke"),
        ("POST", "users/li/password", {"password": "another pass phrase"}, "user.set_password"),
        ("DELETE", "users/li", None, "user.disable"),
        ("POST", "users/li/enable", None, "user.enable"),
        ("PATCH", "projects/lab", {"name": "lab2"}, "project.update"),
        ("DELETE", "projects/lab2", None, "project.delete"),
        ("POST", "keys", {"public_key": ED25519}, "key.create"),
        ("DELETE", "keys/li@laptop", None, "key.delete"),
        ("POST", "tokens", {"name": "t"}, "token.create"),
        ("DELETE", "tokens/t", None, "token.revoke"),
    ):
        answer = client.request(method, path, headers=root, json=body)
        assert answer.status_code in (200, 201), (path, answer.text)
        line = client.get("audit?limit=1", headers=root).json()["items"][0]
        assert (line["action"], line["actor"]["kind"], line["address"]) == (action, "root", "testclient")
        assert line["operation_id"] == answer.json()["operation"]["id"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("users", {"name": 5}), ("users", {}), ("users", {"name": "x", "is_admin": True}), ("users", []),
        ("tokens", {"name": "x", "days": 1e300}), ("tokens", {"name": "x", "days": -1}),
        ("tokens", {"name": "x", "role": "god"}), ("keys", {"public_key": "x" * 30000}),
        ("sessions", {"name": "x"}), ("users", {"name": "x", "password": "p" * 3000}),
        ("users", {"name": "a\x00b"}), ("projects", {"name": "\x00"}), ("projects", {"name": "x" * 3000}),
    ],
)  # fmt: skip
def test_bad_input_is_422_and_names_the_field(
    client: TestClient, root: dict[str, str], path: str, body: Any
) -> None:
    answer = client.post(path, headers=root, json=body)
    assert answer.status_code == 422
    assert answer.json()["fields"]


def test_a_change_of_an_older_revision_is_refused(client: TestClient, root: dict[str, str]) -> None:
    made = client.post("projects", headers=root, json={"name": "lab"}).json()
    seen = client.get("projects/lab", headers=root).headers["etag"]
    assert client.patch("projects/lab", headers=root, json={"description": "one"}).status_code == 200
    stale = client.patch("projects/lab", headers={**root, "If-Match": seen}, json={"description": "two"})
    assert stale.status_code == 409
    assert stale.json()["details"]["difference"] == [{"field": "description", "theirs": "one", "yours": "two"}]
    assert client.get(f"projects/{made['id']}", headers=root).json()["description"] == "one"


def test_nobody_gets_401_everywhere(client: TestClient) -> None:
    paths = [
        ("GET", p) for p in ("whoami", "users", "projects", "tokens", "keys", "sessions", "audit", "users/x", "keys/x")
    ] + [("POST", p) for p in ("users/x/enable", "keys", "tokens", "users", "projects")]
    bodies = {"keys": {"public_key": "x"}, "tokens": {"name": "x"}, "users": {"name": "x"}, "projects": {"name": "x"}}
    for method, path in paths:
        answer = client.request(method, path, json=bodies.get(path))
        assert answer.status_code in (401, 404), (method, path, answer.text)
        if answer.status_code == 404:
            assert path == "projects/x"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "users/a%00b", None), ("GET", "projects/%00", None), ("DELETE", "tokens/%00", None),
        ("GET", "keys/%00", None), ("DELETE", "sessions/%00", None), ("GET", "audit?actor=%00&address=%00", None),
        ("GET", "users?q=%00", None), ("GET", "users/usr_%F0%9F", None), ("GET", "tokens?user=%00", None),
        ("PUT", "projects/default/members/%00", {"role": "member"}), ("POST", "users", {"name": "x", "email": "a\0@b"}),
        ("POST", "sessions", {"name": "a\0b", "password": "x"}), ("POST", "tokens", {"name": "t", "project": "\0"}),
        ("POST", "sessions", {"name": "\ud800", "password": "\ud800"}),
        ("GET", "audit?limit=99999999999999999999", None),
    ],
)  # fmt: skip
def test_characters_that_no_database_keeps_are_no_server_error(
    client: TestClient, root: dict[str, str], method: str, path: str, body: Any
) -> None:
    import json

    content = json.dumps(body) if body is not None else None
    headers = {**root, "Content-Type": "application/json"}
    answer = client.request(method, path, headers=headers, content=content)
    assert answer.status_code < 500, answer.text


def test_a_bearer_or_cookie_of_strange_characters_is_nobody(client: TestClient) -> None:
    for odd in (b"yun_t_\xff\x00", b"\xe4\xbd\xa0", b"yun_s_" + b"x" * 9000, b""):
        assert client.get("whoami", headers={"Authorization": b"Bearer " + odd}).status_code == 401
        cookie = {"Cookie": SESSION_COOKIE.encode() + b"=" + odd.replace(b"\x00", b"")}
        assert client.get("whoami", headers=cookie).status_code == 401
        assert client.get("whoami", headers={"X-Yun-Project": odd.replace(b"\x00", b"") or b"x"}).status_code == 401
