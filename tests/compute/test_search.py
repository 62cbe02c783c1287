"""The query language: what it finds among instances and volumes, and how it refuses what means nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.compute.conftest import Lab
from yun.base.errors import Invalid
from yun.compute import service
from yun.compute.model import Instance
from yun.compute.service.search import finished
from yun.storage import service as storage
from yun.storage.service.search import finished as volumes_finished


@pytest.fixture
def fleet(lab: Lab) -> Lab:
    """Four instances unlike each other."""
    for name, vcpus, memory, tags in (
        ("class-01", 1, 512, ("web", "blue")), ("class-02", 2, 4096, ("web",)), ("db", 4, 8192, ()),
        ("CLASSIC", 1, 96, ("old",)),
    ):  # fmt: skip
        lab.create(name=name, flavor=None, vcpus=vcpus, memory_mib=memory, tags=tags, start=name != "db")
    long_ago = datetime.now(UTC) - timedelta(days=30)
    with lab.database.write() as session:
        session.execute(update(Instance).where(Instance.name == "db").values(created_at=long_ago, protected=True))
    return lab


def names(lab: Lab, q: str) -> list[str]:
    """Names of the instances that a query finds."""
    with lab.asking() as ctx:
        return sorted(row.name for row in service.list_instances(ctx, q=q).items)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("name~class", ["CLASSIC", "class-01", "class-02"]),
        ("name:class", ["CLASSIC", "class-01", "class-02"]),
        ("name=class-01", ["class-01"]),
        ("name!=class-01 name~class", ["CLASSIC", "class-02"]),
        ("memory>4G", ["db"]),
        ("memory>=4G", ["class-02", "db"]),
        ("memory=512", ["class-01"]),
        ("memory<512M", ["CLASSIC"]),
        ("memory<=0.5G", ["CLASSIC", "class-01"]),
        ("memory!=96M vcpus<4", ["class-01", "class-02"]),
        ("vcpus:1", ["CLASSIC", "class-01"]),
        ("-vcpus>1", ["CLASSIC", "class-01"]),
        ("state:running tag:web memory>4000M name~class", ["class-02"]),
        ("state!=running", ["db"]),
        ("state:running,stopped", ["CLASSIC", "class-01", "class-02", "db"]),
        ("-tag:web", ["CLASSIC", "db"]),
        ("tag!=web", ["CLASSIC", "db"]),
        ("created>7d", ["db"]),
        ("created<7d", ["CLASSIC", "class-01", "class-02"]),
        ("created<2020-01-01", []),
        ("protected:yes", ["db"]),
        ("protected=no name~classic", ["CLASSIC"]),
        ("network:nowhere", []),
        ('name="class-02"', ["class-02"]),
        ("100%", []),
        ("name~_", []),
        ("state：running　tag：web memory＞4000M", ["class-02"]),
        ("state！=running", ["db"]),
        ("state:running，stopped name=db", ["db"]),
        ('tag:"', ["CLASSIC", "class-01", "class-02", "db"]),
        ("created:9999-12-30", []),
    ],
)
def test_a_query_finds_what_it_says(fleet: Lab, q: str, found: list[str]) -> None:
    assert names(fleet, q) == found


def test_a_network_is_searched_by_its_name(fleet: Lab) -> None:
    with fleet.asking() as ctx:
        row = service.get(ctx, "db")
        network = service.detail(ctx, row)["ports"][0]["network_name"]
    assert len(names(fleet, f'network:"{network}"')) == 4


@pytest.mark.parametrize(
    ("q", "told"),
    [
        ("colour:red", "colour"), ("memory~4", "memory~4"), ("memory>lots", "lots"), ("vcpus>two", "two"),
        ("state>running", "state>running"), ("state:flying", "flying"), ("created>yesterday", "yesterday"),
        ("created>99999999999999w", "99999999999999w"), ("protected:maybe", "maybe"), ("vcpus>1e400", "1e400"),
        ("created:5ſ", "5ſ"), ("memory>" + "9" * 400, "99999"), ("created:9999-12-31", "9999-12-31"),
        ("created>0001-01-01T00:00+14:00", "+14:00"), ('tag:""', 'tag:""'), ('-name=""', "name"),
        ("state:running,", "–"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_by_its_word(fleet: Lab, q: str, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        names(fleet, q)
    assert told in caught.value.message.render()
    assert "q" in caught.value.fields


def test_a_query_that_is_too_long_is_refused_and_not_cut_off(fleet: Lab) -> None:
    keep = " ".join(f"-tag:keep-{number}" for number in range(100))
    with pytest.raises(Invalid) as caught:
        names(fleet, keep)
    assert caught.value.fields["q"].render() == "at most 1000 characters"


def test_a_word_that_is_still_being_typed_asks_for_nothing_yet() -> None:
    assert finished("tag:web memory>") == "tag:web "
    assert finished("memory>4") == "memory>4"
    assert finished("-state:ru") == "-state:running"
    assert finished("state：ru") == "state:running"
    assert volumes_finished("size>") == ""
    assert volumes_finished("size>1G x") == "size>1G x"


def test_volumes_are_searched_in_the_same_language(fleet: Lab) -> None:
    fleet.do(storage.create_volume, None, name="spare", size_bytes=3 << 30)

    def found(q: str) -> Any:
        with fleet.asking() as ctx:
            return sorted(volume.name for volume in storage.list_volumes(ctx, q=q).items)

    assert found("attached:no") == ["spare"]
    assert found("size<=3G -attached:yes") == ["spare"]
    assert found("name=spare pool:default") == ["spare"]
    assert found("spa") == ["spare"]
    assert "spare" not in found("size>3G")
    with pytest.raises(Invalid):
        found("colour:red")
