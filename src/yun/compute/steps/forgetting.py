"""All rows of an instance as one value: taken away without touching a file or a domain, and put back the same."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.db import Base, UTCDateTime
from yun.compute.model import Instance
from yun.network.service import ports_of
from yun.storage import service as storage
from yun.storage.model import Layer

PASSING = frozenset({"instance_sample", "console_ticket", "instance_guest"})
"""What is not worth being put back: measurements, tickets, what the guest last told of itself."""
OURS = "released:{uuid}"
"""Who holds a frozen file of ours once a machine that stands on it has left."""


def forget_all(session: Session, row: Instance) -> dict[str, Any]:
    """The rows of the instance, its disks and its cards are gone; what they were, as JSON. Base files of ours that its
    disks stand on are held for it from now on: nothing may remove them below a machine that is not ours any more."""
    instance_id, uuid = row.id, row.uuid
    disks = storage.attachments_of(session, instance_id)
    volumes = [disk.volume.id for disk in disks]
    layers = [disk.head.layer_id for disk in disks if disk.head.layer_id]
    session.flush()
    dump = _dump(session, instance_id, volumes, [port.id for port in ports_of(session, instance_id)])
    session.expire_all()
    for name, rows in reversed(dump):
        _delete(session, Base.metadata.tables[name], rows)
    _drop_passing(session, instance_id)
    return {"rows": dump, "layers": _leave_layers(session, layers, OURS.format(uuid=uuid)), "uuid": uuid}


def put_back(session: Session, gone: dict[str, Any]) -> None:
    """What `forget_all` took away is there again; nothing happens where it is."""
    if not gone:
        return
    for values in reversed(gone["layers"]["gone"]):
        if session.get(Layer, values["id"]) is None:
            _insert(session, Layer.__table__, values)
    for layer_id in gone["layers"]["held"]:
        storage.let_go(session, layer_id, OURS.format(uuid=gone["uuid"]))
    for name, rows in gone["rows"]:
        for values in rows:
            _insert(session, Base.metadata.tables[name], values)
    session.flush()


def _dump(session: Session, instance_id: str, volumes: list[str], ports: list[str]) -> list[tuple[str, list[Any]]]:
    known = {"instance_id": [instance_id], "volume_id": volumes, "port_id": ports, "owner": [instance_id]}
    own = {"instance": [instance_id], "volume": volumes, "port": ports}
    found = []
    for table in Base.metadata.sorted_tables:
        if table.name in PASSING:
            continue
        tests = [table.c[name].in_(ids) for name, ids in known.items() if name in table.c and ids]
        if table.name in own:
            tests.append(table.c.id.in_(own[table.name]))
        if not tests:
            continue
        rows = session.execute(sa.select(table).where(sa.or_(*tests))).mappings()
        plain = [{k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()} for row in rows]
        if plain:
            found.append((table.name, plain))
    return found


def _drop_passing(session: Session, instance_id: str) -> None:
    for name in PASSING:
        table = Base.metadata.tables.get(name)
        if table is not None and "instance_id" in table.c:
            session.execute(sa.delete(table).where(table.c.instance_id == instance_id))


def _delete(session: Session, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    keys = list(table.primary_key.columns)
    for row in rows:
        session.execute(sa.delete(table).where(*(column == row[column.name] for column in keys)))


def _insert(session: Session, table: Any, values: dict[str, Any]) -> None:
    moments = {
        c.name: datetime.fromisoformat(values[c.name])
        for c in table.columns
        if isinstance(c.type, UTCDateTime) and values.get(c.name) is not None
    }
    session.execute(sa.insert(table).values(**{**values, **moments}))


def _leave_layers(session: Session, tops: list[str], holder: str) -> dict[str, list[Any]]:
    gone: list[dict[str, Any]] = []
    held: list[str] = []
    for top in dict.fromkeys(tops):
        current: str | None = top
        while current is not None:
            layer = session.get(Layer, current)
            if layer is None or (layer.adopted and storage.layer_is_needed(session, current)):
                break
            if not layer.adopted:
                storage.hold(session, current, holder)
                held.append(current)
                break
            table: Any = Layer.__table__
            rows = session.execute(sa.select(table).where(table.c.id == current)).mappings()
            gone += [{k: v.isoformat() if isinstance(v, datetime) else v for k, v in r.items()} for r in rows]
            current = layer.parent_id
            session.delete(layer)
            session.flush()
    return {"gone": gone, "held": held}
