"""Sinkhorn scaling, mutual best pairs and ranks: against dense, obvious versions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.kg.assignment import best_columns, mutual_best, sinkhorn
from fingerpost.tasks.kg.ranks import rank_figures, ranks_of


def random_scores(seed: int, *, whole: bool = False) -> sparse.csr_array:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 12, 2)
    stored = rng.random((rows, columns)) < rng.choice([0.2, 0.7, 1.0])
    values = rng.integers(0, 4, (rows, columns)).astype(float) if whole else rng.normal(size=(rows, columns))
    row, column = np.nonzero(stored)
    return sparse.coo_array((values[row, column], (row, column)), shape=(rows, columns)).tocsr()


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), iterations=st.integers(1, 6))
def test_scaling_is_that_of_the_dense_matrix(seed: int, iterations: int) -> None:
    scores = random_scores(seed)
    stored = np.zeros(scores.shape, bool)
    stored[scores.nonzero()] = True
    dense = np.where(stored, np.exp(scores.toarray() / 0.5), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(iterations):
            dense = np.nan_to_num(dense / dense.sum(axis=1, keepdims=True))
            dense = np.nan_to_num(dense / dense.sum(axis=0, keepdims=True))
    found = sinkhorn(scores, temperature=0.5, iterations=iterations).toarray()
    assert np.allclose(found, dense, atol=1e-12)
    assert np.allclose(found.sum(axis=0), stored.any(axis=0))


def test_scores_far_beyond_the_temperature_do_not_overflow() -> None:
    scores = sparse.csr_array(np.array([[1000.0, 999.0], [999.5, 1.0]]))
    found = sinkhorn(scores, temperature=0.01, iterations=5).toarray()
    assert np.isfinite(found).all()
    assert found.argmax(axis=1).tolist() == [0, 0] or found.argmax(axis=1).tolist() == [1, 0]


def test_scaling_prefers_the_whole_to_the_single_best() -> None:
    scores = sparse.csr_array(np.array([[0.9, 0.8], [0.85, 0.1]]))
    assert best_columns(scores).tolist() == [0, 0]
    assert best_columns(sinkhorn(scores, temperature=0.05, iterations=20)).tolist() == [1, 0]


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_mutual_best_pairs_are_those_of_all_pairs(seed: int) -> None:
    scores = random_scores(seed, whole=True)
    entries = {(i, j): s for i, j, s in zip(*sparse.coo_array(scores).coords, scores.tocoo().data, strict=True)}

    def best(axis: int, number: int) -> tuple[int, int] | None:
        mine = [pair for pair in entries if pair[axis] == number]
        return min(mine, key=lambda pair: (-entries[pair], pair[1 - axis]), default=None)

    expected = [list(pair) for pair in sorted(entries) if best(0, pair[0]) == pair == best(1, pair[1])]
    assert mutual_best(scores).tolist() == expected


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_ranks_count_what_is_at_least_as_good(seed: int) -> None:
    scores = random_scores(seed, whole=True)
    coo = scores.tocoo()
    entries = {(i, j): s for i, j, s in zip(*coo.coords, coo.data, strict=True)}
    truth = np.random.default_rng(seed).integers(0, scores.shape[1], scores.shape[0])
    expected = [
        sum(value >= entries[row, wanted] for (i, _), value in entries.items() if i == row)
        if (row, wanted) in entries
        else np.inf
        for row, wanted in enumerate(truth.tolist())
    ]
    assert ranks_of(scores, truth).tolist() == expected


def test_figures_of_ranks() -> None:
    figures = rank_figures(np.array([1, 2, 11, np.inf]))
    assert figures == {"hits_at_1": 0.25, "hits_at_10": 0.5, "mrr": pytest.approx((1 + 1 / 2 + 1 / 11) / 4)}
    with pytest.raises(ValueError, match="ranks: expected at least one entity"):
        rank_figures(np.array([]))
