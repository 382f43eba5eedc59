"""Ranking of all documents by sparse similarity, against dense arithmetic."""

import numpy as np
from scipy import sparse

from fingerpost.tasks.corpus.by_words import best_by_words


def test_the_best_rows_are_those_of_dense_arithmetic() -> None:
    rng = np.random.default_rng(0)
    features = sparse.random_array((50, 20), density=0.2, rng=rng, dtype=np.float32, format="csr")
    query = sparse.random_array((1, 20), density=0.3, rng=rng, dtype=np.float32, format="csr")
    keep = rng.random(50) < 0.7
    scores = (features.toarray() @ query.toarray()[0]) * keep
    order = np.lexsort((np.arange(50), -scores))
    rows, found, matched = best_by_words(query, features, keep, 8)
    assert matched == (scores > 0).sum()
    np.testing.assert_array_equal(rows, order[:8])
    np.testing.assert_allclose(found, scores[order[:8]], rtol=1e-6)


def test_rows_without_a_common_term_and_no_query_have_no_answer() -> None:
    features = sparse.csr_array(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32))
    keep = np.ones(3, dtype=bool)
    rows, _, matched = best_by_words(sparse.csr_array(np.array([[0, 2, 0]], np.float32)), features, keep, 5)
    assert (rows.tolist(), matched) == ([1], 1)
    rows, scores, matched = best_by_words(sparse.csr_array((1, 3), dtype=np.float32), features, keep, 5)
    assert (rows.tolist(), scores.tolist(), matched) == ([], [], 0)
