"""The verbs that change what is written about an image: name, properties, who sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.base.tags import check_tags
from yun.base.units import format_size
from yun.images.checks import check_properties, check_visibility
from yun.images.model import Image, Visibility
from yun.images.service.look import must_allow, name_subject, refuse_taken, subject
from yun.operations.intent import Intent, Subject, unchanged


def update(ctx: Context, image: Image, **changes: Any) -> Intent:
    """Change the name or properties. Machines that exist keep what they were made with.

    Raises `Invalid` for an unknown field or a bad value, `Conflict` where nothing would change or the name is taken.
    """
    ctx.may("image.update", image.project_id)
    must_allow(image, "update")
    if changes.get("name") == image.name:
        del changes["name"]
    values = {f: v for f, v in check_properties(changes).items() if v != getattr(image, f)}
    if not values:
        raise Conflict(_("Nothing would change: the image is already so."))
    names: tuple[Subject, ...] = ()
    if "name" in values:
        refuse_taken(ctx.session, image.project_id, values["name"], besides=image.id)
        names = tuple(name_subject(image.project_id, name) for name in (image.name, values["name"]))
    return Intent(
        kind="image.update",
        title=_("Change image {name}", name=image.name),
        subject=subject(image),
        subjects=names,
        project_id=image.project_id,
        arguments={"image_id": image.id, "values": values},
        effects=(*(_effect(image, f, v) for f, v in values.items()), _("Machines made of it stay as they are.")),
        still=unchanged(image),
        instant=True,
    )


def tag(ctx: Context, image: Image, tags: Sequence[str]) -> Intent:
    """The image has exactly these tags. Raises `Invalid` for what cannot be one, `Conflict` where it has them."""
    ctx.must_see(image.project_id, "image", image.id)
    ctx.may("image.tag", image.project_id)
    must_allow(image, "tag")
    kept = check_tags(tags)
    if kept == image.tags:
        raise Conflict(_("Nothing would change: it has these tags."))
    return Intent(
        kind="image.tag",
        title=_("Tag image {name}", name=image.name),
        subject=subject(image),
        project_id=image.project_id,
        arguments={"image_id": image.id, "values": {"tags": kept}},
        effects=(_("Its tags are: {tags}.", tags=", ".join(kept) or "–"),),
        still=unchanged(image),
        instant=True,
    )


def set_visibility(ctx: Context, image: Image, visibility: str) -> Intent:
    """Let every project use the image, or its own alone. For administrators of the cloud."""
    ctx.may("image.set_visibility")
    must_allow(image, "set_visibility")
    wanted = check_visibility(visibility)
    if wanted == image.visibility:
        raise Conflict(_("Nothing would change: the image is already so."))
    public = wanted == Visibility.PUBLIC
    title = (
        _("Make image {name} public", name=image.name) if public else _("Make image {name} private", name=image.name)
    )
    return Intent(
        kind="image.set_visibility",
        title=title,
        subject=subject(image),
        project_id=image.project_id,
        arguments={"image_id": image.id, "values": {"visibility": wanted}},
        effects=(_("Every project can use it."),) if public else (
            _("Its project alone can use it."), _("Machines made of it stay as they are."),
        ),
        still=unchanged(image),
        instant=True,
    )  # fmt: skip


def _effect(image: Image, field: str, value: Any) -> Message:
    old = getattr(image, field)
    if field == "description":
        return _("Its description changes.")
    if field == "min_disk_bytes":
        old, value = format_size(old), format_size(value)
    return _("{field} changes from {old} to {new}.", field=_(field), old=_shown(old), new=_shown(value))


def _shown(value: Any) -> str:
    return {True: "yes", False: "no", "": "–"}.get(value, str(value)) if isinstance(value, bool | str) else str(value)
