"""Metrics beside loops over lists."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.xmr.metrics import coverage_at, evaluate, frequency_buckets, hits, propensities
from fingerpost.tasks.xmr.ranking import NONE, Ranking
from fingerpost.tasks.xmr.sparse_rows import MatrixError


def random_world(seed: int, queries: int = 8, labels: int = 12, k: int = 6):
    rng = np.random.default_rng(seed)
    truth = sparse.csr_array((rng.random((queries, labels)) < 0.25).astype(np.float32))
    ids = np.stack([rng.permutation(labels)[:k] for _ in range(queries)]).astype(np.uint32)
    ids[rng.random(queries) < 0.3, k - 2 :] = NONE
    return Ranking(ids, np.zeros(ids.shape, np.float32)), truth, rng.integers(1, 50, labels)


@given(seed=st.integers(0, 10**6))
def test_figures_equal_loops(seed: int) -> None:
    ranking, truth, counts = random_world(seed)
    lists = [[label for label in row if label != NONE] for row in ranking.ids.tolist()]
    true = [set(np.flatnonzero(row).tolist()) for row in truth.toarray()]
    chance = propensities(counts, 100)
    figures = evaluate(ranking, truth, counts=counts, rows=100)
    assert "precision_at_10" not in figures
    for k in (1, 3, 5):
        pairs = list(zip(lists, true, strict=True))
        right = [[label for label in mine[:k] if label in theirs] for mine, theirs in pairs]
        ndcg = []
        for mine, theirs in pairs:
            gain = sum(1 / math.log2(rank + 2) for rank, label in enumerate(mine[:k]) if label in theirs)
            best = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(theirs))))
            ndcg.append(gain / best if best else 0.0)
        gained = sum(1 / chance[label] for row in right for label in row)
        best = sum(sum(sorted((1 / chance[label] for label in theirs), reverse=True)[:k]) for theirs in true)
        expected = {
            "precision": np.mean([len(row) / k for row in right]),
            "recall": np.mean([len(row) / max(1, len(theirs)) for row, theirs in zip(right, true, strict=True)]),
            "ndcg": np.mean(ndcg),
            "propensity_precision": gained / best if best else 0.0,
            "coverage": len({x for row in right for x in row}) / max(1, len(set().union(*true))),
        }
        for name, value in expected.items():
            assert figures[f"{name}_at_{k}"] == pytest.approx(value), name


def test_bands_add_up() -> None:
    ranking, truth, counts = random_world(3)
    found = hits(ranking, truth)
    parts = frequency_buckets(ranking, found, truth, counts, 5, edges=(1, 10, 30))
    assert [(part.minimum, part.maximum) for part in parts] == [(0, 9), (10, 29), (30, max(30, counts.max()))]
    assert sum(part.labels for part in parts) == 12
    assert sum(part.occurrences for part in parts) == truth.nnz
    assert sum(part.recall * part.occurrences for part in parts) == pytest.approx(found[:, :5].sum())


def test_rare_labels_are_worth_more() -> None:
    chance = propensities(np.array([1, 10, 1000]), 10_000)
    assert (np.diff(chance) > 0).all()
    assert (chance < 1).all()


def test_nothing_true_and_other_queries() -> None:
    ranking, _, counts = random_world(4)
    nothing = sparse.csr_array((8, 12), dtype=np.float32)
    assert set(evaluate(ranking, nothing, counts=counts, rows=9).values()) == {0.0}
    assert coverage_at(ranking, hits(ranking, nothing), nothing, 3) == 0.0
    with pytest.raises(MatrixError, match="truth: expected 8 rows, got 7"):
        hits(ranking, nothing[:7])
