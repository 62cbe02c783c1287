"""The options of the command *create* that say how the first disk is made, read and written."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from yun.base.messages import _
from yun.compute.cli.limits import LIMIT_HELP, limits_of
from yun.web.command import option

CACHES = click.Choice(["none", "writeback", "writethrough", "directsync", "unsafe"])
BUSES = click.Choice(["virtio", "scsi", "sata", "ide"])
FORMATS = click.Choice(["qcow2", "raw"])
IO_MODES = click.Choice(["threads", "native", "io_uring"])


def first_disk(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options; the command gets them as ``disk_ways``, by the names of the API."""

    @option("--disk-bus", type=BUSES,
            help=_("Its bus; what the image has a driver for by default. With ide the machine type is pc."))
    @option("--disk-format", type=FORMATS, default="qcow2", show_default=True,
            help=_("Format of its file; the image is copied into a raw one."))
    @option("--disk-cache", type=CACHES, default="none", help=_("How the host caches it."))
    @option("--disk-io", type=IO_MODES,
            help=_("How the host reads and writes it; the hypervisor's own way."))
    @option("--disk-no-discard", "disk_discard", flag_value=False, default=True,
            help=_("What its guest gives up stays taken."))
    @option("--disk-serial", default="", help=_("By what the guest finds it; the volume's id by default."))
    @option("--disk-limit", "disk_limits", multiple=True, metavar="KIND=RATE", help=LIMIT_HELP)
    @option("--disk-limit-group", default="", help=_("Disks of the instance with the same name share one budget."))
    @functools.wraps(command)
    def gathered(*words: Any, **values: Any) -> None:
        ways = {name: values.pop(f"disk_{name}") for name in ("format", "cache", "io", "discard", "serial", "limits")}
        group, bus = values.pop("disk_limit_group"), values.pop("disk_bus")
        ways |= {"limits": limits_of(ways["limits"]), "limit_group": group, "io": ways["io"] or "", "bus": bus or ""}
        command(*words, disk_ways=ways, **values)

    return gathered
