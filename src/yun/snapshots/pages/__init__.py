"""The panel of snapshots: the list, an instance's tree, one snapshot, and its verbs. Parse, call the verb, render."""

from fastapi import APIRouter

from yun.base.messages import _
from yun.snapshots.pages import doing, many, showing
from yun.web.pages import PageRoute, command, nav, tab

nav("snapshots", _("Snapshots"), "/snapshots", icon="camera", order=40, permission="snapshot.list")
tab("instance", "snapshots", _("Snapshots"), after="disks", permission="snapshot.list")
command("snapshot.create", _("Take a snapshot"), "/snapshots/new", icon="camera", permission="snapshot.create")

router = APIRouter(route_class=PageRoute, include_in_schema=False)
# Fixed addresses first: /snapshots/new is not a snapshot named "new".
for part in (many, doing, showing):
    router.include_router(part.router)
