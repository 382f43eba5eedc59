"""How far a run is, and the time that is left of it: what is told in the terminal and in logs, by a clock of the test."""

import io
import os
import re
import threading
from contextlib import redirect_stderr, suppress
from pathlib import Path

import pytest

from fingerpost.flows.run.progress import RunProgress
from fingerpost.flows.run.time_left import RunCourse, duration
from fingerpost.tasks.ledger import Estimate, StageRecord


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def record(stage: str, *, part: str = "") -> StageRecord:
    return StageRecord(stage, f"ann.graph/day=2026-01-02/{'0' * 32}", True, "first run", 1.0, {}, part=part)


def course_of(
    clock: Clock, *, expected: float | None = 100.0, total: int = 1_000, done: int = 250, flow: str = ""
) -> RunCourse:
    """A stage of which a part of the steps is done after 60 seconds at an even rate."""
    course = RunCourse(clock, flow=flow)
    course.start("build_graph", expected)
    course.begin("ann.graph", total)
    course.advance(0)
    for step in range(1, 7):
        clock.move(10)
        course.advance(done * step // 6)
    return course


def test_durations_are_told_in_units_that_people_use() -> None:
    assert [duration(seconds) for seconds in (0.2, 59, 119.4, 120, 3_600, 7_199, 7_200, 100_000)] == [
        *("1 s", "59 s", "119 s", "2 min", "60 min", "2 h 0 min", "2 h 0 min", "27 h 47 min")
    ]


def test_the_line_says_stage_steps_rate_and_what_is_left_of_both(clock: Clock) -> None:
    course = course_of(clock, expected=None, done=240, flow="nightly")
    course.outline({"build_graph": None, "pack_index": 20.0, "find_neighbors (left)": 40.0})
    # 240 of 1,000 in 60 s leave 190 s, and 60 s of what follows.
    assert course.line() == (
        "nightly: build_graph 240 of 1,000 (24 %), 240.0 a minute, 60 s so far, about 3 min left;"
        " about 4 min left of the run, 2 stages follow"
    )


def test_what_follows_may_be_unknown_altogether_or_in_part(clock: Clock) -> None:
    course = course_of(clock, expected=None, total=100_000, done=25_000)
    assert course.line().endswith(
        "25,000 of 100,000 (25 %), 417 a second, 60 s so far, about 3 min left; what follows is not known"
    )
    course.outline({"build_graph": None, "pack_index": None, "assemble_index": 1.0})
    assert course.line().endswith("about 3 min left of the run, beside 1 of unknown length, 2 stages follow")
    course.outline({"build_graph": None})
    assert course.line().endswith("about 3 min left of the run, the last stage")


def test_a_stage_without_steps_goes_by_what_was_expected_of_it_and_then_says_that_it_takes_longer(clock: Clock) -> None:
    course = RunCourse(clock)
    course.start("certify_search", 90.0)
    course.outline({"certify_search": 90.0, "pack_index": 30.0})
    clock.move(60)
    assert course.line() == "certify_search 60 s so far, about 30 s left; about 60 s left of the run, 1 stage follows"
    clock.move(60)
    assert course.line() == (
        "certify_search 2 min so far, longer than the 90 s expected;"
        " about 30 s left of the run, beside 1 of unknown length, 1 stage follows"
    )
    course.start("new_stage", None)
    course.outline({"new_stage": None, "other": None})
    assert course.line() == "new_stage 1 s so far, time left unknown; time left of the run unknown, 1 stage follows"


def test_steps_weigh_the_more_the_more_of_them_are_done(clock: Clock) -> None:
    # Expected 100 s; the steps tell 240 s in all.
    early = course_of(clock, total=1_000, done=250)
    assert early.stage is not None
    assert early.stage.left(clock()) == pytest.approx(0.25 * 180 + 0.75 * 40, rel=0.02)
    late = course_of(clock, total=1_000, done=900)
    assert late.stage is not None
    assert late.stage.left(clock()) == pytest.approx(0.9 * 60 / 9 + 0.1 * 40, rel=0.02)


def test_steps_of_one_part_of_a_stage_say_nothing_of_the_next(clock: Clock) -> None:
    course = course_of(clock, total=1_000, done=900)
    course.begin("ann.graph", 10)
    course.advance(0)
    clock.move(10)
    course.advance(5)
    assert course.stage is not None
    # 10 s of this part, and 30 of the 100 s that were expected.
    assert course.stage.left(clock()) == pytest.approx(30)


def test_between_two_steps_the_time_left_goes_on_falling(clock: Clock) -> None:
    course = course_of(clock, expected=None)
    assert course.stage is not None
    before = course.stage.left(clock())
    clock.move(15)
    assert course.stage.left(clock()) == pytest.approx((before or 0) - 15)


def test_a_long_step_after_many_short_ones_is_not_said_to_end_at_once(clock: Clock) -> None:
    course = RunCourse(clock)
    course.start("search_networks", None)
    course.begin("nas.search", 82)
    for step in range(18):
        course.advance(step)
        clock.move(1)
    clock.move(600)
    assert course.stage is not None
    left = course.stage.left(clock())
    # Seventeen took ten minutes so far; nothing says that the others are faster.
    assert left is not None
    assert left > 600


def test_steps_of_an_interrupted_run_are_not_counted_as_work_of_this_one(clock: Clock) -> None:
    course = RunCourse(clock)
    course.start("embed", None)
    course.begin("corpus.vectors", 1_000)
    course.advance(800)
    clock.move(10)
    course.advance(810)
    assert course.stage is not None
    assert course.stage.rate(clock()) == pytest.approx(1.0)
    assert course.stage.left(clock()) == pytest.approx(190)


def test_later_steps_that_take_longer_are_followed(clock: Clock) -> None:
    course = RunCourse(clock)
    course.start("build_graph", None)
    course.begin("ann.graph", 1_000)
    course.advance(0)
    for step in range(1, 7):
        clock.move(10 if step < 4 else 40)
        course.advance(100 * step)
    assert course.stage is not None
    assert course.stage.rate(clock()) == pytest.approx(2.5)


def test_what_is_to_come_is_as_much_slower_than_thought_as_what_was_done(clock: Clock) -> None:
    course = RunCourse(clock)
    course.outline({"a": 20.0, "b": 20.0, "c": 30.0})
    course.start("a", 20.0)
    clock.move(60)
    course.end("a")
    assert course.line() == ""
    course.start("b", 20.0)
    assert course.line().endswith("about 60 s left; about 2 min left of the run, 1 stage follows")
    clock.move(1_000)
    course.end("b")
    assert course.pace == 4.0


def test_without_a_terminal_a_line_is_written_and_logged_and_nothing_between_stages(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.log"
    progress = RunProgress(log_file=log, clock=clock, flow="nightly")
    progress.start("build_graph (left)", Estimate(90.0, 10.0, 10))
    clock.move(60)
    progress.minute()
    progress.end(record("build_graph", part="left"))
    progress.minute()
    line = "nightly: build_graph (left) 60 s so far, about 30 s left; what follows is not known"
    assert [text for text in capsys.readouterr().err.splitlines() if "so far" in text] == [line]
    assert [text.split(" ", 2)[2] for text in log.read_text().splitlines() if "so far" in text] == [line]


def test_quiet_runs_write_the_line_to_the_log_alone(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = RunProgress(quiet=True, log_file=tmp_path / "run.log", clock=clock)
    progress.start("build_graph", None)
    clock.move(60)
    progress.minute()
    assert "time left unknown" in (tmp_path / "run.log").read_text()
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_the_time_left_beside_the_bar_and_that_of_the_run_below(clock: Clock) -> None:
    progress, shown = RunProgress(clock=clock), io.StringIO()
    progress.console.file, progress.console._force_terminal, progress.console.width = shown, True, 110
    progress.console.is_interactive = True
    progress.course.outline({"build_graph": 100.0, "pack_index": 30.0})
    progress.start("build_graph", Estimate(100.0, 10.0, 10))
    clock.move(40)
    progress.tell("ann.graph", "found")
    progress.minute()
    progress.end(record("build_graph"))
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue()).splitlines()
    assert any(line.rstrip().endswith("about 60 s left") and "build_graph" in line for line in lines)
    assert "  about 90 s left of the run, 1 stage follows" in [line.rstrip() for line in lines]
    # The bar says it; lines of the past are of the log.
    assert not any("so far" in line for line in lines)


def test_the_outline_is_asked_once_in_the_context_of_the_run(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, told = [], threading.Event()
    monkeypatch.setattr("fingerpost.flows.run.progress.MINUTE", 0.001)
    progress = RunProgress(quiet=True, clock=clock)
    progress.start("a", Estimate(10.0, 1.0, 1))

    def outline() -> dict[str, float | None]:
        asked.append(threading.current_thread().name)
        return {"a": 10.0, "b": 5.0}

    lines: list[str] = []

    def log(text: str) -> None:
        lines.append(text)
        if len(lines) > 2:
            told.set()

    monkeypatch.setattr(progress, "log", log)
    with progress.minutes(outline):
        assert told.wait(20)
    assert asked == ["fingerpost-minutes"]
    assert lines[0] == "a 1 s so far, about 10 s left; about 15 s left of the run, 1 stage follows"


def test_a_run_goes_on_where_nobody_reads_its_progress_any_more() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    gone = os.fdopen(writes, "w")
    with redirect_stderr(gone):
        progress = RunProgress(in_ui=False)
        for _ in range(2):
            progress.say("x" * 100_000)
    assert progress.console.quiet
    with suppress(BrokenPipeError):
        gone.close()
