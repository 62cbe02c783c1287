"""The verbs adopt and release: a machine of libvirt's becomes an instance, and an instance a plain machine again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.paging import Page, paginate
from yun.compute import found
from yun.compute import limits as io_limits
from yun.compute.model import LIVE, Adoption, FoundMachine, Instance, OnCrash, State
from yun.compute.names import check_name, hostname_for
from yun.compute.service.given import devices_of
from yun.compute.service.look import must_allow, refuse_taken
from yun.compute.service.power import HOST_SLOTS, keys, subject
from yun.compute.service.view import addresses, floating_ips
from yun.hosts import service as hosts
from yun.hosts.model import Host
from yun.operations.intent import Intent, Key, Subject
from yun.storage import service as storage
from yun.storage.model import Attachment, Head, Layer, Volume, VolumeState

SORTS = {"name": FoundMachine.name, "state": FoundMachine.state, "memory_mib": FoundMachine.memory_mib}
HOLDER = "released:{uuid}"


@dataclass(frozen=True)
class _Plan:
    """One disk: what it becomes, by ids chosen now."""

    disk: dict[str, Any]
    volume_id: str
    head_id: str
    name: str
    layer_ids: tuple[str, ...]


def list_found(
    ctx: Context, *, host: str | None = None, sort: str = "name", cursor: str | None = None, limit: int = 100
) -> Page[FoundMachine]:
    """The machines of libvirt's that no cloud has marked, as they were last seen."""
    ctx.may("host.found")
    query = sa.select(FoundMachine)
    if host is not None:
        query = query.where(FoundMachine.host_id == hosts.get(ctx, host).id)
    return paginate(
        ctx.session, query, sorts=SORTS, key=FoundMachine.uuid, sort=sort, cursor=cursor, limit=limit
    )


def get_found(ctx: Context, reference: str) -> FoundMachine:
    """One by UUID, or by its name where only one host has one. Raises `NotFound` and `Conflict`."""
    ctx.may("host.found")
    query = sa.select(FoundMachine).where(
        sa.or_(FoundMachine.uuid == reference, FoundMachine.name == reference)
    )
    rows = list(ctx.session.scalars(query.options(undefer(FoundMachine.xml)).limit(3)))
    exact = [row for row in rows if row.uuid == reference] or rows
    if not exact:
        raise not_found("found machine", reference[:70])
    if len(exact) > 1:
        raise Conflict(_("Several hosts have a machine {name}.", name=reference), hint=_("Name its UUID."))
    return exact[0]


def report(session: Session, row: FoundMachine) -> found.Report:
    """What taking it over means, with what other machines have to say about its files."""
    said = found.report_of(row.name, row.state, row.facts)
    return found.Report(said.now, said.later, said.kept, (*said.problems, *_claims(session, row)))


def _claims(session: Session, row: FoundMachine) -> list[Message]:
    """Files of this machine that another one writes to, and the other way round."""
    said: list[Message] = []
    tops = [disk["path"] for disk in found.volumes_of(row.facts)]
    below = [f["path"] for disk in found.volumes_of(row.facts) for f in disk["chain"][1:]]
    if len(set(tops)) < len(tops):
        said.append(_("Two of its disks are the same file."))
    query = sa.select(Head.path, Volume.name).join(Volume, Volume.id == Head.volume_id)
    for path, name in session.execute(query.where(Head.path.in_([*tops, *below]))):
        said.append(_("{path} is the disk of the volume {name}.", path=path, name=name))
    for path in session.scalars(sa.select(Layer.path).where(Layer.path.in_(tops))):
        said.append(_("{path} is a base file that other disks stand on.", path=path))
    for other in session.scalars(sa.select(FoundMachine).where(FoundMachine.uuid != row.uuid)):
        for disk in other.facts["disks"]:
            its = {disk["path"]} if not disk["kept"] else set()
            under = {f["path"] for f in disk["chain"][1:]}
            for path in sorted(its & {*tops, *below} | under & set(tops)):
                said.append(_("{path} is also used by the machine {name}.", path=path, name=other.name))
    return said


