"""An import of an OVA whose process dies at any commit ends as if nobody had died."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.compute.test_appliances import THREE, upload
from tests.house.story import Story
from tests.house.test_operations import dies, differences, folder_of
from tests.images.ova import Wanted, ova
from yun.base.config import Settings
from yun.compute import service
from yun.images.model import Upload
from yun.operations.model import State
from yun.operations.service import submit


def test_a_death_at_every_commit_ends_like_none(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, fake=True)
    first = Story.begin(settings)
    with first.cloud.database.write() as session:
        ctx = first.context(session)
        row = upload(ctx, ova(Wanted(files=THREE)))
        path, identifier = Path(row.path), submit(ctx, service.import_appliance(ctx, row)).id
    kept = tmp_path / "kept.ova"
    shutil.copy(path, kept)
    expected: dict[str, Any] = {}
    for nth in range(0, 100):
        shutil.copy(kept, path)
        story = first.copy(folder_of(settings, nth))
        died = dies(story, nth) if nth else bool(story.cloud.engine.drain() and False)
        if died:
            story = story.reopen()
            story.cloud.engine.drain()
        ended = story.find(identifier)
        assert ended.state == State.SUCCEEDED, (nth, ended.error)
        expected = expected or story.picture()
        assert not differences(expected, story.picture()), nth
        assert not path.exists()
        with story.cloud.database.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(Upload)) == 0
        story.cloud.database.close()
        if nth and not died:
            return
    raise AssertionError("it never ended")


