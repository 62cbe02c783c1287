"""Whose word counts on where a request comes from: a proxy's, and only where one was set up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import uvicorn

from yun import server
from yun.base.config import Settings
from yun.worker import fake_drivers


class Enough(Exception):
    """The server is configured; it need not serve."""


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the server says of proxies, start by start."""
    said: list[bool] = []

    class Config(uvicorn.Config):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            said.append(self.proxy_headers)
            raise Enough

    monkeypatch.setattr(uvicorn, "Config", Config)
    return said


def test_forwarded_addresses_count_only_behind_a_proxy(settings: Settings, configured: list[bool]) -> None:
    for address in ("", "https://cloud.example.org"):
        wanted = replace(settings, port=0, public_url=address)
        with pytest.raises(Enough):
            server.run(wanted, drivers=fake_drivers())
    assert configured == [False, True]
