"""Written once for all verbs: who may only look changes nothing, and who is in another project sees nothing.

The scenes of the tests of operations say how each verb is asked for; here others than the administrator ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.house.story import Scene, Story, instance, on
from tests.house.test_operations import MORE, SCENES, set_up
from tests.house.test_routes import api_routes, client
from yun.base.config import Settings
from yun.base.context import Actor, Context
from yun.base.errors import Conflict, Forbidden, NotFound
from yun.compute import service as compute
from yun.identity import service as identity
from yun.images import service as images
from yun.storage import service as storage
from yun.web.request import Asker

ONES_OWN = {"key.create", "key.delete", "token.create", "token.revoke", "profile.update"}
"""What everybody may do with what is his: there is nothing of others in it."""


THE_CLOUDS = {"layer.merge"}
"""What the cloud does by itself: nobody can ask for it."""


def scenes() -> list[Any]:
    left_out = ONES_OWN | THE_CLOUDS
    return [
        pytest.param(kind, scene, id=kind)
        for kind, scene in {**SCENES, **MORE}.items() if kind.partition(" ")[0] not in left_out
    ]  # fmt: skip


class House:
    """The default project with a scene's things, and another project."""

    def __init__(self, story: Story) -> None:
        self.story = story
        with story.cloud.database.read() as session:
            self.home = identity.default_project(session).id
        self.other = story.do(lambda ctx: identity.create_project(ctx, name="others")).subject_id

    @contextmanager
    def asking(self, project: str, **roles: str) -> Iterator[Context]:
        """As somebody with these roles."""
        actor = Actor("user", "usr_somebody", "somebody", {getattr(self, where): role for where, role in roles.items()})
        with self.story.cloud.database.read() as session:
            yield Context(actor=actor, session=session, settings=self.story.settings, project_id=getattr(self, project))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    story = Story.begin(Settings(state_dir=tmp_path, fake=True))
    yield House(story)
    story.cloud.database.close()


@pytest.mark.parametrize(("kind", "scene"), scenes())
def test_nobody_who_may_only_look_and_no_member_of_another_project_may_do_it(
    kind: str, scene: Scene, house: House
) -> None:
    set_up(house.story, scene)
    before = house.story.picture()
    with house.asking("home", home="reader") as ctx, pytest.raises((Forbidden, NotFound)):
        scene.ask(ctx)
    with house.asking("home", other="admin") as ctx, pytest.raises((Forbidden, NotFound)):
        scene.ask(ctx)
    if scene.first:  # what is made anew is made in one's own project, which is no harm
        refusals: tuple[type[Exception], ...] = (Forbidden, NotFound)
        if kind.partition(" ")[0].endswith(".create"):  # of what one's own project may lack
            refusals += (Conflict,)
        with house.asking("other", other="member") as ctx, pytest.raises(refusals):
            scene.ask(ctx)
    assert house.story.picture() == before


def test_no_route_of_a_machine_its_disk_or_its_files_answers_a_stranger(house: House) -> None:
    story = house.story
    story.do(instance(start=False))
    exported = story.do(on(compute.export)).result["value"]["export_id"]  # type: ignore[index]
    with story.cloud.database.write() as session:
        ctx = story.context(session)
        new = images.NewImage("pack")
        upload = images.begin_upload(ctx, new, length=10, filename="a.ova", purpose="appliance").id
        disk = storage.get_volume(ctx, "m1").id
        machine = compute.get(ctx, "m1").id
    ids = {
        "/instances/{ref}": machine, "/volumes/{ref}": disk, "/image-exports/{identifier}": exported,
        "/image-uploads/{identifier}": upload, "/appliances/{upload}": upload,
    }  # fmt: skip
    stranger = Actor("user", "usr_somebody", "somebody", {house.other: "admin"})
    asking = client(story, Asker(actor=stranger, project_id=house.other))
    answered, asked = [], 0
    for method, path in api_routes(story):
        for prefix, identifier in ids.items():
            if not path.startswith(f"/api/v1{prefix}"):
                continue
            address = path.replace(prefix, prefix.partition("{")[0] + identifier)
            answer = asking.request(method, address, json={} if method in ("POST", "PUT", "PATCH") else None)
            asked += 1
            # 422, 415, 412: the form of a request is looked at first.
            if answer.status_code not in (403, 404, 412, 415, 422):
                answered.append(f"{method} {address}: {answer.status_code} {answer.text[:200]}")
            assert machine not in answer.text or identifier == machine
    assert asked > 40
    assert not answered, "\n".join(answered)
