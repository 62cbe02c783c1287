"""SSH keys that users put into their instances."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Forbidden
from yun.base.ids import new_id
from yun.base.messages import _
from yun.identity import names, ssh_keys
from yun.identity.model import ApiToken, SshKey, User
from yun.identity.service.users import find_user, me
from yun.operations.intent import Intent, Subject


@dataclass(frozen=True)
class NewKey:
    """A public key in OpenSSH form; without ``name`` its comment, else its fingerprint, becomes the name.

    ``user`` (name or id) is somebody else, for administrators.
    """

    public_key: str
    name: str = ""
    user: str | None = None


def subjects_of(key: SshKey | None, user_id: str, name: str, fingerprint: str) -> tuple[Subject, ...]:
    """What else a key's operation touches: whoever takes the name or the key again stands in the way of an undo."""
    return (
        Subject("key-name", f"{user_id}/{name}"[:80], name),
        Subject("key-fingerprint", f"{user_id}/{fingerprint[7:]}"[:80], fingerprint),
    )


def _owner(ctx: Context, user: str | None) -> User:
    if user is None:
        return me(ctx)
    ctx.may("user.update")
    return find_user(ctx.session, user)


def _refuse_narrow_token(ctx: Context) -> None:
    """A token that holds in one project only, or is weak, must not put keys into its owner's other instances."""
    if ctx.actor.token_id is None:
        return
    token = ctx.session.get(ApiToken, ctx.actor.token_id)
    if token is None or token.project_id is not None or token.role != "admin":
        raise Forbidden(_("Only an API token without limits of role and project can change SSH keys."))


def add_key(ctx: Context, new: NewKey) -> Intent:
    """Keep a public key. Raises `Invalid` for anything but a sound public key, `Conflict` for one that is there."""
    ctx.may("key.create")
    _refuse_narrow_token(ctx)
    owner, key = _owner(ctx, new.user), ssh_keys.parse(new.public_key)
    wanted = new.name.strip() or key.comment.replace("/", "-")[:64].strip() or key.fingerprint[7:19].replace("/", "-")
    name = names.plain(wanted)
    _refuse_taken(ctx.session, owner.id, name, key.fingerprint)
    identifier = new_id("key")

    def write(session: Session) -> None:
        _refuse_taken(session, owner.id, name, key.fingerprint)
        session.add(
            SshKey(
                id=identifier, user_id=owner.id, name=name, kind=key.kind, bits=key.bits,
                fingerprint=key.fingerprint, comment=key.comment, public_key=key.line,
            )
        )  # fmt: skip

    return Intent(
        kind="key.create", title=_("Add SSH key {name}", name=name), subject=Subject("key", identifier, name),
        subjects=subjects_of(None, owner.id, name, key.fingerprint), arguments={"key_id": identifier},
        effects=(_("It can be put into instances made from now on."),), write=write, instant=True,
    )  # fmt: skip


def _refuse_taken(session: Session, user_id: str, name: str, fingerprint: str) -> None:
    mine = sa.select(SshKey).where(SshKey.user_id == user_id)
    if (same := session.scalar(mine.where(SshKey.fingerprint == fingerprint))) is not None:
        raise Conflict(
            _("This key is there already, as {name}.", name=same.name), fields={"public_key": _("another key")}
        )
    if session.scalar(mine.where(SshKey.name == name)) is not None:
        raise Conflict(_("There is already a key named {name}.", name=name), fields={"name": _("another name")})


def list_keys(ctx: Context, user: str | None = None) -> list[SshKey]:
    """One's own keys by name; an administrator may ask for another user's."""
    ctx.may("key.list")
    if user is not None:
        ctx.may("user.show")
    owner = find_user(ctx.session, user) if user is not None else me(ctx)
    return list(ctx.session.scalars(sa.select(SshKey).where(SshKey.user_id == owner.id).order_by(SshKey.name)))


def get_key(ctx: Context, reference: str) -> SshKey:
    """One's own key by id, name or fingerprint; an administrator finds any by id. Raises `NotFound`."""
    ctx.may("key.show")
    found = ctx.session.get(SshKey, reference)
    if found is not None and (ctx.actor.is_admin or found.user_id == ctx.actor.id):
        return found
    same = sa.or_(SshKey.name == reference, SshKey.fingerprint == reference)
    named = ctx.session.scalar(sa.select(SshKey).where(SshKey.user_id == me(ctx).id, same))
    if named is None:
        raise not_found("key", reference[:70])
    return named


def delete_key(ctx: Context, reference: str) -> Intent:
    """Forget a public key; instances that hold it keep it."""
    ctx.may("key.delete")
    _refuse_narrow_token(ctx)
    key = get_key(ctx, reference)
    return Intent(
        kind="key.delete", title=_("Delete SSH key {name}", name=key.name), subject=Subject("key", key.id, key.name),
        subjects=subjects_of(key, key.user_id, key.name, key.fingerprint), arguments={"key_id": key.id},
        effects=(_("Instances that already hold the key keep it."),), instant=True,
    )  # fmt: skip