def adopt(ctx: Context, row: FoundMachine, *, name: str | None = None) -> Intent:
    """Take a machine over, running or not, without stopping or changing it, into the context's project.

    Its disks become volumes where they lie. Raises `Conflict` where its report names a problem, or the name is taken;
    `NoCapacity` where the host has promised too much. Undo forgets it again, and the machine goes on.
    """
    ctx.may("instance.adopt")
    project_id = ctx.project_id
    if project_id is None:
        raise Invalid(_("Choose a project first."), fields={"project": _("the project that will own the instance")})
    session = ctx.session
    said = report(session, row)
    if said.problems:
        raise Conflict(
            _("{name} cannot be taken over: {reason}", name=row.name, reason=said.problems[0]),
            hint=_("Mend it with virsh; it is looked at again within a minute."),
        )
    chosen = check_name(name) if name else _name_for(session, project_id, row)
    refuse_taken(session, project_id, chosen)
    host = session.get_one(Host, row.host_id)
    instance = _instance(row, project_id, chosen)
    plans = _plans(session, project_id, chosen, row)
    xml, facts = row.xml, {**row.facts, "state": row.state}
    came = Adoption(
        instance_id=instance.id, name=row.name, xml=xml, autostart=row.autostart, facts=facts,
        disks=[plan.disk["slot"] for plan in plans], cards=row.facts["cards"],
    )  # fmt: skip

    def write(into: Session) -> None:
        still = into.get(FoundMachine, row.uuid, populate_existing=True)
        if still is None or still.facts != row.facts:
            raise Conflict(_("{name} has changed since it was looked at.", name=row.name))
        refuse_taken(into, project_id, chosen)
        into.delete(still)
        into.add(instance)
        into.flush()
        hosts.allocate(
            into, host_id=host.id, owner=instance.id, vcpus=row.vcpus, memory_mib=row.memory_mib, returning=True
        )
        into.add(came)
        for plan in plans:
            _write(into, instance, plan)

    return Intent(
        kind="instance.adopt",
        title=_("Take over {name}", name=row.name),
        subject=subject(instance),
        project_id=project_id,
        arguments={"instance_id": instance.id},
        keys=(Key(f"instance:{instance.id}"), Key(f"found:{row.uuid}"), Key(f"host:{host.id}", HOST_SLOTS)),
        subjects=tuple(Subject("volume", plan.volume_id, plan.name) for plan in plans),
        effects=(*said.now, *said.later, *said.kept,
                 _("It is called {name}; when it goes down unasked it is left alone.", name=chosen)),
        back=(_("It becomes a machine of libvirt's alone again, and goes on as it is; no file is touched."),),
        write=write,
        deadline=300.0,
    )  # fmt: skip


def _name_for(session: Session, project_id: str, row: FoundMachine) -> str:
    for candidate in (row.name, row.facts.get("title", ""), f"machine-{row.uuid[:8]}"):
        try:
            base = check_name(candidate.replace("/", "-"))
        except Invalid:
            continue
        number, name = 1, base
        taken = sa.select(Instance.id).where(Instance.project_id == project_id)
        while session.scalar(taken.where(Instance.name == name)):
            number += 1
            name = f"{base}-{number}"
        return name
    raise AssertionError("the last candidate is a good name")


def _instance(row: FoundMachine, project_id: str, name: str) -> Instance:
    instance_id = new_id(Instance.PREFIX)
    return Instance(
        id=instance_id, uuid=row.uuid, project_id=project_id, name=name, hostname=hostname_for(name, instance_id),
        host_id=row.host_id, vcpus=row.vcpus, memory_mib=row.memory_mib, firmware=row.facts["firmware"],
        cloud_init=False, autostart=row.autostart, on_crash=OnCrash.LEAVE, state=State.BUILDING, mended_at=[],
    )  # fmt: skip


def _plans(session: Session, project_id: str, name: str, row: FoundMachine) -> list[_Plan]:
    plans: list[_Plan] = []
    for number, disk in enumerate(found.volumes_of(row.facts)):
        wanted = name if not number else f"{name}-{disk['slot']}"
        if storage.taken(session, project_id, wanted) or wanted in {p.name for p in plans}:
            wanted = storage.free_name(session, project_id, f"{name}-{disk['slot']}")
        layers = tuple(new_id(Layer.PREFIX) for _below in disk["chain"][1:])
        plans.append(_Plan(disk, new_id(Volume.PREFIX), new_id(Head.PREFIX), wanted, layers))
    return plans


def _write(session: Session, instance: Instance, plan: _Plan) -> None:
    """Volume, head, base files and place of one disk."""
    disk, top = plan.disk, plan.disk["chain"][0]
    pool = storage.default_pool(session)
    layer_id = _layers(session, pool.id, instance.uuid, disk["chain"][1:], plan.layer_ids)
    session.add(
        Volume(
            id=plan.volume_id, project_id=instance.project_id, pool_id=pool.id, name=plan.name,
            size_bytes=top["virtual_bytes"], state=VolumeState.BUILDING,
        )
    )  # fmt: skip
    session.flush()
    session.add(
        Head(
            id=plan.head_id, volume_id=plan.volume_id, layer_id=layer_id, path=top["path"], format=disk["format"],
            adopted=True,
        )
    )  # fmt: skip
    session.add(
        Attachment(
            volume_id=plan.volume_id, instance_id=instance.id, instance_name=instance.name, slot=disk["slot"],
            bus=disk["bus"], boot_order=disk["boot_order"], serial=disk["serial"][:40], cache=disk["cache"],
            io=disk.get("io", ""), discard=disk.get("discard", False),
            limits=io_limits.as_stored(disk.get("limits", {})),
        )
    )  # fmt: skip
    session.flush()


