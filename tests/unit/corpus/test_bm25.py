"""BM25 against a term-by-term version."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.corpus.bm25 import Bm25Params, rank_scores, top_rows, weigh_bm25
from tests.oracles import bm25_score

WORDS = ["sort", "array", "copy", "graph", "path"]
token_lists = st.lists(st.sampled_from(WORDS), max_size=9)


def counts_of(documents):
    dense = [[tokens.count(word) for word in WORDS] for tokens in documents]
    return sparse.csr_array(np.array(dense, dtype=np.float32).reshape(len(documents), len(WORDS)))


@settings(max_examples=80, deadline=None)
@given(
    documents=st.lists(token_lists, min_size=1, max_size=8).filter(any),
    queries=st.lists(token_lists, min_size=1, max_size=3),
    k1=st.sampled_from([0.0, 0.8, 1.2, 2.0]),
    b=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_scores_equal_the_slow_version(documents, queries, k1, b):
    weights = weigh_bm25(counts_of(documents), Bm25Params(k1, b))
    rows, scores = rank_scores(counts_of(queries), weights, top=5, batch_rows=2)
    for place, query in enumerate(queries):
        expected = np.array(
            [
                bm25_score([word for word in query if word in tokens], tokens, documents, k1=k1, b=b)
                for tokens in documents
            ]
        )
        np.testing.assert_allclose(scores[place], np.sort(expected)[::-1][:5], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(expected[rows[place]], scores[place], rtol=1e-4, atol=1e-5)


@given(
    scores=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    top=st.integers(1, 40),
)
def test_top_rows_are_best_first_and_ties_go_to_the_lower_row(scores, top):
    expected = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:top]
    assert top_rows(np.array(scores, dtype=np.float32), top).tolist() == expected


def test_no_documents_and_no_terms():
    rows, _ = rank_scores(counts_of([["sort"]]), weigh_bm25(counts_of([]), Bm25Params()), top=5)
    assert rows.shape == (1, 0)
    assert weigh_bm25(counts_of([[], []]), Bm25Params()).nnz == 0


def test_params_are_checked():
    with pytest.raises(ValueError, match=r"expected k1 >= 0 and 0 <= b <= 1, got -1 and 0.75"):
        Bm25Params(k1=-1)
