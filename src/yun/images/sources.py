"""Getting the file that an image is made of: from the host, from the web, from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yun.base.errors import Invalid, Unavailable, YunError
from yun.base.messages import _
from yun.images import builders
from yun.images.catalogue import find_checksum
from yun.images.faults import not_written
from yun.images.places import SHOWN, pool_of, share
from yun.images.space import left, watched
from yun.operations.flow import Op


def unreadable(path: str, error: OSError) -> YunError:
    """What it means that a host's file could not be copied."""
    if error.filename is None:
        return not_written(error, path.rpartition("/")[2])
    return Invalid(
        _("{path} cannot be read: {reason}", path=path, reason=error.strerror or "?"),
        fields={"path": _("an absolute path of a file on the host")},
    )


def fetched(op: Op, target: Path, source: dict[str, Any], checksum: str, pool_id: str) -> str:
    """The file at an address is here; the checksum it must have, by its makers' list where they publish one."""
    from yun.images import fetch  # its HTTP client takes five megabytes of every process that never fetches

    if source.get("listing"):
        # The checksum is asked for first: without it nothing is fetched.
        listing = fetch.text(fetch.Wish(source["listing"], source["private"], fetch.LISTING_LIMIT))
        found = find_checksum(listing, source["filename"], source["algorithm"])
        if found is None:
            raise Unavailable(
                _("The list of checksums does not name {filename}.", filename=source["filename"]),
                hint=_("It may have been replaced by a newer release; import it by its address."),
            )
        checksum = checksum or found
    pool = pool_of(op, pool_id)
    wish = fetch.Wish(source["url"], source["private"], left(op, pool))
    fetch.fetch(wish, target, watched(op, pool, share(op, "fetch", 0.0, 0.5)))
    return checksum


def built(op: Op, recipe: str) -> Path:
    """The file of a recipe, built or taken from an earlier build."""
    cache = op.settings.state_dir / "builds"
    if op.settings.fake:
        return builders.pretend(recipe, cache)
    op.progress(0.05, SHOWN["build"])
    return builders.build(recipe, cache, op.check_cancel)
