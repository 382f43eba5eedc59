"""Late input: what a run waits for and for how long, by a clock of the test, and what others see of a day that waits."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.ops.watch.catch_up import _awaits_input
from fingerpost.flows.run.alerts import alerts
from fingerpost.flows.run.dry_run import show_wait
from fingerpost.flows.run.first_wait import waited
from fingerpost.flows.run.freshness import freshness_lines, scheduled_freshness
from fingerpost.flows.run.input_files import check_inputs, files_of_day
from fingerpost.flows.run.late_input import Clock, LateInputError, wait_end, wait_for_input
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.waits import AWAITING_INPUT, days_at_work, kept_wait
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.store import Store
from tests.ops.watched import note_day

DAY = "2026-03-10"
THREE = datetime(2026, 3, 10, 3, tzinfo=UTC)
FLOW = "nightly"


@dataclass
class Night:
    """A night by a clock of its own: what happens at which minute after three, and every line that the run says."""

    folder: Path
    minutes: dict[int, Callable[[], object]] = field(default_factory=dict)
    now: datetime = THREE
    looks: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store(str(self.folder / "store")).prepare()

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.pass_time)

    def pass_time(self, seconds: float) -> None:
        self.looks.append(round((self.now - THREE).total_seconds() / 60))
        until = self.now + timedelta(seconds=seconds)
        while self.now < until:
            self.now += timedelta(minutes=1)
            self.minutes.get(round((self.now - THREE).total_seconds() / 60), lambda: None)()

    def drop(self, name: str = f"drop-{DAY}.csv", text: str = "id,title\n1,a\n") -> Path:
        """Writes a file at the time of the clock."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (self.now.timestamp(), self.now.timestamp()))
        return path

    def request(self, **settings: object) -> RunRequest:
        return RunRequest(
            profile="tiny",
            day=DAY,
            store=str(self.folder / "store"),
            input=str(self.folder / "drop-{day}.csv"),
            collection="toys",
            settings=settings,
            wait=True,
            future=True,
        )

    def settings(self, **settings: object) -> Settings:
        return self.request(**settings).resolve()

    def wait(self, **settings: object) -> str:
        return wait_for_input(self.store, FLOW, self.settings(**settings), say=self.said.append, clock=self.clock)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_an_input_that_lay_there_before_is_not_waited_for(night: Night) -> None:
    night.drop()
    night.now += timedelta(minutes=5)
    assert (night.wait(), night.looks, night.said) == ("", [], [])


def test_a_run_begins_once_a_file_has_not_changed_for_an_interval(night: Night) -> None:
    night.minutes = {12: night.drop, 14: lambda: night.drop(text="id,title\n1,a\n2,b\n")}
    note = night.wait()
    # There at 15, and unchanged since 14.
    assert (night.now - THREE, night.looks) == (timedelta(minutes=20), [0, 5, 10, 15])
    assert (
        note
        == f"The run waited for its input since 2026-03-10 03:00 UTC: {night.folder}/drop-{DAY}.csv (still written)"
    )
    assert [line.partition("waits for ")[2].partition(", looks")[0] for line in night.said] == [
        f"{night.folder}/drop-{DAY}.csv (not there)",
        f"{night.folder}/drop-{DAY}.csv (still written)",
    ]
    assert kept_wait(night.store, FLOW, "toys", DAY) is None


def test_a_file_that_a_clock_ahead_dates_is_complete_when_two_looks_see_the_same(night: Night) -> None:
    def write_ahead() -> None:
        path = night.drop()
        os.utime(path, (THREE.timestamp() + 9e4,) * 2)

    night.minutes = {1: write_ahead}
    night.wait()
    assert night.looks == [0, 5]


def test_empty_files_and_empty_folders_are_waited_for(night: Night) -> None:
    night.minutes = {1: lambda: night.drop(text=""), 21: night.drop}
    night.wait()
    assert [f"({line.partition('(')[2].partition(')')[0]})" for line in night.said] == [
        "(not there)",
        "(empty)",
        "(still written)",
    ]
    folder = night.folder / "images"
    folder.mkdir()
    settings = night.settings(**{"ann.graph.file": str(folder)})
    with pytest.raises(LateInputError, match=r"images \(empty\)"):
        wait_for_input(
            night.store, FLOW, settings, say=night.said.append, clock=Clock(now=lambda: THREE + timedelta(days=1))
        )


