"""Schedules where clocks change: every calendar day is asked for once, in every zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from fingerpost.flows.ops.stack import doctor
from fingerpost.flows.ops.stack.deployments import adapted, read_file
from fingerpost.flows.ops.stack.schedules import ScheduleError, lost_days, whole_days
from fingerpost.flows.ops.stack.stack import say_lost_days
from fingerpost.flows.ops.watch.catch_up import scheduled_times
from fingerpost.flows.run.calendar import clock_changes, days_between, logical_day, skipped_times

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
#: Times in the first two hours of a day and in the last.
CRONS = ("0 0 * * *", "30 0 * * *", "15 1 * * *", "45 23 * * *")
#: Zones that skip midnight, or fall back over it.
AT_MIDNIGHT = ("Africa/Cairo", "America/Santiago", "Atlantic/Azores", "Asia/Beirut", "America/Havana")


@pytest.fixture(scope="module")
def changes() -> list[tuple[str, datetime]]:
    """Every zone's changes of three years; of those that clocks on the wall show in the same way, the first."""
    seen, found = set(), []
    for zone in sorted(available_timezones()):
        for change in clock_changes(zone, SINCE, UNTIL):
            before, after = (
                (change + timedelta(seconds=more)).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for more in (-1, 0)
            )
            shown = (before.time(), after - before)
            if shown not in seen:
                seen.add(shown)
                found.append((zone, change))
    return found


def days_asked_for(schedule: dict[str, Any], zone: str, change: datetime) -> Iterator[list[str]]:
    """The days around a change, planned days and an hour before it."""
    for planned in (timedelta(days=-3), timedelta(hours=-1)):
        rule = {"cron": schedule["cron"], "timezone": zone}
        times = scheduled_times(rule, change + planned, change + timedelta(days=3))
        yield [logical_day(time, timezone=zone) for time in times]


@pytest.mark.parametrize("cron", CRONS)
def test_every_zone_has_every_day_once_around_every_change(cron: str, changes: list[tuple[str, datetime]]) -> None:
    schedules = {zone: whole_days({"cron": cron}, zone, now=SINCE)[0] for zone in {zone for zone, _ in changes}}
    for zone, change in changes:
        for days in days_asked_for(schedules[zone], zone, change):
            assert days == days_between(days[0], days[-1]), (zone, change, schedules[zone])


def test_the_zones_that_change_at_midnight_are_among_them() -> None:
    """What clocks show there is walked above; without another hour a day would be lost in those that skip midnight."""
    skipping = {zone for zone in AT_MIDNIGHT if lost_days({"cron": "30 0 * * *"}, zone, now=SINCE)}
    assert skipping >= {"Africa/Cairo", "America/Santiago", "Asia/Beirut", "America/Havana"}
    assert lost_days({"cron": "30 0 * * *"}, "Africa/Cairo", now=SINCE)[:2] == ["2026-04-24", "2027-04-30"]
    assert not lost_days({"cron": "30 0 * * *"}, "Europe/Berlin", now=SINCE)
    assert [str(skipped.start) for skipped in skipped_times("Africa/Cairo", SINCE, UNTIL)] == [
        "2026-04-24 00:00:00",
        "2027-04-30 00:00:00",
        "2028-04-28 00:00:00",
    ]


@pytest.mark.parametrize(
    ("schedule", "kept"),
    [
        ({"cron": "30 0 * * *"}, "30 1 * * *"),
        ({"cron": "0 0 * * 5"}, "0 1 * * 5"),
        ({"cron": "*/15 * * * *"}, "*/15 * * * *"),
        ({"cron": "0 0,12 * * *"}, "0 0,12 * * *"),
    ],
)
def test_an_hour_that_clocks_skip_gives_way_to_one_that_every_day_has(schedule: dict[str, str], kept: str) -> None:
    found, said = whole_days({**schedule, "slug": "mine"}, "Africa/Cairo", now=SINCE)
    assert found == {"cron": kept, "slug": "mine"}
    assert bool(said) == (schedule["cron"] != kept)


@pytest.mark.parametrize(
    ("schedule", "zone", "said"),
    [
        ({"rrule": "FREQ=DAILY;BYHOUR=0;BYMINUTE=30;BYSECOND=0"}, "Africa/Cairo", "2026-04-24 is not; use a cron"),
        ({"cron": "30,45 0 * * 0 2026"}, "Africa/Cairo", "that Prefect takes"),
        ({"cron": "every night"}, "UTC", "that Prefect takes"),
        ({"interval": 86400, "timezone": "Europe/Berlin"}, "UTC", "expected an interval without a time zone, got Eur"),
        ({"interval": 86400, "anchor_date": "2026-01-01T22:30:00Z"}, "Europe/Berlin", "2026-03-29 is not"),
        ({}, "UTC", "none of the three"),
    ],
)
def test_a_schedule_that_loses_a_day_or_is_none_is_refused(schedule: dict[str, Any], zone: str, said: str) -> None:
    with pytest.raises(ScheduleError, match=said):
        whole_days(schedule, zone, now=SINCE)


def test_an_interval_that_passes_over_no_day_is_taken() -> None:
    for schedule in ({"interval": 86400, "anchor_date": "2026-01-01T03:00:00Z"}, {"interval": 3600}):
        assert whole_days(schedule, "Europe/Berlin", now=SINCE) == (schedule, "")


def test_deploying_says_which_hour_it_takes_instead(tmp_path: Any) -> None:
    (tmp_path / "cairo.toml").write_text(
        '[run]\ntimezone = "Africa/Cairo"\n[schedule]\ncron = "30 0 * * *"\n[input]\ncollection = "nile"\n'
    )
    said: list[str] = []
    made = adapted(read_file(), profile=str(tmp_path / "cairo.toml"), only=("nightly",), say=said.append)
    (schedule,) = made["deployments"][0]["schedules"]
    assert (schedule["cron"], schedule["timezone"]) == ("30 1 * * *", "Africa/Cairo")
    assert len(said) == 1
    assert "30 1 * * * instead" in said[0]
    file = {"deployments": [{"name": "watch", "entrypoint": "x.watch", "schedules": [{"interval": 60}]}]}
    file["deployments"][0]["schedules"][0]["timezone"] = "Europe/Berlin"
    with pytest.raises(ScheduleError, match="without a time zone"):
        adapted(file)


class FakeServer:
    """A server with one deployment, whose schedule somebody edited in the UI."""

    def __init__(self, schedule: dict[str, Any]) -> None:
        self.schedule = schedule

    def pages(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        request = {"profile": "tiny", "settings": {"run.timezone": "Africa/Cairo"}}
        return [
            {
                "name": "nile",
                "parameters": {"request": request},
                "parameter_openapi_schema": {"definitions": {"RunRequest": {}}},
                "schedules": [{"active": True, "schedule": self.schedule}],
            }
        ]


@pytest.mark.parametrize(
    ("schedule", "status"),
    [
        ({"cron": "30 0 * * *", "timezone": "Africa/Cairo"}, "fail"),
        ({"interval": 86400.0, "timezone": "Africa/Cairo"}, "fail"),
        ({"cron": "30 1 * * *", "timezone": "Africa/Cairo"}, "ok"),
    ],
)
def test_doctor_and_stack_find_schedules_that_lose_a_day(schedule: dict[str, Any], status: str) -> None:
    server: Any = FakeServer(schedule)
    said: list[str] = []
    say_lost_days(server, say=said.append)
    assert doctor.days(server).status == status
    assert ["nile" in line for line in said] == [True] * (status == "fail")
