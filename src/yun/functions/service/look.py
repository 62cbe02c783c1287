"""Finding functions, what their guests shall be told, and showing how they do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.base.paging import Page, paginate
from yun.compute.model import LIVE, Instance, State
from yun.compute.names import is_id
from yun.compute.service import search
from yun.compute.service.view import addresses, floating_ips, tasks
from yun.functions.kinds import KindOf, Surroundings, digest, packed
from yun.functions.kinds.known import kind_named
from yun.functions.model import FAULTS, KINDS, FunctionState, Kind, NetworkFunction
from yun.network.model import Network, Port

SORTS = {"name": Instance.name, "created_at": NetworkFunction.created_at, "kind": NetworkFunction.kind}
OLD_SECONDS = 120
"""An answer older than this no longer tells how the function does."""


def kind_of(function: NetworkFunction) -> KindOf:
    """What its kind knows."""
    return kind_named(function.kind)


def get(ctx: Context, reference: str) -> tuple[NetworkFunction, Instance]:
    """A function with its instance, by its id, or by the id or name of the instance in the context's project.

    Raises `NotFound` where it does not exist for the actor, `Conflict` where a name is not unique among his projects.
    """
    if "\0" in reference:
        raise not_found("function", "?")
    query = sa.select(NetworkFunction, Instance).join(Instance, Instance.id == NetworkFunction.instance_id)
    if is_id(reference, NetworkFunction.PREFIX):
        query = query.where(NetworkFunction.id == reference)
    elif is_id(reference, Instance.PREFIX):
        query = query.where(Instance.id == reference)
    else:
        query = query.where(Instance.name == reference)
        if ctx.project_id is not None:
            query = query.where(Instance.project_id == ctx.project_id)
    found = [(f, i) for f, i in ctx.session.execute(query.limit(100)) if ctx.sees(f.project_id)]
    if not found:
        raise not_found("function", reference)
    if len(found) > 1:
        raise Conflict(
            _("Several projects have a function {name}.", name=reference), hint=_("Name its id, or choose a project.")
        )
    ctx.may("function.show", found[0][0].project_id)
    return found[0]


def list_functions(
    ctx: Context, *, q: str = "", kind: str = "", sort: str = "name", cursor: str | None = None, limit: int = 100
) -> Page[NetworkFunction]:
    """A page of the functions that the actor may see (of the context's project, if it has one).

    ``q`` is in the search language of instances; those in the trash are left out unless it asks for them. Raises
    `Invalid` for an unknown kind, field, sort or cursor.
    """
    query = sa.select(NetworkFunction).join(Instance, Instance.id == NetworkFunction.instance_id)
    query = query.where(*search.conditions(ctx.session, q))
    if ctx.project_id is not None:
        ctx.may("function.list")
        query = query.where(NetworkFunction.project_id == ctx.project_id)
    elif ctx.actor.role_in(None) is None:
        query = query.where(NetworkFunction.project_id.in_(list(ctx.actor.roles)))
    else:
        ctx.may("function.list")
    if kind:
        kind_named(kind)
        query = query.where(NetworkFunction.kind == kind)
    if not search.asks_for_trash(q):
        query = query.where(Instance.state != State.TRASHED)
    return paginate(ctx.session, query, sorts=SORTS, key=NetworkFunction.id, sort=sort, cursor=cursor, limit=limit)


# ── what the guest shall be told ──


def arms_of(session: Session, function: NetworkFunction) -> int:
    """How many network cards its instance has."""
    count = sa.select(sa.func.count()).where(Port.instance_id == function.instance_id)
    return session.scalar(count) or 0


def surroundings(session: Session, function: NetworkFunction) -> Surroundings:
    """What its configuration is made from beside its settings."""
    secret = session.scalar(sa.select(NetworkFunction.secret).where(NetworkFunction.id == function.id))
    return Surroundings(arms_of(session, function), backends(session, function.settings), secret or "")


def backends(session: Session, settings: dict[str, Any]) -> dict[str, str]:
    """The first address of each instance that settings name as a backend, trashed ones left out."""
    ids = [one["target"] for one in settings.get("backends", ())]
    there = sa.select(Instance.id).where(Instance.id.in_(ids), Instance.state != State.TRASHED)
    found = addresses(session, list(session.scalars(there)))
    return {identifier: listed[0] for identifier, listed in found.items()}


def wanted(session: Session, function_id: str) -> bytes:
    """The configuration that the function's guest shall have, as the rows say now."""
    row = session.get_one(NetworkFunction, function_id, options=[undefer(NetworkFunction.secret)])
    return packed(row.kind, kind_of(row).files(row.settings, surroundings(session, row)))


def settings_digest(settings: dict[str, Any]) -> str:
    """A short name of settings, to see whether they are still those that a change was made of."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]


# ── showing ──


def shown(ctx: Context, rows: Sequence[NetworkFunction]) -> list[dict[str, Any]]:
    """Functions as JSON values: settings, ``targets`` (names of backends by id), instance, addresses, and how they do
    with how old that is."""
    session = ctx.session
    ids = [row.instance_id for row in rows]
    instances = {i.id: i for i in session.scalars(sa.select(Instance).where(Instance.id.in_(ids)))}
    fixed, floating, doing = addresses(session, ids), floating_ips(session, ids), tasks(session, ids, ctx.locale)
    query = sa.select(FunctionState).where(FunctionState.function_id.in_([row.id for row in rows]))
    states = {state.function_id: state for state in session.scalars(query)}
    names = target_names(session, [row.settings for row in rows])
    return [
        {
            "id": row.id, "kind": row.kind, "project_id": row.project_id, "instance_id": row.instance_id,
            "name": instances[row.instance_id].name, "description": instances[row.instance_id].description,
            "state": instances[row.instance_id].state, "task": doing.get(row.instance_id),
            "addresses": fixed.get(row.instance_id, []), "floating_ips": floating.get(row.instance_id, []),
            "networks": _networks(session, row.instance_id), "settings": row.settings,
            "targets": {one["target"]: names[one["target"]] for one in row.settings.get("backends", ())
                        if one["target"] in names},
            "public_key": row.public_key,
            "created_at": row.created_at.isoformat(), "revision": row.revision,
            "seen": state_of(ctx, row, instances[row.instance_id], states.get(row.id)),
        }
        for row in rows
    ]  # fmt: skip


def target_names(session: Session, listed: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The names of the instances that settings name as backends, by id."""
    ids = {one["target"] for settings in listed for one in settings.get("backends", ())}
    if not ids:
        return {}
    query = sa.select(Instance.id, Instance.name).where(Instance.id.in_(ids))
    return {identifier: name for identifier, name in session.execute(query)}  # noqa: C416


def _networks(session: Session, instance_id: str) -> list[str]:
    query = sa.select(Network.name).join(Port, Port.network_id == Network.id).where(Port.instance_id == instance_id)
    return list(session.scalars(query.order_by(Port.device_index)))


def state_of(
    ctx: Context, function: NetworkFunction, instance: Instance, state: FunctionState | None
) -> dict[str, Any]:
    """How it does: ``health`` (``working``, ``outdated``, ``silent``, ``faulty``, ``waiting``, ``off``), the reason in
    words, when it was asked and last answered, whether the configuration it has in force is the one that is wanted,
    and its kind's facts as it last told them."""
    now = ctx.clock.now()
    live = instance.state in LIVE
    seen = state.seen_at if state is not None else None
    fresh = seen is not None and (now - seen).total_seconds() <= OLD_SECONDS
    current = state is not None and bool(state.digest) and state.digest == digest(wanted(ctx.session, function.id))
    fault = state.fault if state is not None else ""
    if not live:
        health = "off"
    elif fault == "silent" or (seen is not None and not fresh):
        health = "silent"
    elif fault:
        health = "faulty"
    elif seen is None:
        health = "waiting"
    else:
        health = "working" if current else "outdated"
    return {
        "health": health, "reason": FAULTS[fault].render(ctx.locale) if live and fault in FAULTS else "",
        "asked_at": state.asked_at.isoformat() if state is not None else None,
        "seen_at": seen.isoformat() if seen is not None else None,
        "current": current, "facts": state.facts if state is not None else {},
    }  # fmt: skip


def title_of(function: NetworkFunction) -> str:
    """What its kind is called, in English: a word that faces translate."""
    return KINDS[Kind(function.kind)].text
