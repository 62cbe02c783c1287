"""The panel of instances: overview, list, creation, one instance, flavors' choice. Parse, call the verb, render."""

from fastapi import APIRouter

from yun.base.messages import _
from yun.compute.pages import (
    adopt,
    appliances,
    boot,
    bulk,
    buses,
    change_disk,
    clone,
    configure,
    create,
    disks,
    flavors,
    guest,
    host_devices,
    listing,
    media,
    move,
    nics,
    one,
    overlay,
    overview,
    volume_copies,
)
from yun.web.pages import PageRoute, command, nav

nav("overview", _("Overview"), "/", icon="layout-dashboard", order=0)
nav("instances", _("Instances"), "/instances", icon="server", order=10, permission="instance.list")
command("instance.create", _("Create an instance"), "/instances/new", icon="plus", permission="instance.create")

router = APIRouter(route_class=PageRoute, include_in_schema=False)
# Fixed addresses first: /instances/new is not an instance named "new".
for part in (
    overview, adopt, listing, create, bulk, flavors, disks, nics, clone, appliances, guest, media, configure, overlay,
    move, buses, boot, change_disk, volume_copies, host_devices, one,
):  # fmt: skip
    router.include_router(part.router)