def _layers(
    session: Session, pool_id: str, uuid: str, chain: Sequence[dict[str, Any]], ids: Sequence[str]
) -> str | None:
    """The base files of a disk have rows, the lowest first; the id of the one it stands on."""
    parent: str | None = None
    for file, layer_id in reversed(list(zip(chain, ids, strict=True))):
        known = session.scalar(sa.select(Layer).where(Layer.path == file["path"]))
        if known is None:
            known = Layer(
                id=layer_id, pool_id=pool_id, parent_id=parent, digest=layer_id, path=file["path"],
                format=file["format"], virtual_bytes=file["virtual_bytes"], file_bytes=file["file_bytes"],
                length=file["length"], mtime_ns=file["mtime_ns"], adopted=True,
            )  # fmt: skip
            session.add(known)
            session.flush()
        elif not known.adopted:
            storage.let_go(session, known.id, HOLDER.format(uuid=uuid))
        parent = known.id
    return parent


def release(ctx: Context, instance: Instance) -> Intent:
    """Hand an instance back to libvirt as a plain machine with the disks it has now, without stopping it; the cloud
    forgets it and touches no file. Raises `Conflict` while it has a floating IP. Undo takes it back."""
    ctx.may("instance.release")
    must_allow(instance, "release")
    session = ctx.session
    if floating_ips(session, [instance.id]).get(instance.id):
        raise Conflict(
            _("The instance {name} has a floating IP.", name=instance.name), hint=_("Take it off first.")
        )
    if devices_of(session, instance.id):
        raise Conflict(
            _("The instance {name} has devices of its host.", name=instance.name), hint=_("Take them from it first.")
        )
    came = session.get(Adoption, instance.id)
    disks = storage.attachments_of(session, instance.id)
    ports = addresses(session, [instance.id]).get(instance.id, ())
    name = came.name if came is not None else instance.id
    return Intent(
        kind="instance.release",
        title=_("Release instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id},
        keys=(*keys(instance), Key(f"found:{instance.uuid}")),
        subjects=tuple(Subject("volume", disk.volume.id, disk.volume.name) for disk in disks),
        effects=(
            *((_("It goes on running; nothing of it is stopped or changed."),) if instance.state in LIVE else ()),
            _("libvirt has it as {name}, with the disks it has now.", name=name),
            *(_("{path} stays where it lies and is yours from now on.", path=disk.head.path) for disk in disks),
            *(_("Its address {address} stops working: the networks of the cloud let it go.", address=a)
              for a in ports),
            _("What it used and what was done to it is no longer shown with it; the history stays."),
        ),
        depends=tuple(
            _("The base file {path} is kept for it.", path=path) for path in _ours_below(session, disks)
        ),
        back=(_("It is taken back with its disks, name and addresses, and goes on running."),),
        write=None,
        deadline=300.0,
    )  # fmt: skip


def _ours_below(session: Session, disks: Sequence[storage.Disk]) -> list[str]:
    found_paths = []
    for disk in disks:
        layer = session.get(Layer, disk.head.layer_id) if disk.head.layer_id else None
        if layer is not None and not layer.adopted:
            found_paths.append(layer.path)
    return list(dict.fromkeys(found_paths))


def show_found(ctx: Context, row: FoundMachine) -> dict[str, Any]:
    """A found machine as JSON, with its report in the actor's language. Its definition is not in it: it may hold
    secrets."""
    said = report(ctx.session, row)
    host = ctx.session.get_one(Host, row.host_id)
    folders = sorted({os.path.dirname(d["path"]) for d in found.volumes_of(row.facts)})
    return {
        "uuid": row.uuid, "name": row.name, "host": host.name, "host_id": host.id, "state": row.state,
        "vcpus": row.vcpus, "memory_mib": row.memory_mib, "autostart": row.autostart, "folders": folders,
        "machine": row.facts["machine"], "firmware": row.facts["firmware"],
        "disks": [
            {"slot": d["slot"], "path": d["path"], "format": d["format"], "bus": d["bus"],
             "becomes_volume": not d["kept"] and not d["fault"], "files": [f["path"] for f in d["chain"]]}
            for d in row.facts["disks"]
        ],
        "cards": row.facts["cards"],
        "snapshots": [{"name": name, "external": external} for name, external in row.facts["snapshots"]],
        "report": {
            part: [m.render(ctx.locale) for m in getattr(said, part)] for part in ("now", "later", "kept", "problems")
        },
        "adoptable": not said.problems, "running": row.state in found.UP,
        "seen_at": row.seen_at.isoformat(),
    }  # fmt: skip
