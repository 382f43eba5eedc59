"""TF-IDF against scikit-learn."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import normalize

from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams, count_shard
from fingerpost.tasks.corpus.tfidf import Featurizer, weigh_counts
from fingerpost.tasks.corpus.vocabulary import select_vocabulary, shard_frequencies
from fingerpost.tasks.corpus.weighed_rows import TfidfParams

TOKEN = re.compile(r"(?u)\b\w\w+\b")
WORD, CHAR = FamilyParams("word", 1, 3, min_df=1), FamilyParams("char", 3, 3, min_df=1)
# Without combining marks (the lower case of İ has one), which scikit-learn does not count to words.
TEXTS = [
    "Return a sorted copy of an array. Sorted means ascending; an array is an array.",
    "Lies eine Straße: ΟΔΟΣ ὈΔΥΣΣΕΎΣ Istanbul 漢字かな 𝐀𝐁 naïve café",
    "",
    "shortest path in a graph, path by path by path",
    "an array of 16 bit x_1 x_2 values",
]

texts_strategy = st.lists(st.text(alphabet="ab ßΣé漢_\n.", max_size=60), min_size=1, max_size=6)


def character_trigrams(text):
    marked = [token + "#" for token in TOKEN.findall(text.lower())]
    return [token[at : at + 3] for token in marked for at in range(len(token) - 2)]


def one_field(*families):
    return NgramParams(families, name_weight=0.0, first_weight=0.0, body_weight=1.0)


def features_of(texts, params, tfidf):
    empty = [""] * len(texts)
    counts = count_shard(empty, empty, texts, params)
    vocabulary = select_vocabulary(shard_frequencies(counts), params)
    return weigh_counts(counts, vocabulary, tfidf), vocabulary


def expected_of(texts, vectorizer):
    try:
        return vectorizer.fit_transform(texts).toarray()
    except ValueError:  # an empty vocabulary
        return np.zeros((len(texts), 0))


@pytest.mark.parametrize("sublinear", [True, False])
@settings(max_examples=60, deadline=None)
@given(texts=texts_strategy)
def test_one_family_equals_tfidf_vectorizer(sublinear, texts):
    for sample in (texts, TEXTS):
        tfidf = TfidfParams(sublinear=sublinear, family_weights=(0.7,))
        found, _ = features_of(sample, one_field(WORD), tfidf)
        expected = expected_of(sample, TfidfVectorizer(ngram_range=(1, 3), sublinear_tf=sublinear))
        np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)
        found, _ = features_of(sample, one_field(CHAR), tfidf)
        expected = expected_of(sample, TfidfVectorizer(analyzer=character_trigrams, sublinear_tf=sublinear))
        np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)


def test_joined_families_equal_a_feature_union_normalised_once():
    union = FeatureUnion(
        [
            ("word", TfidfVectorizer(ngram_range=(1, 3), norm=None, sublinear_tf=True)),
            ("char", TfidfVectorizer(analyzer=character_trigrams, norm=None, sublinear_tf=True)),
        ],
        transformer_weights={"word": 1.0, "char": 0.4},
    )
    found, vocabulary = features_of(
        TEXTS, one_field(WORD, CHAR), TfidfParams(sublinear=True, family_weights=(1.0, 0.4))
    )
    np.testing.assert_allclose(found.toarray(), normalize(union.fit_transform(TEXTS)).toarray(), atol=1e-6)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), vocabulary.size)
    assert all(np.all(np.diff(found.indices[a:b]) > 0) for a, b in pairwise(found.indptr))


def test_fields_are_weighted_and_no_ngram_crosses_them():
    params = NgramParams((FamilyParams("word", 1, 2, min_df=1),), name_weight=5.0, first_weight=2.0, body_weight=0.5)
    family = count_shard(["sort"], ["sort array"], ["array sort sort"], params).families[0]
    found = dict(zip(family.terms, family.counts.toarray()[0].tolist(), strict=True))
    assert found == {"array": 2.5, "array sort": 0.5, "sort": 8.0, "sort array": 2.0, "sort sort": 0.5}


def test_queries_equal_documents_of_one_field():
    params = one_field(WORD, CHAR, FamilyParams("word", 1, 1, buckets=64))
    tfidf = TfidfParams(family_weights=(1.0, 0.5, 0.2))
    found, vocabulary = features_of(TEXTS, params, tfidf)
    featurizer = Featurizer(vocabulary, params, tfidf)
    np.testing.assert_array_equal(featurizer.transform(TEXTS).toarray(), found.toarray())
    for row, text in enumerate(TEXTS):
        np.testing.assert_array_equal(featurizer.transform([text]).toarray()[0], found.toarray()[row])


def test_unknown_terms_and_empty_queries_are_zero_rows():
    params = one_field(WORD, CHAR)
    tfidf = TfidfParams()
    _, vocabulary = features_of(TEXTS, params, tfidf)
    found = Featurizer(vocabulary, params, tfidf).transform(["", "zzzzzz qqqqqq"])
    assert found.nnz == 0
    assert found.shape == (2, vocabulary.size)


def test_no_documents_and_empty_vocabulary():
    found, vocabulary = features_of([], one_field(WORD, CHAR), TfidfParams())
    assert found.shape == (0, 0)
    found, vocabulary = features_of(["", "?"], one_field(WORD, CHAR), TfidfParams())
    assert found.shape == (2, 0)
    assert vocabulary.size == 0


def test_weights_must_fit_the_families():
    with pytest.raises(ValueError, match="got 2, 2, 1"):
        features_of(TEXTS, one_field(WORD, CHAR), TfidfParams(family_weights=(1.0,)))
