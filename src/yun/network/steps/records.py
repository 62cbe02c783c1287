"""Steps of DNS records: rows that come and go."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.network.model import DnsRecord, Network
from yun.network.service.records import COLUMNS
from yun.network.steps import PATIENCE, bring
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject

Values = dict[str, Any]


def _tell(session: Session, record: DnsRecord, what: str) -> None:
    data = {"network_id": record.network_id, "address": record.address}
    subject = Subject("dns_record", record.id, record.name)
    emit(session, f"dns_record.{what}", subject=subject, project_id=record.project_id, data=data)


def _forget(session: Session, record_id: str) -> Values | None:
    record = session.get(DnsRecord, record_id)
    if record is None:
        return None
    values = {name: getattr(record, name) for name in COLUMNS}
    _tell(session, record, "deleted")
    session.delete(record)
    session.flush()
    return values


def _keep_back(op: Op, session: Session, output: Any, record_id: str) -> None:
    _forget(session, record_id)


@tx_step(undo=_keep_back)
def keep_record(op: Op, session: Session, record_id: str) -> None:
    """The record that came with the operation is there for good."""
    _tell(session, session.get_one(DnsRecord, record_id), "created")


def _withdraw(op: Op, output: Any, record_id: str, targets: list[list[str]]) -> None:
    with op.write() as session:
        _forget(session, record_id)
    bring(op, targets)


@step(undo=_withdraw, retries=PATIENCE)
def follow_new(op: Op, record_id: str, targets: list[list[str]]) -> None:
    """The engine answers the record that came with the operation. After `keep_record`."""
    bring(op, targets)


def _forget_back(op: Op, session: Session, output: Any, values: Values) -> None:
    here = session.get(DnsRecord, values["id"]) is None and session.get(Network, values["network_id"]) is not None
    same = sa.select(DnsRecord.id).where(
        DnsRecord.network_id == values["network_id"], DnsRecord.name == values["name"],
        DnsRecord.address == values["address"],
    )  # fmt: skip
    if here and output is not None and session.scalar(same) is None:
        record = DnsRecord(**values)
        session.add(record)
        session.flush()
        _tell(session, record, "created")


@tx_step(undo=_forget_back)
def forget_record(op: Op, session: Session, values: Values) -> Values | None:
    """The record is not there; returns what it was."""
    return _forget(session, values["id"])
