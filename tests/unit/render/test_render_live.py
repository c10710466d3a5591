"""Following an apply: the live table, the plain lines, the summary."""

from __future__ import annotations

import io
import threading
from contextlib import suppress

from rich.console import Console

from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.outcome import WAITING, Outcome
from sandboxer.model.run_events import ChangeEnded, ChangeProgressed, ChangeStarted, ServiceProgressed
from sandboxer.model.service_operation import ServiceOperation
from sandboxer.render.live import LiveView, PlainView, apply_summary
from tests.support.cases import compare, on_terminal, piped
from tests.support.plans import change

WEB = change("checkout-e2e", Reason.CREATE_ABSENT)
OLD = change("old", Reason.DELETE_ORPHANED, host="lab-2")
FAR = change("far", Reason.REPAIR_DRIFT, host="lab-3")
LOCKED = change("busy", Reason.BLOCKED_LOCKED, message="another client holds its lock: ann@laptop")
ERROR = "service api exited with 1\n  Traceback:\n\x1b[31mboom\x1b[0m\x07\n"

SERVICES = (
    ServiceOperation("api", "recreate", "config"),
    ServiceOperation("db", "keep", "unchanged"),
    ServiceOperation("queue\x1b", "start", "own\x07 code"),
)

OUTCOMES = [
    Outcome(WEB, seconds=2.13, services=SERVICES),
    Outcome(OLD, seconds=0.04),
    Outcome(change("web", Reason.CREATE_ABSENT), seconds=61.7),
    Outcome(FAR, error=ERROR, hint="see its logs\nthen apply again", seconds=12.3),
    Outcome(LOCKED),
    Outcome(change("calm", Reason.NO_OP_SYNCED)),
]


class Screen:
    """A terminal and its clock, both in memory."""

    def __init__(self, height: int = 40, encoding: str = "utf-8") -> None:
        self.seconds = 100.0
        self.bytes = io.BytesIO()
        stream = io.TextIOWrapper(self.bytes, encoding=encoding, errors="strict", write_through=True)
        self.console = Console(
            file=stream,
            width=80,
            height=height,
            force_terminal=True,
            color_system=None,
            get_time=lambda: self.seconds,
            _environ={},
        )

    def shows(self, view: LiveView) -> list[str]:
        """Return the lines of the table as it stands."""
        # Another console than the view's own, which draws its table below whatever is printed.
        console = Console(width=80, color_system=None, get_time=lambda: self.seconds, _environ={})
        with console.capture() as capture:
            console.print(view.table())
        return [line.rstrip() for line in capture.get().splitlines()]


def test_the_table_shows_steps_and_seconds_as_time_goes_by() -> None:
    screen = Screen()
    with LiveView(screen.console) as view:
        view(ChangeStarted(WEB))
        view(ChangeProgressed(WEB, "delivering"))
        view(ChangeStarted(FAR))
        screen.seconds += 65
        view(ChangeStarted(OLD))
        view(ChangeEnded(Outcome(FAR, error="no", seconds=12.3)))
        screen.seconds += 0.5
        shown = screen.shows(view)
    assert shown[0].split() == ["SANDBOX", "HOST", "ACTION", "STEP", "TIME"]
    assert shown[1].split()[1:] == ["checkout-e2e", "lab-1", "create", "delivering", "1", "min", "06", "s"]
    assert shown[2].split() == ["✗", "far", "lab-3", "repair", "failed", "12.3", "s"]
    assert shown[3].split()[1:] == ["old", "lab-2", "delete", "0.5", "s"]


def test_the_last_frame_stays_on_the_screen() -> None:
    screen = Screen()
    with LiveView(screen.console) as view:
        view(ChangeStarted(WEB))
        view(ChangeEnded(Outcome(WEB, seconds=2.1)))
    last = screen.bytes.getvalue().decode().rsplit("SANDBOX", 1)[1]
    assert "✓  checkout-e2e" in last
    assert "2.1 s" in last


