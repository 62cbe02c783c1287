"""Reverse proxies: HTTP by host and path to groups of backends that are looked at, by HAProxy."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from typing import Any

from yun.base.messages import Message, _
from yun.functions import checks
from yun.functions.checks import Place
from yun.functions.kinds import Surroundings

MOST_BACKENDS = 100
MOST_ROUTES = 50
BALANCES = ("roundrobin", "leastconn", "source")
BALANCE_WORDS = (_("roundrobin"), _("leastconn"), _("source"))
STATE_WORDS = (_("up"), _("down"), _("unchecked"))
STATISTICS = 8404
OWN_PORTS = (22, STATISTICS)
"""Ports on which the image itself answers: SSH, and the proxy's own numbers on its loopback."""
DEFAULT = "web"
_GROUP = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,200}")


def check(given: Mapping[str, Any], arms: int) -> dict[str, Any]:
    """As `KindOf.check`. A backend's ``target`` is an address, or the id of an instance."""
    names = ("port", "balance", "check_path", "check_seconds", "backends", "routes", "default_group")
    checks.only(given, names, Place("settings"))
    port = checks.port(80 if given.get("port") is None else given["port"], Place("port"))
    if port in OWN_PORTS:
        raise Place("port").wrong(_("The port {port} is used by the machine itself.", port=port), _("another port"))
    backends = [_backend(one, number) for number, one in enumerate(checks.rows(given, "backends", MOST_BACKENDS), 1)]
    if not backends:
        raise Place("backends").wrong(_("A proxy needs somebody to ask."), _("at least one backend"))
    seen: set[tuple[Any, ...]] = set()
    for number, one in enumerate(backends, 1):
        key = (one["group"], one["target"], one["port"])
        if key in seen:
            raise Place("backends", number, "port").wrong(
                _("The same backend stands there twice."), _("each target and port once in a group")
            )
        seen.add(key)
    groups = list(dict.fromkeys(one["group"] for one in backends))
    routes = [_route(one, groups, number) for number, one in enumerate(checks.rows(given, "routes", MOST_ROUTES), 1)]
    path = checks.text(given.get("check_path"))
    if path and not _PATH.fullmatch(path):
        raise Place("check_path").wrong(_("{value} is no path.", value=path[:60]), _("such as /healthy"))
    seconds = 5 if given.get("check_seconds") is None else given["check_seconds"]
    return {
        "port": port, "balance": checks.choice(given.get("balance"), BALANCES, Place("balance")),
        "check_path": path, "check_seconds": checks.number(seconds, 0, 300, Place("check_seconds")),
        "backends": backends, "routes": routes,
        "default_group": checks.choice(given.get("default_group"), groups, Place("default_group")),
    }  # fmt: skip


def _backend(given: Any, number: int) -> dict[str, Any]:
    place = Place("backends", number, "backend")
    checks.only(given, ("group", "target", "port"), place)
    target = checks.text(given.get("target"))
    if not target:
        raise place.at("target").wrong(_("Whom shall it ask?"), _("an instance or an address"))
    port = 80 if given.get("port") in (None, "") else given["port"]
    return {
        "group": _group(given.get("group"), place.at("group")), "target": checks.address(target) or target,
        "port": checks.port(port, place.at("port")),
    }  # fmt: skip


def _group(value: Any, place: Place) -> str:
    clean = checks.text(value).lower() or DEFAULT
    if not _GROUP.fullmatch(clean):
        right = _("1 to 30 small letters, digits, and - between them")
        raise place.wrong(_("{value} cannot be a name.", value=clean[:60]), right)
    return clean


def _route(given: Any, groups: list[str], number: int) -> dict[str, Any]:
    place = Place("routes", number, "route")
    checks.only(given, ("host", "path", "group"), place)
    typed = checks.text(given.get("host"))
    wild = typed.startswith("*.")
    host = checks.host(typed[2:] if wild else typed, place.at("host"))
    if wild and not host:
        raise place.at("host").wrong(_("{value} is no host name.", value=typed[:60]), _("such as *.example.org"))
    path = checks.text(given.get("path"))
    if path and not _PATH.fullmatch(path):
        raise place.at("path").wrong(_("{value} is no path.", value=path[:60]), _("such as /api"))
    if not host and path in ("", "/"):
        raise place.at("path").wrong(
            _("This route is for everything; the default group is that."), _("a host, a path, or both")
        )
    group = _group(given.get("group"), place.at("group"))
    if group not in groups:
        raise place.at("group").wrong(
            _("No backend is in the group {name}.", name=group), _("one of {names}", names=", ".join(groups))
        )
    return {"host": ("*." if wild else "") + host, "path": path.rstrip("/"), "group": group}


