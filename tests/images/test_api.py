"""The images' API: what it answers, to whom, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.images.conftest import MIB, ImageCloud, disk
from yun.images.catalogue import entries
from yun.images.model import Image
from yun.operations.model import Operation, State

Web = Callable[..., TestClient]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Nothing here depends on the kind of database."""
    return f"sqlite:///{tmp_path / 'yun.db'}"


def test_an_image_is_imported_shown_changed_deleted_and_purged(cloud: ImageCloud, web: Web, tmp_path: Path) -> None:
    client = web("root")
    (tmp_path / "my.raw").write_bytes(disk(2 * MIB))
    answer = client.post("/images", json={"path": str(tmp_path / "my.raw"), "os": "debian", "min_memory_mib": 64})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["state"]) == ("my", "queued")
    assert answer.headers["Yun-Operation"] == answer.json()["operation"]["id"]
    cloud.engine.drain()
    shown = client.get("/images/my")
    assert shown.json() | {"state": "active", "os": "debian", "size_bytes": shown.json()["size_bytes"]} == shown.json()
    assert shown.json()["used_by"] == 0
    tag = shown.headers["ETag"]
    assert client.get("/images/my", headers={"If-None-Match": tag}).status_code == 304
    assert client.patch("/images/my", json={"name": "yours"}, headers={"If-Match": '"old"'}).status_code == 409
    changed = client.patch("/images/my", json={"name": "yours"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["name"]) == (200, "yours")
    assert client.post("/images/yours/set-visibility", json={"visibility": "public"}).json()["visibility"] == "public"
    assert client.post("/images/yours/purge").status_code == 409
    preview = client.delete("/images/yours", params={"dry_run": "true"})
    assert (preview.status_code, preview.json()["undo"]["possible"]) == (200, True)
    assert client.delete("/images/yours").json()["state"] == "trashed"
    assert client.get("/images").json()["items"] == []
    assert [i["name"] for i in client.get("/images", params={"state": "trashed"}).json()["items"]] == ["yours"]
    assert client.post("/images/yours/purge").status_code == 202
    cloud.engine.drain()
    assert client.get("/images/yours").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "url"),
        ({"url": "https://example.org/x", "path": "/x"}, 422, "url"),
        ({"name": "x", "url": "file:///etc/shadow"}, 422, "url"),
        ({"name": "x", "url": "https://example.org/x", "state": "active"}, 422, "state"),
        ({"name": "x" * 300, "url": "https://example.org/x"}, 422, "name"),
        ({"name": "x", "url": "https://example.org/x", "min_disk_bytes": -5}, 422, "min_disk_bytes"),
        ({"name": "x", "url": "https://example.org/x", "min_disk_bytes": 10 * 1024**5}, 422, "min_disk_bytes"),
        ({"name": "x", "url": "https://example.org/x", "firmware": "none"}, 422, "firmware"),
        ({"name": "x", "url": "https://example.org/x", "checksum": "12"}, 422, "checksum"),
        ({"name": "x", "url": "http://169.254.169.254/latest"}, 422, "url"),
        ({"name": "x", "path": "/etc/shadow"}, 403, None),
        ({"name": "x", "url": "https://example.org/x", "visibility": "public"}, 403, None),
    ],
)  # fmt: skip
def test_a_bad_import_names_the_field_and_changes_nothing(
    cloud: ImageCloud, web: Web, body: dict[str, object], status: int, field: str | None
) -> None:
    answer = web().post("/images", json=body)
    assert answer.status_code == status, answer.text
    if field:
        assert field in answer.json()["fields"]
    assert cloud.rows(Image) == cloud.rows(Operation) == 0


def test_a_preview_says_what_would_happen_in_the_language_asked_for(cloud: ImageCloud, web: Web) -> None:
    client = web("root")
    for language, word in (("en", "Build image"), ("zh", "构建镜像")):
        answer = client.post(
            "/images/build", json={"recipe": "tiny"}, params={"dry_run": "true"}, headers={"Accept-Language": language}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["title"].startswith(word)
        assert len(answer.json()["effects"]) == 2
    assert cloud.rows(Image) == 0


def test_recipes_and_catalogue_are_listed_and_unknown_names_refused(web: Web) -> None:
    client = web()
    assert {i["name"] for i in client.get("/image-catalogue").json()["items"]} == set(entries())
    names = {i["name"] for i in client.get("/image-recipes").json()["items"]}
    assert names == {"tiny", "tiny-generic", "function", "debian-12"}
    answer = client.post("/images/pull", json={"catalogue": "windows-95"})
    assert (answer.status_code, "cirros-0.6.3" in answer.json()["fields"]["catalogue"]) == (422, True)
    assert web("root").post("/images/build", json={"recipe": "x"}).status_code == 422
    assert client.post("/images/build", json={"recipe": "tiny"}).status_code == 403


def test_a_built_image_is_active_in_the_end(cloud: ImageCloud, web: Web) -> None:
    answer = web("root").post("/images/build", json={"recipe": "tiny", "visibility": "public", "name": "小镜像"})
    assert answer.status_code == 201
    cloud.engine.drain()
    assert cloud.operation(answer.headers["Yun-Operation"]).state == State.SUCCEEDED
    image = web("stranger").get("/images/小镜像").json()
    assert (image["state"], image["default_user"], image["visibility"]) == ("active", "root", "public")


def test_others_find_nothing_and_nobody_is_asked_to_log_in(cloud: ImageCloud, web: Web) -> None:
    cloud.bring("mine")
    for method, path in (
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/export"), ("POST", "/purge"),
        ("POST", "/set-visibility"),
    ):  # fmt: skip
        body = {"visibility": "public"} if "visib" in path else {} if method in ("PATCH", "POST") else None
        for reference in ("mine", cloud.image("mine").id):
            answer = web("stranger").request(method, f"/images/{reference}{path}", json=body)
            assert answer.status_code == 404, (method, path, answer.text)
            assert web("nobody").request(method, f"/images/{reference}{path}", json=body).status_code == 401
    reader = web("reader")
    assert reader.get("/images/mine").status_code == 200
    assert reader.delete("/images/mine").status_code == 403
    assert reader.post("/images/mine/export", json={}).status_code == 403


def test_names_of_any_kind_are_found_again(cloud: ImageCloud, web: Web) -> None:
    from urllib.parse import quote

    for name in ("我的 镜像", "<img src=x>", "a?b#c", "..."):
        cloud.bring(name)
        answer = web().get(f"/images/{quote(name, safe='')}")
        assert (answer.status_code, answer.json().get("name")) == (200, name), answer.text
