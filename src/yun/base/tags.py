"""Tags: words that people give to things, to find them and to change them together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from yun.base.errors import Invalid
from yun.base.messages import _

TAG_LENGTH = 40
TAGS = 20
_TAG = re.compile(r"[^\s,:\"'<>/\\]+")
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def check_tags(tags: Iterable[str]) -> list[str]:
    """Tags without repetitions, in order. Raises `Invalid` for too many, or one that the search could not name."""
    right = _(
        "at most {tags} tags of 1 to {most} characters, without spaces, commas, colons and quotes",
        tags=TAGS, most=TAG_LENGTH,
    )  # fmt: skip
    kept = list(dict.fromkeys(unicodedata.normalize("NFC", t.strip()) for t in tags))
    for tag in kept:
        hidden = any(unicodedata.category(c) in _INVISIBLE and c != "\u200d" for c in tag)
        if not _TAG.fullmatch(tag) or len(tag) > TAG_LENGTH or hidden or tag.startswith("-"):
            raise Invalid(_("{tag} cannot be a tag.", tag=tag[:TAG_LENGTH]), fields={"tags": right})
    if len(kept) > TAGS:
        raise Invalid(_("Too many tags."), fields={"tags": right})
    return kept


def changed_tags(now: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """What there is with some more and without others. Raises `Invalid` where neither is named."""
    if not add and not remove:
        raise Invalid(_("Which tags?"), fields={"add_tags": _("one or more tags")})
    return [t for t in (*now, *(t for t in add if t not in now)) if t not in remove]
