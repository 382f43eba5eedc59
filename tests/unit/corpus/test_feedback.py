"""Queries that gain the terms of the documents they find, against a term-by-term version."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.corpus.feedback import FeedbackParams, expand, quotes
from fingerpost.tasks.corpus.postings import Postings, build_postings

TERMS = 6
matrices = st.lists(
    st.lists(st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0]), min_size=TERMS, max_size=TERMS), min_size=1, max_size=6
)


def postings_of(rows: list[list[float]]) -> Postings:
    return build_postings(sparse.csr_array(np.array(rows, dtype=np.float32)))


def expanded(
    query: dict[int, float],
    ranking: list[tuple[int, float]],
    rows: list[list[float]],
    stop: set[int],
    params: FeedbackParams,
) -> dict[int, float]:
    """Rocchio's mean of rows of norm 1, weighed by score over rank, cut and mixed."""
    read = [(row, score) for row, score in ranking[: params.documents] if score > 0]
    shares = [score / rank for rank, (_, score) in enumerate(read, start=1)]
    mean = [0.0] * TERMS
    for (row, _), share in zip(read, shares, strict=True):
        content = [0.0 if term in stop else value for term, value in enumerate(rows[row])]
        norm = sum(value**2 for value in content) ** 0.5 or 1.0
        for term, value in enumerate(content):
            mean[term] += share / sum(shares) * value / norm
    best = sorted((term for term in range(TERMS) if mean[term] > 0), key=lambda term: (-mean[term], term))
    best = best[: params.terms]
    total, added = sum(mean[term] for term in best), sum(query.values()) * (1 - params.keep) / params.keep
    result = dict(query)
    for term in best:
        result[term] = result.get(term, 0.0) + added * mean[term] / total
    return {term: weight for term, weight in sorted(result.items()) if weight > 0}


@settings(max_examples=120, deadline=None)
@given(
    rows=matrices,
    query=st.dictionaries(st.integers(0, TERMS - 1), st.sampled_from([1.0, 2.0]), min_size=1, max_size=3),
    stop=st.sets(st.integers(0, TERMS - 1), max_size=2),
    params=st.builds(
        FeedbackParams, documents=st.integers(1, 4), terms=st.integers(1, 4), keep=st.sampled_from([0.4, 0.5, 1.0])
    ),
)
def test_expansion_equals_the_slow_version(
    rows: list[list[float]], query: dict[int, float], stop: set[int], params: FeedbackParams
) -> None:
    postings = postings_of(rows)
    columns = np.array(sorted(query), dtype=np.int64)
    weights = np.array([query[column] for column in columns.tolist()], dtype=np.float32)
    found, scores = postings.best(columns, weights, 6)
    flags = np.isin(np.arange(TERMS), sorted(stop))
    wider, heavier = expand(columns, weights, found, scores, postings, flags, params)
    ranking = list(zip(found.tolist(), scores.tolist(), strict=True))
    expected = expanded(dict(sorted(query.items())), ranking, rows, stop, params)
    assert (wider.dtype, heavier.dtype) == (np.int64, np.float32)
    # Means that differ in their last bits only may be cut in another order, so terms at the limit are compared by weight.
    assert len(wider) == len(expected)
    np.testing.assert_allclose(np.sort(heavier), np.sort(list(expected.values())), rtol=1e-5)
    assert np.all(np.diff(wider) > 0)
    assert set(query) <= set(wider.tolist())
    assert not set(wider.tolist()) & (stop - set(query))


def test_the_first_document_counts_most_but_not_alone() -> None:
    postings = postings_of([[1, 0, 2, 0, 0, 0], [1, 0, 0, 2, 0, 0], [1, 0, 0, 0, 2, 0]])
    columns, rows = np.array([0]), np.array([0, 1, 2])
    found, weights = expand(
        columns, np.ones(1, np.float32), rows, np.ones(3, np.float32), postings, np.zeros(6, bool), FeedbackParams()
    )
    gained = dict(zip(found.tolist(), weights.tolist(), strict=True))
    assert gained[2] > gained[3] > gained[4] > 0
    assert gained[2] < gained[3] + gained[4] + gained[0]
    assert sum(weights) == pytest.approx(2.0)


def test_a_query_that_finds_nothing_stays_as_it_is() -> None:
    nothing = np.empty(0, np.int64), np.empty(0, np.float32)
    columns, weights = np.array([1, 4]), np.array([1.0, 2.0], np.float32)
    found = expand(columns, weights, *nothing, postings_of([[1] * 6]), np.zeros(6, bool), FeedbackParams())
    assert [part.tolist() for part in found] == [[1, 4], [1.0, 2.0]]
    assert [
        len(part) for part in expand(*nothing, *nothing, postings_of([[1] * 6]), np.zeros(6, bool), FeedbackParams())
    ] == [0, 0]


def test_a_quotation_has_all_its_terms_in_one_document() -> None:
    postings = postings_of([[1, 1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1, 0]])
    rows = np.array([0, 1])
    assert quotes(np.array([0, 1, 2, 3]), rows, postings)
    assert quotes(np.array([1, 2, 3, 4, 5]), rows, postings)
    assert not quotes(np.array([1, 2, 3, 4, 5]), rows[:1], postings)
    assert not quotes(np.array([0, 1, 2, 4]), rows, postings)
    assert not quotes(np.array([0, 1, 2]), rows, postings), "three words are no quotation"
    assert not quotes(np.array([-1, 0, 1, 2, 3]), rows, postings), "no document has a word that the collection lacks"
    assert not quotes(np.array([0, 1, 2, 3]), rows[:0], postings)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"documents": 0}, "expected at least 1 document and 1 term, got 0 and 50"),
        ({"terms": 0}, "expected at least 1 document and 1 term, got 10 and 0"),
        ({"keep": 0.0}, "expected above 0 to 1, got 0.0"),
        ({"keep": 1.1}, "expected above 0 to 1, got 1.1"),
    ],
)
def test_params_are_checked(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeedbackParams(**fields)  # type: ignore[arg-type]
