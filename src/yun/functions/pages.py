"""Pages of network functions: the list, the form with its rows, one function and how it does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import _
from yun.compute import service as compute
from yun.compute.model import LIVE, Instance
from yun.compute.service.search import FIELDS
from yun.functions import service
from yun.functions.kinds import firewall, proxy, vpn
from yun.functions.kinds.known import kind_named
from yun.functions.model import KINDS, NetworkFunction
from yun.identity import service as identity
from yun.images import service as images
from yun.network import service as network
from yun.network.model import Network, SecurityGroup
from yun.operations.intent import Intent
from yun.operations.pages import history_of
from yun.operations.service import submit
from yun.web.pages import (
    Ctx,
    FormData,
    Listing,
    PageRoute,
    Typed,
    accepted,
    command,
    live_preview,
    nav,
    preview,
    render,
    ticked,
    word,
    words,
)
from yun.web.searching import searched
from yun.web.typed import listed

nav("functions", _("Network functions"), "/functions", icon="shield", order=55, permission="function.list")
command(
    "function.create", _("Create a network function"), "/functions/new", icon="shield", permission="function.create"
)
router = APIRouter(route_class=PageRoute, include_in_schema=False)
ROWS = {
    "rules": ("action", "way", "protocol", "ports", "source", "destination", "note"),
    "backends": ("group", "target", "port"),
    "routes": ("host", "path", "group"),
    "peers": ("name", "public_key", "addresses"),
}
TYPED = {"backends": ("target",), "routes": ("host", "path"), "peers": ROWS["peers"]}
"""Which parts of a row somebody types: where all are empty the row is not there. A row of rules is always one."""
BLANK: dict[str, dict[str, Any]] = {
    "rules": {**dict.fromkeys(ROWS["rules"], ""), "action": "allow", "way": "any", "protocol": "tcp"},
    "backends": {"group": proxy.DEFAULT, "target": "", "port": 80},
    "routes": dict.fromkeys(ROWS["routes"], ""),
    "peers": dict.fromkeys(ROWS["peers"], ""),
}
START: dict[str, dict[str, Any]] = {
    "firewall": {"masquerade": False, "rules": []},
    "proxy": {"port": 80, "balance": "roundrobin", "check_path": "/", "check_seconds": 5, "backends": [], "routes": [],
              "default_group": ""},
    "vpn": {"port": vpn.PORT, "address": vpn.TUNNEL, "endpoint": "", "masquerade": True, "networks": [],
            "keepalive": vpn.KEEPALIVE, "peers": []},
}  # fmt: skip
CHOICES: dict[str, Any] = {
    "actions": firewall.ACTIONS, "ways": firewall.WAY_WORDS, "protocols": firewall.PROTOCOLS,
    "balances": proxy.BALANCES, "kinds": KINDS, "blank": BLANK,
}  # fmt: skip


@router.get("/functions")
def functions(
    ctx: Ctx, q: str = "", kind: str = "", sort: str = "name", cursor: str | None = None
) -> Response:
    """The project's network functions and how they do."""
    page, fault = searched(ctx, q, FIELDS, lambda text: service.list_functions(
        ctx, q=text, kind=kind, sort=sort, cursor=cursor
    ))  # fmt: skip
    filters = {"q": q, "kind": kind}
    listing = Listing("/functions", page, sort=sort, filters=filters, cursor=cursor, live="function", fault=fault)
    rows = service.shown(ctx, page.items)
    return render(ctx, "functions/list.html", listing=listing, rows=rows, kinds=KINDS)


# ── the form ──


def _settings(kind: str, form: FormData) -> dict[str, Any]:
    """What was typed as settings of a kind."""
    if kind == "firewall":
        return {"masquerade": ticked(form, "masquerade"), "rules": _rows(form, "rules")}
    if kind == "proxy":
        single = ("port", "balance", "check_path", "check_seconds", "default_group")
        return {
            **{name: word(form, name) for name in single}, "check_path": word(form, "check_path") or "",
            "backends": _rows(form, "backends"), "routes": _rows(form, "routes"),
        }  # fmt: skip
    peers = [{**peer, "addresses": listed(peer["addresses"])} for peer in _rows(form, "peers")]
    told = {name: word(form, name) for name in ("port", "address", "endpoint", "keepalive")}
    return {
        **told, "masquerade": ticked(form, "masquerade"),
        "networks": listed(word(form, "networks") or ""), "peers": peers,
    }  # fmt: skip