def said(settings: Mapping[str, Any]) -> list[Message]:
    """As `KindOf.said`."""
    found = [_("It answers HTTP on port {port}.", port=settings["port"])]
    for one in settings["backends"]:
        found.append(_("The group {group} has {target}, port {port}.", **one))
    for one in settings["routes"]:
        what = (one["host"] or "*") + (one["path"] or "/")
        found.append(_("{what} goes to the group {group}.", what=what, group=one["group"]))
    found.append(_("All else goes to the group {group}.", group=settings["default_group"]))
    if not settings["check_seconds"]:
        found.append(_("Backends are not looked at, and get calls though they are dead."))
    elif settings["check_path"]:
        found.append(_("Backends are asked for {path} every {seconds} s.", path=settings["check_path"],
                       seconds=settings["check_seconds"]))  # fmt: skip
    else:
        found.append(_("Backends are looked at every {seconds} s.", seconds=settings["check_seconds"]))
    return found


def files(settings: Mapping[str, Any], around: Surroundings) -> dict[str, str]:
    """As `KindOf.files`. A backend whose instance has no address now is left out."""
    lines = [
        "global", " user nobody", " group nogroup", " chroot /var/empty", " maxconn 2000", " hard-stop-after 30s",
        f" stats socket ipv4@127.0.0.1:{STATISTICS} level user",
        "defaults", " mode http", " option forwardfor", " option redispatch", " retries 2", " timeout connect 5s",
        " timeout client 60s", " timeout server 60s", " timeout check 4s",
        "frontend front", f" bind *:{settings['port']}",
    ]  # fmt: skip
    for number, route in enumerate(settings["routes"], 1):
        lines += _acls(route, number)
    lines.append(f" default_backend g_{settings['default_group']}")
    for group in dict.fromkeys(one["group"] for one in settings["backends"]):
        lines += [f"backend g_{group}", f" balance {settings['balance']}"]
        if settings["check_seconds"] and settings["check_path"]:
            lines += [f" option httpchk GET {settings['check_path']}", " http-check expect status 200-399"]
        looked = f" check inter {settings['check_seconds']}s fall 3 rise 2" if settings["check_seconds"] else ""
        for number, one in enumerate(settings["backends"], 1):
            address = checks.address(one["target"]) or around.addresses.get(one["target"])
            if one["group"] == group and address:
                shown = f"[{address}]" if ":" in address else address
                lines.append(f" server b{number} {shown}:{one['port']}{looked}")
    return {"haproxy.cfg": "\n".join(lines) + "\n"}


def _acls(route: Mapping[str, Any], number: int) -> list[str]:
    lines, names = [], []
    if host := route["host"]:
        names.append(f"h{number}")
        wanted = f"-m end {host[1:]}" if host.startswith("*.") else f"-m str {host}"
        lines.append(f" acl h{number} req.hdr(host),field(1,:),lower {wanted}")
    if path := route["path"]:
        names.append(f"p{number}")
        lines += [f" acl p{number} path {path}", f" acl p{number} path_beg {path}/"]
    return [*lines, f" use_backend g_{route['group']} if {' '.join(names)}"]


def read(answer: str) -> dict[str, Any]:
    """As `KindOf.read`: by backend (``b1``…) its state, what the last look found and since when (s), its sessions and
    requests; and what came in front."""
    text = answer.removeprefix("# ")
    backends: dict[str, dict[str, Any]] = {}
    front: dict[str, int] = {}
    table = list(csv.DictReader(text.splitlines()))
    if not table or "svname" not in table[0]:
        raise ValueError("no numbers of a proxy")
    for row in table:
        if row["svname"] == "FRONTEND" and row["pxname"] == "front":
            front = {"requests": _count(row, "req_tot"), "sessions": _count(row, "scur"),
                     "bytes_in": _count(row, "bin"), "bytes_out": _count(row, "bout")}  # fmt: skip
        elif re.fullmatch(r"b\d{1,3}", row["svname"] or ""):
            backends[row["svname"]] = {
                "state": _state(row["status"] or ""), "check": (row.get("check_status") or "")[:40].strip("* "),
                "seconds": _count(row, "lastchg"), "sessions": _count(row, "scur"), "requests": _count(row, "stot"),
            }  # fmt: skip
    return {"backends": backends, "front": front}


def _state(status: str) -> str:
    if status.startswith("UP") or status == "OPEN":
        return "up"
    return "unchecked" if status.startswith("no check") else "down"


def _count(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name) or ""
    return int(value) if value.isdecimal() else 0


def lasting(facts: Mapping[str, Any]) -> Any:
    """As `KindOf.lasting`: which backends answer."""
    return {name: one["state"] for name, one in facts.get("backends", {}).items()}
