"""Finding snapshots: one by name or id, many page by page, an instance's tree, two against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.base.paging import Page, paginate
from yun.compute.model import Instance
from yun.compute.names import is_id
from yun.snapshots.model import ALLOWED, Kind, Present, Snapshot, SnapshotDisk, State
from yun.storage.model import Layer

SORTS = {"name": Snapshot.name, "created_at": Snapshot.created_at, "memory_bytes": Snapshot.memory_bytes}
DEFINITION = ("vcpus", "memory_mib", "flavor_id", "flavor_name", "firmware", "hardware", "boot_order")
"""The columns of an instance that a node remembers and a restore brings back."""


@dataclass(frozen=True)
class Node:
    """A snapshot in its tree: the node above it that is not in the trash, how deep it stands, what it takes."""

    row: Snapshot
    parent_id: str | None
    depth: int
    own_bytes: int
    shared_bytes: int
    children: int


@dataclass(frozen=True)
class Tree:
    """An instance's nodes, parents before their children, and the one that its present grew from."""

    nodes: tuple[Node, ...]
    present: str | None


def get(ctx: Context, reference: str) -> Snapshot:
    """A snapshot by id, by name in the context's project, or as INSTANCE/NAME; trashed ones too.

    Raises `NotFound` where it does not exist for the actor, `Conflict` where several have the name.
    """
    if "\0" in reference:
        raise not_found("snapshot", "?")
    query = sa.select(Snapshot)
    if is_id(reference, Snapshot.PREFIX):
        query = query.where(Snapshot.id == reference)
    else:
        whose, _slash, name = reference.rpartition("/")
        query = query.where(Snapshot.name == name)
        if whose:
            named = sa.select(Instance.id).where(Instance.name == whose)
            gone = sa.and_(Snapshot.instance_name == whose, Snapshot.instance_id.not_in(sa.select(Instance.id)))
            query = query.where(sa.or_(Snapshot.instance_id == whose, Snapshot.instance_id.in_(named), gone))
        if ctx.project_id is not None:
            query = query.where(Snapshot.project_id == ctx.project_id)
    found = [row for row in ctx.session.scalars(query.limit(100)) if ctx.sees(row.project_id)]
    if not found:
        raise not_found("snapshot", reference[:200])
    if len(found) > 1:
        raise Conflict(
            _("Several snapshots are called {name}.", name=reference[:120]),
            hint=_("Name one by its instance too: {names}", names=", ".join(
                sorted(f"{name_now(ctx.session, row)}/{row.name}" for row in found)[:5])),
        )  # fmt: skip
    ctx.may("snapshot.show", found[0].project_id)
    return found[0]


def list_snapshots(
    ctx: Context, *, instance: Instance | None = None, q: str = "", sort: str = "-created_at",
    cursor: str | None = None, limit: int = 100,
) -> Page[Snapshot]:  # fmt: skip
    """A page of the snapshots that the actor may see, those in the trash left out; ``q`` is a part of a name or note,
    or of an instance's name. Raises `Invalid` for an unknown sort or cursor."""
    query = sa.select(Snapshot).where(Snapshot.state != State.TRASHED, Snapshot.kind != Kind.FORK)
    if instance is not None:
        query = query.where(Snapshot.instance_id == instance.id)
    if ctx.project_id is not None:
        ctx.may("snapshot.list")
        query = query.where(Snapshot.project_id == ctx.project_id)
    elif ctx.actor.role_in(None) is None:
        query = query.where(Snapshot.project_id.in_(list(ctx.actor.roles)))
    else:
        ctx.may("snapshot.list")
    for word in q.split():
        named = sa.select(Instance.id).where(Instance.name.icontains(word, autoescape=True))
        columns = (Snapshot.name, Snapshot.note, Snapshot.instance_name)
        query = query.where(sa.or_(
            *(column.icontains(word, autoescape=True) for column in columns), Snapshot.instance_id.in_(named)
        ))  # fmt: skip
    return paginate(ctx.session, query, sorts=SORTS, key=Snapshot.id, sort=sort, cursor=cursor, limit=limit)


def must_allow(row: Snapshot, verb: str) -> None:
    """Raise `Conflict` where the verb makes no sense in the snapshot's state."""
    if row.state not in ALLOWED[verb]:
        raise Conflict(
            _("The snapshot {name} is {state}; this is not possible now.", name=row.name, state=_(row.state))
        )


def disks_of(session: Session, snapshot_id: str) -> list[SnapshotDisk]:
    """The disks in a node, by slot."""
    found = session.scalars(sa.select(SnapshotDisk).where(SnapshotDisk.snapshot_id == snapshot_id))
    return sorted(found, key=lambda disk: (len(disk.slot), disk.slot))


def instance_of(session: Session, row: Snapshot) -> Instance | None:
    """The instance that the node is of, trashed ones too; None where it has been purged."""
    return session.get(Instance, row.instance_id)


def name_now(session: Session, row: Snapshot) -> str:
    """What the instance of a node is called now, or was called last where it has been purged."""
    found = session.scalar(sa.select(Instance.name).where(Instance.id == row.instance_id))
    return found if found is not None else row.instance_name


def present_of(session: Session, instance_id: str) -> str | None:
    """The id of the node that the instance's present grew from."""
    return session.scalar(sa.select(Present.snapshot_id).where(Present.instance_id == instance_id))


def taken(session: Session, instance_id: str, name: str, *, besides: str = "") -> bool:
    """Whether a snapshot of the instance, the trash included, has the name."""
    query = sa.select(Snapshot.id).where(
        Snapshot.instance_id == instance_id, Snapshot.name == name, Snapshot.id != besides
    )
    return session.scalar(query) is not None


