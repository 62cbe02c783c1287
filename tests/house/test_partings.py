"""A project goes with what it was given by itself, and comes back with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.house.story import Story
from yun.base.config import Settings
from yun.base.db import Base
from yun.base.errors import Conflict
from yun.identity import holdings
from yun.identity import service as identity
from yun.network import service as network
from yun.network.model import Network, Router, SecurityGroup, Subnet
from yun.operations import service as operations
from yun.operations.model import Notice, Operation

GIVEN = (Network, Subnet, Router, SecurityGroup)


class Tenant:
    """The project ``p1``, which has had its default things for a while."""

    def __init__(self, story: Story) -> None:
        self.story = story
        story.do(network.ensure_default)
        self.made = story.do(lambda ctx: identity.create_project(ctx, name="p1"))
        self.id = self.made.subject_id
        story.do(network.reconcile)
        assert self.states() == {"active"}

    def states(self) -> set[str]:
        with self.story.cloud.database.read() as session:
            return {s for t in GIVEN for s in session.scalars(sa.select(t.state).where(t.project_id == self.id))}

    def rows(self, table: type[Any]) -> list[Any]:
        with self.story.cloud.database.read() as session:
            return list(session.scalars(sa.select(table)))

    def in_engine(self) -> int:
        with self.story.cloud.database.read() as session:
            ids = {i for t in GIVEN for i in session.scalars(sa.select(t.id).where(t.project_id == self.id))}
        have = self.story.drivers.network.inventory()
        return len(ids & {identifier for kind in have.values() for identifier in kind})

    def delete(self) -> Operation:
        return self.story.do(lambda ctx: identity.delete_project(ctx, "p1"))

    def undo(self, operation: Operation) -> str:
        return str(self.story.do(lambda ctx: operations.undo(ctx, operation.id)).state)


@pytest.fixture
def tenant(tmp_path: Path, database_url: str) -> Iterator[Tenant]:
    story = Story.begin(Settings(state_dir=tmp_path, fake=True, database_url=database_url))
    yield Tenant(story)
    story.cloud.database.close()


def test_a_project_can_be_deleted_after_it_was_given_its_network(tenant: Tenant) -> None:
    assert tenant.in_engine() == 3
    with tenant.story.cloud.database.read() as session:
        effects = [e.text for e in identity.delete_project(tenant.story.context(session), "p1").effects]
    assert any("default network" in e for e in effects)
    assert tenant.delete().state == "succeeded"
    assert (tenant.states(), tenant.in_engine()) == ({"trashed"}, 0)
    assert [n.key for n in tenant.rows(Notice)] == []


def test_its_undo_brings_exactly_that_back(tenant: Tenant) -> None:
    before = tenant.story.picture()
    assert tenant.undo(tenant.delete()) == "succeeded"
    assert tenant.story.picture() == before
    assert tenant.in_engine() == 3


def test_what_had_been_deleted_before_stays_deleted(tenant: Tenant) -> None:
    with tenant.story.cloud.database.write() as session:
        session.execute(sa.update(Router).where(Router.project_id == tenant.id).values(state="trashed"))
    tenant.undo(tenant.delete())
    with tenant.story.cloud.database.read() as session:
        assert session.scalar(sa.select(Router.state).where(Router.project_id == tenant.id)) == "trashed"
        assert session.scalar(sa.select(Network.state).where(Network.project_id == tenant.id)) == "active"


def test_the_making_of_a_project_can_be_undone_after_it_was_given_its_network(tenant: Tenant) -> None:
    assert tenant.undo(tenant.made) == "succeeded"
    assert (tenant.states(), tenant.in_engine()) == ({"trashed"}, 0)
    assert tenant.story.do(lambda ctx: identity.create_project(ctx, name="p1")).state == "succeeded"


def test_what_was_made_in_it_keeps_it(tenant: Tenant) -> None:
    def group(ctx: Any) -> Any:
        ctx.project_id = tenant.id
        return network.create_group(ctx, "g1")

    tenant.story.do(group)
    with tenant.story.cloud.database.read() as session, pytest.raises(Conflict) as refused:
        identity.delete_project(tenant.story.context(session), "p1")
    assert refused.value.details["contents"] == {"security_group": 1}
    assert "安全组：1" in refused.value.message.render("zh")


def test_everything_that_a_project_can_hold_has_a_name(tenant: Tenant) -> None:
    tables = {n for n, t in Base.metadata.tables.items() if "project_id" in t.c} - holdings.NOT_CONTENT
    nouns = {n: holdings.noun(n) for n in tables - {"network_default"}}
    unnamed = [n for n, noun in nouns.items() if noun.render("zh") == noun.render("en")]
    assert not unnamed, unnamed
