"""Candidates ordered by sparse similarity."""

import numpy as np
import pytest
from scipy import sparse

from fingerpost.tasks.corpus.rerank import RerankParams, rerank


@pytest.fixture
def world():
    rng = np.random.default_rng(5)
    features = sparse.random_array((80, 60), density=0.2, rng=rng, dtype=np.float32).tocsr()
    queries = sparse.random_array((7, 60), density=0.2, rng=rng, dtype=np.float32).tocsr()
    candidates = np.array([rng.choice(80, size=12, replace=False) for _ in range(7)])
    dense = rng.random((7, 12)).astype(np.float32)
    return queries, candidates, features, dense


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_equals_the_dense_product(world, share):
    queries, candidates, features, dense = world
    rows, scores = rerank(queries, candidates, features, dense_scores=dense, dense_share=share)
    similarity = queries.toarray().astype(np.float64) @ features.toarray().T
    for place, chosen in enumerate(candidates):
        expected = {
            int(row): (1 - share) * similarity[place, row] + share * dense[place, at] for at, row in enumerate(chosen)
        }
        assert sorted(rows[place]) == sorted(chosen)
        np.testing.assert_allclose([expected[row] for row in rows[place]], scores[place], atol=1e-5)
        assert np.all(np.diff(scores[place]) <= 0)


def test_one_query_has_the_bits_it_has_in_a_batch(world):
    queries, candidates, features, dense = world
    rows, scores = rerank(queries, candidates, features, dense_scores=dense, dense_share=0.2)
    for place in range(len(candidates)):
        one = slice(place, place + 1)
        alone = rerank(queries[one], candidates[one], features, dense_scores=dense[one], dense_share=0.2)
        np.testing.assert_array_equal(alone[0][0], rows[place])
        np.testing.assert_array_equal(alone[1][0], scores[place])


def test_equal_scores_go_to_the_lower_row_and_missing_candidates_come_last():
    features = sparse.csr_array(np.eye(4, dtype=np.float32))
    query = sparse.csr_array(np.array([[0, 0, 1, 0]], dtype=np.float32))
    rows, scores = rerank(query, np.array([[3, -1, 1, 2, -1, 0]]), features)
    assert rows.tolist() == [[2, 0, 1, 3, -1, -1]]
    assert scores.tolist() == [[1, 0, 0, 0, -np.inf, -np.inf]]


def test_an_empty_query_and_no_candidates():
    features = sparse.csr_array(np.eye(3, dtype=np.float32))
    rows, scores = rerank(sparse.csr_array((1, 3), dtype=np.float32), np.array([[2, 1]]), features)
    assert rows.tolist() == [[1, 2]]
    assert scores.tolist() == [[0, 0]]
    rows, _ = rerank(sparse.csr_array((1, 3), dtype=np.float32), np.empty((1, 0), dtype=np.int64), features)
    assert rows.shape == (1, 0)


def test_shapes_and_params_are_checked(world):
    queries, candidates, features, _ = world
    with pytest.raises(ValueError, match="expected 7 rows, got 2"):
        rerank(queries, candidates[:2], features)
    with pytest.raises(ValueError, match=r"expected shape \(7, 12\), got None"):
        rerank(queries, candidates, features, dense_share=0.5)
    with pytest.raises(ValueError, match="at least 1 candidate"):
        RerankParams(candidates=0)
