"""The terms of vectors: which become columns, and what they weigh in documents and queries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.term_weights import TermWeightParams, TermWeights, feature_columns, feature_rows


def lexicon_of(frequencies: list[int], stop: frozenset[str] = frozenset(), documents: int = 100) -> Lexicon:
    """A lexicon of terms a, b, ... with these document frequencies."""
    terms = [chr(ord("a") + number) for number in range(len(frequencies))]
    counts = np.array(frequencies, dtype=np.int64)
    made = Lexicon.of(
        terms, documents=documents, document_frequency=counts, occurrences=np.stack([counts * 0, counts * 0, counts])
    )
    return made.with_stop(stop)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 12), st.integers(1, 9))
def test_columns_are_the_most_frequent_terms(frequencies: list[int], most: int, least: int) -> None:
    columns = feature_columns(lexicon_of(frequencies), TermWeightParams(max_terms=most, min_df=least))
    possible = [row for row, df in enumerate(frequencies) if df >= least] or range(len(frequencies))
    expected = sorted(sorted(possible, key=lambda row: (-frequencies[row], row))[:most])
    assert columns.tolist() == expected


def test_stop_words_are_no_columns_unless_there_is_nothing_else() -> None:
    params = TermWeightParams(min_df=2)
    assert feature_columns(lexicon_of([9, 3, 4], frozenset("a")), params).tolist() == [1, 2]
    assert feature_columns(lexicon_of([9, 1, 1], frozenset("a")), params).tolist() == [1, 2]
    assert feature_columns(lexicon_of([9, 3], frozenset("ab")), params).tolist() == [0, 1]


@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(1, 8))
def test_rows_are_the_columns_of_impacts_scaled_to_norm_1(seed: int, documents: int, terms: int) -> None:
    random = np.random.default_rng(seed)
    dense = (random.random((documents, terms)) * (random.random((documents, terms)) < 0.5)).astype(np.float32)
    columns = np.flatnonzero(random.random(terms) < 0.6).astype(np.int64)
    rows = feature_rows(sparse.csr_array(dense), columns)
    assert rows.shape == (documents, len(columns))
    cut = dense[:, columns].astype(np.float64)
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    np.testing.assert_allclose(rows.toarray(), cut / np.where(norms > 0, norms, 1), rtol=1e-6)
    assert rows.has_sorted_indices
    for document in range(documents):
        alone = feature_rows(sparse.csr_array(dense[document : document + 1]), columns)
        assert (alone.toarray() == rows[document : document + 1].toarray()).all(), "a row depends on its document alone"


def test_a_query_weighs_by_occurrences_and_rarity() -> None:
    lexicon = lexicon_of([50, 2, 7, 1], documents=100)
    weights = TermWeights.of(lexicon, TermWeightParams(min_df=2))
    assert weights.columns.tolist() == [0, 1, 2]
    places, values = weights.row(np.array([1, 2, 3]), np.array([1.0, 2.0, 5.0], np.float32))
    expected = np.array([np.log1p(98.5 / 2.5), 2 * np.log1p(93.5 / 7.5)])
    assert places.tolist() == [1, 2]
    np.testing.assert_allclose(values, expected / np.linalg.norm(expected), rtol=1e-6)


def test_a_query_without_columns_is_empty() -> None:
    weights = TermWeights.of(lexicon_of([5, 1]), TermWeightParams(min_df=2))
    for columns in ([], [1]):
        places, values = weights.row(np.array(columns, np.int64), np.ones(len(columns), np.float32))
        assert len(places) == len(values) == 0


@pytest.mark.parametrize("wrong", [{"max_terms": 0}, {"min_df": 0}])
def test_values_below_1_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="features: expected max_terms and min_df of at least 1"):
        TermWeightParams(**wrong)
