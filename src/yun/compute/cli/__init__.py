"""Commands of this room, over the REST client; each module adds its verbs to a noun."""

from __future__ import annotations

from yun.compute.cli import (  # noqa: F401 (they add their verbs)
    adopt,
    appliances,
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
from yun.compute.cli.flavors import flavor
from yun.compute.cli.nics import add_nic  # noqa: F401 (it adds its verbs)
from yun.compute.cli.shared import instance
from yun.compute.console.cli import verbs as console_verbs
from yun.hosts.cli import host
from yun.images import cli as _images  # noqa: F401 (it adds a verb to volumes)
from yun.storage.cli import volume

for verb in console_verbs:
    instance.add_command(verb)
commands = [instance, flavor, volume, host]
