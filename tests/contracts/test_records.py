"""Records: whatever a file holds, its reader gets a value of the form that it needs, or an error that names the file."""

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.records import (
    NUMBER,
    Each,
    Maybe,
    built,
    calendar_day,
    count,
    decoded,
    is_record,
    leave_out,
    mismatch,
    moment,
    reference,
    timestamp,
)
from tests.worlds import things_ref

SHAPE = {
    "name": str,
    "when": moment,
    "ref": reference,
    "day": calendar_day,
    "rows": Each(count),
    "more?": [Maybe(NUMBER)],
}
GOOD: dict[str, Any] = {
    "name": "a",
    "when": "2026-01-02T03:04:05+00:00",
    "ref": str(things_ref(1)),
    "day": "2026-01-02",
    "rows": {"things": 7},
    "more": [1, 2.5, None],
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read(value: Any) -> Any:
    return decoded(json.dumps(value).encode(), SHAPE, where="record x", advice="restore it")


def test_a_record_of_the_form_is_read() -> None:
    assert read(GOOD) == GOOD
    assert read({key: value for key, value in GOOD.items() if key != "more"})
    assert read(GOOD | {"of_a_later_version": 1})


@settings(max_examples=80)
@given(key=st.sampled_from(sorted(GOOD)), value=ANYTHING)
def test_a_record_with_any_other_value_is_of_the_form_or_refused_by_name(key: str, value: Any) -> None:
    problem = ""
    try:
        assert mismatch(read(GOOD | {key: value}), SHAPE) == ""
    except CorruptArtifactError as caught:
        problem = str(caught)
    assert re.fullmatch("|record x: expected .{,150}; restore it", problem, re.DOTALL)


@settings(max_examples=50)
@given(st.binary(max_size=50) | st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000, b'"\\ud800"']))
def test_any_bytes_are_refused_by_name(content: bytes) -> None:
    with pytest.raises(CorruptArtifactError, match="record x: expected"):
        decoded(content, SHAPE, where="record x", advice="restore it")


def test_a_very_deep_value_where_any_would_do_is_refused() -> None:
    deep = b'{"a":' * 500 + b"1" + b"}" * 500
    with pytest.raises(CorruptArtifactError, match="expected at most 100 levels of nesting"):
        decoded(deep, dict, where="record x", advice="restore it")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 1e300, True, "1"])
def test_a_time_beyond_any_calendar_is_none(value: Any) -> None:
    assert mismatch(value, timestamp)


def test_a_key_that_only_its_reader_needs_names_the_record() -> None:
    found = decoded(b'{"a": {"b": {}}}', {"a": dict}, where="record x", advice="restore it")
    with pytest.raises(FingerpostError, match="record x: expected the key metric, found none; restore it") as caught:
        found["a"]["b"]["metric"]
    assert isinstance(caught.value, KeyError)
    assert found["a"].get("c") is None
    assert json.loads(json.dumps(found)) == found


@dataclass(frozen=True)
class Thing:
    a: int
    b: str = ""


def test_keys_of_a_later_version_are_left_out() -> None:
    assert built(Thing, {"a": 1, "c": 2}) == Thing(1)


def test_what_is_left_out_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    problem = CorruptArtifactError("record of this test: expected one,\nfound two")
    leave_out(problem)
    leave_out(problem)
    assert [record.getMessage() for record in caplog.records] == [
        "left out: record of this test: expected one, found two"
    ]


@pytest.mark.parametrize(
    "name", [".DS_Store", "a.json~", ".a.json", "a copy.json", "a.json.swp", "a", "\n.json", "ä.json"]
)
def test_other_names_are_no_records(name: str) -> None:
    assert not is_record(name)
    assert is_record("20260102T030405-ab.json")
