"""Tags of volumes, images and networks: set, searched, undone, refused, in panel and API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab, both
from tests.compute.test_pages import ADMIN, HTMX
from yun.app import create_app
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.images import service as images
from yun.network import service as network
from yun.network.model import Network
from yun.operations.service import submit
from yun.storage import service as storage
from yun.web.request import Asker

Tag = Callable[..., Any]
THINGS: dict[str, tuple[Tag, Tag]] = {
    "volume": (
        lambda ctx, tags: storage.tag_volume(ctx, storage.get_volume(ctx, "d"), tags),
        lambda ctx, q: storage.list_volumes(ctx, q=q),
    ),
    "image": (
        lambda ctx, tags: images.tag(ctx, images.get(ctx, "tiny"), tags), lambda ctx, q: images.list_images(ctx, q=q),
    ),
    "network": (
        lambda ctx, tags: network.tag_network(ctx, network.get_network(ctx, "default"), tags),
        lambda ctx, q: network.list_of(ctx, Network, q=q),
    ),
}  # fmt: skip


@pytest.fixture
def things(lab: Lab) -> Lab:
    """A volume d; images and networks are there."""
    lab.do(lambda ctx: storage.create_volume(ctx, name="d", size_bytes=1 << 30))
    return lab


@both
@pytest.mark.parametrize("kind", THINGS)
def test_tags_are_set_searched_and_taken_back(things: Lab, kind: str) -> None:
    tag, listed = THINGS[kind]

    def found(q: str) -> int:
        with things.asking() as ctx:
            return len(listed(ctx, q).items)

    done = things.do(lambda ctx: tag(ctx, ["web", "数据", "web"]))
    assert found("tag:web") == found("tag:数据") == 1
    assert found("tag:we") == 0
    with pytest.raises(Conflict), things.asking() as ctx:
        tag(ctx, ["web", "数据"])
    for wrong in (["a b"], ["a:b"], ["-a"], ["x" * 41], [str(n) for n in range(21)]):
        with pytest.raises(Invalid) as caught, things.asking() as ctx:
            tag(ctx, wrong)
        assert "tags" in caught.value.fields
    reader = Actor("user", "usr_re", "re", {things.project_id: "reader"})
    with pytest.raises(Forbidden), things.asking(reader) as ctx:
        tag(ctx, ["mine"])
    things.undo(done)
    assert found("tag:web") == 0


def test_the_clouds_own_network_is_not_a_projects_to_tag(lab: Lab) -> None:
    member = Actor("user", "usr_me", "me", {lab.project_id: "member"})
    with pytest.raises(Conflict), lab.asking(member) as ctx:
        submit(ctx, network.tag_network(ctx, network.get_network(ctx, "external"), ["mine"]))


def test_panel_and_api_set_and_show_tags(things: Lab) -> None:
    app = create_app(things.cloud)
    asker = Asker(actor=ADMIN, project_id=things.project_id, project_name="default")
    app.state.cloud.authenticate = lambda _session, _credentials: asker
    client = TestClient(app, base_url="http://yun.test", raise_server_exceptions=False, follow_redirects=False)
    for noun, name in (("volumes", "d"), ("images", "tiny"), ("networks", "default")):
        assert client.post(f"/api/v1/{noun}/{name}/tag?dry_run=true", json={"tags": ["x"]}).status_code == 200
        answered = client.post(f"/api/v1/{noun}/{name}/tag", json={"tags": ["blue"]})
        assert answered.status_code == 200, answered.text
        assert answered.json()["tags"] == ["blue"]
        assert client.get(f"/api/v1/{noun}/{name}").json()["tags"] == ["blue"]
        assert f"/{noun}?q=tag%3Ablue" in client.get(f"/{noun}").text
        shown = client.get(f"/{noun}/{name}").text
        assert "tag%3Ablue" in shown
        assert f"/{noun}/" in shown
        dialog = client.get(f"/{noun}/{name}/tag").text
        assert 'value="blue"' in dialog
        saved = client.post(f"/{noun}/{name}/tag", data={"tags": "blue, green"}, headers=HTMX)
        assert saved.status_code == 204, saved.text
        assert client.get(f"/api/v1/{noun}/{name}").json()["tags"] == ["blue", "green"]