def test_all_files_of_the_day_are_waited_for_and_only_those(night: Night) -> None:
    night.drop("sales-2026-03-09.csv")
    settings = night.settings(
        **{"xmr.input": str(night.folder / "sales-{day}.csv"), "autocomplete.input": str(night.folder / "log.jsonl")}
    )
    assert [Path(path).name for path in files_of_day(settings, FLOW)] == [
        f"drop-{DAY}.csv",
        f"sales-{DAY}.csv",
        "log.jsonl",
    ]
    assert [Path(path).name for path in files_of_day(settings, "featurize_corpus")] == [f"drop-{DAY}.csv"]
    night.drop("log.jsonl")
    night.minutes = {3: night.drop, 9: lambda: night.drop(f"sales-{DAY}.csv")}
    wait_for_input(night.store, FLOW, settings, say=night.said.append, clock=night.clock)
    assert night.looks == [0, 5, 10]


def test_a_marker_says_that_the_input_is_complete(night: Night) -> None:
    night.minutes = {2: night.drop, 4: night.drop, 13: lambda: night.drop(f"drop-{DAY}.done", "")}
    marker = str(night.folder / "drop-{day}.done")
    night.wait(**{"schedule.wait_marker": marker})
    assert night.looks == [0, 5, 10]
    assert night.said[-1].partition("waits for ")[2].startswith(f"{night.folder}/drop-{DAY}.done (not there)")


@pytest.mark.parametrize("setting", ["input", "xmr.input", "schedule.wait_marker"])
def test_a_url_which_no_run_reads_is_not_waited_for(night: Night, setting: str) -> None:
    night.drop()
    url = "s3://drops/{day}.csv"
    request = night.request().model_copy(update={"input": url} if setting == "input" else {"settings": {setting: url}})
    with pytest.raises(InputError, match=f"^s3://drops/{DAY}.csv: expected a path on this machine, got a URL; copy"):
        wait_for_input(night.store, FLOW, request.resolve(), say=night.said.append, clock=night.clock)
    assert (night.looks, night.said) == ([], [])
    if setting != "schedule.wait_marker":
        with pytest.raises(InputError, match="expected a path on this machine"):
            check_inputs(request.resolve(), FLOW)


def test_the_wait_ends_at_its_deadline_with_what_is_missing(night: Night) -> None:
    with pytest.raises(LateInputError) as raised:
        night.wait(**{"schedule.wait_until": "03:12", "run.timezone": "UTC"})
    assert night.now - THREE == timedelta(minutes=12)
    assert str(raised.value) == (
        f"input of {DAY}: expected it complete by 2026-03-10 03:12 UTC, found {night.folder}/drop-{DAY}.csv (not there)"
        " after waiting since 2026-03-10 03:00 UTC; deliver it, and run the day again:"
        f" `fingerpost run nightly --collection toys --day {DAY}`"
    )
    assert days_at_work(night.store, FLOW, "toys", now=night.now) == {}
    # A retry after the deadline does not wait: it says the same, or takes what has come meanwhile.
    night.now += timedelta(minutes=1)
    with pytest.raises(LateInputError, match="after waiting since 2026-03-10 03:00 UTC"):
        night.wait(**{"schedule.wait_until": "03:12"})
    night.drop()
    night.now += timedelta(minutes=6)
    assert night.wait(**{"schedule.wait_until": "03:12"}).startswith("The run waited for its input since")
    assert kept_wait(night.store, FLOW, "toys", DAY) is None


def test_the_deadline_is_that_of_the_schedule_in_its_zone(night: Night) -> None:
    settings = night.settings(**{"run.timezone": "America/New_York", "schedule.lag_days": 1})
    assert wait_end(settings) == datetime(2026, 3, 11, 12, tzinfo=UTC)
    assert wait_end(night.settings(**{"schedule.wait_until": "23:30"})) == datetime(2026, 3, 10, 23, 30, tzinfo=UTC)


