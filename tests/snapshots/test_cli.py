"""The commands of snapshots."""

from __future__ import annotations

from collections.abc import Callable

from click.testing import Result

from tests.compute.test_cli import parsed
from tests.compute.test_cli import run as _run
from tests.snapshots.conftest import Past
from yun.compute import service as compute

run = _run
Run = Callable[..., Result]


def test_a_tree_grows_is_drawn_and_gone_back_in(past: Past, run: Run) -> None:
    assert "Take snapshot clean of instance web" in run("snapshot", "create", "web", "clean", "--dry-run").output
    assert past.tree() == ([], "")
    for words in (("clean", "--note", "before the upgrade"), ("live", "--with-memory")):
        made = run("snapshot", "create", "web", *words)
        assert made.exit_code == 0, made.output
    back = run("snapshot", "restore", "clean", "--disks-only")
    assert back.exit_code == 0, back.output
    drawn = run("snapshot", "tree", "web").output.splitlines()
    assert [line.split("  ")[0].rstrip() for line in drawn[1:]] == [
        "● clean", "├─● live", "│ ● before-clean", "* you are here",
    ]  # fmt: skip
    assert "before the upgrade" in drawn[1]
    assert "disks and memory" in drawn[2]
    assert parsed(run("-o", "json", "snapshot", "tree", "web"))["nodes"][0]["name"] == "clean"
    listed = run("snapshot", "list", "--instance", "web", "--sort", "name").output
    assert listed.index("before-clean") < listed.index("clean ") < listed.index("live")
    assert "before-clean" not in run("snapshot", "list", "-q", "upgrade").output
    shown = run("snapshot", "show", "web/live").output
    assert "Memory and disks are of the same moment." in shown
    again = run("snapshot", "restore", "before-clean", "--with-memory")
    assert again.exit_code == 0, again.output
    assert past.tree()[1] == "before-clean"
    assert run("undo").exit_code == 0, "a restore is undone by going back to what was kept"


def test_two_are_compared(past: Past, run: Run) -> None:
    assert run("snapshot", "create", "web", "a").exit_code == 0
    past.do(lambda ctx: compute.add_disk(ctx, compute.get(ctx, "web"), size_bytes=2**30, name="data"))
    assert run("snapshot", "create", "web", "b").exit_code == 0
    told = run("snapshot", "compare", "a", "web/b").output
    assert "vda web" in told
    assert "written" in told
    assert "is there" in told
    assert parsed(run("-o", "json", "snapshot", "compare", "a", "b"))["only_second"][0]["name"] == "data"


def test_another_instance_and_a_volume_are_made_of_one(past: Past, run: Run) -> None:
    assert run("snapshot", "create", "web").exit_code == 0
    made = run("snapshot", "restore", "snap-1", "--as", "copy", "--memory", "512M", "--vcpus", "2", "--no-start")
    assert made.exit_code == 0, made.output
    assert (past.lab.row("copy").memory_mib, past.lab.row("copy").state) == (512, "stopped")
    assert run("snapshot", "take-disk", "snap-1", "vda", "--name", "taken").exit_code == 0
    assert "taken" in run("volume", "list").output


def test_options_that_mean_nothing_together_are_refused(past: Past, run: Run) -> None:
    past.take("a")
    for words, said in (
        (("--flavor", "tiny"), "--flavor goes with --as only."), (("--memory", "2G"), "--memory goes with --as only."),
        (("--as", "x", "--no-keep"), "--keep does not go with --as."),
        (("--as", "x", "--with-memory"), "--with-memory does not go with --as."),
        (("--as", "x", "--memory", "much"), "512M"),
    ):  # fmt: skip
        answer = run("snapshot", "restore", "a", *words)
        assert answer.exit_code == 2, answer.output
        assert said in answer.output
    assert len(past.tree()[0]) == 1


def test_names_and_notes_change_and_what_is_deleted_is_purged(past: Past, run: Run) -> None:
    past.take("a")
    assert run("snapshot", "update", "a", "--name", "b", "--note", "n", "--was", "name=a").exit_code == 0
    assert run("snapshot", "update", "b", "--name", "c", "--was", "name=a").exit_code == 6
    assert run("snapshot", "purge", "b", "-y").exit_code == 6, "only from the trash"
    assert run("snapshot", "delete", "b").exit_code == 0
    assert past.tree() == ([], "")
    assert run("undo").exit_code == 0
    assert past.tree()[0] == [(0, "b")]
    assert run("snapshot", "delete", "b").exit_code == 0
    gone = run("snapshot", "purge", "b", "-y")
    assert gone.exit_code == 0, gone.output
    assert run("snapshot", "show", "b").exit_code == 5