# ── the tree ──


def tree(ctx: Context, instance: Instance) -> Tree:
    """All nodes of an instance. A node whose parent lies in the trash hangs on the next one above."""
    ctx.may("snapshot.list", instance.project_id)
    query = sa.select(Snapshot).where(Snapshot.instance_id == instance.id).order_by(Snapshot.created_at, Snapshot.id)
    rows = {row.id: row for row in ctx.session.scalars(query)}
    living = [row for row in rows.values() if shown(row)]

    def above(snapshot_id: str | None) -> str | None:
        seen: set[str] = set()
        while snapshot_id is not None and snapshot_id in rows and snapshot_id not in seen:
            seen.add(snapshot_id)
            if shown(rows[snapshot_id]):
                return snapshot_id
            snapshot_id = rows[snapshot_id].parent_id
        return None

    parents = {row.id: above(row.parent_id) for row in living}
    children: dict[str | None, list[Snapshot]] = {}
    for row in living:
        children.setdefault(parents[row.id], []).append(row)
    sizes = sizes_of(ctx.session, living)
    nodes: list[Node] = []
    open_ = [(row, 0) for row in reversed(children.get(None, []))]
    while open_:
        row, depth = open_.pop()
        below = children.get(row.id, [])
        own, shared = sizes[row.id]
        nodes.append(Node(row, parents[row.id], depth, own, shared, len(below)))
        open_ += [(each, depth + 1) for each in reversed(below)]
    return Tree(tuple(nodes), above(present_of(ctx.session, instance.id)))


def shown(row: Snapshot) -> bool:
    """Whether a node stands in its tree: not in the trash, and not a fork's for as long as that lasts."""
    return row.state != State.TRASHED and row.kind != Kind.FORK


def sizes_of(session: Session, rows: Sequence[Snapshot]) -> dict[str, tuple[int, int]]:
    """What each node takes on the disk: what would become free with it alone, and what it stands on together with
    others (other nodes, images, copies), in bytes."""
    if not rows:
        return {}
    layers = {row.id: row for row in session.execute(sa.select(Layer.id, Layer.parent_id, Layer.file_bytes))}
    ids = [row.id for row in rows]
    held: dict[str, set[str]] = {}
    for snapshot_id, layer_id in session.execute(
        sa.select(SnapshotDisk.snapshot_id, SnapshotDisk.layer_id).where(SnapshotDisk.snapshot_id.in_(ids))
    ):
        held.setdefault(snapshot_id, set()).add(layer_id)
    holders: dict[str, int] = {}
    for layer_id, count in session.execute(
        sa.select(SnapshotDisk.layer_id, sa.func.count()).group_by(SnapshotDisk.layer_id)
    ):
        holders[layer_id] = count
    found, whole = {}, _sums({i: (row.parent_id, int(row.file_bytes)) for i, row in layers.items()})
    for row in rows:
        tops = held.get(row.id, set())
        alone = sum(int(layers[i].file_bytes) for i in tops if i in layers and holders.get(i, 0) == 1)
        found[row.id] = (row.memory_bytes + alone, sum(whole.get(i, 0) for i in tops) - alone)
    return found


def _sums(layers: dict[str, tuple[str | None, int]]) -> dict[str, int]:
    """The size of each layer together with all that it stands on, of (parent, size) by id."""
    sums: dict[str, int] = {}
    for layer_id in layers:
        way, at = [], layer_id
        while at in layers and at not in sums:
            way.append(at)
            at = layers[at][0] or ""
        total = sums.get(at, 0)
        for each in reversed(way):
            total += layers[each][1]
            sums[each] = total
    return sums


def compare(ctx: Context, one: Snapshot, other: Snapshot) -> dict[str, Any]:
    """What differs between two nodes: columns of the definition with both values, disks that only one of them has, and
    for the others how many bytes were written on the way from where they part to each. Raises `Conflict` for nodes of
    different instances."""
    for row in (one, other):
        ctx.may("snapshot.show", row.project_id)
    if one.instance_id != other.instance_id:
        raise Conflict(_("The snapshots are of different instances."))
    fields = sorted({*one.definition, *other.definition})
    changed = {
        name: [one.definition.get(name), other.definition.get(name)]
        for name in fields if one.definition.get(name) != other.definition.get(name)
    }  # fmt: skip
    left, right = ({d.volume_id: d for d in disks_of(ctx.session, row.id)} for row in (one, other))
    return {
        "definition": changed,
        "only_first": [_disk(left[i]) for i in left if i not in right],
        "only_second": [_disk(right[i]) for i in right if i not in left],
        "disks": [{**_disk(left[i]), **_apart(ctx.session, left[i], right[i])} for i in left if i in right],
    }


def _disk(disk: SnapshotDisk) -> dict[str, Any]:
    return {"volume_id": disk.volume_id, "name": disk.volume_name, "slot": disk.slot, "size_bytes": disk.size_bytes}


def _apart(session: Session, one: SnapshotDisk, other: SnapshotDisk) -> dict[str, int]:
    chains = [_chain(session, disk.layer_id) for disk in (one, other)]
    common = {layer.id for layer in chains[0]} & {layer.id for layer in chains[1]}
    first, second = (sum(layer.file_bytes for layer in chain if layer.id not in common) for chain in chains)
    return {"first_bytes": first, "second_bytes": second, "second_size_bytes": other.size_bytes}


def _chain(session: Session, layer_id: str) -> list[Layer]:
    chain: list[Layer] = []
    at: str | None = layer_id
    while at is not None:
        layer = session.get_one(Layer, at)
        chain.append(layer)
        at = layer.parent_id
    return chain
