"""Where things stand on the picture of the networks."""

from __future__ import annotations

import time

import pytest

from tests.network.pictures import OUT, check, crossing, drawn, many_routers, net, one_network
from yun.network.topology.fit import fit, width
from yun.network.topology.graph import Net, Topology, Way
from yun.network.topology.shapes import WIDEST

SIZES = {
    "nothing": Topology(), "one external network": Topology((OUT,)), "1 machine": one_network(1),
    "5 machines": one_network(5), "10 machines": one_network(10), "200 of which 12": one_network(200, 12),
    "200 machines": one_network(200), "12 busy machines": one_network(12, busy=True),
    "crossing": crossing(), "2 routers": many_routers(2, 1, 2),
    "3 routers of 3 networks": many_routers(3, 3, 4), "12 routers": many_routers(12, 1, 1),
    "a router of 40 networks": many_routers(1, 40, 1), "40 routers": many_routers(40, 1, 5),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("locale", ["en", "zh"])
def test_nothing_stands_over_anything_else(name: str, locale: str) -> None:
    for opened in ((), ("net_lab",)):
        check(drawn(SIZES[name], *opened, locale=locale))


@pytest.mark.parametrize("name", SIZES)
def test_a_picture_is_never_much_wider_than_a_page(name: str) -> None:
    assert drawn(SIZES[name]).width <= WIDEST + 50


def test_the_same_topology_gives_the_same_picture() -> None:
    assert drawn(crossing()) == drawn(crossing())


def test_two_hundred_ports_are_drawn_in_a_moment() -> None:
    began = time.process_time()
    drawn(one_network(200))
    assert time.process_time() - began < 0.5


def test_external_networks_are_on_top_then_routers_networks_and_machines() -> None:
    at = {box.id: box.y for box in drawn(one_network(3)).boxes}
    assert at["net_out"] < at["rtr_main"] < at["net_lab"] < at["ins_0"]


def test_a_network_without_a_router_stands_below_by_itself() -> None:
    picture = drawn(Topology((OUT, net("alone")), (Way("rtr_a", "a", gateway=OUT.id, address="203.0.113.2"),)))
    lines = {line.ends for line in picture.lines}
    assert lines == {("net_out", "rtr_a")}
    at = {box.id: box.y for box in picture.boxes}
    assert at["net_alone"] > at["rtr_a"]


def test_lines_lead_to_every_router_network_machine_and_member() -> None:
    ends = [line.ends for line in drawn(crossing()).lines]
    assert len(ends) == len(set(ends))
    for pair in (
        ("net_out", "rtr_a"), ("net_out", "rtr_b"), ("rtr_a", "net_front"), ("rtr_b", "net_back"),
        ("rtr_a", "net_transit"), ("rtr_b", "net_transit"), ("net_front", "ins_3"), ("ins_3", "net_back"),
        ("lba_1", "ins_1"), ("lba_1", "ins_2"), ("rtr_a", "rtr_b"),
    ):  # fmt: skip
        assert pair in ends, pair
    off = [line.ends for line in drawn(crossing()).lines if "off" in line.kind]
    assert off == [("lba_1", "ins_2")]


def test_what_is_not_shown_is_counted_and_opened_by_a_link() -> None:
    more = next(b for b in drawn(one_network(200, 12)).boxes if b.kind == "more")
    assert (more.texts[0].text, more.href) == ("188 more", "/networks/topology?open=net_lab")
    assert more.toggle
    fewer = next(b for b in drawn(one_network(200), "net_lab").boxes if b.kind == "more")
    assert fewer.texts[0].text == "Show fewer"


def test_what_goes_through_is_written_and_makes_the_line_wider() -> None:
    picture = drawn(one_network(12, busy=True))
    wide = {line.ends[1]: line.strength for line in picture.lines if line.kind == "plug"}
    assert wide["ins_1"] < wide["ins_5"] < wide["ins_7"] <= wide["ins_11"] == 7.0
    written = {box.id: box.texts[-1].text for box in picture.boxes if box.kind == "machine"}
    assert written["ins_3"] == "↓1.0 KiB/s ↑3.0 KiB/s"
    assert written["ins_6"] == "↓977 KiB/s ↑6.0 KiB/s"
    assert all(line.strength == 0 for line in drawn(one_network(3)).lines)


def test_a_long_name_is_cut_to_its_box_and_told_whole() -> None:
    long = Net("net_long", "云" * 50, ranges=("fd00:1234:5678:9abc::/64", "10.0.0.0/8"), machines=1234)
    picture = drawn(Topology((long,)))
    check(picture)
    bar = picture.boxes[0]
    assert bar.texts[0].text.endswith("…")
    assert "云" * 50 in bar.title


def test_texts_are_cut_to_the_room_there_is() -> None:
    assert fit("short", 100, 13) == "short"
    assert fit("a rather long name", 60, 13).endswith("…")
    assert width(fit("a rather long name", 60, 13), 13) <= 60
    assert width("云", 13) > width("W", 12)
