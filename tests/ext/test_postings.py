"""Best documents by the inverted index against sums over all documents, and places of texts against dictionaries."""

import math
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.ext.postings import Lists, count_texts, find_texts, invert

Query = tuple[np.ndarray, np.ndarray]
#: A second kind of weights gives ties, and terms that weigh next to nothing.
values = st.one_of(st.floats(2**-20, 30, width=32), st.sampled_from([0.5, 1.0, 2.0, 2**-40]))
TERMS = 9
worlds = st.lists(st.dictionaries(st.integers(0, TERMS - 1), values, max_size=TERMS), max_size=40)
queries = st.lists(st.tuples(st.integers(-1, TERMS - 1), st.one_of(values, st.just(0.0))), max_size=12)


def matrix(documents: list[dict[int, float]], terms: int = TERMS) -> sparse.csr_array:
    indptr = np.cumsum([0, *map(len, documents)], dtype=np.int64)
    pairs = [(term, row[term]) for row in documents for term in sorted(row)]
    columns, weights = np.array([term for term, _ in pairs], np.int32), np.array([w for _, w in pairs], np.float32)
    return sparse.csr_array((weights, columns, indptr), shape=(len(documents), terms))


def lists_of(rows: sparse.csr_array) -> Lists:
    forward = (rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data)
    return Lists(*invert(*forward, rows.shape[1]), *forward)


def as_query(pairs: list[tuple[int, float]]) -> Query:
    return np.array([column for column, _ in pairs], np.int64), np.array([w for _, w in pairs], np.float32)


def all_parts(rows: sparse.csr_array, query: Query) -> tuple[np.ndarray, float]:
    """What each term adds to each document, as integers (documents, terms), and what one unit is worth."""
    columns, weights = query
    dense = rows.toarray()[:, np.maximum(columns, 0)] * (columns >= 0)
    total = sum(float(w) * float(most) for w, most in zip(weights, dense.max(axis=0, initial=0), strict=True))
    if total == 0:
        return np.zeros(dense.shape, np.int64), 1.0
    scale = 2.0 ** (30 - math.frexp(total)[1])
    factors = np.minimum(weights.astype(np.float64) * scale, np.finfo(np.float32).max).astype(np.float32)
    return np.floor(dense * factors + np.float32(0.5)).astype(np.int64), 1 / scale


def expected(rows: sparse.csr_array, query: Query, k: int, keep: np.ndarray | None) -> tuple[list[int], list[float]]:
    parts, unit = all_parts(rows, query)
    sums = parts.sum(axis=1)
    allowed = [row for row in range(len(sums)) if sums[row] > 0 and (keep is None or keep[row])]
    best = sorted(allowed, key=lambda row: (-sums[row], row))[:k]
    return best, [float(np.float32(sums[row] * unit)) for row in best]


@settings(max_examples=120, deadline=None)
@given(documents=worlds, pairs=queries, k=st.integers(0, 50), seed=st.none() | st.integers(0, 9))
@example(documents=[], pairs=[], k=3, seed=None)
@example(documents=[{}], pairs=[(0, 1.0)], k=3, seed=None)
@example(documents=[{0: 1.0}], pairs=[(0, 1.0)], k=1, seed=1)
@example(documents=[{0: 1.0}, {0: 1.0, 1: 2.0}] * 20, pairs=[(1, 1.0), (0, 1.0)], k=10, seed=None)
def test_answers_are_the_best_of_all_documents(
    documents: list[dict[int, float]], pairs: list[tuple[int, float]], k: int, seed: int | None
) -> None:
    rows, query = matrix(documents), as_query(pairs)
    keep = None if seed is None else np.random.default_rng(seed).random(len(documents)) < 0.6
    index = lists_of(rows)
    found, scores = index.best(*query, k, keep)
    assert (found.dtype, scores.dtype) == (np.int64, np.float32)
    best, wanted = expected(rows, query, k, keep)
    assert (found.tolist(), scores.tolist()) == (best, wanted)
    weighted = rows.toarray()[:, np.maximum(query[0], 0)].astype(np.float64) * np.where(query[0] >= 0, query[1], 0.0)
    exact, total = weighted.sum(axis=1), float(weighted.max(axis=0, initial=0).sum())
    assert scores == pytest.approx(exact[found], rel=1e-6, abs=total * 2**-25)
    parts, unit = all_parts(rows, query)
    everything = np.arange(len(documents), dtype=np.int64)[::-1].copy()
    assert index.scores_of(*query, everything).tolist() == (parts.sum(axis=1)[::-1] * unit).astype(np.float32).tolist()
    assert np.array_equal(index.contributions(*query, everything), (parts[::-1] * unit).astype(np.float32))


