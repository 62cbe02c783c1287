"""Every route asks who you are and whether you may; every verb has its route, its command and its preview."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from fastapi.testclient import TestClient

from tests.house.addresses import page_addresses
from tests.house.story import Story
from yun.app import create_app
from yun.base import permissions
from yun.base.config import Settings
from yun.base.context import Actor
from yun.cli import root
from yun.web.request import Asker, Credentials

OPEN_ROUTES = {("POST", "/api/v1/sessions")}
SHAPE_FIRST = {"/api/v1/image-uploads/{identifier}": (415,), "/api/v1/instances/{ref}/type-text": (422,)}
"""Asynchronous routes look at the form of a request before they open a transaction and ask who it is."""
METHODS = {"get", "post", "put", "patch", "delete", "head"}
FREE_TO_READERS = re.compile(
    r"/(tokens|keys|sessions|profile|users/me|login|logout|preferences|whoami)\b"
)  # one's own things need no role in a project
NO_COMMAND = {
    "event.list": "the stream is for programs; `yun history` is for people",
    "notice.list": "`yun doctor` and the panel show them", "notice.dismiss": "a button in the panel",
    "instance.console": "`yun console`", "image.upload": "`yun image import FILE` uploads",
    "image.import_file": "`yun image import --host-file`", "image.set_visibility": "`yun image update --public`",
    "key.create": "`yun key add`", "user.disable": "`yun user delete` disables",
    "network.tend": "the cloud's own work", "network.provide": "what is the whole cloud's is changed by `yun network`",
    "load_balancer.tend": "the cloud's own work",
    "profile.update": "REST and the panel's settings",
    "profile.show": "`yun whoami`", "profile.set_password": "REST and the panel's settings",
    "session.list": "REST and the panel's settings", "session.logout": "the panel's settings",
    "user.logout": "REST and the panel", "project.list_members": "`yun project show` lists them",
    "snapshot.restore_as": "`yun snapshot restore --as`",
    "volume.purge": "`yun trash purge`", "security_group.add_rule": "`yun security-group add-rule`",
}  # fmt: skip


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder: Path = tmp_path_factory.mktemp("routes")
    made = Story.begin(Settings(state_dir=folder, fake=True))
    yield made
    made.cloud.database.close()


def client(story: Story, asker: Asker | None = None) -> TestClient:
    app = create_app(story.cloud)
    if asker is not None:
        def authenticate(_session: Any, _credentials: Credentials) -> Asker:
            return asker

        app.state.cloud.authenticate = authenticate
    return TestClient(app, raise_server_exceptions=False)


def api_routes(story: Story) -> list[tuple[str, str]]:
    document = create_app(story.cloud).openapi()
    return [(m.upper(), p) for p, methods in document["paths"].items() for m in methods if m in METHODS]


def concrete(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "nothing", path)


def test_every_api_route_refuses_nobody(story: Story) -> None:
    asking = client(story)
    open_to_all = []
    for method, path in api_routes(story):
        if (method, path) in OPEN_ROUTES:
            continue
        answer = asking.request(method, concrete(path), json={} if method in ("POST", "PUT", "PATCH") else None)
        if answer.status_code != 401 and not (path in SHAPE_FIRST and answer.status_code in SHAPE_FIRST[path]):
            open_to_all.append(f"{method} {path}: {answer.status_code}")
    assert not open_to_all, "\n".join(open_to_all)


def test_no_changing_api_route_lets_a_reader_through(story: Story) -> None:
    reader = Asker(actor=Actor("user", "usr_reader", "reader", {"prj_elsewhere": "reader"}), project_id="prj_elsewhere")
    asking = client(story, reader)
    let_through = []
    for method, path in api_routes(story):
        if method in ("GET", "HEAD") or FREE_TO_READERS.search(path):
            continue
        answer = asking.request(method, concrete(path), json={} if method in ("POST", "PUT", "PATCH") else None)
        if answer.status_code not in (401, 403, 404, 409, 412, 413, 415, 422):
            let_through.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
    assert not let_through, "\n".join(let_through)


def test_every_page_sends_nobody_to_the_door(story: Story) -> None:
    asking = client(story)
    shown = []
    for path in page_addresses():
        if path.startswith(("/login", "/language", "/theme")):
            continue
        answer = asking.get(concrete(path), follow_redirects=False)
        if answer.status_code not in (302, 303, 307, 401):
            shown.append(f"{path}: {answer.status_code}")
    assert not shown, "\n".join(shown)


def commands() -> set[str]:
    context = click.Context(root, info_name="yun")
    found = set()
    for noun in root.list_commands(context):
        command = root.get_command(context, noun)
        if isinstance(command, click.Group):
            found |= {f"{noun.replace('-', '_')}.{verb.replace('-', '_')}" for verb in command.list_commands(context)}
    return found


def test_every_verb_has_a_command_or_says_why_not(story: Story) -> None:
    missing = set(permissions.NEEDS) - commands() - set(NO_COMMAND)
    missing -= {"instance.log", "instance.screenshot"} & commands()
    assert not missing, sorted(missing)


def test_every_changing_api_route_of_a_thing_offers_a_preview(story: Story) -> None:
    without = []
    document = create_app(story.cloud).openapi()
    exempt = re.compile(r"^/api/v1/sessions$|/(image-uploads|notices|console-tickets|type-text|send-keys|preferences)")
    for path, methods in document["paths"].items():
        for method, what in methods.items():
            if method in ("get", "head") or (exempt.search(path) and (method, path) != ("delete", "/api/v1/sessions")):
                continue
            if "dry_run" not in {p["name"] for p in what.get("parameters", [])}:
                without.append(f"{method.upper()} {path}")
    assert not without, "\n".join(without)
