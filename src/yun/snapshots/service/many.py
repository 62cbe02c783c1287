"""The same change of many snapshots (`yun.operations.service.many`)."""

from __future__ import annotations

from yun.base.context import Context
from yun.base.messages import _
from yun.operations.service.many import MOST, Many
from yun.snapshots.model import Snapshot
from yun.snapshots.service.look import get, list_snapshots
from yun.snapshots.service.remove import delete


def _ids(ctx: Context, q: str, most: int) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while len(found) < most:
        page = list_snapshots(ctx, q=q, cursor=cursor, limit=500)
        found += [row.id for row in page.items]
        cursor = page.next
        if cursor is None:
            break
    return found[:most]


MANY: Many[Snapshot, None] = Many(
    noun="snapshot", get=get, find=_ids,
    calls={"delete": lambda ctx, row, _wish: delete(ctx, row)},
    titles={"delete": lambda count: _("Delete {count} snapshots", count=count)},
    none=_("Choose at least one snapshot."), too_many=_("These are more than {most} snapshots.", most=MOST),
)  # fmt: skip
