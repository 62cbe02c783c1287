"""Images and networks in many: tagged and trashed, what is not one's own left out with its reason."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from tests.compute.conftest import Lab
from tests.compute.test_pages import ADMIN, HTMX, told
from yun.app import create_app
from yun.images.model import Image
from yun.network import service as network
from yun.network.model import Network
from yun.web.request import Asker


def panel(lab: Lab) -> TestClient:
    """The panel and the API, as the administrator in the lab's project."""
    app = create_app(lab.cloud)
    asker = Asker(actor=ADMIN, project_id=lab.project_id, project_name="default")
    app.state.cloud.authenticate = lambda _session, _credentials: asker
    return TestClient(app, base_url="http://yun.test", raise_server_exceptions=False, follow_redirects=False)


def test_many_images_and_networks_are_tagged_and_deleted_in_the_api(lab: Lab) -> None:
    for name in ("n1", "n2"):
        lab.do(lambda ctx, name=name: network.create_network(ctx, network.NewNetwork(name, "", 1442, None)))
    client = panel(lab)
    tag: dict[str, Any] = {"verb": "tag", "arguments": {"add_tags": ["x"]}}
    seen = client.post("/api/v1/networks/bulk?dry_run=true", json={"query": "-state:trashed", **tag}).json()
    assert [one["name"] for one in seen["left_out"]] == ["external"]
    done = client.post("/api/v1/networks/bulk", json={"query": "name~n mtu:1442 external:no", **tag})
    assert done.status_code == 202, done.text
    assert {row.name for row in lab.rows(Network) if row.tags == ["x"]} >= {"n1", "n2"}
    gone = client.post("/api/v1/networks/bulk", json={"ids": ["n1", "n2"], "verb": "delete"})
    assert gone.json()["count"] == 2
    lab.drain()
    assert {row.state for row in lab.rows(Network) if row.name in ("n1", "n2")} == {"trashed"}
    done = client.post("/api/v1/images/bulk", json={"query": "name=tiny", **tag})
    assert done.json()["count"] == 1
    assert [row.name for row in lab.rows(Image) if row.tags] == ["tiny"]


def test_the_lists_of_images_and_networks_have_the_same_ways(lab: Lab) -> None:
    client = panel(lab)
    for noun, table in (("images", Image), ("networks", Network)):
        assert 'name="id"' in client.get(f"/{noun}").text
        ids = [row.id for row in lab.rows(table) if row.name in ("tiny", "default")]
        assert client.get(f"/bulk/{noun}/tag/dialog", params={"id": ids}).status_code == 200
        seen = client.get(f"/bulk/{noun}/tag/preview", params={"id": ids, "add_tags": "a, b"}).text
        assert "Its tags are: a, b." in seen
        events = told(client.post(f"/bulk/{noun}/tag", data={"id": ids, "add_tags": "a, b"}, headers=HTMX))
        assert events["yun:toast"]["kind"] == "success"
        lab.drain()
        assert [row.tags for row in lab.rows(table) if row.id in ids] == [["a", "b"]]
        undone = client.post("/bulk/undo", data={"id": events["yun:toast"]["undo_all"]}, headers=HTMX)
        assert undone.status_code == 204
        lab.drain()
        assert [row.tags for row in lab.rows(table) if row.id in ids] == [[]]
