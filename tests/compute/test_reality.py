"""What a look at the hypervisor means for the row."""

from datetime import UTC, datetime, timedelta

import pytest

from yun.compute.reality import GAVE_UP, Known, Seen, Verdict, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def look(known: Known, seen: Seen) -> Verdict | None:
    return judge(known, seen, NOW)


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ("running", Seen("running")),
        ("paused", Seen("paused")),
        ("stopped", Seen("stopped", "shutdown")),
        ("stopped", Seen("stopped", "destroyed")),
        ("stopped", Seen("stopped", "unknown")),
        ("stopped", Seen("crashed", "crashed")),
        ("error", Seen("stopped")),
        ("building", Seen("missing")),
        ("trashed", Seen("missing")),
    ],
)
def test_a_row_that_is_right_stays_as_it_is(state, seen):
    assert look(Known(state), seen) is None


def test_a_killed_machine_has_crashed_and_is_started_again():
    assert look(Known("running"), Seen("crashed", "crashed")) == Verdict(
        "crashed", "crashed", False, "instance.crashed", start=True
    )


def test_a_killed_machine_is_left_down_where_the_policy_says_so():
    verdict = look(Known("running", on_crash="leave"), Seen("stopped", "crashed"))
    assert verdict == Verdict("crashed", "crashed", False, "instance.crashed")
    assert look(Known("crashed", "crashed", on_crash="leave"), Seen("stopped", "crashed")) is None


def test_a_guest_that_powered_itself_off_is_stopped_and_left_so():
    verdict = look(Known("running"), Seen("stopped", "shutdown"))
    assert verdict == Verdict("stopped", "shutdown", False, "instance.stopped")


def test_a_plug_pulled_behind_our_back_is_noticed_and_mended_by_policy():
    assert look(Known("running"), Seen("stopped", "destroyed")).start
    left = look(Known("running", on_crash="leave"), Seen("stopped", "destroyed"))
    assert left == Verdict("stopped", "destroyed", False, "instance.stopped")


def test_after_a_reboot_of_the_host_only_machines_with_autostart_start():
    assert look(Known("running", same_boot=False), Seen("stopped", "unknown")) == Verdict(
        "stopped", "host_reboot", False, "instance.stopped", start=True
    )
    assert not look(Known("running", same_boot=False, autostart=False), Seen("stopped")).start
    assert not look(Known("paused", autostart=False), Seen("stopped", "unknown")).start


def test_a_machine_stopped_on_purpose_is_not_started_by_anything():
    for seen in (Seen("stopped", "unknown"), Seen("stopped", "destroyed"), Seen("crashed", "crashed")):
        assert look(Known("stopped", "user", same_boot=False), seen) is None


def test_a_missing_definition_is_written_again():
    verdict = look(Known("stopped", "user"), Seen("missing"))
    assert (verdict.state, verdict.define, verdict.start) == ("stopped", True, False)
    verdict = look(Known("running"), Seen("missing"))
    assert (verdict.state, verdict.reason, verdict.define, verdict.start) == ("stopped", "missing", True, True)
    assert not look(Known("running", on_crash="leave"), Seen("missing")).start


def test_a_machine_that_somebody_started_is_running():
    verdict = look(Known("stopped"), Seen("running", "booted", True))
    assert verdict == Verdict("running", "booted", True, "instance.started")
    assert look(Known("error"), Seen("running")).state == "running"
    assert look(Known("paused"), Seen("running", "user")).event == "instance.resumed"


def test_a_machine_that_the_hypervisor_paused_says_why():
    assert look(Known("running"), Seen("paused", "io_error")) == Verdict("paused", "io_error", False, "instance.paused")


def test_the_agent_coming_and_going_is_news():
    assert look(Known("running"), Seen("running", agent=True)) == Verdict("running", "", True, "instance.agent")
    assert look(Known("running", agent=True), Seen("running")).agent is False


def test_a_start_that_failed_is_tried_again_until_it_is_given_up():
    recent = [NOW - timedelta(minutes=n) for n in (1, 2, 3)]
    again = look(Known("crashed", "crashed", mended_at=recent[:2]), Seen("stopped", "crashed"))
    assert again == Verdict("crashed", "crashed", False, "instance.mending", start=True)
    over = look(Known("running", mended_at=recent), Seen("crashed", "crashed"))
    assert (over.start, over.reason, over.event) == (False, GAVE_UP, "instance.gave_up")
    assert look(Known("crashed", GAVE_UP, mended_at=recent), Seen("stopped", "crashed")) is None


def test_old_mends_do_not_count():
    old = [NOW - timedelta(minutes=11)] * 5
    assert look(Known("running", mended_at=old), Seen("crashed", "crashed")).start
