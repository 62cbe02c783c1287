"""Reading an OVA as a whole: its tar, its description and its manifest fit together, or it is refused."""

from __future__ import annotations

from dataclasses import replace

from yun.base.messages import Message, _
from yun.base.units import MIB
from yun.images.appliance import archive, descriptor, manifest
from yun.images.appliance.archive import Member, Source, refuse, shown
from yun.images.appliance.descriptor import Appliance, ApplianceDisk

MOST_TEXT = 4 * MIB
"""Neither a description nor a manifest is longer."""


def read(path: Source) -> Appliance:
    """What the OVA at ``path`` contains, each disk with its place in the file and its checksum. Raises `Invalid`.

    Reads headers, the description and the manifest; the disks are read, and held against the manifest, by `take`.
    """
    members = {m.name: m for m in archive.index(path)}
    text = _only(members, ".ovf")
    if text is None:
        raise refuse(_("it holds no description (.ovf)"))
    data = archive.content(path, text, MOST_TEXT)
    sums = _sums(path, members)
    if sums is not None:
        if text.name not in sums:
            raise refuse(_("its manifest says nothing about {name}", name=shown(text.name)))
        manifest.check(text.name, data, sums[text.name])
    found = descriptor.parse(data)
    warnings: list[Message] = []
    if sums is None:
        warnings.append(_("It has no manifest: nobody knows whether it was changed on its way."))
    used = {disk.file for disk in found.disks} | {text.name}
    rest = sorted(n for n in members if n not in used and not n.lower().endswith((".mf", ".cert")))
    if rest:
        warnings.append(_("Left out, for they are no disks of the machine: {names}", names=", ".join(map(shown, rest))))
    disks = tuple(_placed(disk, members, sums) for disk in found.disks)
    return replace(found, disks=disks, checked=sums is not None, warnings=tuple(warnings))


def _only(members: dict[str, Member], ending: str) -> Member | None:
    found = [m for name, m in members.items() if name.lower().endswith(ending)]
    if len(found) > 1:
        raise refuse(_("it holds {count} files that end in {ending}", count=len(found), ending=ending))
    return found[0] if found else None


def _sums(path: Source, members: dict[str, Member]) -> dict[str, tuple[str, str]] | None:
    member = _only(members, ".mf")
    if member is None:
        return None
    found = manifest.parse(archive.content(path, member, MOST_TEXT))
    for name in found:
        if name not in members:
            raise refuse(_("its manifest names {name}, which is not in it", name=shown(name)))
    return found


def _placed(
    disk: ApplianceDisk, members: dict[str, Member], sums: dict[str, tuple[str, str]] | None
) -> ApplianceDisk:
    if not disk.file:
        return disk
    if disk.file not in members:
        raise refuse(_("the disk {name} is not in it", name=shown(disk.file)))
    if sums is not None and disk.file not in sums:
        raise refuse(_("its manifest says nothing about {name}", name=shown(disk.file)))
    algorithm, digest = sums[disk.file] if sums is not None else ("", "")
    member = members[disk.file]
    return replace(disk, offset=member.offset, size=member.size, algorithm=algorithm, digest=digest)
