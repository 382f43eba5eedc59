"""Batches of queries as callers give them."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fingerpost.tasks.ann.batches import batch_keep, batch_vectors, query_vector
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.matches import matches_of
from fingerpost.tasks.ann.search import SearchCounters, SearchResult


class Plan:
    """A table that has not been computed."""

    columns = ("id", "vector")

    def __getitem__(self, name: str) -> None:
        raise TypeError("no rows")


POINTS = np.array([[3.0, 4.0], [0.0, -2.0]])


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (POINTS, ["0", "1"]),
        (POINTS.tolist(), ["0", "1"]),
        (POINTS.astype(np.int64), ["0", "1"]),
        (pd.DataFrame({"id": ["a", 7], "vector": list(POINTS)}), ["a", "7"]),
        (pd.DataFrame({"vector": POINTS.tolist(), "other": [1, 2]}), ["0", "1"]),
        (pa.table({"id": ["a", "b"], "vector": POINTS.tolist()}), ["a", "b"]),
        (pa.table({"vector": POINTS.tolist()})["vector"], ["0", "1"]),
        (pa.array(POINTS.tolist(), pa.list_(pa.float32(), 2)), ["0", "1"]),
        (pd.Series(list(POINTS), index=["x", "y"]), ["0", "1"]),
        (np.ma.masked_array(POINTS, mask=False), ["0", "1"]),
    ],
)
def test_arrays_and_tables_are_the_same_queries(given: Any, names: list[str]) -> None:
    found, rows = batch_vectors(given, columns=2, metric="l2")
    assert found == names
    assert rows.dtype == np.float32
    assert (rows == POINTS).all()
    assert np.allclose(batch_vectors(given, columns=2, metric="cosine")[1], [[0.6, 0.8], [0, -1]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (POINTS[:, :1], r"expected numbers \(q, 2\), got \(2, 1\)"),
        (POINTS[0], r"expected numbers \(q, 2\), got \(2,\)"),
        ([[1, 2], [3]], "got others"),
        ([["a", "b"]], "got others"),
        ([[1, 2], [0, 0]], "row 1: expected finite numbers of float32, not all 0"),
        ([[np.nan, 2]], "row 0"),
        ([[1, 2], [1e300, 0]], "row 1"),
        (pd.DataFrame({"id": [1]}), "expected a column vector, got id"),
        (np.ma.masked_array(POINTS, mask=[[0, 0], [0, 1]]), "row 1: expected finite numbers"),
        (POINTS * (1 + 1j), "expected real numbers, got complex128"),
        (POINTS.astype("m8[s]"), "expected real numbers, got timedelta64"),
        (Plan(), "expected a table with its rows, got Plan; collect it"),
    ],
)
def test_other_queries_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batch_vectors(given, columns=2, metric="l2")


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_a_vector_with_a_masked_or_complex_number_is_refused(metric: str) -> None:
    good = np.array([3, 4], np.float32)
    assert query_vector(np.ma.masked_array(good, mask=False), columns=2, metric=metric).shape == (1, 2)
    with pytest.raises(ValueError, match="expected 2 finite numbers"):
        query_vector(np.ma.masked_array(good, mask=[0, 1]), columns=2, metric=metric)
    with pytest.raises(ValueError, match="expected real numbers, got complex64"):
        query_vector(good * np.complex64(1 + 1j), columns=2, metric=metric)


def test_no_queries_are_none() -> None:
    names, rows = batch_vectors(np.empty((0, 2)), columns=2, metric="cosine")
    assert (names, rows.shape) == ([], (0, 2))


def passing(text: str) -> np.ndarray:
    return np.arange(5) % int(text) == 0


def test_conditions_and_lists_are_joined() -> None:
    ids = {f"d{row}": row for row in range(5)}

    def rows(filters: Any, keep: Any) -> list[list[int]]:
        found = batch_keep(2, 5, filters, keep, mask=passing, rows=lambda keys: [ids.get(key) for key in keys])
        assert found is not None
        return [found.rows(int(owner)).tolist() for owner in found.owners(2)]

    assert rows("2", None) == [[0, 2, 4]] * 2
    assert rows(["2", None], None) == [[0, 2, 4], [0, 1, 2, 3, 4]]
    assert rows(["2", ""], [["d4", "d1"], ["d3"]]) == [[4], [3]]
    assert rows(["4", "4"], np.arange(5) > 1) == [[4], [4]]
    assert rows(None, [[0, 1], []]) == [[0, 1], []]
    assert batch_keep(2, 5, None, None, mask=passing, rows=lambda keys: [ids.get(key) for key in keys]) is None
    assert batch_keep(2, 5, ["", None], None, mask=passing, rows=lambda keys: [ids.get(key) for key in keys]) is None
    with pytest.raises(ValueError, match="expected one for each of 2 queries, got 1"):
        rows(["2"], None)
    with pytest.raises(ValueError, match="keep of query 1: expected ids of documents, got 'x'"):
        rows(None, [["d1"], ["x"]])


def test_matches_are_rows_ids_and_scores() -> None:
    result = SearchResult(
        np.array([[2, 0], [1, NONE]], np.uint32), np.array([[4.0, 9.0], [0.25, np.inf]], np.float32), SearchCounters()
    )
    ids = np.array(["a", "b", "c"], dtype=object)
    found = matches_of(result, lambda rows: ids[rows].tolist(), ["x", "y"], "l2", "Euclidean distance")
    assert found.rows.tolist() == [[2, 0], [1, -1]]
    assert found.ids.tolist() == [["c", "a"], ["b", ""]]
    assert found.found.tolist() == [2, 1]
    assert np.array_equal(found.scores, np.array([[2, 3], [0.5, np.nan]], np.float32), equal_nan=True)
    table = found.to_pandas()
    assert table.to_dict("list") == {
        "query": ["x", "x", "y"],
        "rank": [1, 2, 1],
        "id": ["c", "a", "b"],
        "score": [2.0, 3.0, 0.5],
        "row": [2, 0, 1],
    }
    assert matches_of(result, lambda rows: ids[rows].tolist(), ["x", "y"], "cosine", "").scores[1, 0] == 0.75
