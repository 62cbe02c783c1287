"""One query language in every list: images, networks, groups, ports, hosts, the history, the trash and the audit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.compute.conftest import ROOT, Lab, both
from tests.compute.test_pages import ADMIN
from yun.app import create_app
from yun.base.config import Settings
from yun.base.errors import Invalid
from yun.base.ids import new_id
from yun.compute import service
from yun.hosts import service as hosts
from yun.identity import service as identity
from yun.identity.service.audit import Entry, record
from yun.images import service as images
from yun.images.model import Image
from yun.network import service as network
from yun.network.model import FloatingIp, Network, Port, Router, SecurityGroup, Subnet
from yun.operations import service as operations
from yun.operations.intent import Subject
from yun.storage import service as storage
from yun.storage.model import TrashItem, Volume
from yun.web.request import Asker

LISTS: dict[str, Any] = {
    "images": lambda ctx, q: images.list_images(ctx, q=q),
    "networks": lambda ctx, q: network.list_of(ctx, Network, q=q),
    "subnets": lambda ctx, q: network.list_of(ctx, Subnet, q=q),
    "routers": lambda ctx, q: network.list_of(ctx, Router, q=q),
    "ports": lambda ctx, q: network.list_of(ctx, Port, q=q),
    "groups": lambda ctx, q: network.list_of(ctx, SecurityGroup, q=q),
    "floating": lambda ctx, q: network.list_of(ctx, FloatingIp, q=q),
    "hosts": lambda ctx, q: hosts.list_hosts(ctx, q=q),
    "operations": lambda ctx, q: operations.list_operations(ctx, q=q),
    "trash": lambda ctx, q: storage.list_trash(ctx, q=q),
    "volumes": lambda ctx, q: storage.list_volumes(ctx, q=q),
    "audit": lambda ctx, q: identity.list_audit(ctx, q=q),
}


def found(lab: Lab, kind: str, q: str, locale: str = "en") -> list[Any]:
    """The rows that a query finds in a list."""
    with lab.asking(locale=locale) as ctx:
        rows: list[Any] = LISTS[kind](ctx, q).items
        ctx.session.expunge_all()
        return rows


def names(lab: Lab, kind: str, q: str) -> list[str]:
    """Their names, sorted."""
    return sorted(row.name for row in found(lab, kind, q))


@pytest.fixture
def town(lab: Lab) -> Lab:
    """Networks, groups, a machine with a port, an image apart, and things in the trash."""
    subnet = network.NewSubnet(cidr="10.88.0.0/24")
    lab.do(lambda ctx: network.create_network(ctx, network.NewNetwork("lab", "for trying", 1400, subnet=subnet)))
    lab.do(lambda ctx: network.create_network(ctx, network.NewNetwork("old", "", 1442)))
    lab.do(lambda ctx: network.delete_network(ctx, network.get_network(ctx, "old")))
    lab.do(lambda ctx: network.create_group(ctx, "web", ""))
    rule = network.NewRule("ingress", "tcp", 8000, 8100)
    lab.do(lambda ctx: network.add_rule(ctx, network.get_group(ctx, "web"), rule))
    lab.create("front")
    for name, size in (("small-disk", 2**30), ("big-disk", 20 * 2**30)):
        lab.do(lambda ctx, name=name, size=size: storage.create_volume(ctx, name=name, size_bytes=size))
        lab.do(lambda ctx, name=name: storage.delete_volume(ctx, storage.get_volume(ctx, name)))
    with lab.database.write() as session:
        session.execute(sa.update(Image).where(Image.name == "tiny").values(size_bytes=5 << 20, min_memory_mib=64))
    return lab


@both
def test_images_networks_groups_and_ports_are_found_by_what_they_are(town: Lab) -> None:
    every = names(town, "images", "")
    assert names(town, "images", "name=tiny size<6M memory<=64M kind:disk") == ["tiny"]
    assert names(town, "images", "-name=tiny") == [name for name in every if name != "tiny"]
    assert names(town, "images", "state:trashed") == []
    assert names(town, "networks", "mtu<1442 external:no description:trying") == ["lab"]
    assert names(town, "networks", "range:10.88.") == ["lab"] == names(town, "networks", "10.88.0")
    assert "old" not in names(town, "networks", "")
    assert names(town, "networks", "state:trashed") == ["old"]
    assert names(town, "subnets", "network:lab dhcp:yes") == ["10.88.0.0-24"]
    assert names(town, "groups", "port:8050") == ["web"]
    assert "web" not in names(town, "groups", "port:22")
    ports = found(town, "ports", "hostname:front link:yes -state:trashed")
    assert len(ports) == 1
    assert found(town, "ports", f"address:{ports[0].address}")[0].id == ports[0].id
    assert found(town, "ports", "network:lab") == []
    assert found(town, "floating", "used:yes") == []
    assert len(found(town, "routers", "snat:yes")) == 1


@both
def test_the_trash_and_volumes_are_found_by_what_they_are(town: Lab) -> None:
    assert names(town, "trash", "kind:volume size>10G") == ["big-disk"]
    assert names(town, "trash", "deleted<1d disk") == ["big-disk", "small-disk"]
    assert names(town, "trash", "deleted>1d") == []
    assert names(town, "volumes", "state:trashed size<2G") == ["small-disk"]


@both
def test_the_history_is_searched_by_its_words_in_the_readers_language(town: Lab) -> None:
    kinds = {row.kind for row in found(town, "operations", "subject:front")}
    assert "instance.create" in kinds
    assert kinds == {row.kind for row in found(town, "operations", "FRONT")}
    assert {r.kind for r in found(town, "operations", "kind:volume. state:succeeded by:root")} == {
        "volume.create", "volume.delete",
    }  # fmt: skip
    assert found(town, "operations", "kind:volume. -by:root") == []
    assert {r.subject_name for r in found(town, "operations", "delete volume small-disk")} == {"small-disk"}
    assert {r.subject_name for r in found(town, "operations", "删除 small-disk", "zh")} == {"small-disk"}
    assert found(town, "operations", "删除 small-disk", "en") == []
    assert found(town, "operations", "open:yes") == []
    assert found(town, "operations", "created>1h") == []


@both
def test_hosts_and_the_audit_are_searched_too(town: Lab) -> None:
    assert names(town, "hosts", "state:up,degraded cpus>=1 memory>1M accepts:yes local") == ["localhost"]
    assert names(town, "hosts", "without:libvirt") == []
    with town.database.write() as session:
        subject = Subject("instance", "ins_x", "forbidden-fruit")
        refused = Entry("permission.refused", ROOT, "192.0.2.7", subject, "refused")
        record(session, datetime.now(UTC), refused)
    assert [line.action for line in found(town, "audit", "outcome:refused")] == ["permission.refused"]
    assert [line.action for line in found(town, "audit", "fruit address:192.0.2.")] == ["permission.refused"]
    assert [line.action for line in found(town, "audit", "拒绝", "zh")] == ["permission.refused"]
    changes = found(town, "audit", "action:network.create by:root subject:lab at<1h")
    assert [line.subject.name for line in changes] == ["lab"]
    assert found(town, "audit", "at>1h") == []


@pytest.mark.parametrize("kind", LISTS)
def test_what_means_nothing_is_refused_with_the_word_and_its_place(lab: Lab, kind: str) -> None:
    with pytest.raises(Invalid) as caught:
        found(lab, kind, "one colour:red")
    assert caught.value.details == {"word": "colour:red", "position": 5}
    assert "colour:red (at character 5)" in caught.value.message.render()
    assert "第 5 个字符处" in caught.value.message.render("zh")
    assert "q" in caught.value.fields
    assert found(lab, kind, '"colour:red"') == []
    for q in ("%", "_", "\0", '"', "-", "'; --", "a" * 1000):
        found(lab, kind, q)
    with pytest.raises(Invalid) as caught:
        found(lab, kind, "a" * 1001)
    assert "q" in caught.value.fields


def test_a_value_that_means_nothing_is_refused_with_its_place(town: Lab) -> None:
    for kind, q, word, position in (
        ("networks", "mtu>lots", "mtu>lots", 1), ("groups", "a port:ssh", "port:ssh", 3),
        ("trash", "  size>much", "size>much", 3), ("operations", "x y state:odd", "state:odd", 5),
        ("audit", "at:never", "at:never", 1), ("images", "-kind:tape", "-kind:tape", 1),
    ):  # fmt: skip
        with pytest.raises(Invalid) as caught:
            found(town, kind, q)
        assert caught.value.details == {"word": word, "position": position}


def test_a_thing_that_has_none_is_not_that_one(lab: Lab) -> None:
    lab.create("placed")
    lab.create("shelved", start=False)
    with lab.asking() as ctx:
        assert [row.name for row in service.list_instances(ctx, q="-started<1h").items] == ["shelved"]


def test_a_search_sees_all_rows_not_the_first_thousand(lab: Lab) -> None:
    now = datetime.now(UTC)
    with lab.database.write() as session:
        session.add_all([
            TrashItem(id=new_id("tra"), kind="volume", subject_id=f"vol_{n}", project_id=lab.project_id,
                      name=f"disk-{n:04}", trashed_at=now - timedelta(minutes=n), purge_at=now)
            for n in range(1200)
        ])  # fmt: skip
        session.add_all([
            Network(id=new_id("net"), project_id=lab.project_id, name=f"net-{n:04}") for n in range(1200)
        ])
    assert names(lab, "trash", "disk-1199") == ["disk-1199"]
    assert names(lab, "networks", "net-1199") == ["net-1199"]


def test_the_lists_of_panel_and_api_take_the_same_query(town: Lab, settings: Settings) -> None:
    app = create_app(town.cloud)
    asker = Asker(actor=ADMIN, project_id=town.project_id, project_name="default")
    app.state.cloud.authenticate = lambda _session, _credentials: asker
    client = TestClient(app, base_url="http://yun.test", raise_server_exceptions=False, follow_redirects=False)
    for page, api, q, name in (
        ("/images", "/images", "name=tiny", "tiny"), ("/networks", "/networks", "range:10.88.", "lab"),
        ("/networks/security-groups", "/security-groups", "port:8050", "web"),
        ("/networks/ports", "/ports", "hostname:front", "front"), ("/hosts", "/hosts", "state:up", "localhost"),
        ("/trash", "/trash", "size>10G", "big-disk"), ("/operations", "/operations", "kind:network.create", "lab"),
        ("/audit", "/audit", "action:network.create", "lab"), ("/volumes", "/volumes", "attached:yes", "front"),
        ("/networks/floating-ips", "/floating-ips", "used:no", ""),
    ):  # fmt: skip
        shown = client.get(page, params={"q": q})
        assert shown.status_code == 200, shown.text
        assert name in shown.text, page
        assert "search-help" in shown.text, page
        answered = client.get(f"/api/v1{api}", params={"q": q})
        assert answered.status_code == 200, answered.text
        assert name in answered.text, api
        wrong = client.get(page, params={"q": "nonsense:1"})
        assert wrong.status_code == 200
        assert "nonsense:1 (at character 1)" in wrong.text, page
        refused = client.get(f"/api/v1{api}", params={"q": "nonsense:1"})
        assert refused.status_code == 422
        assert refused.json()["fields"]["q"], api
        assert client.get(page, params={"q": "name:"}).status_code == 200


def test_a_volume_of_the_trash_is_not_found_unless_asked_for(town: Lab) -> None:
    assert "small-disk" not in names(town, "volumes", "")
    assert {row.state for row in found(town, "volumes", "state:trashed")} == {"trashed"}
    assert isinstance(found(town, "volumes", "state:trashed")[0], Volume)
