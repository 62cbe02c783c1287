"""A network as a bar with what hangs on it below: machines and balancers as cards in columns."""

from __future__ import annotations

import math

from yun.network.topology.graph import BALANCER, MACHINE, Net, Thing, Topology
from yun.network.topology.shapes import (
    BAR,
    BAR_LEAST,
    CARD_H,
    CARD_MORE,
    CARD_W,
    DOT,
    GAP_X,
    GAP_Y,
    RAIL,
    Box,
    Part,
)
from yun.network.topology.words import Words

DOTS = 4
COLUMN = RAIL + CARD_W
ICONS = {BALANCER: "arrows-split", MACHINE: "", "port": "plug-connected"}
PAGES = {BALANCER: "/networks/load-balancers/", MACHINE: "/instances/", "port": "/networks/ports/"}


def cell(topology: Topology, network: Net, things: list[Thing], words: Words, toggle: str, opened: bool) -> Part:
    """The network's bar and the cards of the things; a last card stands for what is not shown, at ``toggle``."""
    hidden = topology.hidden(network)
    plugs = {t.id: next(p for p in t.plugs if p.network_id == network.id) for t in things}
    cards: list[Box] = [_card(topology, network, thing, words) for thing in things]
    if hidden and not opened:
        cards.append(_more(network, words.more(hidden), toggle, "chevron-down"))
    elif hidden:
        cards.append(_more(network, words.too_many(hidden), f"/networks/{network.id}", "dots"))
    if opened:
        cards.append(_more(network, words.fewer(), toggle, "chevron-up"))
    columns = _columns(len(cards))
    width = max(BAR_LEAST, columns * COLUMN + (columns - 1) * GAP_X + RAIL)
    part = Part(width, BAR)
    part.boxes.append(_bar(network, width, words))
    y = BAR + GAP_Y + 4.0
    for row in range(0, len(cards), columns):
        line = cards[row : row + columns]
        for column, card in enumerate(line):
            rail = column * (COLUMN + GAP_X) + RAIL / 2 + 2
            card.move(rail + RAIL - 4, y)
            middle = y + card.h / 2
            plug = plugs.get(card.id)
            points = [(rail, BAR), (rail, middle), (card.x, middle)]
            told = words.plug(plug) if plug else ""
            part.line("plug", points, (network.id, card.id), told, strength(plug.rate) if plug else 0)
            part.boxes.append(card)
        y += max(card.h for card in line) + GAP_Y
        part.h = y - GAP_Y
    return part


def strength(rate: tuple[float, float] | None) -> float:
    """How wide a line is by what goes through it: a point more for every tenfold from 1 kB/s on, at most seven."""
    if rate is None:
        return 0
    return round(min(1.5 + max(0.0, math.log10(max(sum(rate), 1)) - 2), 7.0), 1)


def _columns(count: int) -> int:
    """Rather wide than tall: a screen scrolls in one direction only."""
    for columns, most in ((1, 3), (2, 8), (3, 15)):
        if count <= most:
            return columns
    return 5


def _bar(network: Net, width: float, words: Words) -> Box:
    box = Box(network.id, "network", 0, 0, width, BAR, f"/networks/{network.id}", words.network(network), "network")
    box.write(network.name, 0, left=34, right=46)
    box.write(" ".join(network.ranges) or words.no_subnet(), 1, left=34, right=10, mono=bool(network.ranges))
    if network.machines:
        box.write(str(network.machines), 0, left=width - 44, right=10, end=True, small=True)
    return box


def _card(topology: Topology, network: Net, thing: Thing, words: Words) -> Box:
    """One thing; further rows are there where a floating IP leads to it, more is to be said, or its rate is known."""
    plug = next(p for p in thing.plugs if p.network_id == network.id)
    rows = bool(thing.outside or thing.about) + bool(thing.rate)
    href = PAGES[thing.kind] + thing.id
    state = "up" if thing.up else "down"
    box = Box(thing.id, thing.kind, 0, 0, CARD_W, CARD_H + CARD_MORE * rows, href, icon=ICONS[thing.kind])
    box.state = "" if thing.kind == BALANCER else state
    box.groups = thing.groups
    box.title = words.thing(thing, dict(topology.groups))
    box.write(thing.name, 0, left=26, right=8)
    dots = min(len(thing.groups), DOTS)
    address = plug.addresses[0]
    box.write(address, 1, left=10, right=8 + dots * DOT + (4 if dots else 0), mono=True)
    if thing.outside:
        identifier, outside = thing.outside[0]
        text = outside + (f" +{len(thing.outside) - 1}" if len(thing.outside) > 1 else "")
        box.write(text, 2, left=26, right=8, mono=True, href=f"/networks/floating-ips?q={identifier}")
    elif thing.about:
        box.write(thing.about, 2, left=10, right=8)
    if thing.rate:
        box.write(words.rate(thing.rate), rows + 1, left=10, right=8)
    return box


def _more(network: Net, text: str, href: str, icon: str) -> Box:
    box = Box(f"more-{network.id}-{icon}", "more", 0, 0, CARD_W, CARD_H - 8, href, text, icon, toggle="chevron" in icon)
    box.write(text, 0, left=26, right=8)
    box.texts = [line.moved(0, 4) for line in box.texts]
    return box


