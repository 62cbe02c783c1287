"""The verbs of images. What changes returns an `Intent`; what reads returns rows."""

from yun.images.boot_records import boot_fault, boot_faults, boot_word
from yun.images.service.bring import NewImage, build, import_address, import_file, import_upload, pull
from yun.images.service.edit import set_visibility, tag, update
from yun.images.service.exports import export, export_stat, get_export
from yun.images.service.look import (
    get,
    get_bootable,
    get_iso,
    ids_of,
    is_being_made,
    list_images,
    list_isos,
    refuse_unready,
    users_of,
)
from yun.images.service.remove import delete, purge
from yun.images.service.room import received
from yun.images.service.uploads import (
    MAX_LENGTH,
    appliance_of,
    begin_upload,
    drop_upload,
    get_upload,
    keep_upload,
    list_uploads,
    reserve_of,
    touch,
)
from yun.images.service.volumes import becomes, upload_volume

__all__ = [
    "MAX_LENGTH", "NewImage", "appliance_of", "becomes", "begin_upload", "boot_fault", "boot_faults",
    "boot_word", "build", "delete", "drop_upload", "export",
    "export_stat", "get", "get_bootable", "get_export", "get_iso", "get_upload", "ids_of", "import_address",
    "import_file", "import_upload", "is_being_made", "keep_upload", "list_images", "list_isos", "list_uploads",
    "pull", "purge", "received", "refuse_unready", "reserve_of", "set_visibility", "tag", "touch", "update",
    "upload_volume", "users_of",
]  # fmt: skip
