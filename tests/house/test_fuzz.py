"""Requests made up from the OpenAPI document: whatever is sent, no route answers with a server error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from tests.house.story import Story
from yun.app import create_app
from yun.base.config import Settings

ENDLESS = ("/api/v1/events",)
"""An endless stream has no end to wait for; it has tests of its own."""
HONEST = (503, 507)
"""Honest answers of a cloud whose hosts are fakes; a bug answers 500."""


@schemathesis.serializer("application/offset+octet-stream")
def pieces(_context: Any, value: Any) -> bytes:
    """The body of an upload's piece."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    made = Story.begin(Settings(state_dir=folder, fake=True))
    yield made
    made.cloud.database.close()


def probe(route: Any, token: str, asked: dict[str, int], failed: dict[str, str]) -> None:
    """Ask one route with made-up requests; note what failed."""
    name = f"{route.method.upper()} {route.path}"

    @hypothesis_settings(
        max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=route.as_strategy())
    def ask(case: Any) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        asked[name] = asked.get(name, 0) + 1
        if answer.status_code >= 500 and answer.status_code not in HONEST:
            failed.setdefault(name, f"{answer.status_code} for {case.as_curl_command()}")

    ask()


def test_no_made_up_request_makes_the_server_fail(story: Story) -> None:
    document = schemathesis.openapi.from_asgi("/api/v1/openapi.json", create_app(story.cloud))
    token = (story.settings.state_dir / "root.token").read_text().strip()
    asked: dict[str, int] = {}
    failed: dict[str, str] = {}
    for found in document.get_all_operations():
        route = found.ok()
        if route.path in ENDLESS:
            continue
        probe(route, token, asked, failed)
    assert len(asked) > 80, "most routes were asked"
    assert not failed, "\n".join(f"{name}: {why}" for name, why in failed.items())
