"""REST of this room: parse, call the verb, render."""

from __future__ import annotations

from fastapi import APIRouter

from yun.compute.api import (  # noqa: F401 (they add their routes to the routers below)
    adopt,
    boot,
    bulk,
    buses,
    change_disk,
    clone,
    configure,
    disks,
    guest,
    host_devices,
    instances,
    media,
    move,
    overlay,
    reach,
    volume_copies,
)
from yun.compute.api.appliances import appliances
from yun.compute.api.flavors import flavors
from yun.compute.api.nics import add_nic  # noqa: F401 (it adds its routes to the routers below)
from yun.compute.api.shared import instances as instance_routes
from yun.compute.api.shared import volumes as volume_routes
from yun.compute.console import api as console
from yun.web.api import Route

router = APIRouter(route_class=Route)
for part in (
    instance_routes, volume_routes, bulk.images, bulk.networks, appliances, flavors, adopt.found, host_devices.hosts,
    console.router,
):  # fmt: skip
    router.include_router(part)
routers = (console.sockets,)
