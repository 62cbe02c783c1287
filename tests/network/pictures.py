"""Topologies of any size to draw, and what must hold for every picture."""

from __future__ import annotations

from itertools import combinations

from yun.network.topology.graph import BALANCER, MACHINE, Bond, Leg, Net, Plug, Thing, Topology, Way
from yun.network.topology.layout import Look, draw
from yun.network.topology.shapes import Box, Picture
from yun.network.topology.words import Words

OUT = Net("net_out", "external", external=True, shared=True, ranges=("203.0.113.0/24",))
Rect = tuple[float, float, float, float]


def machine(
    number: int, *networks: str, floating: bool = False, groups: tuple[str, ...] = ("sgr_0",), busy: bool = False
) -> Thing:
    """A machine with a card on each network, and traffic on each where it is busy."""
    rate = (10.0**number, 1023.0 * number) if busy else None
    plugs = tuple(
        Plug(
            f"prt_{number}_{place}", network, (f"10.{place}.{number // 250}.{number % 250 + 3}",), number % 7 != 3,
            groups, rate,
        )
        for place, network in enumerate(networks)
    )
    outside = ((f"fip_{number}", f"203.0.113.{number % 250}"),) if floating else ()
    return Thing(f"ins_{number}", MACHINE, f"web-{number:03}", plugs, outside)


def net(name: str, machines: int = 0) -> Net:
    """An inner network."""
    return Net(f"net_{name}", name, ranges=(f"10.{len(name)}.0.0/16",), machines=machines)


def one_network(machines: int, shown: int | None = None, *, busy: bool = False) -> Topology:
    """One router, one network, so many machines of which ``shown`` are drawn."""
    lab = net("lab", machines)
    things = tuple(
        machine(i, lab.id, floating=i % 5 == 0, groups=tuple(f"sgr_{g}" for g in range(i % 6)), busy=busy)
        for i in range(machines if shown is None else shown)
    )
    return Topology(
        (OUT, lab), (Way("rtr_main", "main", True, OUT.id, "203.0.113.2"),), (Leg("rtr_main", lab.id, ("10.3.0.1",)),),
        things, groups=tuple((f"sgr_{g}", f"group {g}") for g in range(6)), idle=(("fip_x", "203.0.113.77", OUT.id),),
    )  # fmt: skip


def many_routers(routers: int, networks: int, machines: int) -> Topology:
    """Routers side by side, each with networks of its own; the last one has no way out."""
    ways = (
        *(Way(f"rtr_{r}", f"router-{r}", r % 2 == 0, OUT.id, f"203.0.113.{r}") for r in range(routers - 1)),
        Way(f"rtr_{routers - 1}", "shut"),
    )
    nets = [net(f"lan-{r}-{n}", machines) for r in range(routers) for n in range(networks)]
    legs = tuple(Leg(f"rtr_{i // networks}", n.id, (f"10.{i}.0.1", f"fd00:{i:x}::1")) for i, n in enumerate(nets))
    things = tuple(
        machine(i * machines + m, n.id, floating=m == 1) for i, n in enumerate(nets) for m in range(machines)
    )
    return Topology((OUT, *nets), ways, legs, things, groups=(("sgr_0", "default"),))


def crossing() -> Topology:
    """Two peered routers with a network between them, a machine on both sides, a balancer, and a network alone."""
    a, b, between, alone = net("front", 3), net("back", 3), net("transit", 0), net("alone", 1)
    ways = (
        Way("rtr_a", "a", True, OUT.id, "203.0.113.2", ("合作伙伴项目的对等连接",)),
        Way("rtr_b", "b", False, OUT.id, "203.0.113.3"),
    )
    legs = (
        Leg("rtr_a", a.id, ("10.1.0.1",)), Leg("rtr_b", b.id, ("10.2.0.1",)), Leg("rtr_a", between.id, ("10.9.0.1",)),
        Leg("rtr_b", between.id, ("10.9.0.2",)),
    )  # fmt: skip
    inner = (Plug("lba_1", a.id, ("10.1.0.9",)),)
    share = Thing("lba_1", BALANCER, "公网入口负载均衡器", inner, (("fip_9", "203.0.113.9"),), "tcp/80 tcp/443")
    things = (
        share, machine(1, a.id), machine(2, a.id, floating=True), machine(3, a.id, b.id), machine(4, b.id),
        machine(5, b.id), machine(6, alone.id),
    )  # fmt: skip
    bonds = (
        Bond("member", "lba_1", "ins_1"), Bond("member", "lba_1", "ins_2", up=False), Bond("peering", "rtr_a", "rtr_b"),
    )  # fmt: skip
    return Topology((OUT, a, b, between, alone), ways, legs, things, bonds, (("sgr_0", "default"),))


def drawn(topology: Topology, *opened: str, locale: str = "en") -> Picture:
    """Its picture."""
    return draw(topology, Look(Words(locale), lambda n: f"/networks/topology?open={n}", frozenset(opened)))


def _rect(box: Box) -> Rect:
    return box.x, box.y, box.x + box.w, box.y + box.h


def _texts(picture: Picture) -> list[tuple[str, Rect]]:
    found = []
    for text in [*picture.labels, *(t for b in picture.boxes for t in b.texts)]:
        left, right = text.span
        found.append((text.text, (left, text.y - text.size * 0.85, right, text.y + text.size * 0.2)))
    return found


def _meet(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def check(picture: Picture) -> None:
    """No box over another, no text over another or beyond its box, all within the picture."""
    for one, other in combinations(picture.boxes, 2):
        assert not _meet(_rect(one), _rect(other)), (one.id, other.id)
    for (first, where), (second, there) in combinations(_texts(picture), 2):
        assert not _meet(where, there), (first, second)
    for box in picture.boxes:
        left, top, right, bottom = _rect(box)
        assert min(left, top, picture.width - right, picture.height - bottom) >= 0, box.id
        for text in box.texts:
            begin, end = text.span
            assert min(begin - left, right - end, text.y - text.size - top, bottom - text.y) >= 0, (box.id, text)
    for label in picture.labels:
        left, right = label.span
        where = (left, label.y - label.size, right, label.y)
        assert min(left, picture.width - right) >= 0, label
        assert not any(_meet(where, _rect(box)) for box in picture.boxes), label
    names = {box.id for box in picture.boxes}
    assert len(names) == len(picture.boxes)
    assert all(end in names for line in picture.lines for end in line.ends)