def large_world(seed: int, documents: int = 30_000, terms: int = 60) -> tuple[sparse.csr_array, list[Query]]:
    """Documents of several windows, frequent and rare terms, weights with many ties, and queries of all lengths."""
    rng = np.random.default_rng(seed)
    shares = np.geomspace(2e-5, 0.5, terms)
    dense = (rng.random((documents, terms)) < shares) * rng.integers(1, 9, (documents, terms)) / -4 / np.log(shares / 2)
    made = []
    for size in (1, 1, 2, 3, 3, 5, 8, 35):
        made.append((rng.permutation(terms)[:size].astype(np.int64), rng.integers(1, 4, size).astype(np.float32) / 2))
    made.append((np.arange(terms, dtype=np.int64), np.geomspace(8, 0.01, terms).astype(np.float32)))
    return sparse.csr_array(dense.astype(np.float32)), made


@pytest.mark.parametrize("seed", range(2))
def test_skipping_loses_nothing_in_large_collections(seed: int) -> None:
    rows, made = large_world(seed)
    index, rng = lists_of(rows), np.random.default_rng(seed)
    masks = [None, rng.random(rows.shape[0]) < 0.5, rng.random(rows.shape[0]) < 0.001, np.zeros(rows.shape[0], bool)]
    for query in made:
        for keep in masks:
            parts, unit = all_parts(rows, query)
            sums = parts.sum(axis=1) * (1 if keep is None else keep)
            order = np.argsort(-sums, kind="stable")
            for k in (1, 10, 64, 65, 1000):
                found, scores = index.best(*query, k, keep)
                best = order[:k][sums[order[:k]] > 0]
                assert np.array_equal(found, best)
                assert np.array_equal(scores, (sums[best] * unit).astype(np.float32))
                assert np.array_equal(index.scores_of(*query, found), scores)


def test_batches_and_threads_give_the_answers_of_single_queries() -> None:
    rows, made = large_world(5)
    index = lists_of(rows)
    made.append((np.empty(0, np.int64), np.empty(0, np.float32)))
    indptr = np.cumsum([0, *(len(columns) for columns, _ in made)], dtype=np.int64)
    columns, weights = (np.concatenate(side) for side in zip(*made, strict=True))
    keep = np.arange(rows.shape[0]) % 3 > 0
    batch = [index.best_many(indptr, columns, weights, 20, keep, threads) for threads in (1, 2, 5)]
    for found, scores in batch:
        assert np.array_equal(found, batch[0][0])
        assert np.array_equal(scores, batch[0][1])
    for place, query in enumerate(made):
        found, scores = index.best(*query, 20, keep)
        padding = 20 - len(found)
        assert batch[0][0][place].tolist() == found.tolist() + [-1] * padding
        assert batch[0][1][place].tolist() == scores.tolist() + [0.0] * padding
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda query: index.best(*query, 20, keep)[0].tolist(), made * 20))
    assert together == [index.best(*query, 20, keep)[0].tolist() for query in made] * 20


def test_an_index_can_be_sent_to_another_process() -> None:
    rows, made = large_world(6, documents=200)
    index = lists_of(rows)
    sent = pickle.loads(pickle.dumps(index))
    assert sent.best(*made[3], 10, None)[0].tolist() == index.best(*made[3], 10, None)[0].tolist()


@settings(max_examples=30, deadline=None)
@given(documents=worlds)
def test_lists_are_the_columns_of_the_matrix(documents: list[dict[int, float]]) -> None:
    rows = matrix(documents)
    indptr, found, weights, maxima = invert(
        rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data, TERMS
    )
    assert (indptr.dtype, found.dtype, weights.dtype, maxima.dtype) == (np.int64, np.uint32, np.float32, np.float32)
    for term in range(TERMS):
        having = [row for row, document in enumerate(documents) if term in document]
        part = slice(indptr[term], indptr[term + 1])
        assert found[part].tolist() == having
        assert weights[part].tolist() == [float(np.float32(documents[row][term])) for row in having]
        assert maxima[term] == weights[part].max(initial=0)


GIVEN = [{0: 1.0, 2: 0.5}, {2: 2.0}]


