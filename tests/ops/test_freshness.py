"""Which days are late: by the clock on the wall, wherever clocks change."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.run.freshness import Deadline, freshness, scheduled_freshness
from fingerpost.schemas.store import Store
from tests.ops.watched import note_day

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
    "Asia/Kolkata",
)
DAYS = st.dates(date(2020, 1, 1), date(2030, 12, 31))
DEADLINES = st.builds(
    Deadline,
    timezone=st.sampled_from(ZONES),
    lag_days=st.integers(0, 31),
    at=st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59)),
)


@given(DEADLINES, DAYS)
def test_deadlines_follow_each_other_and_are_never_before_the_wall_clock_says_so(deadline: Deadline, day: date) -> None:
    moment, following = (deadline.moment((day + timedelta(days=more)).isoformat()) for more in (0, 1))
    assert moment < following
    wall = moment.astimezone(ZoneInfo(deadline.timezone))
    said = (wall.date(), f"{wall:%H:%M}")
    assert said >= (day + timedelta(days=deadline.lag_days), deadline.at)


@given(DEADLINES, st.datetimes(datetime(2020, 1, 1), datetime(2030, 12, 31)))
def test_the_newest_due_day_is_the_last_whose_deadline_has_passed(deadline: Deadline, now: datetime) -> None:
    now = now.replace(tzinfo=UTC)
    due = deadline.due(now)
    assert deadline.moment(due) <= now < deadline.moment((date.fromisoformat(due) + timedelta(days=1)).isoformat())


@given(
    DEADLINES,
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 12, 31)),
    st.sets(st.integers(-20, 5)),
    st.sets(st.integers(-20, 5)),
    st.sets(st.integers(-20, 5)),
)
def test_late_is_what_is_due_and_not_there(
    deadline: Deadline, now: datetime, there: set[int], failed: set[int], scheduled: set[int]
) -> None:
    now = now.replace(tzinfo=UTC)
    due = date.fromisoformat(deadline.due(now))
    records: dict[str, dict[str, Any]] = {
        (due + timedelta(days=d)).isoformat(): {"state": "failed", "error": "no", "deadline": None} for d in failed
    }
    records |= {(due + timedelta(days=d)).isoformat(): {"state": "completed", "deadline": {}} for d in there}
    for d in scheduled & (there | failed):
        records[(due + timedelta(days=d)).isoformat()]["deadline"] = {"at": deadline.at}
    found = freshness("nightly", "toys", deadline, records, now=now)
    first = min((day for day, record in records.items() if record["deadline"]), default=due.isoformat())
    wanted = [
        day
        for back in range(deadline.days - 1, -1, -1)
        if (day := (due - timedelta(days=back)).isoformat()) >= first
        and records.get(day, {}).get("state") != "completed"
    ]
    assert [late.day for late in found.late] == wanted
    assert all(datetime.fromisoformat(late.since) <= now for late in found.late)


@pytest.mark.parametrize(
    ("day", "at", "moment"),
    [
        ("2026-03-29", "02:30", "2026-03-29T01:30:00+00:00"),  # there is no 02:30: half past three in summer time
        ("2026-10-25", "02:30", "2026-10-25T01:30:00+00:00"),  # there are two: the second
        ("2026-10-25", "08:00", "2026-10-25T07:00:00+00:00"),
    ],
)
def test_days_on_which_clocks_change(day: str, at: str, moment: str) -> None:
    assert Deadline("Europe/Berlin", 0, at).moment(day).isoformat() == moment


def test_only_what_a_schedule_runs_can_be_late(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    note_day(store, "2026-01-05", scheduled=False)
    now = datetime(2026, 1, 8, 12, tzinfo=UTC)
    assert scheduled_freshness(store, now=now) == []
    note_day(store, "2026-01-06")
    note_day(store, "2026-01-07", state="failed", error="InputError: gone.csv: expected a file", scheduled=False)
    (found,) = scheduled_freshness(store, now=now)
    assert [(late.day, late.state) for late in found.late] == [("2026-01-07", "failed"), ("2026-01-08", "missing")]
    assert found.late[0].error == "InputError: gone.csv: expected a file"


def test_a_backfilled_day_makes_no_day_after_it_late(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    note_day(store, "2026-01-02", scheduled=False)
    note_day(store, "2026-01-07")
    (found,) = scheduled_freshness(store, now=datetime(2026, 1, 8, 6, tzinfo=UTC))
    assert found.late == ()


def test_the_command_ends_with_1_when_a_day_is_late(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    today = datetime.now(UTC).date()
    asked = ["freshness", "--store", store.url, "--json"]
    none = CliRunner().invoke(app, asked)
    assert (none.exit_code, json.loads(none.stdout)) == (0, [])
    assert CliRunner().invoke(app, asked[:-1]).stdout.startswith("No schedule has run a day yet, so none is late.")
    for back in (2, 1, 0):
        note_day(store, (today - timedelta(days=back)).isoformat())
    assert CliRunner().invoke(app, asked).exit_code == 0
    note_day(store, (today - timedelta(days=1)).isoformat(), state="failed", error="broken")
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 1
    assert json.loads(done.stdout)[0]["late"][0]["error"] == "broken"
    mistyped = CliRunner().invoke(app, [*asked, "--collection", "tous"])
    assert "expected days that a schedule asked for, found only those of toys" in str(mistyped.exception)
    named = CliRunner().invoke(app, ["freshness", "--store", store.url, "--flow", "nightly", "--collection", "others"])
    assert named.exit_code == 1
    assert "no day yet" in named.stdout
