"""Two people change the same thing in the same moment, before either can see what the other did."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compute.conftest import Lab
from yun.base.errors import Conflict
from yun.compute.service import bulk, bulk_others, bulk_volumes
from yun.network import service as network
from yun.operations.service import submit

CHANGES: dict[str, tuple[Any, Any, str]] = {
    "instance": (bulk.MANY, bulk.BulkWish, "m0"),
    "volume": (bulk_volumes.MANY, bulk_volumes.VolumesWish, "m0"),
    "network": (bulk_others.NETWORKS, bulk_others.TagsWish, "m0"),
    "image": (bulk_others.IMAGES, bulk_others.TagsWish, "tiny"),
}


@pytest.mark.parametrize("lab", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)
def test_two_who_tag_the_same_at_once_lose_nothing(lab: Lab) -> None:
    """Only PostgreSQL lets both read before either writes; a change of many computes with what it read. The volume is
    the instance's disk."""
    lab.create("m0", start=False)
    lab.do(lambda ctx: network.create_network(ctx, network.NewNetwork("m0", "", 1442, None)))
    for many, wish, name in CHANGES.values():
        with lab.asking() as slow:
            asked = many.calls["tag"](slow, many.get(slow, name), wish(add_tags=["slow"]))
            with lab.asking() as quick:
                many.carry_out(quick, "tag", [name], wish(add_tags=["quick"]))
            with pytest.raises(Conflict) as caught:
                submit(slow, asked)
        assert "changed by somebody else" in caught.value.message.render("en")
        with lab.asking() as ctx:
            assert many.get(ctx, name).tags == ["quick"]
            many.carry_out(ctx, "tag", [name], wish(add_tags=["slow"]))
        with lab.asking() as ctx:
            assert sorted(many.get(ctx, name).tags) == ["quick", "slow"]
