"""Rows of the northbound database within one transaction: find by our id, insert, change only what differs.

The ready commands of ovsdbapp stumble over rows made in the same transaction; plain rows do not. Sets are changed
by `addvalue`/`delvalue` (mutations), so that two writers of one set do not lose each other's values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ovs.db.data import Atom
from ovs.db.types import UuidType
from ovsdbapp.backend.ovs_idl import idlutils

CLOUD = "yun_cloud"


@dataclass
class Index:
    """What a connection keeps about the rows: ``known`` maps (table, our id) to their UUIDs, ``below`` (table, network)
    to those of what hangs on the network.

    ``cloud`` is the mark of the cloud whose rows these are: another cloud's rows are strangers. Where it is empty
    every row of Yun counts as ours.
    """

    known: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)
    below: dict[tuple[str, str], set[Any]] = field(default_factory=dict)
    cloud: str = ""


class Rows:
    """The database as one transaction sees it."""

    def __init__(self, idl: Any, txn: Any, index: Index) -> None:
        self.idl, self.txn, self.index = idl, txn, index
        self.known, self.cloud = index.known, index.cloud
        self.made: dict[tuple[str, str], Any] = {}

    def find(self, table: str, identifier: str) -> Any | None:
        """The row of ours with this id, made in this transaction or before, or None. One without any cloud's mark is
        found too: it becomes ours when it is written next."""
        if (made := self.made.get((table, identifier))) is not None:
            return made
        rows = self.idl.tables[table].rows
        for uuid in self.known.get((table, identifier), ()):
            if uuid in rows and rows[uuid].external_ids.get("yun_id") == identifier:
                row = rows[uuid]
                if not self.cloud or row.external_ids.get(CLOUD, self.cloud) == self.cloud:
                    return row
        return None

    def named(self, table: str, name: str) -> Any | None:
        """The row whose ``name`` is this (tables with a unique name), or None."""
        return idlutils.row_by_value(self.idl, table, "name", name, None)

    def all(self, table: str, kind: str) -> Iterator[Any]:
        """Every row of ours of a kind; none that another cloud made or that carries no mark."""
        for row in list(self.idl.tables[table].rows.values()):
            ours = row.external_ids
            if ours.get("yun_kind") == kind and (not self.cloud or ours.get(CLOUD) == self.cloud):
                yield row

    def under(self, table: str, kind: str, network_id: str) -> Iterator[Any]:
        """Every row of ours of a kind that hangs on a network, as the database was when this transaction began."""
        rows = self.idl.tables[table].rows
        for uuid in list(self.index.below.get((table, network_id), ())):
            ours = rows[uuid].external_ids if uuid in rows else {}
            if ours.get("yun_kind") == kind and (not self.cloud or ours.get(CLOUD) == self.cloud):
                yield rows[uuid]

    def insert(self, table: str, **columns: Any) -> Any:
        """A new row. A row of a non-root table must be referenced in this same transaction."""
        row = self.txn.insert(self.idl.tables[table])
        for name, value in columns.items():
            setattr(row, name, value)
        return row

    def put(self, row: Any, **columns: Any) -> None:
        """Columns are as given; equal ones are not written. ``external_ids`` of strangers on the row stay."""
        for name, value in columns.items():
            if name == "external_ids":
                have = row.external_ids
                for key, text in value.items():
                    if have.get(key) != text:
                        row.setkey("external_ids", key, text)
            elif _plain(getattr(row, name)) != _plain(value):
                setattr(row, name, value)

    def upsert(
        self, table: str, kind: str, identifier: str, *, ids: Mapping[str, str] | None = None, **columns: Any
    ) -> Any:
        """The row of ours with this id, made or changed to have these columns."""
        ours = {"yun_kind": kind, "yun_id": identifier, **({CLOUD: self.cloud} if self.cloud else {}), **(ids or {})}
        row = self.find(table, identifier)
        if row is None:
            row = self.made[table, identifier] = self.insert(table, external_ids=ours, **columns)
            return row
        self.put(row, external_ids=ours, **columns)
        return row

    def match(self, table: str, owner: Any, column: str, wanted: Iterable[Mapping[str, Any]]) -> None:
        """The owner's set ``column`` holds exactly one row of ``table`` for each of ``wanted``.

        Rows are compared by the columns that ``wanted`` names; equal ones stay as they are.
        """
        missing = {_fingerprint(w): w for w in wanted}
        names = sorted({n for w in missing.values() for n in w})
        for row in getattr(owner, column, []):
            key = _fingerprint({n: getattr(row, n) for n in names}) if names else ()
            if missing.pop(key, None) is None:
                owner.delvalue(column, row)
        for columns in missing.values():
            self.add(owner, column, self.insert(table, **columns))

    def add(self, owner: Any, column: str, row: Any) -> None:
        """``row`` is in the owner's set; a mutation where the owner is in the database already. One that is there is
        not added again."""
        if owner._data is None:
            setattr(owner, column, [*getattr(owner, column, []), row])
        elif row._data is None or Atom(UuidType, row.uuid) not in owner._data[column].values:
            owner.addvalue(column, row)


    def drop(self, owner: Any, column: str, row: Any) -> None:
        """``row`` is not in the owner's set; where it is not there anyway, nothing is written."""
        if owner._data is not None and row._data is not None and Atom(UuidType, row.uuid) in owner._data[column].values:
            owner.delvalue(column, row)


def mac_of(identifier: str, prefix: str = "0a:00") -> str:
    """A steady MAC address for a thing of ours that keeps none in a row (DHCP servers)."""
    digest = hashlib.sha256(identifier.encode()).hexdigest()
    return prefix + "".join(f":{digest[i : i + 2]}" for i in range(0, 8, 2))


def _plain(value: Any) -> Any:
    """A column's value in a form that can be compared: sets without order, optional values as sets."""
    if isinstance(value, Mapping):
        return {str(k): str(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return sorted(str(getattr(v, "uuid", v)) for v in value)
    return [str(getattr(value, "uuid", value))]


def _fingerprint(columns: Mapping[str, Any]) -> tuple[Any, ...]:
    out: list[Any] = []
    for name in sorted(columns):
        value = _plain(columns[name])
        out.append((name, tuple(sorted(value.items())) if isinstance(value, dict) else tuple(value)))
    return tuple(out)
