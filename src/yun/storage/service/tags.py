"""The verb tag of volumes."""

from __future__ import annotations

from collections.abc import Sequence

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.base.tags import check_tags
from yun.operations.intent import Intent, unchanged
from yun.storage.model import Volume
from yun.storage.service.volumes import must_allow, subject_of


def tag_volume(ctx: Context, volume: Volume, tags: Sequence[str]) -> Intent:
    """The volume has exactly these tags. Raises `Invalid` for what cannot be one, `Conflict` where it has them."""
    ctx.may("volume.tag", volume.project_id)
    must_allow(volume, "tag")
    kept = check_tags(tags)
    if kept == volume.tags:
        raise Conflict(_("Nothing would change: it has these tags."))
    return Intent(
        kind="volume.tag",
        title=_("Tag volume {name}", name=volume.name),
        subject=subject_of(volume),
        project_id=volume.project_id,
        arguments={"volume_id": volume.id, "tags": kept},
        effects=(_("Its tags are: {tags}.", tags=", ".join(kept) or "–"),),
        still=unchanged(volume),
        instant=True,
    )
