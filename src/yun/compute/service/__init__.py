"""The verbs of instances and flavors. What changes returns an `Intent`; what reads returns rows or JSON."""

from yun.compute.service.adopt import adopt, get_found, list_found, release, show_found
from yun.compute.service.appliances import ImportWish, contents, import_appliance
from yun.compute.service.boot import boot_once, boot_order, boot_view, boot_words, order_told
from yun.compute.service.buses import change_bus
from yun.compute.service.change_disk import TITLES as DISK_TITLES
from yun.compute.service.change_disk import DiskChange, change_disk, disk_told, find_disk
from yun.compute.service.clone import CloneWish, clone
from yun.compute.service.configure import TITLES as HARDWARE_TITLES
from yun.compute.service.configure import configure, drop_pending, waiting_of, waiting_words
from yun.compute.service.create import Wish, create, free_name, size_of
from yun.compute.service.detachments import DetachWish, detach_disks
from yun.compute.service.disk_ways import DiskWish
from yun.compute.service.disks import Place, add_disk, attach, detach, free_volumes, grow
from yun.compute.service.edit import rename, set_autostart, set_protection, tag, update
from yun.compute.service.exports import consistency_of, export
from yun.compute.service.first_disk import FirstDisk
from yun.compute.service.flatten import flatten
from yun.compute.service.flavors import create_flavor, delete_flavor, ensure_flavors, get_flavor, list_flavors
from yun.compute.service.given import devices_of
from yun.compute.service.guest import guest, learn_intent
from yun.compute.service.host_devices import (
    add_host_device,
    devices_on,
    list_devices,
    remove_host_device,
    show_devices,
)
from yun.compute.service.inside import freeze, run, set_password, sync_time, thaw, trim
from yun.compute.service.look import count_instances, get, list_instances, list_values
from yun.compute.service.make_image import make_image
from yun.compute.service.media import cd_buses, drives, eject, insert, usual_cd_bus
from yun.compute.service.metrics import histories, latest, metrics
from yun.compute.service.move import move, other_pools
from yun.compute.service.nics import TITLES as CARD_TITLES
from yun.compute.service.nics import Card, add_nic, card_told, change_nic, only, remove_nic, wish_told
from yun.compute.service.nics import find as card
from yun.compute.service.overlay import TITLES as OVERLAY_TITLES
from yun.compute.service.overlay import overlay_told, set_overlay
from yun.compute.service.power import pause, reboot, resume, start, stop
from yun.compute.service.remove import delete, purge
from yun.compute.service.resize import resize
from yun.compute.service.tending import nudged, tend
from yun.compute.service.view import add_usage, completed, detail, outside_cards, rendered, show_flavor
from yun.compute.service.volume_copies import copy, download

__all__ = [
    "CARD_TITLES",
    "DISK_TITLES",
    "HARDWARE_TITLES",
    "OVERLAY_TITLES",
    "Card",
    "CloneWish",
    "DetachWish",
    "DiskChange",
    "DiskWish",
    "FirstDisk",
    "ImportWish",
    "Place",
    "Wish",
    "add_disk",
    "add_host_device",
    "add_nic",
    "add_usage",
    "adopt",
    "attach",
    "boot_once",
    "boot_order",
    "boot_view",
    "boot_words",
    "card",
    "card_told",
    "cd_buses",
    "change_bus",
    "change_disk",
    "change_nic",
    "clone",
    "completed",
    "configure",
    "consistency_of",
    "contents",
    "copy",
    "count_instances",
    "create",
    "create_flavor",
    "delete",
    "delete_flavor",
    "detach",
    "detach_disks",
    "detail",
    "devices_of",
    "devices_on",
    "disk_told",
    "download",
    "drives",
    "drop_pending",
    "eject",
    "ensure_flavors",
    "export",
    "find_disk",
    "flatten",
    "free_name",
    "free_volumes",
    "freeze",
    "get",
    "get_flavor",
    "get_found",
    "grow",
    "guest",
    "histories",
    "import_appliance",
    "insert",
    "latest",
    "learn_intent",
    "list_devices",
    "list_flavors",
    "list_found",
    "list_instances",
    "list_values",
    "make_image",
    "metrics",
    "move",
    "nudged",
    "only",
    "order_told",
    "other_pools",
    "outside_cards",
    "overlay_told",
    "pause",
    "purge",
    "reboot",
    "release",
    "remove_host_device",
    "remove_nic",
    "rename",
    "rendered",
    "resize",
    "resume",
    "run",
    "set_autostart",
    "set_overlay",
    "set_password",
    "set_protection",
    "show_devices",
    "show_flavor",
    "show_found",
    "size_of",
    "start",
    "stop",
    "sync_time",
    "tag",
    "tend",
    "thaw",
    "trim",
    "update",
    "usual_cd_bus",
    "waiting_of",
    "waiting_words",
    "wish_told",
]  # fmt: skip
