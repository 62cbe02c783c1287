"""Tables of identity: users, projects, grants, tokens, keys, sessions, log-in attempts, audit entries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare

declare(
    "user", "cloud",
    list="admin", show="admin", create="admin", update="admin", disable="admin", enable="admin",
    set_password="admin", grant="admin", revoke="admin", logout="admin",
)  # fmt: skip
declare("profile", "self", show="reader", update="reader", set_password="reader")
declare("project", "cloud", create="admin", delete="admin")
declare("project", list_members="reader", show="reader", update="admin", grant="admin", revoke="admin")
declare("project", "self", list="reader")
declare("token", "self", list="reader", create="reader", revoke="reader")
declare("key", "self", list="reader", show="reader", create="reader", delete="reader")
declare("session", "self", list="reader", logout="reader")
declare("audit", "cloud", list="admin")

ROLES = ("reader", "member", "admin")


class User(Row, Base):
    """A person who logs in. ``name`` is lower-case and unique; ``password_hash`` is argon2id, or None: no log-in.

    ``state`` is ``active`` or ``disabled``; a disabled user's sessions and tokens do not hold.
    """

    __tablename__ = "user"
    PREFIX = "usr"

    name: Mapped[str] = mapped_column(sa.String(64), unique=True)
    display_name: Mapped[str] = mapped_column(sa.String(100), default="")
    email: Mapped[str] = mapped_column(sa.String(254), default="")
    password_hash: Mapped[str | None] = mapped_column(sa.String(300))
    password_changed_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    state: Mapped[str] = mapped_column(sa.String(20), default="active")
    locale: Mapped[str | None] = mapped_column(sa.String(10))
    theme: Mapped[str] = mapped_column(sa.String(10), default="auto")


class Project(Row, Base):
    """A tenant: owns instances, disks and networks, and keeps them from everybody else's eyes.

    A deleted one (``deleted_at``) keeps its row for the undo and the history, exists for nobody and frees its name.
    """

    __tablename__ = "project"
    PREFIX = "prj"

    name: Mapped[str] = mapped_column(sa.String(64))
    description: Mapped[str] = mapped_column(sa.String(500), default="")
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        sa.Index(
            "uq_project_name", "name", unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"), postgresql_where=sa.text("deleted_at IS NULL"),
        ),
    )  # fmt: skip


class Grant(Row, Base):
    """A user's role in a project, or in the whole cloud where ``project_id`` is None; at most one of each."""

    __tablename__ = "role_grant"
    PREFIX = "grn"

    user_id: Mapped[str] = mapped_column(sa.ForeignKey("user.id"))
    project_id: Mapped[str | None] = mapped_column(sa.ForeignKey("project.id"), index=True)
    role: Mapped[str] = mapped_column(sa.String(10))

    __table_args__ = (
        sa.UniqueConstraint("user_id", "project_id"),
        sa.Index(
            "uq_role_grant_cloud", "user_id", unique=True,
            sqlite_where=sa.text("project_id IS NULL"), postgresql_where=sa.text("project_id IS NULL"),
        ),
    )  # fmt: skip


class ApiToken(Row, Base):
    """A bearer secret of a user, at most as strong as ``role``, in one project or (None) wherever he has a role.

    Only the SHA-256 of the 256-bit secret is kept; ``hint`` is its beginning, by which a person knows it again.
    """

    __tablename__ = "api_token"
    PREFIX = "tok"

    user_id: Mapped[str] = mapped_column(sa.ForeignKey("user.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    project_id: Mapped[str | None] = mapped_column(sa.ForeignKey("project.id"), index=True)
    role: Mapped[str] = mapped_column(sa.String(10))
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    hint: Mapped[str] = mapped_column(sa.String(20))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    used_from: Mapped[str] = mapped_column(sa.String(64), default="")


class SshKey(Row, Base):
    """A user's public SSH key, in one line of OpenSSH form without its comment."""

    __tablename__ = "ssh_key"
    PREFIX = "key"

    user_id: Mapped[str] = mapped_column(sa.ForeignKey("user.id"))
    name: Mapped[str] = mapped_column(sa.String(64))
    kind: Mapped[str] = mapped_column(sa.String(40))
    bits: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(sa.String(60))
    comment: Mapped[str] = mapped_column(sa.String(200), default="")
    public_key: Mapped[str] = mapped_column(sa.Text)

    __table_args__ = (sa.UniqueConstraint("user_id", "name"), sa.UniqueConstraint("user_id", "fingerprint"))


class WebSession(Row, Base):
    """A log-in of the panel or the command. Ends at ``expires_at`` at the latest, earlier when left unused."""

    __tablename__ = "web_session"
    PREFIX = "ses"

    user_id: Mapped[str] = mapped_column(sa.ForeignKey("user.id"), index=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    expires_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    address: Mapped[str] = mapped_column(sa.String(64), default="")
    user_agent: Mapped[str] = mapped_column(sa.String(300), default="")


class LoginAttempt(Base):
    """One try of a password, kept for the throttle; written *before* the password is looked at."""

    __tablename__ = "login_attempt"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    account: Mapped[str] = mapped_column(sa.String(64))
    address: Mapped[str] = mapped_column(sa.String(64))
    succeeded: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (
        sa.Index("ix_login_attempt_account_at", "account", "at"),
        sa.Index("ix_login_attempt_address_at", "address", "at"),
        {"sqlite_autoincrement": True},
    )


class AuditEntry(Base):
    """What is no operation and yet must be known afterwards: log-ins, failed ones, log-outs, refusals."""

    __tablename__ = "audit_entry"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    action: Mapped[str] = mapped_column(sa.String(80))
    outcome: Mapped[str] = mapped_column(sa.String(20), default="succeeded")
    actor_kind: Mapped[str] = mapped_column(sa.String(20))
    actor_id: Mapped[str] = mapped_column(sa.String(40))
    actor_name: Mapped[str] = mapped_column(sa.String(200))
    address: Mapped[str] = mapped_column(sa.String(64), default="")
    project_id: Mapped[str | None] = mapped_column(sa.String(40))
    subject_kind: Mapped[str] = mapped_column(sa.String(40))
    subject_id: Mapped[str] = mapped_column(sa.String(80))
    subject_name: Mapped[str] = mapped_column(sa.String(300), default="")
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)

    __table_args__ = (sa.Index("ix_audit_entry_at", "at"), {"sqlite_autoincrement": True})
