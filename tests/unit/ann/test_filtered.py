"""The nearest rows that pass a filter are those of a sort, however few pass."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fingerpost.tasks.ann.filtered import nearest_kept
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.search import Metric

ROWS = 3000


@pytest.fixture(scope="module", params=["ip", "l2"])
def index(request: pytest.FixtureRequest) -> HnswIndex:
    metric: Metric = request.param
    rows = np.random.default_rng(2).standard_normal((ROWS, 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return HnswIndex(rows, build(rows, HnswParams(metric=metric, ef_construction=100))[0], metric)


def sorted_rows(index: HnswIndex, query: NDArray[np.float32], keep: NDArray[np.bool_]) -> list[int]:
    wide, point = index.vectors.astype(np.float64), query.astype(np.float64)
    distances = ((wide - point) ** 2).sum(axis=1) if index.metric == "l2" else 1 - wide @ point
    return [int(row) for row in np.argsort(distances, kind="stable") if keep[row]]


@pytest.mark.parametrize("passing", [0, 1, 7, 100, 374, 376, 1500, ROWS - 1, ROWS])
def test_those_that_pass_are_found_in_the_order_of_a_sort(index: HnswIndex, passing: int) -> None:
    random = np.random.default_rng(passing)
    keep = np.zeros(ROWS, dtype=bool)
    keep[random.choice(ROWS, passing, replace=False)] = True
    found = wanted = 0
    for number in range(5):
        query = index.vectors[number] + np.float32(0.1)
        nearest = nearest_kept(index, query, 40, keep=keep, ef=100)
        expected = sorted_rows(index, query, keep)[:40]
        assert len(nearest.rows) == len(expected), (
            "as many as there are, not as many as a search of all finds by chance"
        )
        assert keep[nearest.rows].all()
        assert (np.diff(nearest.distances) >= 0).all()
        found, wanted = found + len(set(nearest.rows.tolist()) & set(expected)), wanted + len(expected)
    assert found >= 0.97 * wanted


def test_without_a_filter_it_is_the_search(index: HnswIndex) -> None:
    query = index.vectors[3] + np.float32(0.1)
    plain = index.search(query[None], 20, ef=50)
    found = nearest_kept(index, query, 20, ef=50)
    assert found.rows.tolist() == plain.ids[0].tolist()
    assert found.distances.tobytes() == plain.distances[0].tobytes()
    assert found.counters == plain.counters


def test_more_than_there_are_is_all(index: HnswIndex) -> None:
    keep = np.arange(ROWS) % 1000 == 0
    assert sorted(nearest_kept(index, index.vectors[0], 10, keep=keep).rows.tolist()) == [0, 1000, 2000]


def test_fewer_than_one_is_refused(index: HnswIndex) -> None:
    with pytest.raises(ValueError, match="count: expected at least 1, got 0"):
        nearest_kept(index, index.vectors[0], 0)
