"""Names of machines inside their networks: which domain they end in."""

from __future__ import annotations

from sqlalchemy.orm import Session

from yun.identity.model import Project
from yun.network import checks

INTERNAL = "internal"


def project_domain(session: Session, project_id: str | None) -> str:
    """The domain that networks of a project get when nobody says: its name under ``internal`` where it can be a part
    of a domain, else ``internal`` alone."""
    project = session.get(Project, project_id) if project_id else None
    label = project.name.lower() if project else ""
    return f"{label}.{INTERNAL}" if checks.LABEL.fullmatch(label) else INTERNAL
