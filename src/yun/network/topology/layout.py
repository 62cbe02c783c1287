"""Where everything of a topology stands: external networks on top, below each its routers, below those their networks
as bars, below each bar what hangs on it. The same topology always gives the same picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from yun.network.topology.cells import cell, strength
from yun.network.topology.fit import fit
from yun.network.topology.graph import Net, Topology, Way
from yun.network.topology.shapes import (
    BAR,
    BAR_LEAST,
    CHANNEL,
    EDGE,
    GUTTER,
    ROUTER_H,
    ROUTER_W,
    SHELF,
    SMALL,
    WIDEST,
    Box,
    Line,
    Part,
    Picture,
    Text,
)
from yun.network.topology.words import Words

BEND, BULGE = 6, 13


@dataclass(frozen=True)
class Look:
    """How to draw: ``words`` in the person's language, ``opened`` the networks that are shown whole, ``toggle`` the
    address that opens or closes one."""

    words: Words
    toggle: Callable[[str], str]
    opened: frozenset[str] = frozenset()


@dataclass
class _Placed:
    """What stands on a shelf: a part, and where from above it is entered."""

    part: Part
    id: str
    label: str = ""
    title: str = ""
    entry: float = 0
    x: float = 0
    y: float = 0
    shelf: int = 0


@dataclass
class _Shelves:
    part: Part
    items: list[_Placed] = field(default_factory=list)
    rows: list[float] = field(default_factory=list)


def draw(topology: Topology, look: Look) -> Picture:
    """The picture of a topology."""
    whole = Part()
    cells = _cells(topology, look)
    blocks = {router.id: _block(topology, router, cells, look) for router in topology.routers}
    y = float(EDGE)
    outside = [n for n in topology.networks if n.external]
    parts: list[Part] = []
    for network in outside:
        own = [r for r in topology.routers if r.gateway == network.id]
        parts.append(_section(topology, network, own, blocks, look))
    known = {n.id for n in outside}
    for router in topology.routers:
        if router.gateway not in known:
            parts.append(blocks[router.id].part)
    lonely = [cells[n.id] for n in topology.networks if not n.external and not any(topology.routers_of(n.id))]
    if lonely:
        parts.append(_shelves(lonely, WIDEST - 2 * EDGE, 0).part)
    if outside:
        least = max(p.w for p in parts)
        for part in parts[: len(outside)]:
            _stretch(part, least)
    for part in parts:
        whole.take(part, EDGE, y)
        y += part.h + SHELF
    width = max([p.w for p in parts], default=BAR_LEAST) + 2 * EDGE
    lines = [Line(s.kind, _path(s.points), s.ends, s.title, s.strength) for s in whole.lines]
    lines = _across(topology, whole, look) + lines
    return Picture(width, max(y - SHELF + EDGE, 2 * EDGE + BAR), whole.boxes, lines, whole.labels)


def _cells(topology: Topology, look: Look) -> dict[str, _Placed]:
    """Each inner network with what hangs on it; a thing of several networks stands at the first."""
    taken: set[str] = set()
    found: dict[str, _Placed] = {}
    for network in topology.networks:
        if network.external:
            continue
        things = [t for t in topology.of_network(network.id) if t.id not in taken]
        taken.update(t.id for t in things)
        part = cell(topology, network, things, look.words, look.toggle(network.id), network.id in look.opened)
        found[network.id] = _Placed(part, network.id, entry=part.w / 2)
    return found


def _block(topology: Topology, router: Way, cells: dict[str, _Placed], look: Look) -> _Placed:
    """A router with the networks that it is the first router of."""
    mine: list[_Placed] = []
    for leg in topology.legs:
        if leg.router_id == router.id and next(topology.routers_of(leg.network_id), None) == router.id:
            placed = cells[leg.network_id]
            placed.label, placed.title = leg.addresses[0], ", ".join(leg.addresses)
            mine.append(placed)
    order = {n.id: i for i, n in enumerate(topology.networks)}
    mine.sort(key=lambda p: order[p.id])
    shelves = _shelves(mine, WIDEST - 2 * EDGE - GUTTER, CHANNEL)
    part = Part(max(shelves.part.w, ROUTER_W), ROUTER_H + shelves.part.h)
    part.take(shelves.part, 0, ROUTER_H)
    first = [i for i in shelves.items if i.shelf == 0]
    middle = sum(i.x + i.entry for i in first) / len(first) if first else part.w / 2
    left = min(max(0.0, middle - ROUTER_W / 2), part.w - ROUTER_W)
    box = Box(router.id, "router", left, 0, ROUTER_W, ROUTER_H, f"/networks/routers/{router.id}", icon="router")
    box.title = look.words.router(router)
    box.write(router.name, 0, left=32, right=8)
    box.write(look.words.router_line(router), 1, left=32, right=16)
    part.boxes.insert(0, box)
    _bus(part, shelves, (left + ROUTER_W / 2, ROUTER_H), ROUTER_H, router.id)
    return _Placed(part, router.id, router.address or "", router.address or "", left + ROUTER_W / 2)


def _section(
    topology: Topology, network: Net, routers: list[Way], blocks: dict[str, _Placed], look: Look
) -> Part:
    """An external network with the routers that it is the way out of."""
    shelves = _shelves([blocks[r.id] for r in routers], WIDEST - 2 * EDGE, CHANNEL)
    part = Part(max(shelves.part.w, 2 * BAR_LEAST), BAR + shelves.part.h)
    part.take(shelves.part, 0, BAR)
    box = Box(network.id, "external", 0, 0, part.w, BAR, f"/networks/{network.id}", icon="world")
    box.title = look.words.external(network)
    idle = sum(where == network.id for _id, _address, where in topology.idle)
    used = len({f for t in topology.things for f, _text in t.outside})
    right = ""
    if idle or (used and topology.networks[0].id == network.id):
        right = look.words.floating(used, idle)
    box.write(network.name, 0, left=34, right=part.w / 2)
    box.write(" ".join(network.ranges), 1, left=34, right=part.w / 2, mono=True)
    part.boxes.insert(0, box)
    if right:
        box.write(right, 0, left=part.w / 2 + 8, right=12, end=True, small=True, href="/networks/floating-ips")
    for item in shelves.items:
        if item.shelf == 0:
            _drop(part, [(item.x + item.entry, BAR), (item.x + item.entry, BAR + item.y)], item, network.id, BAR)
    _trunk(part, shelves, BAR, network.id, (GUTTER / 2, BAR))
    return part


def _stretch(part: Part, width: float) -> None:
    """Make an external bar as wide as the picture."""
    bar = part.boxes[0]
    if width > bar.w:
        for text in [t for t in bar.texts if t.anchor == "end"]:
            bar.texts.remove(text)
            bar.texts.append(Text(
                text.x + width - bar.w, text.y, text.text, text.css, text.size, "end", text.href, text.whole
            ))  # fmt: skip
        bar.w = part.w = width


def _shelves(items: list[_Placed], room: float, channel: float) -> _Shelves:
    """Set things side by side, on as many shelves as they need, with a channel above each; beside several shelves
    runs a gutter."""
    total = sum(i.part.w for i in items) + SHELF * max(0, len(items) - 1)
    gutter = GUTTER if total > room else 0
    result = _Shelves(Part())
    x, y, tallest = float(gutter), 0.0, 0.0
    for item in items:
        if x > gutter and x + item.part.w > room + gutter:
            y += tallest + (channel if channel else SHELF)
            x, tallest = float(gutter), 0.0
            result.rows.append(y)
        elif not result.rows:
            y = channel
            result.rows.append(y)
        item.x, item.y, item.shelf = x, y, len(result.rows) - 1
        result.part.take(item.part, x, y)
        result.part.w = max(result.part.w, x + item.part.w)
        tallest = max(tallest, item.part.h)
        x += item.part.w + SHELF
        result.part.h = y + tallest
        result.items.append(item)
    return result


def _bus(part: Part, shelves: _Shelves, start: tuple[float, float], top: float, owner: str) -> None:
    """Lines from a router to the first shelf below it, and down the gutter to the others."""
    if not shelves.items:
        return
    level = top + 14
    for item in [i for i in shelves.items if i.shelf == 0]:
        at = item.x + item.entry
        points = [start, (start[0], level), (at, level), (at, top + item.y)]
        if abs(at - start[0]) < 1:
            points = [start, (start[0], top + item.y)]
        _drop(part, points, item, owner, top)
    _trunk(part, shelves, top, owner, start, level)


def _trunk(
    part: Part, shelves: _Shelves, top: float, owner: str, start: tuple[float, float], level: float | None = None
) -> None:
    """Lines to what stands on the second shelf and below, down the gutter."""
    gutter = GUTTER / 2
    for item in [i for i in shelves.items if i.shelf > 0]:
        at, turn = item.x + item.entry, top + item.y - CHANNEL + 14
        points = [start] if level is None else [start, (start[0], level), (gutter, level)]
        points += [(gutter, turn), (at, turn), (at, top + item.y)]
        _drop(part, points, item, owner, top)


def _drop(part: Part, points: list[tuple[float, float]], item: _Placed, owner: str, top: float) -> None:
    """One line down to a thing, with the address written beside its end."""
    part.line("leg", points, (owner, item.id), item.title)
    if item.label:
        room = item.part.w - item.entry - 6
        shown = fit(item.label, room, SMALL, mono=True)
        whole = item.title if item.title != shown else ""
        part.labels.append(Text(item.x + item.entry + 6, top + item.y - 7, shown, "mono", SMALL, whole=whole))


def _across(topology: Topology, whole: Part, look: Look) -> list[Line]:
    """Lines that follow no order: to a network's other routers, to a machine's other networks, to members."""
    at = {box.id: box for box in whole.boxes}
    joined = {stroke.ends for stroke in whole.lines}
    found: list[Line] = []
    for leg in topology.legs:
        if (leg.router_id, leg.network_id) not in joined and leg.router_id in at and leg.network_id in at:
            title = ", ".join(leg.addresses)
            found.append(_arc("leg across", at[leg.router_id], at[leg.network_id], title))
    for thing in topology.things:
        for plug in thing.plugs:
            if thing.id in at and plug.network_id in at and (plug.network_id, thing.id) not in joined:
                joined.add((plug.network_id, thing.id))
                line = _arc("plug across", at[thing.id], at[plug.network_id], look.words.plug(plug))
                found.append(replace(line, strength=strength(plug.rate)))
    for bond in topology.bonds:
        if bond.source in at and bond.target in at:
            kind = f"{bond.kind} across" + ("" if bond.up else " off")
            found.append(_arc(kind, at[bond.source], at[bond.target], look.words.bond(bond)))
    return found


def _arc(kind: str, a: Box, b: Box, title: str) -> Line:
    """A curve from the side of one box to the side of another; around what stands between two of one column."""
    (_ax, ay), (_bx, by) = a.centre, b.centre
    if a.x + a.w <= b.x or b.x + b.w <= a.x:
        right = b.x > a.x
        start, end = (a.x + a.w if right else a.x), (b.x if right else b.x + b.w)
        reach = max(12.0, abs(end - start) / 2) * (1 if right else -1)
        first, second = start + reach, end - reach
    else:
        start, end = a.x + a.w, b.x + b.w
        first = second = max(start, end) + BULGE
    path = f"M{start:g} {ay:g}C{first:g} {ay:g} {second:g} {by:g} {end:g} {by:g}"
    return Line(kind, path, (a.id, b.id), title)


def _path(points: list[tuple[float, float]]) -> str:
    """A line through the points with rounded corners."""
    found = f"M{points[0][0]:g} {points[0][1]:g}"
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        bend = min(BEND, _far(before, at) / 2, _far(at, after) / 2)
        if bend < 1:
            found += f"L{at[0]:g} {at[1]:g}"
            continue
        (ix, iy), (ox, oy) = _toward(at, before, bend), _toward(at, after, bend)
        found += f"L{ix:g} {iy:g}Q{at[0]:g} {at[1]:g} {ox:g} {oy:g}"
    return f"{found}L{points[-1][0]:g} {points[-1][1]:g}"


def _far(a: tuple[float, float], b: tuple[float, float]) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _toward(a: tuple[float, float], b: tuple[float, float], step: float) -> tuple[float, float]:
    far = _far(a, b)
    return a[0] + (b[0] - a[0]) * step / far, a[1] + (b[1] - a[1]) * step / far