def test_the_last_frame_lists_what_was_done_with_each_service() -> None:
    screen = Screen()
    with LiveView(screen.console) as view:
        view(ChangeStarted(WEB))
        view(ChangeEnded(OUTCOMES[0]))
        assert len(screen.shows(view)) == 2
    shown = screen.shows(view)
    assert [line.split()[:2] for line in shown[2:]] == [["api", "recreate"], ["queue\\x1b", "start"]]
    assert shown[2].endswith("its definition changed")


def test_services_show_their_states_while_the_change_is_in_progress() -> None:
    screen = Screen()
    with LiveView(screen.console) as view:
        view(ChangeStarted(WEB))
        view(ChangeProgressed(WEB, "starting"))
        view(ServiceProgressed(WEB, "web", "building", "1/3 FROM busybox"))
        screen.seconds += 4
        view(ServiceProgressed(WEB, "web", "building", "2/3 RUN ma\x1b[2Jke"))
        view(ServiceProgressed(WEB, "db", "healthy"))
        view(ServiceProgressed(FAR, "db", "healthy"))
        screen.seconds += 1
        assert [line.split() for line in screen.shows(view)[2:]] == [
            ["web", "building", "2/3", "RUN", "make", "5.0", "s"],
            ["db", "healthy", "1.0", "s"],
        ]
        view(ServiceProgressed(WEB, "db", "building", "x" * 200))
        assert len(screen.shows(view)) == 4
        view(ServiceProgressed(WEB, "web", "creating"))
        assert screen.shows(view)[2].split() == ["web", "creating", "0.0", "s"]
        view(ChangeEnded(Outcome(WEB, seconds=5)))
        assert len(screen.shows(view)) == 2


def test_services_that_do_not_fit_are_counted() -> None:
    screen = Screen(height=8)
    with LiveView(screen.console) as view:
        view(ChangeStarted(WEB))
        view(ChangeStarted(FAR))
        view(ChangeProgressed(FAR, "starting"))
        for at in range(3):
            view(ServiceProgressed(WEB, f"s{at}", "starting"))
        for name, state in (("a", "healthy"), ("b", "completed"), ("c", "starting")):
            view(ServiceProgressed(FAR, name, state))  # type: ignore[arg-type]
        shown = screen.shows(view)
    assert [line.split()[0] for line in shown[2:5]] == ["s0", "s1", "s2"]
    assert "starting: 2 of 3 services ready" in shown[5]
    assert len(shown) == 6


def test_a_log_has_a_line_for_each_state_and_no_flood() -> None:
    stream = io.StringIO()
    with PlainView(stream) as view:
        view(ChangeStarted(WEB))
        for step in ("1/2 FROM a", "2/2 RUN b"):
            view(ServiceProgressed(WEB, "web", "building", step))
        for state in ("creating", "created", "starting", "started"):
            view(ServiceProgressed(WEB, "web", state))  # type: ignore[arg-type]
        for _ in range(50):
            view(ServiceProgressed(WEB, "db", "failed", "exit code 3"))
            view(ServiceProgressed(WEB, "db", "restarting"))
    assert stream.getvalue().splitlines()[1:] == [
        "checkout-e2e on lab-1: web building",
        "checkout-e2e on lab-1: web started",
        "checkout-e2e on lab-1: db failed (exit code 3)",
        "checkout-e2e on lab-1: db restarting",
    ]


def test_a_change_that_was_planned_again_keeps_its_row() -> None:
    screen = Screen()
    with LiveView(screen.console) as view:
        view(ChangeStarted(WEB))
        view(ChangeEnded(Outcome(change("checkout-e2e", Reason.REPAIR_INTERRUPTED), seconds=1)))
        shown = screen.shows(view)
    assert [line.split()[1:5] for line in shown[1:]] == [["checkout-e2e", "lab-1", "repair", "repaired"]]


def test_on_a_low_screen_those_at_work_are_shown_and_the_rest_counted() -> None:
    screen = Screen(height=8)
    changes = [change(f"web-{at}", Reason.CREATE_ABSENT, id=f"{at:08x}") for at in range(9)]
    with LiveView(screen.console) as view:
        for each in changes:
            view(ChangeStarted(each))
        for each in changes[:6]:
            view(ChangeEnded(Outcome(each)))
        names = [line.split()[1] for line in screen.shows(view)[1:]]
        assert names == ["web-4", "web-5", "web-6", "web-7", "web-8", "4"]
    assert [line.split()[1] for line in screen.shows(view)[1:]] == [each.sandbox for each in changes]


