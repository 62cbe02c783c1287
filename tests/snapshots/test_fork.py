"""Forks: copies of a running machine that go on from the same moment, each an individual."""

from __future__ import annotations

import pytest

from tests.compute.conftest import Lab, both
from tests.snapshots.conftest import Past
from yun.base.errors import Invalid, YunError
from yun.compute import service as compute
from yun.compute.model import State as InstanceState
from yun.network import service as network
from yun.operations.model import State
from yun.snapshots import service
from yun.snapshots.model import Snapshot
from yun.snapshots.service import ForkWish
from yun.storage.model import LayerHold


def fork(past: Past, name: str = "twin", *, state: str = State.SUCCEEDED, **wish: object) -> str:
    """Fork web; the operation's id."""
    return past.do(
        lambda ctx: service.fork(ctx, compute.get(ctx, "web"), ForkWish(name, **wish)), state  # type: ignore[arg-type]
    )


@both
def test_a_fork_goes_on_with_the_memory_and_is_somebody_else(lab: Lab) -> None:
    lab.create()
    past = Past(lab)
    past.meet()
    past.write("one ")
    lab.domain().guest.memory["counter"] = 41
    done = lab.operation(fork(past))
    old, new = lab.row(), lab.row("twin")
    assert (old.state, new.state) == (InstanceState.RUNNING, InstanceState.RUNNING)
    assert lab.domain().boots == 1, "the source went on"
    assert lab.domain("twin").boots == 0, "the fork did not boot"
    assert lab.domain("twin").guest.memory == {"counter": 41}
    assert "one" in past.reads("twin")
    past.write("two ")
    assert "two" not in past.reads("twin")
    with lab.asking() as ctx:
        mine, theirs = (network.ports_of(ctx.session, row.id)[0] for row in (old, new))
    assert mine.mac != theirs.mac
    assert [nic.mac for nic in lab.domain("twin").live.nics] == [theirs.mac]  # type: ignore[union-attr]
    assert done.result is not None
    assert [event.data["why"] for event in lab.events("instance.renewed")] == [""]
    assert done.result["value"]["renewed"] == [True]
    assert not lab.rows(Snapshot), "the moment is let go of"
    assert not [hold for hold in lab.rows(LayerHold) if hold.holder.startswith("snapshot:")]
    ran = [words for command, words in lab.domain("twin").guest.agent_calls if command == "guest-exec"]
    assert new.hostname in ran[-1]["arg"]


def test_several_at_once_and_undo(past: Past) -> None:
    done = fork(past, "class-{n:02d}", count=3, isolated=True)
    names = [f"class-{n:02d}" for n in (1, 2, 3)]
    assert [past.lab.row(name).state for name in names] == [InstanceState.RUNNING] * 3
    assert not any(nic.link_up for name in names for nic in past.lab.domain(name).live.nics)  # type: ignore[union-attr]
    past.lab.undo(done)
    assert [past.lab.row(name).state for name in names] == [InstanceState.TRASHED] * 3


def test_what_is_off_cannot_be_forked(past: Past) -> None:
    past.do(lambda ctx: compute.stop(ctx, compute.get(ctx, "web"), force=True))
    with pytest.raises(YunError), past.lab.asking() as ctx:
        service.fork(ctx, compute.get(ctx, "web"), ForkWish("twin"))


def test_a_fork_whose_memory_cannot_be_used_leaves_nothing(past: Past) -> None:
    past.lab.world.fail("wake", times=50, retryable=False)
    done = fork(past, state=State.FAILED)
    assert past.lab.operation(done).error is not None
    assert not past.lab.rows(Snapshot)
    with pytest.raises(YunError), past.lab.asking() as ctx:
        compute.get(ctx, "twin")
    assert past.lab.row().state == InstanceState.RUNNING
    with pytest.raises(Invalid), past.lab.asking() as ctx:
        service.fork(ctx, compute.get(ctx, "web"), ForkWish("", count=2))
