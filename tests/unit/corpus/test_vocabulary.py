"""Document frequencies over shards and the choice of terms."""

from collections import Counter
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams, count_shard
from fingerpost.tasks.corpus.vocabulary import (
    FamilyFrequencies,
    merge_frequencies,
    select_terms,
    select_vocabulary,
    shard_frequencies,
)

FAMILIES = (FamilyParams("word", 1, 2), FamilyParams("char", 3, 3), FamilyParams("word", 1, 2, buckets=50))
PARAMS = NgramParams(FAMILIES, name_weight=3.0, first_weight=2.0, body_weight=1.0)

words = st.lists(st.sampled_from(["sort", "array", "copy", "graph", "path", "ΣΑΣ", "x1"]), max_size=8).map(" ".join)
documents = st.lists(st.tuples(words, words, words), min_size=1, max_size=8)


def frequencies_of(rows):
    return shard_frequencies(count_shard(*[list(column) for column in zip(*rows, strict=True)], PARAMS))


def assert_same(left, right):
    assert left.documents == right.documents
    for one, other in zip(left.families, right.families, strict=True):
        assert one.terms == other.terms
        np.testing.assert_array_equal(one.frequencies, other.frequencies)


@settings(max_examples=50, deadline=None)
@given(parts=st.lists(documents, min_size=3, max_size=5))
def test_merging_is_exact_in_any_order(parts):
    whole = frequencies_of([row for part in parts for row in part])
    counted = [frequencies_of(part) for part in parts]
    assert_same(reduce(merge_frequencies, counted), whole)
    assert_same(reduce(lambda left, right: merge_frequencies(right, left), reversed(counted)), whole)
    assert_same(merge_frequencies(counted[0], reduce(merge_frequencies, counted[1:])), whole)


@settings(max_examples=50, deadline=None)
@given(rows=documents)
def test_a_term_counts_once_a_document_whatever_its_fields(rows):
    expected = Counter(term for row in rows for term in {word for text in row for word in text.lower().split()})
    family = frequencies_of(rows).families[0]
    found = dict(zip(family.terms, family.frequencies.tolist(), strict=True))
    assert {term: count for term, count in found.items() if " " not in term} == expected


def test_a_hashed_side_does_not_merge_with_terms():
    one = frequencies_of([("sort", "", "")])
    swapped = type(one)(one.documents, one.families[::-1])
    with pytest.raises(ValueError, match="expected both sides hashed or both with terms"):
        merge_frequencies(one, swapped)


def test_selection_keeps_the_most_frequent_and_ties_go_by_term():
    frequencies = FamilyFrequencies(["a", "b", "c", "d", "e"], np.array([1, 3, 5, 3, 3]))
    chosen = select_terms(frequencies, FamilyParams("word", 1, 1, max_terms=3, min_df=2))
    assert chosen.terms == ["b", "c", "d"]
    assert chosen.frequencies.tolist() == [3, 5, 3]
    rare = select_terms(frequencies, FamilyParams("word", 1, 1, max_terms=9, min_df=4))
    assert rare.terms == ["c"]


def test_min_df_equals_sklearn():
    texts = ["sort an array", "copy an array", "sort a graph", "the shortest path in a graph"]
    params = NgramParams((FamilyParams("word", 1, 2, min_df=2),), name_weight=0, first_weight=0, body_weight=1)
    counts = count_shard([""] * 4, [""] * 4, texts, params)
    vocabulary = select_vocabulary(shard_frequencies(counts), params)
    vectorizer = CountVectorizer(ngram_range=(1, 2), min_df=2).fit(texts)
    assert vocabulary.families[0].terms == list(vectorizer.get_feature_names_out())


def test_columns_of_families_lie_side_by_side():
    rows = [("sort", "array copy", "path"), ("sort", "array", "path")]
    vocabulary = select_vocabulary(frequencies_of(rows), PARAMS)
    sizes = [family.size for family in vocabulary.families]
    assert vocabulary.offsets == (0, sizes[0], sizes[0] + sizes[1])
    assert vocabulary.size == sum(sizes)
    assert sizes[2] == 50


def test_params_are_checked():
    with pytest.raises(ValueError, match="expected 'word' or 'char', got 'line'"):
        FamilyParams("line", 1, 1)
    with pytest.raises(ValueError, match="expected 1 <= min <= max"):
        FamilyParams("word", 2, 1)
    with pytest.raises(ValueError, match="field weights"):
        NgramParams(FAMILIES, name_weight=0, first_weight=0, body_weight=0)
    with pytest.raises(ValueError, match="expected the same number of each, got 1, 2, 1"):
        count_shard(["a"], ["b", "c"], ["d"], PARAMS)
