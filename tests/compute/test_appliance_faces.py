"""An OVA over HTTP: uploaded in pieces, kept, looked at, imported; and it is nobody else's."""

from __future__ import annotations

import base64
from typing import Any

import httpx
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab
from tests.compute.test_api import asking
from tests.images.ova import Wanted, ova
from yun.base.context import Actor
from yun.compute.model import Instance
from yun.images.model import Export, Upload

PATCH = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


def begin(api: TestClient, length: int, purpose: str = "appliance", **params: Any) -> httpx.Response:
    """Announce an upload."""
    said = {"filename": "old.ova", "purpose": purpose}
    pairs = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in said.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length), "Upload-Metadata": pairs}
    return api.post("/image-uploads", headers=headers, params=params)


def test_an_ova_is_uploaded_kept_shown_and_imported(lab: Lab) -> None:
    content = ova(Wanted(nics=("E1000", "virtio")))
    with asking(lab) as api:
        identifier = begin(api, len(content)).json()["id"]
        half = len(content) // 2
        first = {**PATCH, "Upload-Offset": "0"}
        assert api.patch(f"/image-uploads/{identifier}", headers=first, content=content[:half]).status_code == 204
        assert api.get(f"/appliances/{identifier}").status_code == 409
        rest = {**PATCH, "Upload-Offset": str(half)}
        done = api.patch(f"/image-uploads/{identifier}", headers=rest, content=content[half:])
        assert done.status_code == 204
        assert "Yun-Operation" not in done.headers
        found = api.get(f"/appliances/{identifier}").json()
        assert (found["name"], found["nics"], found["checked"]) == ("old-server", ["e1000", "virtio"], True)
        body = {"upload": identifier, "name": "mine"}
        preview = api.post("/instances/import?dry_run=true", json=body, headers={"Accept-Language": "zh"})
        assert preview.json()["title"] == "导入云主机 mine"
        assert lab.rows(Instance) == []
        answer = api.post("/instances/import", json=body)
        assert answer.status_code == 201
        assert answer.json()["state"] == "building"
        lab.drain()
        assert api.get("/instances/mine").json()["state"] == "stopped"
        assert api.get(f"/appliances/{identifier}").status_code == 404
        assert api.post("/instances/import", json=body).status_code == 404


def test_a_preview_of_an_upload_keeps_nothing_and_other_purposes_are_refused(lab: Lab) -> None:
    with asking(lab) as api:
        assert begin(api, 1000, dry_run="true").status_code == 200
        assert begin(api, 1000, purpose="anything").status_code == 422
    assert lab.rows(Upload) == []


def test_somebody_elses_upload_and_export_are_not_found(lab: Lab) -> None:
    stranger = Actor("user", "usr_wu", "wu", {"prj_other": "member"})
    with asking(lab) as api:
        identifier = begin(api, 1000).json()["id"]
    lab.create(start=False)
    with asking(lab) as api:
        export = api.post("/instances/web/export").json()["export_id"]
    lab.drain()
    with asking(lab, stranger) as api:
        assert api.get(f"/appliances/{identifier}").status_code == 404
        assert api.post("/instances/import", json={"upload": identifier}).status_code == 404
        assert api.get(f"/image-exports/{export}/file").status_code == 404
        assert api.post("/instances/web/export").status_code == 404


def test_a_readers_import_is_forbidden(lab: Lab) -> None:
    reader = Actor("user", "usr_re", "re", {lab.project_id: "reader"})
    with asking(lab, reader) as api:
        assert begin(api, 1000).status_code == 403


def test_what_an_import_or_an_export_has_on_its_way_is_no_stranger(lab: Lab) -> None:
    from yun.images.appliance.steps import part_of
    from yun.images.tidying import _stem

    assert _stem("/p/incoming/exp_1.0") == _stem("/p/incoming/exp_1.ova") == "exp_1"
    assert _stem(part_of("/p/incoming/upl_1.part")) == "upl_1"
    lab.create(start=False)
    with asking(lab) as api:
        api.post("/instances/web/export")
        lab.drain()
    assert [row.state for row in lab.rows(Export)] == ["ready"]