def test_a_killed_wait_goes_on_where_it_was(night: Night) -> None:
    class Killed(BaseException):
        pass

    def kill(seconds: float) -> None:
        raise Killed

    path = night.drop()
    # By its own time of change it would never be complete.
    os.utime(path, (THREE.timestamp() + 9e4,) * 2)
    with pytest.raises(Killed):
        wait_for_input(night.store, FLOW, night.settings(), say=night.said.append, clock=Clock(lambda: night.now, kill))
    kept = kept_wait(night.store, FLOW, "toys", DAY)
    assert kept is not None
    assert kept.since == THREE.isoformat()
    night.now += timedelta(minutes=7)
    assert night.wait().startswith("The run waited for its input since 2026-03-10 03:00 UTC")
    assert night.looks == []


def test_ctrl_c_leaves_no_day_that_waits(night: Night) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_for_input(
            night.store, FLOW, night.settings(), say=night.said.append, clock=Clock(lambda: night.now, interrupt)
        )
    assert kept_wait(night.store, FLOW, "toys", DAY) is None


def test_a_day_that_waits_is_shown_as_waiting_and_not_as_late_before_its_deadline(night: Night) -> None:
    note_day(night.store, "2026-03-09", deadline={"at": "08:00"})
    seen: list[tuple[str, list[str], list[str]]] = []

    def leave(wait: object) -> None:
        entry = scheduled_freshness(night.store, now=night.now)[0]
        state = days_at_work(night.store, FLOW, "toys", now=night.now)[DAY].state
        seen.append((state, [late.day for late in entry.late], freshness_lines([entry])))

    with pytest.raises(LateInputError):
        wait_for_input(
            night.store,
            FLOW,
            night.settings(**{"schedule.wait_interval": 3600}),
            say=night.said.append,
            leave=leave,
            clock=night.clock,
        )
    assert [(state, late) for state, late, _ in seen] == [("waiting", [])] * 5
    assert "nightly of toys: 1 waiting, newest day 2026-03-09" in seen[0][2][0]
    assert f"  {DAY} waiting: waits for {night.folder}" in seen[0][2][1]
    entry = scheduled_freshness(night.store, now=night.now)[0]
    assert [(late.day, late.state) for late in entry.late] == [(DAY, "missing")]


def test_a_wait_that_no_run_goes_on_with_is_forgotten_after_its_next_look(night: Night) -> None:
    def leave(wait: object) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        wait_for_input(night.store, FLOW, night.settings(), say=night.said.append, leave=leave, clock=night.clock)
    at = [DAY in days_at_work(night.store, FLOW, "toys", now=THREE + timedelta(minutes=m)) for m in (0, 14, 16)]
    assert at == [True, True, False]
    night.store.files.write(f".waiting/nightly/toys/{DAY}.json", b'{"since": 3}')
    assert days_at_work(night.store, FLOW, "toys", now=THREE) == {}


def test_a_command_waits_before_it_begins_and_alerts_at_the_deadline(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    night.minutes = {3: night.drop}
    request = waited(FLOW, night.request(), clock=night.clock)
    assert (request.day, request.wait, night.looks) == (DAY, False, [0, 5])
    assert "input  toys of 2026-03-10 waits for" in capsys.readouterr().err
    (night.folder / f"drop-{DAY}.csv").unlink()
    night.now, night.minutes = THREE, {}
    with pytest.raises(LateInputError):
        waited(FLOW, night.request(), quiet=True, clock=night.clock)
    assert [one["text"].partition(": input")[0] for one in alerts(night.store)] == [
        "Fingerpost: nightly of toys did not begin for 2026-03-10"
    ]


def test_a_dry_run_says_what_would_be_waited_for(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    assert show_wait(FLOW, night.request().for_day(tomorrow), as_json=False)
    assert f"would wait for {night.folder}/drop-{tomorrow}.csv (not there), until" in "".join(
        capsys.readouterr().out.split("\n")
    )
    assert not night.store.files.names(".waiting")


def test_the_catch_up_leaves_a_run_that_waits_alone_unless_its_look_is_long_past() -> None:
    def run(**values: object) -> dict[str, object]:
        return {"state_name": AWAITING_INPUT, "next_scheduled_start_time": THREE.isoformat(), **values}

    assert _awaits_input(run(), THREE + timedelta(hours=20))
    assert not _awaits_input(run(), THREE + timedelta(hours=30))
    assert not _awaits_input(run(state_name="Late"), THREE)
