"""What applying a spec would write, found by doing it in a transaction that is never committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ovs.db import idl as ovs_idl

from yun.base.errors import DriverError
from yun.drivers.network.ovn.rows import Rows


def rehearse(rows: Rows, apply: Callable[[Rows, Any], None], specs: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Which things are not as in their specs, and in which columns.

    The caller's transaction is given up: nothing that was written in it before is committed either.
    """
    rows.txn.abort()
    found: dict[str, tuple[str, ...]] = {}
    for identifier, spec in specs.items():
        txn = ovs_idl.Transaction(rows.idl)
        try:
            apply(Rows(rows.idl, txn, rows.index), spec)
            written = sorted({word for row in txn._txn_rows.values() for word in _written(row)})
        except DriverError:  # it stands on something that is missing
            written = ["missing"]
        finally:
            txn.abort()
        if written:
            found[identifier] = tuple(written)
    return found


def _written(row: Any) -> list[str]:
    """Table and column of everything that a transaction would write to a row."""
    table = row._table.name
    if row._changes is None:
        return [f"{table} (removed)"]
    if row._data is None:
        return [f"{table} (added)"]
    mutated = {column for part in row._mutations.values() for column in part}
    return [f"{table}.{column}" for column in {*row._changes, *mutated}]
