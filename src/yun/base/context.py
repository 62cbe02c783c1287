"""Who asks, on whose behalf, in which transaction and language: what every service verb takes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yun.base import permissions
from yun.base.clock import Clock, SystemClock
from yun.base.config import Settings
from yun.base.errors import Forbidden, NotFound, Unauthenticated
from yun.base.messages import _

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Actor:
    """Somebody who asks: a user, a token of his, the machine's root, or the cloud itself.

    ``roles`` maps project ids to ``reader``, ``member`` or ``admin``; the key ``*`` stands for the whole cloud.
    """

    kind: str
    id: str
    name: str
    roles: Mapping[str, str] = field(default_factory=dict)
    token_id: str | None = None

    def role_in(self, project_id: str | None) -> str | None:
        """The strongest role in a project (or in the whole cloud, for None)."""
        found = [self.roles.get("*"), self.roles.get(project_id) if project_id else None]
        return max((r for r in found if r), key=permissions.RANK.__getitem__, default=None)

    @property
    def is_admin(self) -> bool:
        """Whether he administers the whole cloud."""
        return self.roles.get("*") == "admin"


SYSTEM = Actor("system", "system", "system", {"*": "admin"})
NOBODY = Actor("nobody", "", "", {})


@dataclass
class Context:
    """One request: actor, project, database session, clock, language. By type it cannot reach a driver."""

    actor: Actor
    session: Session
    settings: Settings
    project_id: str | None = None
    clock: Clock = field(default_factory=SystemClock)
    locale: str = "en"
    address: str = ""
    idempotency_key: str | None = None

    def may(self, permission: str, project_id: str | None = None) -> None:
        """Pass where the actor's role in the project reaches what ``permission`` asks.

        ``permission`` is ``noun.verb`` as declared in the room's model. Without ``project_id`` the context's own
        project counts. Raises `Unauthenticated` for nobody and `Forbidden` for too little.
        """
        if self.actor.kind == "nobody":
            raise Unauthenticated(_("Please log in."))
        need = permissions.required(permission)
        role = (
            self.actor.role_in(project_id or self.project_id)
            if need.scope == "project"
            else (self.actor.role_in(None) if need.scope == "cloud" else "admin")
        )
        if role is None or permissions.RANK[role] < permissions.RANK[need.role]:
            raise Forbidden(
                _("You may not do this: it needs the role {role}.", role=_(need.role)),
                hint=_("Ask an administrator for the role, or choose another project."),
                private=permission,
            )

    def allowed(self, permission: str, project_id: str | None = None) -> bool:
        """Whether `may` would pass: for buttons."""
        try:
            self.may(permission, project_id)
        except (Forbidden, Unauthenticated):
            return False
        return True

    def sees(self, project_id: str | None) -> bool:
        """Whether things of this project exist for the actor; None is a thing of the whole cloud."""
        return project_id is None or self.actor.role_in(project_id) is not None

    def must_see(self, project_id: str | None, noun: str, reference: str) -> None:
        """Raise `NotFound` where things of the project do not exist for the actor."""
        if not self.sees(project_id):
            raise not_found(noun, reference)


def not_found(noun: str, reference: str) -> NotFound:
    """The one sentence for a thing that does not exist (or not for you)."""
    return NotFound(_("There is no {noun} {reference}.", noun=_(noun), reference=reference))
