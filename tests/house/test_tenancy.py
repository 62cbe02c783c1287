"""What somebody may see in one project must not be usable from another, and a narrow token stays narrow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.house import story as told
from tests.house.story import Story
from yun.app import WebCloud
from yun.base.config import Settings
from yun.base.context import Actor, Context
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound
from yun.compute import service as compute
from yun.identity import service as identity
from yun.images import service as images
from yun.network import service as network
from yun.operations import service as operations
from yun.operations import stream as streams
from yun.operations.model import Operation
from yun.storage import service as storage
from yun.web.request import Credentials


class Two:
    """Two projects; ``guest`` is a member of ``ours`` and may look at ``theirs``."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.ours = story.do(lambda ctx: identity.create_project(ctx, name="ours")).subject_id
        with story.cloud.database.read() as session:
            self.theirs = identity.default_project(session).id
        made = story.do(
            lambda ctx: identity.create_user(ctx, identity.NewUser("guest", project="ours", role="member"))
        )
        story.do(lambda ctx: identity.grant_in_project(ctx, "default", "guest", "reader"))
        story.do(network.ensure_default)
        self.guest = Actor("user", made.subject_id, "guest", {self.ours: "member", self.theirs: "reader"})

    @contextmanager
    def asking(self, actor: Actor | None = None, project: str | None = None) -> Iterator[Context]:
        with self.story.cloud.database.read() as session:
            yield Context(
                actor=actor or self.guest, session=session, settings=self.story.settings,
                project_id=project or self.ours,
            )  # fmt: skip

    def token(self, **wish: str) -> Actor:
        """The guest by a new token of his."""
        with self.story.cloud.database.write() as session:
            ctx = Context(actor=self.guest, session=session, settings=self.story.settings, project_id=self.ours)
            intent, secret = identity.create_token(ctx, identity.NewToken("t", **wish))
            operations.submit(ctx, intent)
        with self.story.cloud.database.read() as session:
            return identity.authenticate(session, Credentials(bearer=secret), self.story.settings).actor


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    story = Story.begin(Settings(state_dir=tmp_path, fake=True))
    yield Two(story)
    story.cloud.database.close()


def test_another_projects_network_cannot_be_used_by_who_may_only_look_at_it(two: Two) -> None:
    with two.asking(project=two.theirs) as ctx:
        theirs = network.default_network(ctx)
    with two.asking() as ctx:
        assert network.get_network(ctx, theirs.id).id == theirs.id
        with pytest.raises(Invalid) as refused:
            compute.create(ctx, compute.Wish(name="spy", image="tiny", flavor="tiny", network=theirs.id))
    assert set(refused.value.fields) == {"network"}


def test_another_projects_private_image_cannot_be_carried_out_by_a_reader(two: Two) -> None:
    with two.asking(project=two.theirs) as ctx:
        image = images.get(ctx, "tiny")
    two.story.do(lambda ctx: images.set_visibility(ctx, images.get(ctx, image.id), "private"))
    with two.asking() as ctx, pytest.raises((Forbidden, NotFound)):
        compute.create(ctx, compute.Wish(name="spy", image=image.id, flavor="tiny"))


def test_a_reader_changes_nothing_of_a_machine_he_sees(two: Two) -> None:
    made = two.story.do(told.instance("theirs"))
    with two.asking() as ctx:
        machine = compute.get(ctx, made.subject_id)
        for verb in (compute.stop, compute.reboot, compute.pause, compute.delete):
            with pytest.raises(Forbidden):
                verb(ctx, machine)
        with pytest.raises(Forbidden):
            operations.undo(ctx, made.id)
        disk = storage.attachments_of(ctx.session, machine.id)[0].volume
        with pytest.raises(Forbidden):
            storage.delete_volume(ctx, disk)


def test_a_token_for_one_project_sees_nothing_of_its_owners_other_projects(two: Two) -> None:
    made = two.story.do(told.instance("theirs"))
    narrow = two.token(role="member", project="ours")
    with two.asking(narrow) as ctx:
        for look in (lambda: compute.get(ctx, made.subject_id), lambda: operations.get(ctx, made.id)):
            with pytest.raises(NotFound):
                look()
        shown = operations.list_operations(ctx).items
    assert {o.project_id for o in shown} <= {two.ours, None}


def test_the_history_of_a_project_ends_with_the_role_in_it(two: Two) -> None:
    with two.story.cloud.database.write() as session:
        ctx = Context(actor=two.guest, session=session, settings=two.story.settings, project_id=two.ours)
        operations.submit(ctx, storage.create_volume(ctx, name="mine", size_bytes=2**30))
    left = Actor("user", two.guest.id, "guest", {two.theirs: "reader"})
    with two.asking(left, two.theirs) as ctx:
        ctx.project_id = None
        assert [o.kind for o in operations.list_operations(ctx).items if o.project_id == two.ours] == []


def test_a_token_cannot_undo_what_was_done_to_its_owners_account(two: Two) -> None:
    with two.story.cloud.database.write() as session:
        ctx = Context(actor=two.guest, session=session, settings=two.story.settings, project_id=two.ours)
        operations.submit(ctx, identity.add_key(ctx, identity.NewKey(told.fresh_key(), name="old")))
        gone: Operation = operations.submit(ctx, identity.delete_key(ctx, "old"))
    narrow = two.token(role="member", project="ours")
    with two.asking(narrow) as ctx, pytest.raises(Forbidden):
        operations.undo(ctx, gone.id)
    with two.asking() as ctx:
        assert operations.undo(ctx, gone.id).kind == "operation.undo"


def test_a_project_with_things_in_it_stays(two: Two) -> None:
    two.story.do(told.instance("theirs"))
    with two.story.cloud.database.read() as session:
        ctx = two.story.context(session)
        with pytest.raises(Conflict) as refused:
            identity.delete_project(ctx, "default")
    assert set(refused.value.details["contents"]) == {"image", "instance", "volume", "port"}
    assert "云主机：1" in refused.value.message.render("zh")
    assert "instance: 1" in refused.value.message.render("en")


def test_the_live_stream_of_a_session_ends_with_it(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RENEW_SECONDS", 0.2)
    two.story.do(lambda ctx: identity.set_password(ctx, "guest", "correct horse battery"))
    cloud = WebCloud(two.story.cloud)
    gate = identity.Gate(cloud.database, cloud.settings)
    held = Credentials(session=gate.login(Credentials(address="192.0.2.1"), "guest", "correct horse battery").secret)
    with cloud.database.read() as session:
        asker = cloud.authenticate(session, held)

    async def listen() -> None:
        waiting = asyncio.ensure_future(cloud.events(asker, None, held).__anext__())
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await asyncio.to_thread(gate.logout, held)
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(waiting, 10)

    asyncio.run(listen())
