"""Which missed days are run: by property over zones and clock changes, and applied to a real server's late runs."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.flows.ops.watch.catch_up import catch_up, missed_days, scheduled_times
from fingerpost.flows.run.calendar import days_between, logical_day
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitions
from tests.ops.conftest import RunningStack

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu")
NIGHTLY = "30 2 * * *"  # in the hour that Berlin skips in March and has twice in October


#: A zone, a lag, when a downtime begins, how many days it lasts, and which of its days are there.
DOWNTIMES = st.tuples(
    st.sampled_from(ZONES),
    st.integers(0, 3),
    st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),
    st.integers(0, 20),
    st.sets(st.integers(0, 20), max_size=4),
)
Downtime = tuple[str, int, datetime, int, set[int]]


def nightly_moments(downtime: Downtime) -> tuple[list[datetime], list[str]]:
    """The scheduled moments of a downtime, and the day of each."""
    zone, lag, start, days, _ = downtime
    moments = scheduled_times({"cron": NIGHTLY, "timezone": zone}, start, start + timedelta(days=days))
    return moments, [logical_day(moment, timezone=zone, lag_days=lag) for moment in moments]


@settings(deadline=None, max_examples=60)
@given(DOWNTIMES)
def test_a_nightly_schedule_has_every_calendar_day_once_whatever_the_clocks_do(downtime: Downtime) -> None:
    _, days = nightly_moments(downtime)
    assert days == (list(days_between(days[0], days[-1])) if days else [])


@settings(deadline=None, max_examples=60)
@given(DOWNTIMES, st.integers(1, 9))
def test_missed_days_keep_to_their_policy(downtime: Downtime, cap: int) -> None:
    zone, lag, *_, there = downtime
    moments, days = nightly_moments(downtime)
    have = {day for position, day in enumerate(days) if position in there}
    how: dict[str, Any] = {"have": have, "timezone": zone, "lag_days": lag, "cap": cap}
    missing = [day for day in days if day > max(have, default="")]
    everything = missed_days(reversed(moments), policy="all", **how)
    latest = missed_days(moments, policy="latest", **how)
    nothing = missed_days(moments, policy="skip", **how)
    assert list(everything.run) == missing[-cap:]
    assert list(latest.run) == missing[-1:]
    assert nothing.run == {}
    for found in (everything, latest, nothing):
        assert sorted([*found.run, *found.left_out]) == missing
        assert all(logical_day(time, timezone=zone, lag_days=lag) == day for day, time in found.run.items())


def test_several_scheduled_times_of_a_day_are_one_day() -> None:
    moments = [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (1, 5, 9)]
    found = missed_days(moments, have=(), timezone="UTC", lag_days=0, policy="all", cap=7)
    assert found.run == {"2026-03-01": moments[-1]}


def test_a_later_day_that_was_backfilled_hides_no_missed_one() -> None:
    moments = [datetime(2026, 3, day, 3, tzinfo=UTC) for day in (1, 2, 3)]
    found = missed_days(moments, have={"2026-03-01", "2026-12-31"}, timezone="UTC", lag_days=0, policy="all", cap=7)
    assert list(found.run) == ["2026-03-02", "2026-03-03"]


def test_schedules_of_each_kind_give_their_moments() -> None:
    since, until = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)
    berlin = ZoneInfo("Europe/Berlin")
    cron = scheduled_times({"cron": "0 6 * * *", "timezone": "Europe/Berlin"}, since, until)
    assert [moment.astimezone(berlin).hour for moment in cron] == [6, 6, 6]
    assert [moment.hour for moment in cron] == [5, 4, 4]
    interval = {"interval": 30.0, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
    assert len(scheduled_times(interval, since, until)) == 3 * 24 * 120 + 1
    rrule = {"rrule": "FREQ=DAILY;BYHOUR=7;BYMINUTE=0;BYSECOND=0", "timezone": "UTC"}
    assert [moment.hour for moment in scheduled_times(rrule, since, until)] == [7, 7, 7]


def test_a_pile_of_missed_runs_is_brought_down_to_the_policys_days_once(stack: RunningStack) -> None:
    """Seen from six days ahead, the runs that the schedule has planned are late and the later ones were never planned."""
    rule = {"schedule.catch_up": "all", "schedule.catch_up_cap": 3}
    made = stack.copied(
        "nightly", "piled", [{"cron": "0 3 * * *", "timezone": "UTC"}], collection="piled", settings=rule
    )
    late = stack.planned(made)
    assert len(late) >= 3
    now, lines = datetime.now(UTC) + timedelta(days=6), list[str]()
    try:
        for _ in range(2):
            catch_up(stack.api, now=now, only=["piled"], say=lines.append)
        runs = stack.api.post("flow_runs/filter", {"deployments": {"id": {"any_": [made]}}, "limit": 200})
    finally:
        stack.remove(made)
    expected = {(now.replace(hour=3) - timedelta(days=back)).date().isoformat() for back in range(6)}
    passed = sorted(day for day in expected if datetime.fromisoformat(f"{day}T03:05:00+00:00") <= now)
    due = [run for run in runs if run["state_type"] == "SCHEDULED" and run["expected_start_time"] <= now.isoformat()]
    assert sorted(run["expected_start_time"][:10] for run in due) == passed[-3:]
    superseded = [run for run in runs if run["state_name"] == "Superseded"]
    assert superseded
    assert all("schedule.catch_up_cap=3 leaves out older days" in run["state"]["message"] for run in superseded)
    assert len(lines) == len(superseded) + sum("catch-up" in run["tags"] for run in runs)


def test_a_late_run_is_for_its_scheduled_day_not_for_today(stack: RunningStack) -> None:
    past = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2026-03-29T01:30:00+00:00"}}
    parameters = stack.request(collection="late", settings={"run.timezone": "Europe/Berlin", "schedule.lag_days": 1})
    run = stack.submit("nightly", parameters, state=past)
    done = stack.wait(run)
    assert done["state_type"] == "COMPLETED", stack.run_log(run)
    assert list(partitions(Store(stack.store), "nightly", "late")) == ["2026-03-28"]
    assert "2026-03-28" in done["name"]
