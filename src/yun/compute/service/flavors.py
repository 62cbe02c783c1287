"""The verbs of flavors: sizes that administrators offer by name."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.paging import Page, paginate
from yun.base.units import GIB, MIB, TIB, format_size
from yun.compute.model import Flavor
from yun.compute.names import check_description, check_name, is_id
from yun.operations.intent import Intent, Subject

DEFAULTS = (
    ("nano", 1, 96, 1 * GIB),
    ("tiny", 1, 128, 1 * GIB),
    ("mini", 1, 512, 5 * GIB),
    ("small", 1, 1024, 10 * GIB),
    ("medium", 2, 2048, 20 * GIB),
    ("large", 4, 4096, 40 * GIB),
    ("xlarge", 8, 8192, 80 * GIB),
)
MAX_VCPUS = 256
MIN_MEMORY_MIB = 64
MAX_MEMORY_MIB = 4 * TIB // MIB
MIN_DISK = 1 * MIB
MAX_DISK = 64 * TIB

SORTS = {
    "name": Flavor.name,
    "memory_mib": Flavor.memory_mib,
    "vcpus": Flavor.vcpus,
    "disk_bytes": Flavor.disk_bytes,
    "created_at": Flavor.created_at,
}


def ensure_flavors(session: Session) -> list[str]:
    """The default flavors exist where there has never been any; the names of those that were made."""
    if session.scalar(sa.select(sa.func.count()).select_from(Flavor)):
        return []
    for name, vcpus, memory_mib, disk_bytes in DEFAULTS:
        session.add(Flavor(name=name, vcpus=vcpus, memory_mib=memory_mib, disk_bytes=disk_bytes))
    session.flush()
    return [row[0] for row in DEFAULTS]


def check_size(*, vcpus: int, memory_mib: int, disk_bytes: int) -> None:
    """Pass for a size that a machine can have. Raises `Invalid` naming every field that is out of range."""
    wrong: dict[str, Message] = {}
    if not 1 <= vcpus <= MAX_VCPUS:
        wrong["vcpus"] = _("1 to {most}", most=MAX_VCPUS)
    if not MIN_MEMORY_MIB <= memory_mib <= MAX_MEMORY_MIB:
        least, most = format_size(MIN_MEMORY_MIB * MIB), format_size(MAX_MEMORY_MIB * MIB)
        wrong["memory_mib"] = _("{least} to {most}", least=least, most=most)
    if not MIN_DISK <= disk_bytes <= MAX_DISK:
        wrong["disk_bytes"] = _("{least} to {most}", least=format_size(MIN_DISK), most=format_size(MAX_DISK))
    if wrong:
        raise Invalid(_("This size is out of range."), fields=wrong)


def list_flavors(
    ctx: Context, *, sort: str = "memory_mib", cursor: str | None = None, limit: int = 100
) -> Page[Flavor]:
    """The flavors on offer, smallest first."""
    ctx.may("flavor.list")
    query = sa.select(Flavor).where(Flavor.state == "active")
    return paginate(ctx.session, query, sorts=SORTS, key=Flavor.id, sort=sort, cursor=cursor, limit=limit)


def get_flavor(ctx: Context, reference: str) -> Flavor:
    """A flavor on offer, by name or id. Raises `NotFound`."""
    ctx.may("flavor.show")
    column = Flavor.id if is_id(reference, "flv") else Flavor.name
    reference = reference.replace("\0", "?")
    found = ctx.session.scalar(sa.select(Flavor).where(column == reference, Flavor.state == "active"))
    if found is None:
        raise not_found("flavor", reference)
    return found


def create_flavor(
    ctx: Context, *, name: str, vcpus: int, memory_mib: int, disk_bytes: int, description: str = ""
) -> Intent:
    """Offer a size by name. Raises `Invalid` for sizes out of range, `Conflict` where the name is taken."""
    ctx.may("flavor.create")
    name, description = check_name(name), check_description(description)
    if len(name) > 64:
        raise Invalid(_("The name is too long."), fields={"name": _("at most {most} characters", most=64)})
    check_size(vcpus=vcpus, memory_mib=memory_mib, disk_bytes=disk_bytes)
    refuse_taken_flavor(ctx.session, name)
    identifier = new_id("flv")
    return Intent(
        kind="flavor.create",
        title=_("Create flavor {name}", name=name),
        subject=Subject("flavor", identifier, name),
        arguments={
            "values": {
                "id": identifier, "name": name, "vcpus": vcpus, "memory_mib": memory_mib,
                "disk_bytes": disk_bytes, "description": description,
            }
        },
        effects=(
            _("Everybody may create instances with {vcpus} vCPU, {memory} of memory and a disk of {disk}.",
              vcpus=vcpus, memory=format_size(memory_mib * MIB), disk=format_size(disk_bytes)),
        ),
        instant=True,
    )  # fmt: skip


def delete_flavor(ctx: Context, reference: str) -> Intent:
    """Offer the flavor no longer; instances made with it keep their size."""
    ctx.may("flavor.delete")
    flavor = get_flavor(ctx, reference)
    return Intent(
        kind="flavor.delete",
        title=_("Delete flavor {name}", name=flavor.name),
        subject=Subject("flavor", flavor.id, flavor.name),
        arguments={"flavor_id": flavor.id},
        effects=(_("The flavor is no longer offered. Instances that use it stay as they are."),),
        instant=True,
    )


def refuse_taken_flavor(session: Session, name: str) -> None:
    """Raise `Conflict` where a flavor of this name is on offer."""
    if session.scalar(sa.select(Flavor.id).where(Flavor.name == name, Flavor.state == "active")):
        raise Conflict(
            _("There is already a flavor {name}.", name=name), fields={"name": _("a name that is not taken")}
        )
