"""Files made to do harm: names that no database can keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.images.conftest import ImageCloud, qcow2
from yun.operations.model import State


@pytest.mark.parametrize("name", [b"\xff\xfe/etc/shadow", b"a\0b/etc/shadow", b"\x1b]0;x\x07/etc/shadow"])
def test_a_backing_file_whose_name_cannot_be_kept_fails_the_import_and_leaves_nothing(
    cloud: ImageCloud, web: Callable[..., TestClient], tmp_path: Path, name: bytes
) -> None:
    client = web("root")
    (tmp_path / "evil.img").write_bytes(qcow2(backing=name))
    answer = client.post("/images", json={"name": "evil", "path": str(tmp_path / "evil.img")})
    assert answer.status_code == 201, answer.text
    cloud.engine.drain()
    operation = cloud.operation(answer.headers["Yun-Operation"])
    assert operation.state == State.FAILED
    assert "?" in str(operation.error)
    assert (cloud.images(), cloud.incoming()) == ({}, [])
    assert client.get(f"/operations/{operation.id}").status_code == 200
