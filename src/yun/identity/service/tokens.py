"""API tokens: bearer secrets that are at most as strong as their owner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.base.ids import new_id
from yun.base.messages import _
from yun.base.permissions import RANK
from yun.identity import names, secret
from yun.identity.model import ApiToken, User
from yun.identity.service.projects import get_project
from yun.identity.service.users import find_user, me, refuse_token
from yun.operations.intent import Intent, Subject

LONGEST_DAYS = 3650.0


@dataclass(frozen=True)
class NewToken:
    """What a token may do: at most ``role``, in one ``project`` or (None) wherever its owner has a role.

    ``days`` is its life; None lives until it is revoked.
    """

    name: str
    role: str = "member"
    project: str | None = None
    days: float | None = 90.0


def subject_of(token: ApiToken) -> Subject:
    """The token as the subject of an operation."""
    return Subject("token", token.id, token.name)


def create_token(ctx: Context, new: NewToken) -> tuple[Intent, str]:
    """Make a token of one's own; the second value is the secret, which nobody can ask for again.

    Raises `Forbidden` for a role that the actor does not have there, and for actors that are tokens themselves.
    """
    ctx.may("token.create")
    refuse_token(ctx)
    owner, name, role = me(ctx), names.plain(new.name), names.role(new.role)
    if new.days is not None and not 0 < new.days <= LONGEST_DAYS:
        wrong = _("A token cannot live {days:g} days.", days=new.days)
        raise Invalid(wrong, fields={"days": _("more than 0 and at most {most:g} days", most=LONGEST_DAYS)})
    project = get_project(ctx, new.project) if new.project else None
    if project is not None and RANK[ctx.actor.role_in(project.id) or "reader"] < RANK[role]:
        raise Forbidden(
            _("You are not {role} of {project} yourself.", role=_(role), project=project.name),
            fields={"role": _("a role that you have there")},
        )
    plain = secret.new_secret(secret.TOKEN)
    identifier, now = new_id("tok"), ctx.clock.now()
    expires = now + timedelta(days=new.days) if new.days is not None else None

    def write(session: Session) -> None:
        session.add(
            ApiToken(
                id=identifier, user_id=owner.id, name=name, project_id=project.id if project else None, role=role,
                secret_hash=secret.digest(plain), hint=plain[: len(secret.TOKEN) + 4], expires_at=expires,
            )
        )  # fmt: skip

    scope = (
        _("It can act as {role} in {project}.", role=_(role), project=project.name)
        if project
        else _("It can act as {role} wherever {name} has that role or a stronger one.", role=_(role), name=owner.name)
    )
    intent = Intent(
        kind="token.create", title=_("Create API token {name}", name=name), subject=Subject("token", identifier, name),
        arguments={"token_id": identifier}, effects=(scope,), write=write, instant=True,
    )  # fmt: skip
    return intent, plain


def list_tokens(ctx: Context, user: str | None = None) -> list[tuple[ApiToken, User]]:
    """One's own tokens, newest first; an administrator may ask for another user's, or (``*``) for everybody's."""
    ctx.may("token.list")
    query = sa.select(ApiToken, User).join(User, User.id == ApiToken.user_id).order_by(ApiToken.created_at.desc())
    if user is None:
        query = query.where(ApiToken.user_id == me(ctx).id)
    else:
        ctx.may("user.show")
        if user != "*":
            query = query.where(ApiToken.user_id == find_user(ctx.session, user).id)
    return [(token, owner) for token, owner in ctx.session.execute(query)]


def get_token(ctx: Context, reference: str) -> ApiToken:
    """One's own token by id or name; an administrator finds any by id. Raises `NotFound`."""
    ctx.may("token.list")
    found = ctx.session.get(ApiToken, reference)
    if found is not None and (ctx.actor.is_admin or found.user_id == ctx.actor.id):
        return found
    query = sa.select(ApiToken).where(ApiToken.name == reference, ApiToken.user_id == me(ctx).id)
    query = query.order_by(ApiToken.revoked_at.is_not(None), ApiToken.created_at.desc()).limit(1)
    if (named := ctx.session.scalar(query)) is None:
        raise not_found("token", reference[:70])
    return named


def revoke_token(ctx: Context, reference: str) -> Intent:
    """End a token at once and for good. A token may revoke itself, and no other. Raises `Conflict` if it is revoked."""
    ctx.may("token.revoke")
    token = get_token(ctx, reference)
    if ctx.actor.token_id not in (None, token.id):
        refuse_token(ctx)
    if token.revoked_at is not None:
        raise Conflict(_("The token {name} is revoked already.", name=token.name))
    return Intent(
        kind="token.revoke", title=_("Revoke API token {name}", name=token.name), subject=subject_of(token),
        arguments={"token_id": token.id}, instant=True, undoable=False,
        no_undo=_("A revoked token stays revoked; make a new one instead."),
        effects=(_("Whatever uses the token is refused from now on."),),
    )  # fmt: skip
