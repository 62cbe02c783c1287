"""Users and projects are found by the query language of all lists: panel, API, command."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compute.conftest import Lab, lab  # noqa: F401 (a fixture)
from tests.compute.test_api import asking
from tests.compute.test_cli import Run, parsed, run  # noqa: F401 (a fixture)
from tests.compute.test_pages import browser  # noqa: F401 (a fixture)
from yun.base.errors import Invalid
from yun.identity import service
from yun.operations.service import submit


@pytest.fixture
def people(lab: Lab) -> Lab:  # noqa: F811
    """alice and bob; bob is a member of the project ``course``."""
    with lab.asking() as ctx:
        for name, mail in (("alice", "alice@example.org"), ("bob", "bob@example.net")):
            new = service.NewUser(name=name, password="long enough secret", email=mail, display_name=name.title())
            submit(ctx, service.create_user(ctx, new))
        submit(ctx, service.create_project(ctx, name="course", description="第 3 班"))
    lab.drain()
    with lab.asking() as ctx:
        submit(ctx, service.grant_in_project(ctx, "course", "bob", "member"))
    lab.drain()
    return lab


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("alice", {"alice"}), ("email~example.net", {"bob"}), ("display:Bob", {"bob"}), ("project:course", {"bob"}),
        ("name=ali", set()), ("-project:course email~example", {"alice"}), ("state:disabled", set()),
    ],
)  # fmt: skip
def test_users_are_found_by_what_is_known_of_them(people: Lab, q: str, found: set[str]) -> None:
    with people.asking() as ctx:
        assert {u.name for u in service.list_users(ctx, q=q).items} & {"alice", "bob"} == found


@pytest.mark.parametrize(
    ("q", "found"), [("course", True), ("member:bob", True), ("member:alice", False), ("description~班", True)]
)
def test_projects_are_found_by_what_is_known_of_them(people: Lab, q: str, found: bool) -> None:
    with people.asking() as ctx:
        assert ("course" in {p.name for p in service.list_projects(ctx, q=q).items}) == found


@pytest.mark.parametrize("listed", [service.list_users, service.list_projects])
def test_a_word_that_means_nothing_is_told(people: Lab, listed: Any) -> None:
    with people.asking() as ctx, pytest.raises(Invalid) as caught:
        listed(ctx, q="colour:red")
    assert set(caught.value.fields) == {"q"}


def test_every_face_searches(people: Lab, run: Run, browser: Any) -> None:  # noqa: F811
    with asking(people) as api:
        assert [u["name"] for u in api.get("/users", params={"q": "project:course"}).json()["items"]] == ["bob"]
        assert [p["name"] for p in api.get("/projects", params={"q": "member:bob"}).json()["items"]] == ["course"]
        assert api.get("/users", params={"q": "colour:red"}).status_code == 422
    assert [u["name"] for u in parsed(run("-o", "json", "user", "list", "-q", "email~example.net"))] == ["bob"]
    assert [p["name"] for p in parsed(run("-o", "json", "project", "list", "-q", "name=course"))] == ["course"]
    page = browser()
    shown = page.get("/users", params={"q": "project:course"}).text
    assert "bob@example.net" in shown
    assert "alice@example.org" not in shown
    assert "colour" in page.get("/projects", params={"q": "colour:red"}).text
