"""How long a log-in has to wait after wrong passwords. Reads and writes `LoginAttempt` rows only."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.identity.model import LoginAttempt

LOCK = 0x59554E10
WINDOW = timedelta(hours=1)
TRUSTED = timedelta(days=30)
ACCOUNT_FREE, ACCOUNT_MOST = 5, 300.0
ADDRESS_FREE, ADDRESS_MOST = 20, 900.0


def one_by_one(session: Session) -> None:
    """Let one try after another count and charge, until the transaction ends; on SQLite every writer is alone."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK})"))


def network_of(address: str) -> str:
    """Who counts as one attacker: an IPv4 address, or the /64 of an IPv6 one; other texts as they are."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def wait(session: Session, *, now: datetime, account: str, address: str) -> float:
    """Seconds until the next try is looked at; 0 for at once. ``address`` is what `network_of` gave.

    Five wrong passwords for an account, or twenty within an hour from an address, are free; then the wait doubles
    with each. An address that logged into the account before has its own count, so a stranger cannot lock the owner
    out. A good password ends the count of its account there, never that of the address: whoever has an account of
    his own would get as many tries at others' as he likes.
    """
    known = session.scalar(
        sa.select(sa.func.count()).select_from(LoginAttempt).where(
            LoginAttempt.account == account, LoginAttempt.address == address, LoginAttempt.succeeded.is_(True),
            LoginAttempt.at > now - TRUSTED,
        )
    )  # fmt: skip
    by_account = [LoginAttempt.account == account]
    if known:
        by_account.append(LoginAttempt.address == address)
    return max(
        _left(session, now, by_account, _last_good(session, by_account), (ACCOUNT_FREE, ACCOUNT_MOST)),
        _left(session, now, [LoginAttempt.address == address], None, (ADDRESS_FREE, ADDRESS_MOST)),
    )


Which = list[sa.ColumnElement[bool]]


def _last_good(session: Session, which: Which) -> datetime | None:
    return session.scalar(sa.select(sa.func.max(LoginAttempt.at)).where(*which, LoginAttempt.succeeded.is_(True)))


def _left(
    session: Session, now: datetime, which: Which, good: datetime | None, allowed: tuple[int, float]
) -> float:
    since, (free, most) = max(good or now - WINDOW, now - WINDOW), allowed
    failed = sa.select(sa.func.count(), sa.func.max(LoginAttempt.at)).where(
        *which, LoginAttempt.succeeded.is_(False), LoginAttempt.at > since
    )
    count, last = session.execute(failed).one()
    if count < free:
        return 0.0
    delay = min(2.0 ** min(count - free, 20), most)
    return float(max(0.0, delay - (now - last).total_seconds()))


def charge(session: Session, *, now: datetime, account: str, address: str) -> LoginAttempt:
    """Note a try as failed before its password is looked at, so that many at once do not slip through."""
    attempt = LoginAttempt(at=now, account=account, address=address, succeeded=False)
    session.add(attempt)
    session.flush()
    return attempt


def forget(session: Session, now: datetime) -> None:
    """Drop attempts that no longer count for anything."""
    session.execute(sa.delete(LoginAttempt).where(LoginAttempt.at < now - TRUSTED))