def test_an_interrupt_leaves_the_terminal_whole_and_marks_what_was_at_work() -> None:
    screen = Screen()
    view = LiveView(screen.console)
    with suppress(KeyboardInterrupt), view:
        view(ChangeStarted(WEB))
        view(ChangeStarted(OLD))
        view(ChangeEnded(Outcome(OLD)))
        raise KeyboardInterrupt
    output = screen.bytes.getvalue().decode()
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert "interrupted" in screen.shows(view)[1]
    assert "deleted" in screen.shows(view)[2]
    view(ChangeEnded(Outcome(WEB)))
    assert "interrupted" in screen.shows(view)[1]
    assert screen.bytes.getvalue().decode() == output


def test_a_terminal_without_unicode_gets_ascii() -> None:
    screen = Screen(encoding="ascii")
    with LiveView(screen.console) as view:
        view(ChangeStarted(WEB))
        view(ChangeStarted(OLD))
        view(ChangeEnded(Outcome(OLD)))
        screen.shows(view)
    screen.bytes.getvalue().decode("ascii")


def test_many_threads_may_use_a_view_at_once() -> None:
    screen, stream = Screen(), io.StringIO()
    changes = [change(f"web-{at}", Reason.CREATE_ABSENT, id=f"{at:08x}") for at in range(24)]
    with LiveView(screen.console) as live, PlainView(stream) as plain:

        def operation(at: int) -> None:
            for view in (live, plain):
                view(ChangeStarted(changes[at]))
                for step in ("recording", "delivering", "starting"):
                    view(ChangeProgressed(changes[at], step))
                view(ChangeEnded(Outcome(changes[at], seconds=1)))

        threads = [threading.Thread(target=operation, args=(at,)) for at in range(len(changes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    assert sum("created" in line for line in screen.shows(live)) == len(changes)
    expected = [f"web-{at} on lab-1: {word}" for at in range(24) for word in ("creating", "created (1.0 s)")]
    assert sorted(stream.getvalue().splitlines()) == sorted(expected)


def test_plain_lines() -> None:
    stream = io.StringIO()
    with PlainView(stream) as view:
        for outcome in OUTCOMES[:4]:
            view(ChangeStarted(outcome.change))
            view(ChangeProgressed(outcome.change, "starting"))
            view(ChangeEnded(outcome))
        view(ChangeProgressed(OUTCOMES[4].change, f"{WAITING} alice@ci-7, since 12:03:10Z"))
        view(ChangeEnded(OUTCOMES[4]))
    view(ChangeStarted(WEB))
    compare("render/apply-plain.txt", stream.getvalue())


def test_every_action_that_is_carried_out_has_its_word() -> None:
    for reason in (Reason.CREATE_ABSENT, Reason.UPDATE_CHANGED, Reason.REPLACE_MOVED, Reason.REPAIR_DRIFT):
        stream = io.StringIO()
        PlainView(stream)(ChangeStarted(change("web", reason)))
        action = Action(reason.split("_")[0])
        assert stream.getvalue() == f"web on lab-1: {action.removesuffix('e')}ing\n"


def test_a_log_that_nobody_reads_any_more_stops_no_work() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with PlainView(Gone()) as view:
        view(ChangeStarted(WEB))
        view(ChangeEnded(Outcome(WEB)))


def test_the_summary_shows_each_failure_whole_and_counts_last() -> None:
    compare("render/apply-summary.txt", piped(apply_summary(OUTCOMES, 75.2)))


def test_the_summary_of_success_is_one_line() -> None:
    assert piped(apply_summary(OUTCOMES[:3], 3.04)) == "Applied: 2 created, 1 deleted. It took 3.0 s.\n"
    assert piped(apply_summary([], 0)) == "Applied: nothing to do. It took 0.0 s.\n"


def test_the_summary_folds_on_a_terminal() -> None:
    long = Outcome(WEB, error="word " * 40)
    assert all(len(line) <= 50 for line in on_terminal(apply_summary([long], 1), 50).splitlines())
