"""Which rows of several days count, against a plain dictionary."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.days import newest_rows, undeleted_rows

keys = st.sampled_from("abcdef")
days = st.lists(st.tuples(st.lists(keys, unique=True), st.lists(keys, unique=True)), min_size=1, max_size=6)


def columns(texts: list[list[str]]) -> list[pa.ChunkedArray]:
    return [pa.chunked_array([pa.array(each, pa.string())]) for each in texts]


@settings(max_examples=60)
@given(days)
def test_the_newest_row_of_a_key_counts_unless_it_was_deleted(drawn: list[tuple[list[str], list[str]]]) -> None:
    expected: dict[str, int] = {}
    for day, (there, gone) in enumerate(drawn):
        expected = {key: at for key, at in expected.items() if key not in gone} | dict.fromkeys(there, day)
    found = newest_rows(columns([there for there, _ in drawn]), columns([gone for _, gone in drawn]))
    left = {
        key: day
        for day, ((there, _), mask) in enumerate(zip(drawn, found.masks, strict=True))
        for key in np.array(there, dtype=object)[mask]
    }
    assert left == expected
    assert found.replaced + found.deleted + len(left) == sum(len(there) for there, _ in drawn)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.lists(keys), st.lists(keys, unique=True)), min_size=1, max_size=6))
def test_rows_add_up_since_the_last_deletion(drawn: list[tuple[list[str], list[str]]]) -> None:
    expected: list[tuple[int, str]] = []
    for day, (there, gone) in enumerate(drawn):
        expected = [(at, key) for at, key in expected if key not in gone] + [(day, key) for key in there]
    found = undeleted_rows(columns([there for there, _ in drawn]), columns([gone for _, gone in drawn]))
    left = [
        (day, key)
        for day, ((there, _), mask) in enumerate(zip(drawn, found.masks, strict=True))
        for key in np.array(there, dtype=object)[mask]
    ]
    assert left == expected
    assert found.deleted == sum(len(there) for there, _ in drawn) - len(left)
