"""Days to come: refused unless asked for at every door, and no calendar without bounds."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from fingerpost.flows.ops.backfill.progress import begin, select
from fingerpost.flows.ops.erase.affected import request_of
from fingerpost.flows.run.calendar import MOST_DAYS, DayRangeError, days_between
from fingerpost.flows.run.freshness import Deadline, freshness
from fingerpost.flows.run.partitions import SHOWN_DAYS, Partitions
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitions, runs, save_partition
from tests.support.backfills import FLOW, backfill_of, drop
from tests.support.commands import fingerpost_here, refused

pytestmark = pytest.mark.usefixtures("plain_runs")

FAR = "2062-03-28"


def in_days(days: int, zone: str = "UTC") -> str:
    return (datetime.now(ZoneInfo(zone)).date() + timedelta(days=days)).isoformat()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_day_to_come_is_refused_by_the_command(more: list[str], tmp_path: Path) -> None:
    line = refused(
        "run", FLOW, "--profile", "tiny", "--day", FAR, "--input", "x.csv", "--store", "store", *more, cwd=tmp_path
    )
    assert f"got {FAR}" in line
    assert in_days(0) in line
    assert not (tmp_path / "store").exists()


def test_a_day_to_come_runs_where_it_is_asked_for_and_can_be_repeated(tmp_path: Path) -> None:
    drop(tmp_path, FAR)
    request = backfill_of(tmp_path).run
    options = ["--profile", "tiny", "--input", request.input, "--store", request.store, "--collection", "products"]
    options += [text for pair in request.columns.items() for text in ("--map", "=".join(pair))]
    done = fingerpost_here("run", FLOW, *options, "--day", FAR, "--future", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    store = Store(request.store)
    assert list(partitions(store, FLOW, "products")) == [FAR]
    (record,) = runs(store)
    assert request_of({**record, "request": {**record["request"], "future": False}}, store).resolve().day == FAR
    assert request_of({**record, "request": {}}, store).resolve().day == FAR


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_today_is_that_of_the_profiles_zone(zone: str) -> None:
    settings = {"run.timezone": zone}
    assert RunRequest(profile="tiny", day=in_days(0, zone), settings=settings).resolve().day == in_days(0, zone)
    with pytest.raises(SettingsError, match=f"up to today .* in {zone}"):
        RunRequest(profile="tiny", day=in_days(2, zone), settings=settings).resolve()
    with pytest.raises(SettingsError, match="up to today"):
        RunRequest(profile="tiny", settings=settings).resolve(datetime.now(UTC) + timedelta(days=3))
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert RunRequest(profile="tiny").resolve(soon).day == soon.date().isoformat(), "a clock may be a little behind"


def test_days_to_come_are_refused_by_a_backfill(tmp_path: Path) -> None:
    request = backfill_of(tmp_path, last_day=in_days(1))
    for start in (select, begin):
        with pytest.raises(UsageError, match=f"expected none after today .*, got {in_days(1)}"):
            start(request)
    assert not (tmp_path / "store").exists()
    allowed = request.model_copy(
        update={"first_day": in_days(1), "run": request.run.model_copy(update={"future": True})}
    )
    assert [one.day for one in select(allowed)] == [in_days(1)]


def test_a_range_without_bounds_is_refused(tmp_path: Path) -> None:
    assert len(days_between("2016-01-01", "2026-01-01")) <= MOST_DAYS
    with pytest.raises(DayRangeError, match="expected at most 3,660 from first to last, got 2,958,464"):
        days_between("1900-01-01", "9999-12-31")
    with pytest.raises(DayRangeError):
        select(backfill_of(tmp_path, first_day="1900-01-01"))
    assert days_between("2026-01-02", "2026-01-01") == []


def world(folder: Path, *days: str) -> Partitions:
    found = Partitions(FLOW, backfill_of(folder).run)
    found.store.prepare()
    for day in days:
        save_partition(found.store, {"flow": FLOW, "collection": "products", "day": day, "state": "completed"})
    return found


def test_the_days_that_are_shown_by_default_have_bounds(tmp_path: Path) -> None:
    today = in_days(0)
    days, note = world(tmp_path / "far", in_days(-2), FAR).days()
    assert days == [in_days(-2), in_days(-1), today, FAR]
    assert f"after {today}" in note
    days, note = world(tmp_path / "old", "0001-01-01", in_days(-900), in_days(-1)).days()
    assert days[:2] == ["0001-01-01", in_days(-900)]
    assert days[2:] == days_between(in_days(-SHOWN_DAYS), in_days(-1))
    assert note
    assert world(tmp_path / "new", in_days(-3), in_days(-1)).days() == (days_between(in_days(-3), in_days(-1)), "")
    assert world(tmp_path / "only", FAR).days() == ([FAR], "")
    assert world(tmp_path / "none").days("2026-01-01", "2026-01-02") == (["2026-01-01", "2026-01-02"], "")


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        (-1, None, [-1, 0]),
        (None, -2, [-3, -2]),
        (1, 2, [1, 2]),
        (None, 2, [-3, -2, -1, 0, 1, 2]),
        (4, None, [4]),
    ],
)
def test_the_days_that_are_named_are_shown(
    first: int | None, last: int | None, shown: list[int], tmp_path: Path
) -> None:
    named = ("" if one is None else in_days(one) for one in (first, last))
    days, note = world(tmp_path, in_days(-3), in_days(0)).days(*named)
    assert days == [in_days(day) for day in shown]
    assert note == ""


def test_a_run_for_a_day_to_come_says_nothing_about_how_new_the_data_are() -> None:
    records = {day: {"state": "completed", "deadline": {"at": "08:00"}} for day in ("2026-01-05", FAR)}
    found = freshness("nightly", "toys", Deadline(), records, now=datetime(2026, 1, 8, 12, tzinfo=UTC))
    assert found.newest == "2026-01-05"
    assert [late.day for late in found.late] == ["2026-01-06", "2026-01-07", "2026-01-08"]
    assert date.fromisoformat(found.due) == date(2026, 1, 8)