@pytest.mark.parametrize(
    ("columns", "weights", "message"),
    [
        ([9], [1.0], "expected columns of -1 to 8, got 9"),
        ([-2], [1.0], "expected columns of -1 to 8, got -2"),
        ([0], [-0.5], "expected finite weights of at least 0, got -0.5"),
        ([0], [math.inf], "got inf"),
        ([0], [math.nan], "got nan"),
        ([0, 1], [1.0], "query weights: expected 2 values, got 1"),
    ],
)
def test_other_queries_are_refused(columns: list[int], weights: list[float], message: str) -> None:
    index, query = lists_of(matrix(GIVEN)), (np.array(columns, np.int64), np.array(weights, np.float32))
    with pytest.raises(ValueError, match=message):
        index.best(*query, 3, None)
    with pytest.raises(ValueError, match=message):
        index.scores_of(*query, np.zeros(1, np.int64))


def test_other_rows_masks_and_batches_are_refused() -> None:
    index, query = lists_of(matrix(GIVEN)), as_query([(0, 1.0)])
    for row in (-1, 2):
        with pytest.raises(ValueError, match=f"numbers of documents below 2, got {row}"):
            index.contributions(*query, np.array([row], np.int64))
    with pytest.raises(ValueError, match="keep: expected 2 values, got 3"):
        index.best(*query, 3, np.ones(3, bool))
    with pytest.raises(ValueError, match="queries: expected ascending index pointers from 0 to 1"):
        index.best_many(np.array([0, 2], np.int64), *query, 3, None, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("indptr", np.array([0, 1, 1], np.int64)),
        ("documents", np.array([0, 1, 0], np.uint32)),
        ("documents", np.array([0, 0, 2], np.uint32)),
        ("weights", np.ones(2, np.float32)),
        ("maxima", np.ones(2, np.float32)),
        ("forward_indptr", np.array([0, 3, 2], np.int64)),
        ("forward_terms", np.array([2, 0, 2], np.int32)),
        ("forward_terms", np.array([0, 3, 2], np.int32)),
        ("forward_terms", np.array([0, -1, 2], np.int32)),
        ("forward_weights", np.array([1.0, 0.0, 2.0], np.float32)),
        ("forward_weights", np.array([1.0, np.nan, 2.0], np.float32)),
        ("forward_weights", np.array([1.0, np.inf, 2.0], np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, value: np.ndarray) -> None:
    rows = matrix(GIVEN, terms=3)
    forward = {
        "forward_indptr": rows.indptr.astype(np.int64),
        "forward_terms": rows.indices.astype(np.int32),
        "forward_weights": rows.data,
    }
    made = dict(zip(("indptr", "documents", "weights", "maxima"), invert(*forward.values(), 3), strict=True)) | forward
    assert Lists(**made).best(*as_query([(2, 1.0)]), 2, None)[0].tolist() == [1, 0]
    with pytest.raises(ValueError, match="expected"):
        Lists(**(made | {name: value}))


#: Characters of one to four bytes, and an unpaired surrogate, which UTF-8 cannot say.
texts = st.text(alphabet="ab\0é漢😀\ud800", max_size=4)


@settings(max_examples=80, deadline=None)
@given(known=st.sets(st.text(alphabet="ab\0é漢😀", max_size=4), max_size=30), asked=st.lists(texts, max_size=20))
@example(known=set(), asked=["a"])
@example(known={""}, asked=["", "a"])
def test_texts_are_found_at_their_places(known: set[str], asked: list[str]) -> None:
    ordered = sorted(known)
    encoded = [text.encode() for text in ordered]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    letters = np.frombuffer(b"".join(encoded), np.uint8)
    places = {text: place for place, text in enumerate(ordered)}
    for wanted in (asked, sorted(asked), ordered, ordered[::-1]):
        found = find_texts(wanted, offsets, letters)
        assert found.dtype == np.int64
        assert found.tolist() == [places.get(text, -1) for text in wanted]
        columns, counts = count_texts([*wanted, *wanted[:2]], offsets, letters)
        assert (columns.dtype, counts.dtype) == (np.int64, np.float32)
        times = Counter(places[text] for text in [*wanted, *wanted[:2]] if text in places)
        assert list(zip(columns.tolist(), counts.tolist(), strict=True)) == sorted(times.items())


def test_what_is_no_text_is_refused() -> None:
    offsets, letters = np.array([0, 1], np.int64), np.frombuffer(b"a", np.uint8)
    with pytest.raises(TypeError):
        find_texts(["a", 3], offsets, letters)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="expected them inside 1 bytes"):
        find_texts(["a"], np.array([0, 2], np.int64), letters)
