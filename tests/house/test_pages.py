"""Every page opens in both languages for who may see it, and does not exist for another project's people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jinja2.nodes
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.house import story as told
from tests.house.addresses import page_addresses
from tests.house.source import environment
from tests.house.story import Story
from tests.house.test_routes import api_routes, client
from yun.base.config import Settings
from yun.base.context import Actor, Context
from yun.base.db import Base
from yun.base.messages import PACKAGE
from yun.compute import service as compute
from yun.compute.model import Flavor, Instance
from yun.hosts.model import Host
from yun.identity import service as identity
from yun.identity.model import ApiToken, Project, SshKey, User
from yun.images.model import Image
from yun.network import service as network
from yun.network.model import (
    FloatingIp,
    Network,
    Port,
    Router,
    RouterInterface,
    RouterRoute,
    SecurityGroup,
    SecurityRule,
    ServiceChain,
    Subnet,
)
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.snapshots import service as snapshots
from yun.snapshots.model import Snapshot
from yun.storage import service as storage
from yun.storage.model import Pool, TrashItem, Volume
from yun.web.request import Asker

THINGS: dict[str, Any] = {
    "/instances/": Instance, "/volumes/": Volume, "/images/": Image, "/networks/ports/": Port, "/pools/": Pool,
    "/networks/floating-ips/": FloatingIp, "/networks/security-groups/": SecurityGroup, "/networks/routers/": Router,
    "/networks/service-chains/": ServiceChain, "/networks/": Network,
    "/subnets/": Subnet, "/flavors/": Flavor, "/hosts/": Host, "/users/": User, "/projects/": Project,
    "/tokens/": ApiToken, "/keys/": SshKey, "/operations/": Operation, "/trash/": TrashItem,
    "/snapshots/": Snapshot,
}  # fmt: skip
OTHERS: dict[str, Any] = {
    "{rule_id}": SecurityRule, "{user}": User, "{interface}": RouterInterface, "{route}": RouterRoute,
}  # fmt: skip
TENANTS = (
    "/instances/", "/volumes/", "/networks/", "/subnets/", "/projects/", "/trash/", "/operations/", "/snapshots/",
)  # fmt: skip
STREAMS = ("/live", "/logout")
MAY_REFUSE = (403, 404, 409, 422)  # a thing may be in a state in which a dialog makes no sense


def stranger_to(project: str) -> Asker:
    """Somebody who administers a project of his own, and that alone."""
    return Asker(actor=Actor("user", "usr_stranger", "stranger", {project: "admin"}), project_id=project)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder: Path = tmp_path_factory.mktemp("pages")
    made = Story.begin(Settings(state_dir=folder, fake=True))
    machine = made.do(told.instance("<img src=x onerror=alert(1)>机器")).subject_id
    wish = snapshots.SnapshotWish("<img src=x>s", note="<img src=x>")
    made.do(lambda ctx: snapshots.create(ctx, compute.get(ctx, machine), wish))
    made.do(lambda ctx: storage.create_volume(ctx, name="data", size_bytes=2**30))
    gone = made.do(lambda ctx: storage.create_volume(ctx, name="gone", size_bytes=2**30)).subject_id
    made.do(lambda ctx: storage.delete_volume(ctx, storage.get_volume(ctx, gone)))
    made.do(lambda ctx: network.allocate(ctx, None))
    edge = made.do(lambda ctx: network.create_router(ctx, network.NewRouter("<img src=x>edge"))).subject_id
    made.do(lambda ctx: network.add_route(ctx, network.get_router(ctx, edge), "10.9.0.0/16", "172.31.240.9"))
    for name, cidr in (("inner", "10.9.1.0/24"), ("outer", "10.9.2.0/24")):
        wish = network.NewNetwork(name, subnet=network.NewSubnet(cidr, name=name))
        made.do(partial(network.create_network, new=wish))
    made.do(lambda ctx: compute.add_nic(ctx, compute.get(ctx, machine), compute.Card(network="inner")))
    made.do(partial(chain, machine=machine))
    made.do(lambda ctx: identity.create_token(ctx, identity.NewToken("ci"))[0])
    made.do(lambda ctx: identity.add_key(ctx, identity.NewKey(told.fresh_key())))
    yield made
    made.cloud.database.close()


def chain(ctx: Context, machine: str) -> Intent:
    """A service chain through the machine's second card."""
    hop = network.NewHop(network.ports_of(ctx.session, machine)[1].id)
    return network.create_chain(ctx, network.NewChain("<img src=x>链", "outer", [hop]))