def _rows(form: FormData, field: str) -> list[dict[str, Any]]:
    """The rows of a list, each part under ``FIELD.PART``, without those in which nothing is typed."""
    columns = {part: [str(v).strip() for v in form.getlist(f"{field}.{part}")] for part in ROWS[field]}
    count = max((len(values) for values in columns.values()), default=0)
    found = []
    for n in range(count):
        row = {part: values[n] if n < len(values) else "" for part, values in columns.items()}
        if field not in TYPED or any(row[part] for part in TYPED[field]):
            found.append(row)
    return found


def _new(ctx: Context, form: FormData) -> Intent:
    kind = word(form, "kind") or ""
    kind_named(kind)
    groups = words(form, "security_groups")
    return service.create(ctx, service.NewFunction(
        name=word(form, "name") or "", kind=kind, settings=_settings(kind, form),
        image=word(form, "image") or "function", flavor=word(form, "flavor"), network=word(form, "network"),
        address=word(form, "address"), inner_network=word(form, "inner_network"),
        inner_address=word(form, "inner_address"), security_groups=groups or None, keys=words(form, "keys"),
        description=word(form, "description") or "", floating_ip=ticked(form, "floating_ip"),
        start=ticked(form, "start"),
    ))  # fmt: skip


def _machines(ctx: Context) -> list[dict[str, Any]]:
    """The instances that can be backends, by id and name."""
    if ctx.project_id is None:
        return []
    page = compute.list_values(ctx, sort="name", limit=500)
    return [{"id": item["id"], "name": item["name"]} for item in page.items]


@router.get("/functions/new")
def new_form(ctx: Ctx, kind: str = "firewall") -> Response:
    """The form for a function of a kind."""
    ctx.may("function.create")
    kind_named(kind)
    found = images.list_images(ctx, state="active", limit=500).items
    return render(
        ctx, "functions/create.html", action="/functions", preview_url="/functions/new/preview", kind=kind,
        settings=START[kind], machines=_machines(ctx), names={},
        images=[i for i in found if i.os == "function" and i.kind == "disk"],
        flavors=compute.list_flavors(ctx, limit=200).items,
        networks=[n for n in network.list_of(ctx, Network, sort="name", limit=1000).items if not n.external],
        groups=network.list_of(ctx, SecurityGroup, sort="name", limit=200).items,
        keys=identity.list_keys(ctx) if ctx.actor.kind == "user" else [], **CHOICES,
    )  # fmt: skip


@router.post("/functions/new/preview")
def plan_new(ctx: Ctx, typed: Typed) -> Response:
    """What creating it would do."""
    return live_preview(ctx, lambda: _new(ctx, typed))


@router.get("/functions/rows/{field}")
def one_row(ctx: Ctx, field: str) -> Response:
    """One more empty row of a list, for the form."""
    ctx.may("function.list")
    known = field if field in ROWS else "rules"
    return _renewing(render(ctx, "functions/row.html", field=known, one=BLANK[known], names={}, **CHOICES))


def _renewing(response: Response) -> Response:
    """The preview beside the form follows a row that comes or goes as it follows what is typed."""
    response.headers["HX-Trigger"] = "input"
    return response


@router.post("/functions/peer-key")
def peer_key(ctx: Ctx) -> Response:
    """A row for a peer with a new key pair: the private key is shown once, and kept nowhere."""
    ctx.may("function.create")
    private, public = vpn.new_keys()
    row = {**BLANK["peers"], "public_key": public}
    return _renewing(
        render(ctx, "functions/peer_key.html", private=private, field="peers", one=row, names={}, **CHOICES)
    )


@router.post("/functions")
def create(ctx: Ctx, typed: Typed) -> Response:
    """Create it and show its page."""
    operation = submit(ctx, _new(ctx, typed))
    return accepted(ctx, operation, location=f"/functions/{operation.subject_id}")


