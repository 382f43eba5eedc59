"""Exact search: the slow and obvious answer, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.ann import exact
from fingerpost.tasks.ann.exact import ExactIndex
from tests.oracles import nearest


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("k", [1, 7, 40])
def test_equals_sorting_all_distances(metric: str, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(k)
    vectors, queries = rng.standard_normal((700, 12)), rng.standard_normal((30, 12))
    vectors, queries = vectors.astype(np.float32), queries.astype(np.float32)
    expected = nearest(vectors, queries, k, metric)
    whole = ExactIndex(vectors, metric).search(queries, k)
    assert np.array_equal(whole.ids, expected)
    monkeypatch.setattr(exact, "BLOCK_ROWS", 33)
    monkeypatch.setattr(exact, "QUERY_ROWS", 7)
    cut = ExactIndex(vectors, metric).search(queries, k)
    assert np.array_equal(cut.ids, expected)
    assert np.array_equal(cut.distances, whole.distances)


@given(seed=st.integers(0, 10**6), rows=st.integers(1, 60), k=st.integers(1, 70))
def test_small_integers_with_many_ties(seed: int, rows: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, queries = rng.integers(0, 3, (rows, 3)), rng.integers(0, 3, (4, 3))
    for metric in ("l2", "ip"):
        found = ExactIndex(vectors, metric).search(queries, k)
        assert np.array_equal(found.ids[:, :rows], nearest(vectors, queries, k, metric))
        assert (np.diff(found.distances[:, : min(k, rows)], axis=1) >= 0).all()


def test_large_offset_does_not_mislead_the_screen() -> None:
    rng = np.random.default_rng(0)
    # Products of some 10**8 whose differences matter at 1: the float32 product alone orders these wrongly.
    vectors = (3000 + rng.integers(0, 4, (2000, 8))).astype(np.float32)
    queries = vectors[:20]
    assert np.array_equal(ExactIndex(vectors, "l2").search(queries, 10).ids, nearest(vectors, queries, 10, "l2"))