def concrete(story: Story, path: str) -> str | None:
    """The address with ids of things that there are; None where there is none."""
    with story.cloud.database.read() as session:
        for prefix, model in THINGS.items():
            if not path.startswith(prefix + "{"):
                continue
            order = model.seq.desc() if model is Operation else model.id.desc()
            query = sa.select(model).order_by(order)
            row = session.scalars(query.limit(1)).first()
            if row is None:
                return None
            path = re.sub(r"\{(ref|operation_id)\}", row.id, path, count=1)
            break
        for name, model in OTHERS.items():
            row = session.scalars(sa.select(model).limit(1)).first()
            path = path.replace(name, row.id if row else "nothing")
    return None if "{" in path else path


def admin(story: Story) -> Asker:
    with story.cloud.database.read() as session:
        ctx = story.context(session)
        return Asker(actor=ctx.actor, project_id=ctx.project_id, project_name="default")


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_page_opens(story: Story, language: str) -> None:
    asking: TestClient = client(story, admin(story))
    broken, opened = [], 0
    for path in page_addresses():
        address = concrete(story, path)
        if address is None or path.startswith(STREAMS):
            continue
        answer = asking.get(address, headers={"Accept-Language": language}, follow_redirects=False)
        opened += answer.status_code == 200
        dialog = "{" in path and not path.endswith("}")
        if answer.status_code not in (200, 204, 302, 303, *(MAY_REFUSE if dialog else ())):
            broken.append(f"{address}: {answer.status_code}")
        if "<img src=x" in answer.text:
            broken.append(f"{address}: a name came through as markup")
    assert not broken, "\n".join(broken)
    assert opened > 50


def test_no_page_shows_another_projects_things(story: Story) -> None:
    things = [concrete(story, path) for path in page_addresses() if path.startswith(TENANTS) and "{" in path]
    elsewhere = story.do(lambda ctx: identity.create_project(ctx, name="elsewhere")).subject_id
    asking = client(story, stranger_to(elsewhere))
    seen = []
    for address in filter(None, things):
        answer = asking.get(address, follow_redirects=False)
        if answer.status_code not in (403, 404):
            seen.append(f"{address}: {answer.status_code}")
    assert not seen, "\n".join(seen)


def test_no_list_names_another_projects_things(story: Story) -> None:
    with story.cloud.database.read() as session:
        home = story.context(session).project_id
        ids = {
            identifier
            for table in Base.metadata.tables.values()
            if "project_id" in table.c and "id" in table.c
            for identifier in session.scalars(sa.select(table.c.id).where(table.c.project_id == home))
            if isinstance(identifier, str)
        }
        public = set(session.scalars(sa.select(Image.id).where(Image.visibility == "public")))
    elsewhere = story.do(lambda ctx: identity.create_project(ctx, name="far away")).subject_id
    asking = client(story, stranger_to(elsewhere))
    lists = [p for p in page_addresses() if "{" not in p and not p.startswith(STREAMS)]
    lists += [p for method, p in api_routes(story) if method == "GET" and "{" not in p and not p.endswith("/events")]
    told_of = []
    for path in lists:
        text = asking.get(path, follow_redirects=False).text
        told_of += [f"{path}: {found}" for found in ids - public if found in text]
    assert len(ids) > 8
    assert not told_of, "\n".join(told_of)


DICT_METHODS = frozenset(n for n in dir(dict) if not n.startswith("_"))


def methods_as_values(text: str) -> list[tuple[int, str]]:
    """Line and name of every ``x.update`` of a template that is not called: where x is a dict, that is its method and
    always true; ``x["update"]`` asks for the value. Of a page, ``page.items`` is a field."""
    tree = environment().parse(text)
    called = {id(call.node) for call in tree.find_all(jinja2.nodes.Call)}
    return [
        (got.lineno, got.attr)
        for got in tree.find_all(jinja2.nodes.Getattr)
        if got.attr in DICT_METHODS and id(got) not in called
        and not (isinstance(got.node, jinja2.nodes.Getattr) and got.node.attr == "page")
    ]  # fmt: skip


def test_no_template_takes_a_dicts_method_for_a_value_of_it() -> None:
    assert methods_as_values("{% if item.can.update %}{% endif %}") == [(1, "update")]
    assert not methods_as_values('{{ can["update"] }}{{ d.get(1) }}{% for x in listing.page.items %}{% endfor %}')
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}: .{name}"
        for path in sorted(PACKAGE.rglob("templates/**/*.html")) for line, name in methods_as_values(path.read_text())
    ]  # fmt: skip
    assert not wrong, "\n".join(wrong)
