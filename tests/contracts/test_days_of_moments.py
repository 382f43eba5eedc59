"""Moments as days: each is the day that a calendar in the moment's own zone shows."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.documents import read_documents
from fingerpost.schemas.inputs.files import input_fingerprint

ZONES = ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Asia/Kolkata", "UTC", "+05:30", "-03:00")


def zone(name: str) -> tzinfo:
    if name[0] in "+-":
        hours, minutes = name[1:].split(":")
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(offset if name[0] == "+" else -offset)
    return ZoneInfo(name)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2060, 1, 1)),
    st.sampled_from(ZONES),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
@example(datetime(2038, 7, 1, 22, 30), "Europe/Berlin", "us")
@example(datetime(2055, 7, 2, 4, 30), "America/New_York", "ns")
@settings(max_examples=60)
def test_a_moment_is_the_day_of_its_zone(moment: datetime, name: str, unit: str) -> None:
    aware = moment.replace(microsecond=0, tzinfo=UTC)
    cells = pa.array([aware, None], pa.timestamp(unit, tz=name))
    found = text_cells("day", cells, lambda *_: None).to_pylist()
    assert found == [aware.astimezone(zone(name)).date().isoformat(), ""]


def test_midnight_in_berlin_is_no_day_before(tmp_path: Path) -> None:
    midnight = datetime(2026, 1, 5, tzinfo=ZoneInfo("Europe/Berlin"))
    bare = datetime(2026, 1, 5)
    for number, (value, kind) in enumerate(
        [(midnight, pa.timestamp("us", tz="Europe/Berlin")), (bare, pa.timestamp("us")), (bare, pa.timestamp("ns"))]
    ):
        file = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"id": ["a"], "text": ["x"], "day": pa.array([value], kind)}), file)
        assert read_documents(file).accepted["day"].to_pylist() == ["2026-01-05"]


def test_a_zone_that_nobody_knows_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    day = pa.array([0], pa.int64()).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="Mars/Base"), safe=False)
    pq.write_table(pa.table({"id": ["a"], "text": ["x"], "day": day}), file)
    with pytest.raises(InputError, match=r"day: expected timestamps of a known time zone, got 'Mars/Base'"):
        read_documents(file)


def test_what_was_read_by_other_days_is_read_again_and_nothing_else(tmp_path: Path) -> None:
    """The identity of files with moments of a zone is another than that of their content alone."""
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    identities = {}
    for name, days in {
        "zoned": pa.array([moment], pa.timestamp("us", tz="Europe/Berlin")),
        "utc": pa.array([moment], pa.timestamp("us", tz="UTC")),
        "bare": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")),
        "text": pa.array(["2026-01-05"]),
    }.items():
        file = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"id": ["a"], "text": ["x"], "day": days, "seen": days}), file)
        content = hashlib.sha256(file.read_bytes()).digest()
        for mapping in ({}, {"day": "seen"}):
            former = hashlib.sha256(json.dumps(sorted(mapping.items())).encode() + b"\0Parquet\0False\0" + content)
            identities[name, len(mapping)] = input_fingerprint(file, mapping) == former.hexdigest()
    assert identities == {(name, many): name != "zoned" for name, many in identities}
    (tmp_path / "broken.parquet").write_bytes(b"none")
    assert input_fingerprint(tmp_path / "broken.parquet", {})
