"""The panel's navigation: rooms register their entries from ``pages.py``; nobody lists them in one place."""

from __future__ import annotations

from dataclasses import dataclass

from yun.base.context import Context
from yun.base.messages import Message

MAIN, ADMIN = "main", "admin"


@dataclass(frozen=True)
class Entry:
    """One line of the side navigation; ``permission`` decides whether it is shown. Pages below ``more`` are its too."""

    name: str
    title: Message
    url: str
    icon: str
    order: int
    section: str
    permission: str | None
    more: tuple[str, ...] = ()


ENTRIES: dict[str, Entry] = {}


def nav(
    name: str, title: Message, url: str, *, icon: str, order: int, section: str = MAIN, permission: str | None = None,
    more: tuple[str, ...] = (),
) -> None:
    """Register an entry: ``order`` sorts within ``section`` (``main`` or ``admin``).

    Orders in use: overview 0, instances 10, volumes 20, images 30, snapshots 40, networks 50, activity 60, trash 70,
    usage 80; administration: hosts 10, pools 20, flavors 30, projects 40, users 50, prices 60, settings 70.
    """
    ENTRIES[name] = Entry(name, title, url, icon, order, section, permission, more)


TABS: dict[str, list[Entry]] = {}


def tab(noun: str, name: str, title: Message, *, after: str, permission: str | None = None) -> None:
    """Register a tab that a room above adds to the page of a lower room's thing, such as ``instance``, right of that
    room's tab ``after``. Its address is the thing's followed by ``name``; the room that adds it has the route."""
    TABS.setdefault(noun, []).append(Entry(name, title, after, "", 0, noun, permission))


def with_tabs(ctx: Context, noun: str, own: list[tuple[str, Message]], project_id: str) -> list[tuple[str, Message]]:
    """The (name, title) pairs of a thing's own tabs together with those that other rooms add and the actor may see."""
    found = list(own)
    for entry in TABS.get(noun, ()):
        if entry.permission and not ctx.allowed(entry.permission, project_id):
            continue
        place = next((n for n, (name, _title) in enumerate(found, 1) if name == entry.url), len(found))
        found.insert(place, (entry.name, entry.title))
    return found


COMMANDS: dict[str, Entry] = {}


def command(name: str, title: Message, url: str, *, icon: str, permission: str | None = None) -> None:
    """Register something to do for the palette (Ctrl-K), such as ``Create an instance``."""
    COMMANDS[name] = Entry(name, title, url, icon, len(COMMANDS), MAIN, permission)


def commands(ctx: Context) -> list[Entry]:
    """What the actor may do from the palette."""
    return [e for e in COMMANDS.values() if not e.permission or ctx.allowed(e.permission)]


def entries(ctx: Context, section: str) -> list[Entry]:
    """The entries of a section that the actor may open, in order."""
    found = [e for e in ENTRIES.values() if e.section == section and (not e.permission or ctx.allowed(e.permission))]
    return sorted(found, key=lambda e: e.order)


def active(path: str) -> str | None:
    """The entry that a path belongs to: the longest address that begins it."""
    fits = [
        (len(url), entry.name) for entry in ENTRIES.values() for url in (entry.url, *entry.more)
        if path == url or (url != "/" and path.startswith(url + "/"))
    ]  # fmt: skip
    return max(fits)[1] if fits else None
