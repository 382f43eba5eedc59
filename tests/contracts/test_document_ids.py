"""Ids by row and rows by id, whatever the chunks of the table."""

import itertools

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.schemas import document_ids
from fingerpost.schemas.document_ids import DocumentIds, TextColumn

TEXTS = st.lists(st.text(max_size=6), unique=True, max_size=90)


def chunked(texts: list[str], cuts: list[int], kind: pa.DataType) -> pa.ChunkedArray:
    """A column of several chunks, some of them empty, and slices of longer arrays."""
    ends = [0, *sorted(min(cut, len(texts)) for cut in cuts), len(texts)]
    whole = pa.array(texts, kind)
    return pa.chunked_array([whole[a:b] for a, b in itertools.pairwise(ends)], kind)


@given(TEXTS, st.lists(st.integers(0, 90), max_size=4), st.sampled_from([pa.string(), pa.large_string()]))
def test_ids_and_rows_are_those_of_the_table(texts: list[str], cuts: list[int], kind: pa.DataType) -> None:
    ids = DocumentIds(chunked(texts, cuts, kind))
    assert ids.at(list(range(len(texts)))) == texts
    assert [ids[row] for row in range(len(texts))] == texts
    asked = [*reversed(texts), "not there"]
    rows = [*reversed(range(len(texts))), None]
    assert ids.rows_of(asked) == rows
    assert [ids.row_of(key) for key in asked] == rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document_ids, "_SCANS", 0)
        assert [ids.row_of(key) for key in asked] == rows


def test_texts_that_are_missing_are_none() -> None:
    column = TextColumn(pa.chunked_array([["a", None], ["é"]]))
    assert column.at([2, 1, 0]) == ["é", None, "a"]
