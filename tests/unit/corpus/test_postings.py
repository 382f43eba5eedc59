"""The inverted index of weights, and BM25 by it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.corpus.bm25 import Bm25Params, rank_scores, weigh_bm25
from fingerpost.tasks.corpus.postings import Postings, build_postings
from tests.oracles import bm25_score

WORDS = ["sort", "array", "copy", "graph", "path"]
token_lists = st.lists(st.sampled_from(WORDS), max_size=9)


def counts_of(documents: list[list[str]]) -> sparse.csr_array:
    dense = [[tokens.count(word) for word in WORDS] for tokens in documents]
    return sparse.csr_array(np.array(dense, dtype=np.float32).reshape(len(documents), len(WORDS)))


def index_of(documents: list[list[str]]) -> Postings:
    return build_postings(weigh_bm25(counts_of(documents), Bm25Params()))


def as_query(tokens: list[str]) -> tuple[np.ndarray, np.ndarray]:
    distinct = list(dict.fromkeys(tokens))
    columns = [WORDS.index(word) if word in WORDS else -1 for word in distinct]
    return np.array(columns, np.int64), np.array([tokens.count(word) for word in distinct], np.float32)


@settings(max_examples=40, deadline=None)
@given(
    documents=st.lists(token_lists, min_size=1, max_size=8).filter(any),
    query=st.lists(st.sampled_from([*WORDS, "unknown"]), max_size=6),
)
def test_with_weights_of_bm25_it_answers_as_bm25_does(documents: list[list[str]], query: list[str]) -> None:
    index = index_of(documents)
    rows, scores = index.best(*as_query(query), 5)
    expected = np.array(
        [
            bm25_score([word for word in query if word in tokens], tokens, documents, k1=1.2, b=0.75)
            for tokens in documents
        ]
    )
    assert scores == pytest.approx(np.sort(expected[expected > 0])[::-1][:5], rel=1e-5)
    assert expected[rows] == pytest.approx(scores, rel=1e-5)
    assert index.scores_of(*as_query(query), rows).tolist() == scores.tolist()
    assert index.contributions(*as_query(query), rows).sum(axis=1) == pytest.approx(scores, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(documents=st.lists(token_lists, max_size=8), queries=st.lists(token_lists, max_size=4), k=st.integers(0, 9))
def test_many_queries_at_once(documents: list[list[str]], queries: list[list[str]], k: int) -> None:
    index, counts = index_of(documents), counts_of(queries)
    keep = np.arange(len(documents)) % 2 == 0
    for mask in (None, keep):
        rows, scores = index.best_many(counts, k, mask)
        again = index.best_many(counts, k, mask, threads=3)
        assert np.array_equal(rows, again[0])
        assert np.array_equal(scores, again[1])
        assert rows.shape == scores.shape == (len(queries), min(k, len(documents)))
        for place, query in enumerate(queries):
            best, best_scores = index.best(*as_query(query), k, mask)
            assert rows[place][rows[place] >= 0].tolist() == best.tolist()
            assert scores[place][: len(best)].tolist() == best_scores.tolist()


def test_the_best_are_those_of_the_product_of_sparse_rows() -> None:
    rng = np.random.default_rng(2)
    documents = [[WORDS[int(i)] for i in rng.integers(0, len(WORDS), rng.integers(0, 30))] for _ in range(700)]
    weights, queries = weigh_bm25(counts_of(documents), Bm25Params()), counts_of([["sort", "copy"], ["path"], []])
    rows, scores = build_postings(weights).best_many(queries, 20)
    expected_rows, expected_scores = rank_scores(queries, weights, top=20)
    assert scores == pytest.approx(expected_scores, rel=1e-5)
    for found, expected in zip(rows[:2], expected_rows[:2], strict=True):
        # Rounding may exchange documents of nearly the same score at the end.
        assert len(set(found.tolist()) & set(expected.tolist())) >= 18


def test_arrays_make_the_same_index_and_rows_their_norms() -> None:
    index = index_of([["sort", "copy"], [], ["copy", "copy", "path"]])
    again = Postings.from_arrays(index.arrays() | index.forward_arrays())
    assert again.size == 3
    assert again.best(*as_query(["copy"]), 3)[0].tolist() == index.best(*as_query(["copy"]), 3)[0].tolist() == [2, 0]
    dense = index.forward.toarray()
    assert index.norms == pytest.approx(np.linalg.norm(dense, axis=1), rel=1e-6)
    assert index.norms[1] == 0
    turned = sparse.csc_array((index.weights, index.documents.astype(np.int64), index.indptr), shape=dense.shape)
    assert np.array_equal(turned.toarray(), dense)
    assert np.array_equal(index.maxima, dense.max(axis=0))


def test_a_collection_without_documents_or_terms_answers_nothing() -> None:
    for documents in ([], [[]], [[], []]):
        rows, scores = index_of(documents).best(*as_query(["sort"]), 5)
        assert len(rows) == len(scores) == 0
    with pytest.raises(ValueError, match="finite weights above 0"):
        build_postings(sparse.csr_array((np.zeros(1, np.float32), [0], [0, 1]), shape=(1, 1)))