# ── one function ──


def _shown(ctx: Context, row: NetworkFunction, instance: Instance) -> dict[str, Any]:
    shown = service.shown(ctx, [row])[0]
    names = {one["id"]: one["name"] for one in _machines(ctx)}
    return {
        "row": row, "instance": instance, "shown": shown, "names": names, "kinds": KINDS,
        "ways": firewall.WAY_WORDS, "fresh": _fresh(ctx, shown), "live_state": instance.state in LIVE,
    }  # fmt: skip


def _fresh(ctx: Context, shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """When each peer of a gateway last came in, and whether that is now."""
    found: dict[str, dict[str, Any]] = {}
    for key, seen in shown["seen"]["facts"].get("peers", {}).items():
        moment = datetime.fromtimestamp(min(seen["handshake"], 2**40), UTC) if seen["handshake"] else None
        age = (ctx.clock.now() - moment).total_seconds() if moment else None
        found[key] = {**seen, "at": moment, "connected": age is not None and age < vpn.FRESH_SECONDS}
    return found


@router.get("/functions/{ref}")
def one(ctx: Ctx, ref: str) -> Response:
    """One function: what it shall do, and how it does."""
    row, instance = service.get(ctx, ref)
    return render(
        ctx, "functions/one.html", live=f"function:{row.id} instance:{instance.id}",
        history=history_of(ctx, "function", row.id, limit=10), **_shown(ctx, row, instance),
    )  # fmt: skip


@router.get("/functions/{ref}/seen")
def seen(ctx: Ctx, ref: str) -> Response:
    """How it does, for its page, which asks now and then."""
    row, instance = service.get(ctx, ref)
    return render(ctx, "functions/seen.html", **_shown(ctx, row, instance))


@router.get("/functions/{ref}/edit")
def edit_form(ctx: Ctx, ref: str) -> Response:
    """The form for other settings."""
    row, instance = service.get(ctx, ref)
    ctx.may("function.update", row.project_id)
    machines = _machines(ctx)
    return render(
        ctx, "functions/edit.html", action=f"/functions/{row.id}/edit", row=row, instance=instance, kind=row.kind,
        preview_url=f"/functions/{row.id}/edit/preview", settings=row.settings, machines=machines,
        names={m["id"]: m["name"] for m in machines}, **CHOICES,
    )  # fmt: skip


def _changed(ctx: Context, ref: str, form: FormData) -> Intent:
    row, instance = service.get(ctx, ref)
    return service.update(ctx, row, instance, _settings(row.kind, form))


@router.post("/functions/{ref}/edit/preview")
def plan_edit(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What would be another."""
    return live_preview(ctx, lambda: _changed(ctx, ref, typed))


@router.post("/functions/{ref}/edit")
def edit(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Have it do so."""
    operation = submit(ctx, _changed(ctx, ref, typed))
    return accepted(ctx, operation, location=f"/functions/{operation.subject_id}")


@router.post("/functions/{ref}/refresh")
def refresh(ctx: Ctx, ref: str) -> Response:
    """Ask its guest now."""
    return accepted(ctx, submit(ctx, service.refresh(ctx, *service.get(ctx, ref))))


@router.get("/functions/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    row, instance = service.get(ctx, ref)
    return preview(
        ctx, service.delete(ctx, row, instance), action=f"/functions/{row.id}/delete", confirm=_("Delete")
    )


@router.post("/functions/{ref}/delete")
def delete(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash with its instance."""
    return accepted(ctx, submit(ctx, service.delete(ctx, *service.get(ctx, ref))), location="/functions")


@router.get("/functions/{ref}/peers/{peer}/config")
def client_config(ctx: Ctx, ref: str, peer: str) -> Response:
    """The file for a peer's WireGuard, to be kept."""
    row, instance = service.get(ctx, ref)
    text = service.client_config(ctx, row, instance, peer)
    headers = {"Content-Disposition": f'attachment; filename="{instance.hostname}.conf"', "Cache-Control": "no-store"}
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)
